//! What is said of a route, as routers of three makes read it.

use std::time::Duration;

use serde_json::{Value, json};

use super::neighborhood::{Neighborhood, Options, PROTOCOL};
use super::support::{ensure, wait_until};

/// Extended communities, aggregates and next hops that are not ours.
#[test]
fn everything_said_of_a_route_arrives() {
    let Some(neighborhood) =
        Neighborhood::start("everything_said_of_a_route_arrives", &Options::default())
    else {
        return;
    };
    let config = neighborhood.config("")
        + r#"
[[route]]
prefix = "198.51.100.0/24"
communities = ["rt:64520:1", "soo:192.0.2.1:7", "rt:4200000000:9", "rt:[2001:db8::1]:5"]
next-hop = "192.168.133.99"
atomic-aggregate = true
aggregator = "4200000000 192.0.2.71"

[[route]]
prefix = "2001:db8:9::/48"
communities = ["rt:64520:1"]
next-hop = "2001:db8:133::99"
"#;
    let herald = neighborhood.start_herald(&config);
    for (prefix, next_hop) in [
        ("198.51.100.0/24", "192.168.133.99"),
        ("2001:db8:9::/48", "2001:db8:133::99"),
    ] {
        for route in neighborhood.wait_for_route(prefix) {
            assert_eq!(route.next_hops[0].to_string(), next_hop, "{route:?}");
        }
    }

    let frr = neighborhood
        .frr
        .vtysh_json("show bgp ipv4 unicast 198.51.100.0/24 json");
    let path = &frr["paths"][0];
    assert_eq!(
        path["extendedCommunity"]["string"],
        "RT:64520:1 SoO:192.0.2.1:7 RT:4200000000:9"
    );
    assert_eq!(path["aggregatorAs"], 4_200_000_000_u32, "{path:#}");
    assert_eq!(path["aggregatorId"], "192.0.2.71", "{path:#}");
    assert_eq!(path["atomicAggregate"], true, "{path:#}");

    let bird = neighborhood.bird.show("route 198.51.100.0/24 all");
    for said in [
        "(rt, 64520, 1) (ro, 192.0.2.1, 7) (rt, 4200000000, 9)",
        "192.0.2.71 AS4200000000",
        "atomic_aggr",
    ] {
        assert!(bird.contains(said), "{said} in {bird}");
    }

    let gobgp = neighborhood.gobgp.command("global rib 198.51.100.0/24");
    for said in [
        "64520:1",
        "192.0.2.1:7",
        "Aggregate: {AS: 4200000000, Address: 192.0.2.71}",
        "2001:db8::1:5",
    ] {
        assert!(gobgp.contains(said), "{said} in {gobgp}");
    }

    let routes = herald.command(&["show", "routes", "-o", "wide"]);
    assert!(
        routes.contains("aggregated by 4200000000 192.0.2.71"),
        "{routes}"
    );
}

/// BIRD knows two octets only: it hears AS4_AGGREGATOR, and what it says in AS4_PATH is understood.
#[test]
fn c_065_c_066_a_router_that_knows_two_octets() {
    let Some(neighborhood) = Neighborhood::start(
        "c_065_c_066_a_router_that_knows_two_octets",
        &Options::default(),
    ) else {
        return;
    };
    neighborhood.bird.configure(&format!(
        "router id 192.168.133.2;
protocol device {{}}
protocol static {{ ipv4; route 203.0.113.0/24 blackhole; }}
protocol bgp {PROTOCOL} {{
    local as 64522;
    neighbor 192.168.133.71 as 64520;
    enable as4 off;
    connect delay time 1;
    error wait time 1, 2;
    ipv4 {{
        import all;
        export filter {{ bgp_path.prepend(64530); bgp_path.prepend(4200000000); accept; }};
    }};
}}
"
    ));
    let config = neighborhood.config("received-routes = \"kept\"")
        + r#"
[[route]]
prefix = "198.51.100.0/24"
aggregator = "4200000000 192.0.2.71"
"#;
    let herald = neighborhood.start_herald(&config);
    neighborhood.wait_for_route("198.51.100.0/24");
    let bird = neighborhood.bird.show("route 198.51.100.0/24 all");
    assert!(bird.contains("192.0.2.71 AS4200000000"), "{bird}");

    let received = ["show", "routes", "--received", "bird", "-o", "json"];
    wait_until("the route of BIRD", Duration::from_secs(30), || {
        let printed = herald.command(&received);
        let routes: Value = serde_json::from_str(&printed).unwrap();
        let path = &routes[0]["as_path"];
        ensure(*path == json!([64522, 4_200_000_000_u32, 64530]), || {
            printed
        })
    });
}
