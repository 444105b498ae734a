//! The BGP thread of the daemon, in a process with nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use bgp::{Asn, BgpIdentifier, RemoteAs, RouteAttributes, Routes, SessionConfig};
use herald::bgp_thread::{BgpThread, PeerSetup, Transport};
use herald::config::{CaptureSize, PeerName};
use ipnet::IpNet;

use super::{child, one_more, table};
use crate::sinks;
use crate::{SPEAKER, SPEAKER_AS};

pub fn run(prefixes: u32, sinks: u8) {
    let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || while told.blocking_recv().is_some() {});
    let thread = BgpThread::start(events).unwrap();
    let names: Vec<PeerName> = (0..sinks)
        .map(|index| PeerName::new(&format!("sink-{index}")).unwrap())
        .collect();
    for (index, name) in (0..sinks).zip(&names) {
        let remote = SocketAddr::from((sinks::address(index), 179));
        thread.set_peer(name.clone(), setup(remote));
    }

    let attributes = Arc::new(RouteAttributes::default());
    let host = |address| IpNet::from(std::net::IpAddr::from(address));
    let wanted: Routes = table(prefixes)
        .map(|address| (host(address), Arc::clone(&attributes)))
        .collect();
    let tell = |routes: &Arc<Routes>| {
        let for_all = names.iter().map(|name| (name.clone(), Arc::clone(routes)));
        thread.set_routes(for_all.collect());
    };
    let wanted = Arc::new(wanted);
    tell(&wanted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(thread.listen(vec![SocketAddr::from((SPEAKER, 179))]))
        .unwrap();
    // Made when it is first wanted: until then a program that only announces the table would not have it.
    let mut with_one_more = None;
    child::serve(|is_more| {
        let more = with_one_more.get_or_insert_with(|| {
            let mut more = Routes::clone(&wanted);
            more.insert(host(one_more()), Arc::clone(&attributes));
            Arc::new(more)
        });
        tell(if is_more { more } else { &wanted });
    });
}

fn setup(remote: SocketAddr) -> PeerSetup {
    let identifier = BgpIdentifier::new(SPEAKER).unwrap();
    let local_as = Asn::new(u32::from(SPEAKER_AS)).unwrap();
    PeerSetup {
        session: SessionConfig {
            passive: true,
            ..SessionConfig::new(local_as, identifier, RemoteAs::External)
        },
        transport: Transport::to(remote),
        password: None,
        bfd: None,
        enabled: true,
        capture: CaptureSize::default(),
        restarted: false,
        incomplete_until: None,
    }
}
