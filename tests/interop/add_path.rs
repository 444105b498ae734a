//! Several paths to a prefix (RFC 7911), there and back.

use std::time::Duration;

use serde_json::Value;

use super::neighborhood::{Neighborhood, Options, PROTOCOL};
use super::support::{ensure, wait_until};

const PREFIX: &str = "198.51.100.0/24";

/// Each router takes the two paths, loses one of them, and then the other.
#[test]
fn c_077_several_paths_at_every_router() {
    let options = Options {
        bird_channels: ["add paths rx;", "add paths rx;"],
        gobgp: "[neighbors.add-paths.config]\nreceive = true\n",
        ..Options::default()
    };
    let Some(neighborhood) = Neighborhood::start("c_077_several_paths_at_every_router", &options)
    else {
        return;
    };
    let config = |next_hops: &str| {
        neighborhood.config("add-path = \"send\"")
            + &format!("[[route]]\nprefix = \"{PREFIX}\"\nnext-hop = {next_hops}\n")
            + "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\", \"2001:db8:5::150\"]\n"
    };
    let herald = neighborhood.start_herald(&config(r#"["192.168.133.71", "192.168.133.99"]"#));
    let wait_for_paths = |wanted: &[&str]| {
        for (router, _) in neighborhood.routers() {
            let what = format!("{} has {PREFIX} via {wanted:?}", router.kind());
            wait_until(&what, Duration::from_secs(30), || {
                let paths = router.received(PREFIX);
                let mut next_hops: Vec<String> = paths
                    .iter()
                    .flat_map(|path| path.next_hops.iter().map(ToString::to_string))
                    .collect();
                next_hops.sort();
                ensure(next_hops == wanted, || format!("{paths:?}"))
            });
        }
    };
    wait_for_paths(&["192.168.133.71", "192.168.133.99"]);
    neighborhood.wait_for_route("192.0.2.150/32");
    neighborhood.wait_for_route("2001:db8:5::150/128");
    let shown = herald.command(&["show", "peer", "frr"]);
    assert!(
        shown.contains("several paths are told: ipv4-unicast, ipv6-unicast"),
        "{shown}"
    );

    for (next_hops, wanted) in [
        (r#"["192.168.133.99"]"#, &["192.168.133.99"][..]),
        (
            r#"["192.168.133.71", "192.168.133.98", "192.168.133.99"]"#,
            &["192.168.133.71", "192.168.133.98", "192.168.133.99"],
        ),
    ] {
        herald.write_config(&config(next_hops));
        herald.command(&["reload"]);
        wait_for_paths(wanted);
    }
    herald.write_config(&neighborhood.config("add-path = \"send\""));
    herald.command(&["reload"]);
    neighborhood.wait_for_no_route(PREFIX);
    neighborhood.wait_for_sessions();
}

/// BIRD tells of two paths, and takes one of them back.
#[test]
fn c_077_several_paths_of_a_router() {
    let Some(neighborhood) =
        Neighborhood::start("c_077_several_paths_of_a_router", &Options::default())
    else {
        return;
    };
    let bird = |statics: &[&str]| {
        let statics = statics.iter().map(|via| {
            let name = via.replace('.', "_");
            format!("protocol static s{name} {{ ipv4; route {PREFIX} via {via}; }}\n")
        });
        format!(
            "router id 192.168.133.2;
protocol device {{}}
{statics}protocol bgp {PROTOCOL} {{
    local as 64522;
    neighbor 192.168.133.71 as 64520;
    connect delay time 1;
    error wait time 1, 2;
    ipv4 {{ import all; export all; add paths on; }};
    ipv6 {{ import all; export none; }};
}}
",
            statics = statics.collect::<String>()
        )
    };
    neighborhood
        .bird
        .configure(&bird(&["192.168.133.1", "192.168.133.3"]));
    let config = neighborhood.config("add-path = \"both\"\nreceived-routes = \"kept\"");
    let herald = neighborhood.start_herald(&config);
    let wait_for_paths = |count: usize| {
        wait_until(&format!("{count} paths"), Duration::from_secs(30), || {
            let received = ["show", "routes", "--received", "bird", "-o", "json"];
            let printed = herald.command(&received);
            let routes: Value = serde_json::from_str(&printed).unwrap();
            let paths = routes.as_array().unwrap().iter();
            let count_is_right = routes.as_array().unwrap().len() == count;
            let all_told_apart = paths.clone().all(|path| path["path_id"].is_u64());
            ensure(count_is_right && all_told_apart, || printed)
        });
    };
    wait_for_paths(2);
    neighborhood.bird.configure(&bird(&["192.168.133.3"]));
    wait_for_paths(1);
    neighborhood.wait_for_sessions();
}
