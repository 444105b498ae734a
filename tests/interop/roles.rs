//! BGP roles (RFC 9234) with FRR and BIRD; GoBGP knows none.

use std::time::Duration;

use super::neighborhood::{Neighborhood, Options, PROTOCOL};
use super::support::router::Router;
use super::support::{ensure, wait_until};

/// We are a customer of FRR's and a peer of BIRD's; then something that goes with neither.
#[test]
fn c_029_c_083_roles_at_every_router() {
    let options = Options {
        frr: " neighbor HOST local-role provider strict-mode\n",
        bird: "local role peer; require roles on;",
        ..Options::default()
    };
    let Some(neighborhood) = Neighborhood::start("c_029_c_083_roles_at_every_router", &options)
    else {
        return;
    };
    let config = |to_frr: &str, to_bird: &str| {
        neighborhood
            .config("")
            .replace(
                "name = \"frr\"",
                &format!("name = \"frr\"\nrole = {to_frr:?}\nrole-strict = true"),
            )
            .replace(
                "name = \"bird\"",
                &format!("name = \"bird\"\nrole = {to_bird:?}"),
            )
            + "[[route]]\nprefix = \"198.51.100.0/24\"\n"
    };
    let herald = neighborhood.start_herald(&config("customer", "peer"));
    neighborhood.wait_for_route("198.51.100.0/24");
    let neighbor = neighborhood.frr.neighbor("192.168.133.71".parse().unwrap());
    assert_eq!(neighbor.0["remoteRole"], "customer", "{:#}", neighbor.0);

    // What goes to a peer is for its customers; what goes to a provider has no mark of ours.
    let bird = neighborhood.bird.show("route 198.51.100.0/24 all");
    assert!(bird.contains("otc: 64520"), "{bird}");
    let shown = herald.command(&["show", "peer", "bird"]);
    assert!(shown.contains("Role          peer"), "{shown}");

    herald.write_config(&config("peer", "provider"));
    herald.command(&["reload"]);
    for (peer, router, host) in [
        ("frr", &neighborhood.frr as &dyn Router, "192.168.133.71"),
        ("bird", &neighborhood.bird, PROTOCOL),
    ] {
        wait_until("the session is refused", Duration::from_secs(30), || {
            let shown = herald.command(&["show", "peer", peer]);
            let is_told = shown.contains("2/11 OPEN Message Error, Role Mismatch");
            ensure(is_told && router.state(host) != "Established", || shown)
        });
    }
    herald.write_config(&config("customer", "peer"));
    herald.command(&["reload"]);
    neighborhood.wait_for_sessions();
}
