//! A service that works no more, and a path that it depends on, as FRR hears of it: the route goes,
//! the session stays.

use std::fs;
use std::time::Duration;

use super::pair::{COMES_UP, HOST_V4, Pair, ROUTER_V4, peer, wait_established};
use super::support::bfd::BfdRouter;
use super::support::daemon::Herald;
use super::support::frr::Frr;
use super::support::{ensure, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn frr_loses_a_service_that_fails_and_keeps_its_session() {
    let Some(pair) = Pair::build("frr_loses_a_service_that_fails_and_keeps_its_session") else {
        return;
    };
    let frr = pair.frr(&[format!("{HOST_V4} remote-as 64520")], &[HOST_V4]);
    let watch = || {
        let peer = format!("peer {HOST_V4} local-address {ROUTER_V4} interface eth0");
        frr.configure(&["bfd", &peer]);
    };
    watch();
    let works = pair.directory().join("works");
    let health = format!(
        "[service.health]\nexec = [\"/bin/sh\", \"-c\", \"test -e {}\"]\nbfd = \"storage\"\n\
         interval = \"100ms\"\ntimeout = \"10s\"\n\
         [[bfd-session]]\nname = \"storage\"\naddress = {ROUTER_V4:?}\n",
        works.display()
    );
    let config = pair.config(&peer("router", ROUTER_V4, "")) + &health;
    let herald = Herald::start(&pair.host, &pair.directory(), &config);
    wait_established(&herald, &frr, "router", HOST_V4);
    assert!(!has_service(&frr), "nobody knows yet that it works");

    fs::write(&works, "").unwrap();
    wait_for_service(&frr, true);
    fs::remove_file(&works).unwrap();
    wait_for_service(&frr, false);
    fs::write(&works, "").unwrap();
    wait_for_service(&frr, true);

    frr.kill_bfd();
    wait_for_service(&frr, false);
    frr.launch_bfd();
    watch();
    wait_for_service(&frr, true);

    let neighbor = frr.neighbor(HOST_V4.parse().unwrap());
    assert_eq!(neighbor.connections_established(), 1);
    assert_eq!(neighbor.connections_dropped(), 0);
}

fn has_service(frr: &Frr) -> bool {
    let route = frr.vtysh_json("show bgp ipv4 unicast 192.0.2.1/32 json");
    route["paths"]
        .as_array()
        .is_some_and(|paths| !paths.is_empty())
}

#[track_caller]
fn wait_for_service(frr: &Frr, there: bool) {
    let what = if there {
        "FRR has it"
    } else {
        "FRR has it no more"
    };
    wait_until(what, PATIENCE.max(COMES_UP), || {
        ensure(has_service(frr) == there, || format!("{}", !there))
    });
}
