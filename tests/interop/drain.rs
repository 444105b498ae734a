//! A drain (RFC 8326), as routers of three makes hear of it.

use std::time::Duration;

use super::neighborhood::{Neighborhood, Options};
use super::support::{ensure, wait_until};

const PREFIX: &str = "198.51.100.0/24";

#[test]
fn c_085_routers_hear_of_a_drain() {
    let Some(neighborhood) =
        Neighborhood::start("c_085_routers_hear_of_a_drain", &Options::default())
    else {
        return;
    };
    let config = neighborhood.config("")
        + &format!(
            "[[route]]\nprefix = \"{PREFIX}\"\ncommunities = [\"64520:1\"]\n\
             [[route]]\nprefix = \"2001:db8:9::/48\"\n"
        );
    let herald = neighborhood.start_herald(&config);
    neighborhood.wait_for_route(PREFIX);
    neighborhood.wait_for_route("2001:db8:9::/48");

    herald.command(&["drain"]);
    // GoBGP has a name of its own for it.
    for (prefix, frr, bird, gobgp) in [
        (
            PREFIX,
            "64520:1 graceful-shutdown",
            "(64520,1) (65535,0)",
            "64520:1, planned-shut",
        ),
        (
            "2001:db8:9::/48",
            "graceful-shutdown",
            "(65535,0)",
            "planned-shut",
        ),
    ] {
        wait_for_words(&neighborhood, prefix, [frr, bird, gobgp]);
    }
    let frr = of_frr(&neighborhood, PREFIX);
    assert_eq!(
        frr["paths"][0]["locPrf"], 0,
        "FRR prefers any other: {frr:#}"
    );

    herald.command(&["undrain"]);
    wait_until("FRR hears of the end", Duration::from_secs(10), || {
        let path = &of_frr(&neighborhood, PREFIX)["paths"][0];
        ensure(path["community"]["string"] == "64520:1", || {
            path.to_string()
        })
    });
    neighborhood.assert_undisturbed(&herald);
}

fn of_frr(neighborhood: &Neighborhood, prefix: &str) -> serde_json::Value {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let show = format!("show bgp {family} unicast {prefix} json");
    neighborhood.frr.vtysh_json(&show)
}

/// Waits until each router says this of its route.
#[track_caller]
fn wait_for_words(neighborhood: &Neighborhood, prefix: &str, [frr, bird, gobgp]: [&str; 3]) {
    let patience = Duration::from_secs(10);
    wait_until("FRR hears of it", patience, || {
        let path = &of_frr(neighborhood, prefix)["paths"][0];
        ensure(path["community"]["string"] == frr, || path.to_string())
    });
    wait_until("BIRD hears of it", patience, || {
        let shown = neighborhood.bird.show(&format!("route {prefix} all"));
        ensure(shown.contains(bird), || shown)
    });
    wait_until("GoBGP hears of it", patience, || {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let shown = neighborhood
            .gobgp
            .command(&format!("global rib {prefix} -a {family}"));
        ensure(shown.contains(gobgp), || shown)
    });
}
