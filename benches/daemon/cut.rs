//! From a dead path to the withdrawal of what needs it: one BFD session of 50 ms × 3 with somebody who is not the router, and one service
//! that depends on it; at BIRD and FRR a static route that does.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng};

use crate::path::{DETECTION_TIME, INTERVAL, Path};
use crate::router::Router;
use crate::speakers::{self, Running, Start};
use crate::support::Lab;
use crate::support::bird::Bird;
use crate::support::daemon::Herald;
use crate::support::frr::Frr;
use crate::table::{Cell, Table};
use crate::{FAR_END, Network, ROUTER_AS, ROUTERS, SPEAKER, SPEAKER_AS, quantile, services};

pub fn run(lab: &Lab, network: &Network, is_quick: bool) -> Table {
    let samples = if is_quick { 10 } else { 60 };
    let mut table = Table::new(
        format!(
            "From the end of the detection time ({} ms × 3) to the withdrawal at the router, ms; n = {samples}",
            INTERVAL.as_millis()
        ),
        ["p50", "p99", "max"],
    );
    let router = Router::listen(&network.routers, ROUTERS[0]);
    let starts: [Start<'_>; 3] = [
        ("Herald", &|lab, at| {
            let directory = speakers::herald_directory(lab);
            Box::new(Herald::start(at, &directory, &herald_config(&directory)))
        }),
        ("BIRD", &|lab, at| {
            Box::new(Bird::start(lab, at, "bird", &bird_config()))
        }),
        ("FRR", &|lab, at| {
            Box::new(Frr::start(lab, at, "frr", &frr_config()))
        }),
    ];
    let path = Path::start(&network.routers, SPEAKER);
    let mut chance = rand::rngs::SmallRng::seed_from_u64(1);
    for (name, start) in starts {
        path.restore();
        let speaker: Running = start(lab, &network.speaker);
        router.wait_for_route();
        let mut beyond = Vec::new();
        for _ in 0..samples {
            path.wait_until_up();
            // Longer than what is agreed upon takes to be in force, and at any point of an interval.
            let more = Duration::from_micros(chance.random_range(0..50_000));
            thread::sleep(Duration::from_secs(1) + more);
            let last_sent = path.cut();
            let withdrawn = router.wait_for_withdrawal();
            beyond.push((withdrawn - last_sent).saturating_sub(DETECTION_TIME));
            path.restore();
            router.wait_for_route();
        }
        let cells = [0.5, 0.99, 1.0].map(|part| Cell::time(quantile(&mut beyond, part)));
        table.add(name, cells);
        path.cut();
        drop(speaker);
    }
    table
}

fn herald_config(directory: &std::path::Path) -> String {
    let mut config = speakers::herald(directory, &ROUTERS[..1], &[]);
    let _ = write!(
        config,
        "[[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"50ms\"\nreceive-interval = \"50ms\"\n\
         [[bfd-session]]\nname = \"path\"\naddress = \"{FAR_END}\"\nbfd-profile = \"fast\"\n\
         [[service]]\nname = \"web\"\naddresses = [\"{}\"]\n[service.health]\nbfd = \"path\"\n",
        services(1)[0]
    );
    config
}

fn bird_config() -> String {
    let timers =
        "min rx interval 50 ms; min tx interval 50 ms; idle tx interval 1 s; multiplier 3;";
    speakers::bird(&ROUTERS[..1], &services(1), &format!("via {FAR_END} bfd"))
        + &format!("protocol bfd {{ interface \"eth0\" {{ {timers} }}; }}\n")
}

fn frr_config() -> String {
    format!(
        "frr defaults traditional\nhostname frr\nbfd\n profile fast\n  transmit-interval 50\n  receive-interval 50\n  detect-multiplier 3\n exit\nexit\n!\n\
         ip route {}/32 {FAR_END} bfd profile fast\n!\n\
         router bgp {SPEAKER_AS}\n bgp router-id {SPEAKER}\n no bgp ebgp-requires-policy\n neighbor {} remote-as {ROUTER_AS}\n\
         !\n address-family ipv4 unicast\n  redistribute static\n exit-address-family\nexit\n",
        services(1)[0],
        ROUTERS[0]
    )
}
