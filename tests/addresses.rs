//! The addresses of services on an interface of the host: the daemon in a network namespace of its own. These tests need root.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

mod support;

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use support::daemon::Herald;
use support::host::Host;
use support::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);

const WEB: &str = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\", \"2001:db8::150\"]\n";
const DNS: &str = "[[service]]\nname = \"dns\"\naddresses = [\"192.0.2.53\", \"2001:db8::53\"]\n";

/// Waits until an interface has all these addresses, or none of them.
#[track_caller]
fn wait_for(host: &Host, device: &str, addresses: &[&str], there: bool) {
    let what = format!("{addresses:?} on {device}: {there}");
    wait_until(&what, PATIENCE, || {
        let all = addresses
            .iter()
            .all(|address| host.has(device, address) == there);
        all.then_some(()).ok_or("not yet".to_owned())
    });
}

/// What `herald show services` says of an address.
fn state(herald: &Herald, address: &str) -> String {
    let services = herald.show("services");
    let hosted = services.as_array().into_iter().flatten();
    let mut hosted = hosted.flat_map(|service| service["hosted"].as_array().into_iter().flatten());
    let of_address = hosted.find(|hosted| hosted["address"] == address);
    of_address.map_or_else(String::new, |hosted| {
        hosted["state"].as_str().unwrap().to_owned()
    })
}

