//! What every router must see of `herald`, whoever made it.

use super::neighborhood::{HOST_V4, HOST_V6, Neighborhood, Options, Transport};
use super::support::container::Rootfs;

/// What the comparison with them, and the documents, are about.
#[test]
fn the_routers_are_of_the_versions_that_the_documents_name() {
    let versions = [
        ("frr", "/usr/lib/frr/bgpd", "version 10.3"),
        ("bird", "bird", "BIRD version 3.1"),
        ("gobgp", "gobgpd", "version 3.36"),
    ];
    let Some(lab) =
        super::support::Lab::open("the_routers_are_of_the_versions_that_the_documents_name")
    else {
        return;
    };
    let rootfs: [&Rootfs; 3] = [lab.frr(), lab.bird(), lab.gobgp()];
    for ((_, program, version), rootfs) in versions.iter().zip(rootfs) {
        let said = rootfs.run(&format!("{program} --version 2>&1"));
        assert!(said.contains(version), "{program}: {said}, not {version}");
    }
}

#[test]
fn routes_arrive_and_leave_over_ipv4() {
    routes_arrive_and_leave("routes_arrive_and_leave_over_ipv4", Transport::V4);
}

#[test]
fn routes_arrive_and_leave_over_ipv6() {
    routes_arrive_and_leave("routes_arrive_and_leave_over_ipv6", Transport::V6);
}

#[test]
fn routes_arrive_and_leave_over_link_local_addresses() {
    routes_arrive_and_leave(
        "routes_arrive_and_leave_over_link_local_addresses",
        Transport::LinkLocal,
    );
}

fn routes_arrive_and_leave(test: &str, transport: Transport) {
    let options = Options {
        transport,
        ..Options::default()
    };
    let Some(neighborhood) = Neighborhood::start(test, &options) else {
        return;
    };
    let config = neighborhood.config("")
        + r#"
[[service]]
name = "web"
addresses = ["192.168.133.150", "2001:db8:133::150"]

[[advertisement]]
med = 7
communities = ["64520:100", "no-export", "large:64520:1:2", "large:64520:4294967295:0"]
"#;
    let herald = neighborhood.start_herald(&config);

    for (prefix, next_hop) in [
        ("192.168.133.150/32", HOST_V4),
        ("2001:db8:133::150/128", HOST_V6),
    ] {
        for (route, (router, _)) in neighborhood
            .wait_for_route(prefix)
            .iter()
            .zip(neighborhood.routers())
        {
            let what = format!("{prefix} at {}: {route:?}", router.kind());
            // GoBGP offers IPv6 next hops for IPv4 routes (RFC 8950), and so do we over link-local
            // addresses.
            let extended = transport == Transport::LinkLocal && router.kind() == "GoBGP";
            let next_hop = if extended { HOST_V6 } else { next_hop };
            assert_eq!(route.next_hops[0].to_string(), next_hop, "{what}");
            assert_eq!(route.origin, "IGP", "{what}");
            assert_eq!(route.as_path, "64520", "{what}");
            assert_eq!(route.multi_exit_disc, Some(7), "{what}");
            assert_eq!(route.communities, ["64520:100", "65535:65281"], "{what}");
            assert_eq!(
                route.large_communities,
                ["64520:1:2", "64520:4294967295:0"],
                "{what}"
            );
        }
    }

    for prefix in ["192.0.2.9/32", "2001:db8:9::/48"] {
        herald.command(&["announce", prefix]);
        neighborhood.wait_for_route(prefix);
        herald.command(&["withdraw", prefix]);
        neighborhood.wait_for_no_route(prefix);
    }
    neighborhood.assert_undisturbed(&herald);
}
