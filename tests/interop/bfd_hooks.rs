//! Programs that are run when a path to FRR dies and comes back, without BGP at either end.

use std::fs;

use serde_json::Value;

use super::pair::{BOTH, COMES_UP, Pair};
use super::support::bfd::BfdRouter;
use super::support::daemon::{Herald, socket_in};
use super::support::{ensure, wait_until};

/// One session in each family, and a program for both.
#[test]
fn a_hook_is_told_that_frr_died_and_came_back() {
    let Some(pair) = Pair::build("a_hook_is_told_that_frr_died_and_came_back") else {
        return;
    };
    let frr = pair.frr(&[], &[]);
    let configure = || {
        for (router, host) in BOTH {
            let peer = format!("peer {host} local-address {router} interface eth0");
            frr.configure(&["bfd", &peer]);
        }
    };
    configure();
    let told = pair.directory().join("told");
    let sessions = BOTH.map(|(router, _)| format!("[[bfd-session]]\naddress = {router:?}\n"));
    let config = format!(
        "[speaker]\nstate-dir = {:?}\n[api]\nsocket = {:?}\n{}\
         [[hook]]\non = [\"bfd\"]\nexec = [\"/bin/sh\", \"-c\", \"cat >> {}\"]\n",
        pair.directory().join("state"),
        socket_in(&pair.directory()),
        sessions.concat(),
        told.display(),
    );
    let _herald = Herald::start(&pair.host, &pair.directory(), &config);
    let wait_for = |events: &[&str]| {
        wait_until(&format!("{events:?}"), COMES_UP, || {
            let told = fs::read_to_string(&told).unwrap_or_default();
            let all = told.lines().map(serde_json::from_str::<Value>);
            let all: Vec<Value> = all.collect::<Result<_, _>>().unwrap_or_default();
            let are_told = BOTH.iter().all(|(router, _)| {
                let own = all.iter().filter(|event| event["name"] == *router);
                own.map(|event| event["event"].as_str().unwrap_or_default())
                    .eq(events.iter().copied())
            });
            ensure(are_told, || told.clone())
        });
    };
    wait_for(&["up"]);
    frr.kill_bfd();
    wait_for(&["up", "down"]);
    frr.launch_bfd();
    configure();
    wait_for(&["up", "down", "up"]);
}
