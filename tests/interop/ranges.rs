//! FRR as a neighbor that nobody has configured by its address.

use std::fs;
use std::time::Duration;

use super::pair::{BOTH, HOST_V4, HOST_V6, Pair, wait_established};
use super::support::{ensure, wait_until};

/// From a prefix with a key, in both families. FRR 10.3 connects to nobody whose BFD session is down, and Herald has
/// none before FRR connects: BFD is left out here.
#[test]
fn frr_comes_from_a_range() {
    let Some(pair) = Pair::build("frr_comes_from_a_range") else {
        return;
    };
    let neighbors = BOTH.map(|(_, host)| {
        [
            format!("{host} remote-as 64520"),
            format!("{host} password s3cret"),
            format!("{host} timers connect 1"),
        ]
    });
    let frr = pair.frr(&neighbors.concat(), &[HOST_V4, HOST_V6]);
    let key = pair.directory().join("key");
    fs::write(&key, "s3cret").unwrap();
    let ranges = [("v4", "10.10.0.0/24"), ("v6", "2001:db8:10::/64")].map(|(name, prefix)| {
        format!(
            "[[peer-range]]\nname = {name:?}\nprefix = {prefix:?}\nremote-as = \"external\"\n\
             password-file = {key:?}\n"
        )
    });
    let herald = pair.herald(&ranges.concat());
    for ((router, host), range) in BOTH.into_iter().zip(["v4", "v6"]) {
        let name = format!("{range}@{router}");
        wait_established(&herald, &frr, &name, host);
        wait_until("the service is announced", Duration::from_secs(30), || {
            let routes = frr
                .neighbor(host.parse().unwrap())
                .accepted_prefixes("ipv4Unicast");
            ensure(routes == 1, || format!("{routes} prefixes"))
        });
    }
}