/// What peers are to be told.
fn announced(herald: &Herald) -> Vec<String> {
    let routes = herald.show("routes");
    let routes = routes.as_array().into_iter().flatten();
    let mut prefixes: Vec<String> = routes
        .map(|route| route["prefix"].as_str().unwrap().to_owned())
        .collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

#[track_caller]
fn wait_for_announced(herald: &Herald, prefixes: &[&str]) {
    let mut wanted = prefixes.to_vec();
    wanted.sort_unstable();
    wait_until(&format!("{wanted:?} announced"), PATIENCE, || {
        let found = announced(herald);
        (found == wanted)
            .then_some(())
            .ok_or_else(|| format!("{found:?}"))
    });
}

const LO: &str = "address-interface = \"lo\"";

#[test]
fn addresses_come_and_go_with_their_service() {
    let Some(host) = Host::create("addr-life") else {
        return;
    };
    // Somebody else's.
    host.namespace.add_address("lo", "192.0.2.53/32");
    let mut herald = host.start(LO, &format!("{WEB}{DNS}"));
    for address in ["192.0.2.150", "2001:db8::150", "2001:db8::53"] {
        assert!(host.has("lo", address), "{address} is there at once");
        assert_eq!(state(&herald, address), "added");
    }
    assert_eq!(state(&herald, "192.0.2.53"), "foreign");
    let listed = host.namespace.ip("-o -6 addr show dev lo");
    let web = listed.lines().find(|line| line.contains("2001:db8::150"));
    let is_last_choice = web.is_some_and(|line| line.contains("deprecated"));
    assert!(is_last_choice, "{listed}");
    let listed = host.namespace.ip("-o -4 addr show dev lo scope host");
    assert!(listed.contains("192.0.2.150/32"), "{listed}");

    herald.command(&["service", "add", "api", "192.0.2.9", "2001:db8::9"]);
    wait_for(&host, "lo", &["192.0.2.9", "2001:db8::9"], true);
    herald.command(&["service", "remove", "api"]);
    wait_for(&host, "lo", &["192.0.2.9", "2001:db8::9"], false);

    // Somebody takes them away.
    host.namespace.ip("addr del 192.0.2.150/32 dev lo");
    host.namespace.ip("addr del 2001:db8::150/128 dev lo");
    wait_for(&host, "lo", &["192.0.2.150", "2001:db8::150"], true);
    let log = || {
        herald
            .log()
            .iter()
            .any(|line| line.text.contains("taken from lo"))
    };
    assert!(log());

    herald.write_config(&host.config(LO, DNS));
    herald.command(&["reload"]);
    wait_for(&host, "lo", &["192.0.2.150", "2001:db8::150"], false);
    assert!(host.has("lo", "2001:db8::53"));

    herald.signal(Signal::TERM);
    assert!(herald.wait_exit(PATIENCE).success());
    assert!(!host.has("lo", "2001:db8::53"), "removed at the end");
    assert!(host.has("lo", "192.0.2.53"), "left as it was");
}

#[test]
fn what_a_crash_leaves_behind_is_taken_up_or_removed() {
    let Some(host) = Host::create("addr-crash") else {
        return;
    };
    let mut herald = host.start(LO, &format!("{WEB}{DNS}"));
    herald.signal(Signal::KILL);
    herald.wait_exit(PATIENCE);
    wait_for(
        &host,
        "lo",
        &["192.0.2.150", "2001:db8::150", "192.0.2.53"],
        true,
    );

    let mut herald = host.start("address-interface = \"lo\"\non-exit = \"restart\"", WEB);
    assert!(!host.has("lo", "192.0.2.53"), "its service has gone");
    assert!(!host.has("lo", "2001:db8::53"), "its service has gone");
    assert_eq!(state(&herald, "192.0.2.150"), "added");
    assert_eq!(state(&herald, "2001:db8::150"), "added");
    herald.signal(Signal::TERM);
    herald.wait_exit(PATIENCE);
    assert!(host.has("lo", "192.0.2.150"), "stays for the restart");
    assert!(host.has("lo", "2001:db8::150"), "stays for the restart");

    // Nobody wants addresses any more.
    let herald = host.start("", WEB);
    wait_for(&host, "lo", &["192.0.2.150", "2001:db8::150"], false);
    drop(herald);
}

#[test]
fn an_interface_may_come_later_and_be_another() {
    let Some(host) = Host::create("addr-device") else {
        return;
    };
    let herald = host.start("address-interface = \"services0\"", WEB);
    assert_eq!(state(&herald, "192.0.2.150"), "missing");
    let services = herald.command(&["show", "services"]);
    assert!(services.contains("there is no"), "{services}");
    assert_eq!(announced(&herald), [""; 0]);
    herald.command(&["service", "add", "api", "192.0.2.9"]);
    assert_eq!(announced(&herald), [""; 0]);
    host.namespace
        .ip("link add services0 type veth peer name other0");
    wait_for(&host, "services0", &["192.0.2.150", "2001:db8::150"], true);
    let all = ["192.0.2.9/32", "192.0.2.150/32", "2001:db8::150/128"];
    wait_for_announced(&herald, &all);
    let events = herald.show("events").to_string();
    assert!(
        events.contains("192.0.2.150 is on this host again"),
        "{events}"
    );
    host.namespace.ip("link del services0");
    wait_for_announced(&herald, &[]);
    let events = herald.show("events").to_string();
    assert!(
        events.contains("is not on this host, withdrawn"),
        "{events}"
    );
    host.namespace
        .ip("link add services0 type veth peer name other0");
    wait_for_announced(&herald, &all);
    herald.command(&["service", "remove", "api"]);
    wait_for_announced(&herald, &["192.0.2.150/32", "2001:db8::150/128"]);
    // IPv6 addresses go when an interface does, and come back with it.
    host.namespace.ip("link set services0 up");
    host.namespace.ip("link set services0 down");
    host.namespace.ip("link set services0 up");
    wait_for(&host, "services0", &["192.0.2.150", "2001:db8::150"], true);

    herald.write_config(&host.config(LO, WEB));
    let plan = herald.command(&["reload", "--dry-run"]);
    assert!(plan.contains("address-interface services0 -> lo"), "{plan}");
    herald.command(&["reload"]);
    wait_for(&host, "lo", &["192.0.2.150", "2001:db8::150"], true);
    wait_for(&host, "services0", &["192.0.2.150", "2001:db8::150"], false);
}

#[test]
fn a_daemon_that_may_not_add_addresses_says_so_and_ends() {
    let Some(host) = Host::create("addr-refused") else {
        return;
    };
    let config = host.directory().join("herald.toml");
    fs::write(&config, host.config(LO, WEB)).unwrap();
    let output = host
        .namespace
        .command("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"])
        .arg(support::daemon::binary())
        .args(["run", "-c"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
}

#[test]
fn an_interface_that_is_not_there_takes_no_address_from_where_it_is() {
    let Some(host) = Host::create("addr-typo") else {
        return;
    };
    let herald = host.start(LO, WEB);
    assert!(host.has("lo", "192.0.2.150"));
    let typo = "address-interface = \"dummy9\"";
    herald.write_config(&host.config(typo, WEB));
    let absent = "! address-interface: there is no interface dummy9; addresses stay where they are";
    let planned = herald.command(&["reload", "--dry-run"]);
    assert!(planned.contains(absent), "{planned}");
    let told = herald.try_command(&["reload"]).unwrap_err();
    assert!(
        told.contains("exit status: 1") && told.contains(absent),
        "{told}"
    );
    wait_until("it is known where they are", PATIENCE, || {
        let state = state(&herald, "192.0.2.150");
        (state == "elsewhere").then_some(()).ok_or(state)
    });
    let prefixes = ["192.0.2.150/32", "2001:db8::150/128"];
    assert_eq!(announced(&herald), prefixes);
    assert!(host.has("lo", "192.0.2.150") && host.has("lo", "2001:db8::150"));

    // A look at what has changed comes with any address.
    host.namespace
        .ip("link add dummy9 type veth peer name dummy8");
    host.namespace.ip("addr add 192.0.2.200/32 dev dummy9");
    wait_for(&host, "dummy9", &["192.0.2.150", "2001:db8::150"], true);
    wait_for(&host, "lo", &["192.0.2.150", "2001:db8::150"], false);
    assert_eq!(announced(&herald), prefixes);
}

#[test]
fn no_router_id_is_derived_from_what_a_herald_has_added() {
    let Some(host) = Host::create("addr-id") else {
        return;
    };
    let ip = |command: &str| drop(host.namespace.ip(command));
    ip("link add eth7 type veth peer name eth8");
    ip("link set eth7 up");
    ip("addr add 10.9.0.2/24 dev eth7");
    // Another configuration has left addresses that are higher, and would be taken.
    let mut other = host.start(LO, WEB);
    other.signal(Signal::KILL);
    other.wait_exit(PATIENCE);
    assert!(host.has("lo", "192.0.2.150"));
    let config = host
        .config("", "")
        .replace("/state\"", "/state-of-its-own\"");
    let config = config.replace("router-id = \"192.0.2.71\"\n", "");
    let herald = Herald::start(&host.namespace, host.directory(), &config);
    assert_eq!(herald.show("status")["router_id"], "10.9.0.2");
}
