//! A daemon that assigns addresses, and one that comes back.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::Daemon;

const POOL: &str = "[[pool]]\nname = \"public\"\n";

/// A daemon with a pool of these addresses and these services, which speaks to nobody.
fn config(addresses: &str, services: &str) -> String {
    format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n\
         [[peer]]\nname = \"tor\"\naddress = \"127.0.0.9\"\nremote-as = 64521\nenabled = false\n\
         {POOL}addresses = [{addresses}]\n{services}"
    )
}

fn service(name: &str) -> String {
    format!("[[service]]\nname = {name:?}\n")
}

/// What `show services` says of one.
fn shown(daemon: &Daemon, name: &str) -> Value {
    let services = daemon.show(&["services"]);
    let mut services = services.as_array().unwrap().iter();
    let service = services.find(|service| service["name"] == name);
    service.unwrap_or_else(|| panic!("no {name}")).clone()
}

fn addresses(daemon: &Daemon, name: &str) -> Value {
    shown(daemon, name)["addresses"].clone()
}

fn announced(daemon: &Daemon) -> Vec<String> {
    let routes = daemon.show(&["routes"]);
    let routes = routes.as_array().unwrap().iter();
    routes
        .map(|route| route["prefix"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_was_assigned_survives_a_restart_a_crash_and_a_reload() {
    let both = "\"198.51.100.0/29\", \"2001:db8:5::/64\"";
    let mut daemon = Daemon::start(&config(both, &(service("m") + &service("n"))));
    let m = json!(["198.51.100.0", "2001:db8:5::"]);
    let n = json!(["198.51.100.1", "2001:db8:5::1"]);
    assert_eq!(
        [addresses(&daemon, "m"), addresses(&daemon, "n")],
        [m, n.clone()]
    );
    let said = daemon.ok(&["service", "add", "api", "--ip-family", "ipv4"]);
    assert!(said.contains("added with 198.51.100.2"), "{said}");
    // It is written down before it is announced: whenever the daemon is killed, it is there.
    let log = fs::read_to_string(daemon.path("state/changes.log")).unwrap();
    let assigned = r#"{"assign":["api",{"ipv4":"198.51.100.2"}]}"#;
    assert!(log.contains(assigned), "{log}");

    // A service that comes before all others by name takes nothing from them, nor does a gap that
    // one leaves behind draw the others in.
    daemon.write(&config(both, &(service("a") + &service("n"))));
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    daemon.launch();
    assert_eq!(addresses(&daemon, "n"), n);
    assert_eq!(
        addresses(&daemon, "a"),
        json!(["198.51.100.0", "2001:db8:5::"])
    );
    assert_eq!(addresses(&daemon, "api"), json!(["198.51.100.2"]));

    daemon.ok(&["stop"]);
    daemon.wait();
    daemon.launch();
    assert_eq!(addresses(&daemon, "n"), n);
    assert_eq!(daemon.ok(&["reload"]).trim(), "nothing changed");
    assert_eq!(
        announced(&daemon),
        [
            "198.51.100.0/32",
            "198.51.100.1/32",
            "198.51.100.2/32",
            "2001:db8:5::/128",
            "2001:db8:5::1/128"
        ]
    );
}

#[test]
fn a_pool_that_shrinks_moves_who_does_not_fit_and_the_plan_says_so() {
    let daemon = Daemon::start(&config(
        "\"192.0.2.5-192.0.2.6\"",
        &(service("dns") + &service("web")),
    ));
    assert_eq!(addresses(&daemon, "web"), json!(["192.0.2.6"]));
    daemon.write(&config(
        "\"192.0.2.6\", \"192.0.2.9\"",
        &(service("dns") + &service("web")),
    ));
    let plan = daemon.ok(&["reload", "--dry-run"]);
    assert_eq!(
        plan,
        "  pool public: addresses [192.0.2.5-192.0.2.6] -> [192.0.2.6/32, 192.0.2.9/32]\n  \
           service dns: 192.0.2.5 is no longer in pool public; gets 192.0.2.9 of pool public\n\
         2 to apply; nothing was changed (--dry-run)\n"
    );
    assert_eq!(addresses(&daemon, "dns"), json!(["192.0.2.5"]));
    daemon.ok(&["reload"]);
    assert_eq!(addresses(&daemon, "dns"), json!(["192.0.2.9"]));
    assert_eq!(addresses(&daemon, "web"), json!(["192.0.2.6"]));
    assert_eq!(announced(&daemon), ["192.0.2.6/32", "192.0.2.9/32"]);

    // The file may name an address that was assigned: whoever has it gets another.
    let fixed = "[[service]]\nname = \"new\"\naddresses = [\"192.0.2.6\"]\n";
    daemon.write(&config(
        "\"192.0.2.6-192.0.2.9\"",
        &(service("dns") + &service("web") + fixed),
    ));
    let plan = daemon.ok(&["reload"]);
    assert!(
        plan.contains(
            "service web: 192.0.2.6 is an address of service new; gets 192.0.2.7 of pool public"
        ),
        "{plan}"
    );
    let events = daemon.show(&["events", "--service", "web"]);
    let mut causes = events.as_array().unwrap().iter();
    assert!(causes.any(|event| event["cause"]
        == "192.0.2.6 is an address of service new; gets 192.0.2.7 of pool public"));
}

#[test]
fn who_finds_no_address_waits_and_gets_the_first_that_is_free() {
    let daemon = Daemon::start(&config("\"192.0.2.5-192.0.2.6\"", &service("web")));
    daemon.ok(&["service", "add", "one"]);
    let said = daemon.ok(&["service", "add", "two", "--pool", "public"]);
    assert!(
        said.contains("lacks an address: pool public has no free ipv4 address"),
        "{said}"
    );
    let two = shown(&daemon, "two");
    assert_eq!(two["addresses"], json!([]));
    assert_eq!(two["lack"], "pool public has no free ipv4 address");
    assert!(
        daemon
            .log()
            .contains("pool public has no free ipv4 address")
    );
    let pool = &daemon.show(&["pools"])[0];
    let family = &pool["families"][0];
    assert_eq!(
        [&family["size"], &family["in_use"], &family["free"]],
        [&json!(2), &json!(2), &json!(0)]
    );
    assert_eq!(
        family["holders"],
        json!([
            { "address": "192.0.2.5", "service": "web", "holder": "service web", "assigned": true },
            { "address": "192.0.2.6", "service": "one", "holder": "service one", "assigned": true },
        ])
    );
    let table = daemon.ok(&["show", "services"]);
    assert!(table.contains("lacks an address"), "{table}");

    daemon.ok(&["service", "remove", "one"]);
    assert_eq!(addresses(&daemon, "two"), json!(["192.0.2.6"]));
    assert_eq!(announced(&daemon), ["192.0.2.5/32", "192.0.2.6/32"]);
    // Who comes back later finds it taken; once it is free, it is the one's again.
    daemon.ok(&["service", "remove", "two"]);
    daemon.ok(&["service", "add", "one"]);
    assert_eq!(addresses(&daemon, "one"), json!(["192.0.2.6"]));
}

#[test]
fn what_somebody_has_is_refused_by_name() {
    let daemon = Daemon::start(&config("\"192.0.2.5-192.0.2.6\"", &service("web")));
    let said = daemon.fails(1, &["service", "add", "dns", "192.0.2.5"]);
    assert!(
        said.contains("192.0.2.5 is an address of service web"),
        "{said}"
    );
    let said = daemon.fails(1, &["announce", "192.0.2.5/32"]);
    assert!(
        said.contains("service web announces this already"),
        "{said}"
    );
    let said = daemon.fails(2, &["service", "add", "dns", "--pool", "pubic"]);
    assert!(
        said.contains("there is no pool pubic; the nearest name is public"),
        "{said}"
    );
    let said = daemon.fails(1, &["service", "add", "web"]);
    assert!(said.contains("service web is in "), "{said}");
    // What a route announces is given to nobody.
    daemon.ok(&["announce", "192.0.2.6/32"]);
    daemon.ok(&["service", "add", "dns"]);
    assert_eq!(addresses(&daemon, "dns"), json!([]));
    daemon.ok(&["withdraw", "192.0.2.6/32"]);
    assert_eq!(addresses(&daemon, "dns"), json!(["192.0.2.6"]));
}

#[test]
fn no_service_gets_the_address_of_a_neighbor() {
    let router = "[[peer]]\nname = \"router\"\naddress = \"192.0.2.1\"\nremote-as = 64521\nenabled = false\n";
    let path = "[[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.2\"\nenabled = false\n";
    let both = format!("{router}{path}");
    let daemon = Daemon::start(&config("\"192.0.2.1-192.0.2.3\"", &both));
    let said = daemon.ok(&["service", "add", "api"]);
    assert!(said.contains("added with 192.0.2.3"), "{said}");
    let said = daemon.fails(1, &["service", "add", "web", "192.0.2.1"]);
    assert!(
        said.contains("192.0.2.1 is the address of peer router"),
        "{said}"
    );
    let said = daemon.fails(1, &["service", "add", "web", "192.0.2.2"]);
    assert!(
        said.contains("192.0.2.2 is the address of bfd-session path"),
        "{said}"
    );
    let pools = daemon.ok(&["show", "pools", "-o", "wide"]);
    assert!(pools.contains("192.0.2.1 peer router"), "{pools}");

    // A neighbor that comes later takes what it has.
    let late = both
        + &router
            .replace("router", "late")
            .replace("192.0.2.1", "192.0.2.3");
    daemon.write(&config("\"192.0.2.1-192.0.2.4\"", &late));
    let said = daemon.ok(&["reload"]);
    assert!(
        said.contains("192.0.2.3 is the address of peer late; gets 192.0.2.4"),
        "{said}"
    );
    assert_eq!(addresses(&daemon, "api"), json!(["192.0.2.4"]));
}
