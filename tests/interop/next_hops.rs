//! IPv4 routes where there is no IPv4 (RFC 8950), and next hops that are link-local.

use super::neighborhood::{Neighborhood, Options, Transport};

/// The sessions are over link-local addresses, where both sides offer it.
#[test]
fn c_074_ipv4_routes_over_link_local_addresses() {
    let options = Options {
        transport: Transport::LinkLocal,
        frr: " neighbor HOST capability extended-nexthop\n",
        bird_channels: ["extended next hop on;", ""],
        ..Options::default()
    };
    let Some(neighborhood) =
        Neighborhood::start("c_074_ipv4_routes_over_link_local_addresses", &options)
    else {
        return;
    };
    // No IPv4 address is left on the host's interface: nothing else could be said.
    neighborhood
        .host
        .namespace
        .ip("address del 192.168.133.71/24 dev eth0");
    let config = neighborhood.config("")
        + r#"
[[service]]
name = "web"
addresses = ["192.0.2.150", "2001:db8:5::150"]
"#;
    let herald = neighborhood.start_herald(&config);
    for prefix in ["192.0.2.150/32", "2001:db8:5::150/128"] {
        for (route, (router, _)) in neighborhood
            .wait_for_route(prefix)
            .iter()
            .zip(neighborhood.routers())
        {
            let what = format!("{prefix} at {}: {route:?}", router.kind());
            assert_eq!(route.next_hops[0].to_string(), "2001:db8:133::71", "{what}");
        }
    }
    for peer in herald.show("peers").as_array().unwrap() {
        let families = peer["families"].as_array().unwrap();
        assert!(
            families
                .iter()
                .all(|family| family["next_hop"] == "2001:db8:133::71"),
            "{peer:#}"
        );
        let name = peer["name"].as_str().unwrap();
        let shown = herald.command(&["show", "peer", name]);
        assert!(
            shown.contains("extended-next-hop ipv4-unicast/ipv6 sent and received"),
            "{shown}"
        );
    }
    herald.command(&["announce", "198.51.100.0/24"]);
    neighborhood.wait_for_route("198.51.100.0/24");
    herald.command(&["withdraw", "198.51.100.0/24"]);
    neighborhood.wait_for_no_route("198.51.100.0/24");
    neighborhood.wait_for_sessions();
}

/// Without a global address on the link, in each of the three forms.
#[test]
fn c_072_next_hops_without_a_global_address() {
    let options = Options {
        transport: Transport::LinkLocal,
        ..Options::default()
    };
    let Some(neighborhood) =
        Neighborhood::start("c_072_next_hops_without_a_global_address", &options)
    else {
        return;
    };
    neighborhood
        .host
        .namespace
        .ip("address del 2001:db8:133::71/64 dev eth0");
    let forms = [("double", 8), ("single", 9), ("native", 10)];
    let config = |(form, number): (&str, u8)| {
        neighborhood.config(&format!("link-local-next-hop = {form:?}"))
            + &format!("[[route]]\nprefix = \"2001:db8:{number}::/48\"\n")
    };
    let herald = neighborhood.start_herald(&config(forms[0]));
    for (form, number) in forms {
        herald.write_config(&config((form, number)));
        herald.command(&["reload"]);
        // No route of the form before can be taken for this one.
        let routes = neighborhood.wait_for_route(&format!("2001:db8:{number}::/48"));
        for (route, (router, _)) in routes.iter().zip(neighborhood.routers()) {
            let told: Vec<String> = route.next_hops.iter().map(ToString::to_string).collect();
            let expected: &[&str] = match (form, router.kind()) {
                ("double", "FRR") => &["fe80::71", "fe80::71"],
                // It shows the first half only.
                ("native", "GoBGP") => &["::"],
                // It says so of each that is link-local only.
                (_, "BIRD") | ("native", _) => &["::", "fe80::71"],
                _ => &["fe80::71"],
            };
            assert_eq!(told, expected, "{form} at {}: {route:?}", router.kind());
        }
    }
    neighborhood.assert_undisturbed(&herald);
}
