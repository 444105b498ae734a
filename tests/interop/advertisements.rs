//! What `[[advertisement]]` makes of services, as routers of three makes have it: each of them is told over an external session
//! and an internal one, and what stands in its table is what `herald show routes` says.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::neighborhood::{HOST_V4, HOST_V6, Neighborhood, Options};
use super::support::agreement::{self, Path};
use super::support::daemon::Herald;
use super::support::router::Router;
use super::support::{ensure, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

/// The second session of each router, over IPv6 and within its own AS.
const FRR_INTERNAL: &str = " neighbor 2001:db8:133::71 remote-as 64521
 neighbor 2001:db8:133::71 timers connect 1
 address-family ipv4 unicast
  neighbor 2001:db8:133::71 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:133::71 activate
 exit-address-family
";
const BIRD_INTERNAL: &str = "protocol bgp host_internal {
    local as 64522;
    neighbor 2001:db8:133::71 as 64522;
    direct;
    connect delay time 1;
    connect retry time 1;
    ipv4 { import all; export none; };
    ipv6 { import all; export none; };
}";
const GOBGP_INTERNAL: &str = r#"[[neighbors]]
[neighbors.config]
neighbor-address = "2001:db8:133::71"
peer-as = 64523
[neighbors.timers.config]
connect-retry = 1
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
"#;

/// Behind the peers. `EXTERNAL` and `INTERNAL` stand for their names, `DIRECTORY` for where the checks look.
const ADVERTISED: &str = r#"
[[pool]]
name = "public"
addresses = ["203.0.113.0/24", "2001:db8:5::/64"]

[[service]]
name = "web"
addresses = ["203.0.113.10", "2001:db8:5::10"]
[service.health]
exec = ["/bin/sh", "-c", "test -e DIRECTORY/web"]
interval = "100ms"
timeout = "10s"

[[service]]
name = "dns"
addresses = ["203.0.113.53", "2001:db8:5::53"]
[service.health]
exec = ["/bin/sh", "-c", "test -e DIRECTORY/dns"]
interval = "100ms"
timeout = "10s"

[[service]]
name = "mail"
addresses = ["198.51.100.25", "2001:db8:6::25"]

[[advertisement]]
name = "aggregates"
pools = ["public"]
aggregation-length = 24
aggregation-length-v6 = 64
med = 10
as-path-prepend = 2
communities = ["64520:100", "large:64520:1:2", "rt:64520:1"]

[[advertisement]]
name = "preferred aggregates"
pools = ["public"]
peers = [INTERNAL]
aggregation-length = 24
aggregation-length-v6 = 64
local-pref = 250
communities = ["64520:250", "64520:100", "soo:192.0.2.1:7"]

[[advertisement]]
name = "web next door"
services = ["web"]
peers = [EXTERNAL]
communities = ["no-export", "no-peer", "no-llgr"]

[[advertisement]]
name = "mail"
services = ["mail"]
med = 4294967295
local-pref = 0
next-hop = ["192.168.133.99", "2001:db8:133::99"]
communities = ["no-export-subconfed", "accept-own", "65535:65282", "large:4294967295:0:4294967295", "rt:4200000000:9"]
"#;

const MAIL: [&str; 2] = ["198.51.100.25/32", "2001:db8:6::25/128"];
const AGGREGATES: [&str; 2] = ["203.0.113.0/24", "2001:db8:5::/64"];
const WEB: [&str; 2] = ["203.0.113.10/32", "2001:db8:5::10/128"];

#[test]
fn routers_have_what_show_routes_says() {
    let options = Options {
        frr: FRR_INTERNAL,
        bird_protocols: BIRD_INTERNAL,
        gobgp: GOBGP_INTERNAL,
        ..Options::default()
    };
    let Some(neighborhood) = Neighborhood::start("routers_have_what_show_routes_says", &options)
    else {
        return;
    };
    let config = config(&neighborhood);
    let herald = neighborhood.start_herald(&config);
    let scene = Scene {
        neighborhood,
        herald,
    };

    // One member after the other comes and goes: the aggregate is there while one is, and is never withdrawn meanwhile.
    scene.wait_for(&[MAIL].concat());
    scene.set_works("web", true);
    scene.wait_for(&[MAIL, AGGREGATES, WEB].concat());
    scene.assert_attributes();
    let told = scene.updates_of_internal_session();
    scene.set_works("dns", true);
    scene.wait_until_healthy("dns");
    scene.set_works("web", false);
    scene.wait_for(&[MAIL, AGGREGATES].concat());
    assert_eq!(scene.updates_of_internal_session(), told);
    scene.set_works("dns", false);
    scene.wait_for(&[MAIL].concat());
    // Of each family one.
    assert_eq!(scene.updates_of_internal_session(), told + 2);
    scene.neighborhood.assert_undisturbed(&scene.herald);
}

/// The peers of the neighborhood, each once more over IPv6 as an internal one, and what is advertised to them.
fn config(neighborhood: &Neighborhood) -> String {
    let names = ["frr", "bird", "gobgp"];
    let internal: String = names
        .iter()
        .zip(1..)
        .map(|(name, number)| {
            format!(
                "[[peer]]\nname = \"{name}-internal\"\naddress = \"2001:db8:133::{number}\"\n\
                 local-as = 6452{number}\nremote-as = 6452{number}\n"
            )
        })
        .collect();
    let list = |suffix: &str| names.map(|name| format!("\"{name}{suffix}\"")).join(", ");
    let advertised = ADVERTISED
        .replace("EXTERNAL", &list(""))
        .replace("INTERNAL", &list("-internal"))
        .replace("DIRECTORY", neighborhood.host.file("").to_str().unwrap());
    neighborhood.config("") + &internal + &advertised
}

struct Scene {
    neighborhood: Neighborhood,
    herald: Herald,
}

impl Scene {
    fn set_works(&self, service: &str, works: bool) {
        let file: PathBuf = self.neighborhood.host.file(service);
        if works {
            fs::write(file, "").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
    }

    #[track_caller]
    fn wait_until_healthy(&self, service: &str) {
        wait_until(service, PATIENCE, || {
            let shown = self.herald.show("services");
            let mut services = shown.as_array().unwrap().iter();
            let found = services.find(|found| found["name"] == service).unwrap();
            ensure(found["state"] == "healthy", || found.to_string())
        });
    }

    /// How many UPDATEs FRR has received over it, which has no addresses of services of the pool.
    fn updates_of_internal_session(&self) -> u64 {
        let host = HOST_V6.parse().unwrap();
        self.neighborhood.frr.neighbor(host).messages("updatesRecv")
    }

    /// Waits until these prefixes are announced, and every router has of every session what `show routes` says.
    #[track_caller]
    fn wait_for(&self, prefixes: &[&str]) {
        let wanted: BTreeSet<String> = prefixes.iter().map(|&prefix| prefix.into()).collect();
        wait_until("the routers agree", PATIENCE, || {
            let said = self.herald.show("routes");
            let announced: BTreeSet<String> = said
                .as_array()
                .unwrap()
                .iter()
                .map(|route| route["prefix"].as_str().unwrap().to_owned())
                .collect();
            ensure(announced == wanted, || format!("announced: {announced:?}"))?;
            for (router, _) in self.neighborhood.routers() {
                agreement::ensure_agreed(router, &said, [HOST_V4, HOST_V6])?;
            }
            Ok(())
        });
    }

    /// What the advertisements come to, written out for one router's two sessions.
    #[track_caller]
    fn assert_attributes(&self) {
        let of = |prefix: &str| -> [Path; 2] {
            let found = self.neighborhood.frr.received(prefix);
            let mut found: Vec<Path> = found.into_iter().map(Path::found).collect();
            found.sort();
            found.try_into().unwrap()
        };
        let [internal, external] = of("203.0.113.0/24");
        assert_eq!(internal.as_path, "");
        assert_eq!(internal.local_pref, Some(250));
        assert_eq!(
            Vec::from_iter(&internal.communities),
            [
                "64520:100",
                "64520:250",
                "large:64520:1:2",
                "rt:64520:1",
                "soo:192.0.2.1:7"
            ]
        );
        assert_eq!(external.as_path, "64520 64520 64520");
        assert_eq!(external.multi_exit_disc, Some(10));
        assert_eq!(
            Vec::from_iter(&external.communities),
            ["64520:100", "large:64520:1:2", "rt:64520:1"]
        );
        let [internal, external] = of("2001:db8:6::25/128");
        assert_eq!(internal.next_hop, "2001:db8:133::99");
        assert_eq!(internal.local_pref, Some(0));
        assert_eq!(external.multi_exit_disc, Some(u32::MAX));
    }
}
