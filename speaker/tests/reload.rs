//! Reloading, in every way in which it may come about or fail.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use nix::sys::signal::Signal;
use support::http::ask;
use support::{Daemon, eventually, loopback, words};

const WEB: &str = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n";
const ON_CHANGE: &str = "reload-on-change = true\n";

fn speaker(keys: &str, rest: &str) -> String {
    format!("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n{keys}\n{rest}")
}

fn prefixes(daemon: &Daemon) -> Vec<String> {
    let routes = daemon.show(&["routes"]);
    let routes = routes.as_array().unwrap().iter();
    routes
        .map(|route| {
            format!(
                "{} {}",
                route["prefix"].as_str().unwrap(),
                route["source"].as_str().unwrap()
            )
        })
        .collect()
}

#[track_caller]
fn wait_for(daemon: &Daemon, wanted: &[&str]) {
    eventually("the routes are those", || prefixes(daemon) == wanted);
}

fn route(octet: u8) -> String {
    format!("[[route]]\nprefix = \"198.51.{octet}.0/24\"\n")
}

#[test]
fn sighup_reloads() {
    let daemon = Daemon::start(&speaker("", WEB));
    daemon.write(&speaker("", &route(7)));
    daemon.signal(Signal::SIGHUP);
    wait_for(&daemon, &["198.51.7.0/24 file"]);
    let events = daemon.ok(&["show", "events"]);
    assert!(events.contains("reload: service web: removed"), "{events}");
}

#[test]
fn the_file_wins_over_what_was_added_and_says_so() {
    let mut daemon = Daemon::start(&speaker("", ""));
    daemon.ok(&["service", "add", "web", "192.0.2.150"]);
    daemon.ok(&["service", "add", "dns", "192.0.2.53"]);
    daemon.ok(&["service", "add", "mail", "192.0.2.25"]);
    daemon.ok(&["announce", "198.51.7.0/24", "--med", "9"]);
    // The same name, the same address, the same prefix.
    let file = format!(
        "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.151\"]\n\
         [[service]]\nname = \"resolver\"\naddresses = [\"192.0.2.53\"]\n{}",
        route(7)
    );
    daemon.write(&speaker("", &file));
    let added = "was added at run time, and";
    let gives_way = "gives way to the one in the file";
    let taken = "is removed, for 192.0.2.53 is an address of service resolver in the file";
    let plan = [
        format!("  service dns: {added} {taken}"),
        format!("  service web: {added} {gives_way}; 192.0.2.150 is withdrawn"),
        format!("  route 198.51.7.0/24: {added} {gives_way}"),
        "  service resolver: added".to_owned(),
        "  service web: added".to_owned(),
        "  route 198.51.7.0/24: added".to_owned(),
    ];
    let told = daemon.ok(&["reload", "--dry-run"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..6], plan, "{told}");
    assert_eq!(prefixes(&daemon).len(), 4, "nothing has changed");
    assert!(daemon.ok(&["reload"]).ends_with("6 applied\n"));
    let wanted = [
        "192.0.2.25/32 api",
        "192.0.2.53/32 file",
        "192.0.2.151/32 file",
        "198.51.7.0/24 file",
    ];
    wait_for(&daemon, &wanted);
    for text in [words(&daemon.ok(&["show", "events"])), daemon.log()] {
        assert!(
            text.contains("service web: was added at run time"),
            "{text}"
        );
    }
    // What is in the file is not to be had over the API.
    let refused = daemon.fails(1, &["service", "add", "web", "192.0.2.152"]);
    assert!(refused.contains("service web is in "), "{refused}");
    let refused = daemon.fails(1, &["announce", "198.51.7.0/24"]);
    assert!(refused.contains("route 198.51.7.0/24 is in "), "{refused}");
    // It has gone for good, also from the state directory.
    daemon.write(&speaker("", ""));
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    daemon.launch();
    wait_for(&daemon, &["192.0.2.25/32 api"]);
}

#[test]
fn a_file_that_changes_is_reloaded_by_itself_if_asked() {
    let daemon = Daemon::start(&speaker(ON_CHANGE, WEB));
    daemon.write(&speaker(ON_CHANGE, &route(1)));
    wait_for(&daemon, &["198.51.1.0/24 file"]);

    // As an editor replaces it.
    let text = fs::read_to_string(daemon.file()).unwrap();
    fs::write(daemon.path("new"), text.replace("198.51.1.", "198.51.2.")).unwrap();
    fs::rename(daemon.path("new"), daemon.file()).unwrap();
    wait_for(&daemon, &["198.51.2.0/24 file"]);

    // A bad one is said to be bad once, and changes nothing.
    let refused = |daemon: &Daemon| daemon.log().matches("reload refused").count();
    daemon.write(&speaker(
        ON_CHANGE,
        "[[route]]\nprefix = \"198.51.3.1/24\"\n",
    ));
    eventually("it is refused", || refused(&daemon) == 1);
    let events = words(&daemon.ok(&["show", "events"]));
    assert!(events.contains("reload refused: /"), "{events}");
    let bad = fs::read_to_string(daemon.file()).unwrap();
    fs::write(daemon.file(), &bad).unwrap();
    fs::write(daemon.path("another"), "x").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(refused(&daemon), 1, "{}", daemon.log());
    assert_eq!(prefixes(&daemon), ["198.51.2.0/24 file"]);

    // Once it is mended, the refusal is not the last word.
    daemon.write(&speaker(ON_CHANGE, &route(2)));
    let mended = "reload: the file is accepted again; nothing changed";
    eventually("it is accepted", || daemon.log().contains(mended));
    let events = words(&daemon.ok(&["show", "events"]));
    assert!(events.contains(mended), "{events}");

    // Nobody wants it from here on, and then somebody does.
    daemon.write(&speaker("", &route(4)));
    wait_for(&daemon, &["198.51.4.0/24 file"]);
    daemon.write(&speaker(ON_CHANGE, &route(5)));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(prefixes(&daemon), ["198.51.4.0/24 file"]);
    daemon.ok(&["reload"]);
    daemon.write(&speaker(ON_CHANGE, &route(6)));
    wait_for(&daemon, &["198.51.6.0/24 file"]);
}

fn listens_at(address: Ipv4Addr) -> bool {
    TcpStream::connect((address, 11179)).is_ok()
}

#[test]
fn what_is_refused_late_leaves_everything_as_it_was() {
    let [one, other] = [loopback(), loopback()];
    let listening = |address: Ipv4Addr| format!("listen = [\"{address}:11179\"]\n");
    let daemon = Daemon::start(&speaker(&listening(one), WEB));
    let added = "192.0.2.53/32 api";
    daemon.ok(&["service", "add", "dns", "192.0.2.53"]);
    let as_it_was = |daemon: &Daemon| {
        wait_for(daemon, &[added, "192.0.2.150/32 file"]);
        assert!(listens_at(one));
        let config = daemon.ok(&["show", "config"]);
        assert!(config.contains(&listening(one)), "{config}");
    };

    // Somebody else has the port.
    let taken = TcpListener::bind((other, 11179)).unwrap();
    let wanted = format!(
        "[[service]]\nname = \"dns\"\naddresses = [\"192.0.2.54\"]\n{}",
        route(1)
    );
    daemon.write(&speaker(&listening(other), &wanted));
    for reload in [&["reload", "--dry-run"][..], &["reload"]] {
        let refused = daemon.fails(1, reload);
        assert!(refused.contains(&format!("{other}:11179")), "{refused}");
        as_it_was(&daemon);
    }
    drop(taken);
    daemon.ok(&["reload", "--dry-run"]);

    // It may be an address of another host.
    let elsewhere = wanted.clone();
    daemon.write(&speaker(
        &listening(Ipv4Addr::new(198, 51, 100, 7)),
        &elsewhere,
    ));
    for reload in [&["reload", "--dry-run"][..], &["reload"]] {
        let refused = daemon.fails(1, reload);
        assert!(
            refused.contains("no interface of this host has that address"),
            "{refused}"
        );
        as_it_was(&daemon);
    }
    daemon.write(&speaker(&listening(other), &wanted));

    // The state directory takes nothing, and the file would have something removed there.
    let in_the_way = daemon.path("state").join("state.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let refused = daemon.fails(1, &["reload"]);
    assert!(
        refused.contains("state.json: cannot be written"),
        "{refused}"
    );
    as_it_was(&daemon);
    assert!(!listens_at(other));

    fs::remove_dir(&in_the_way).unwrap();
    daemon.ok(&["reload"]);
    wait_for(&daemon, &["192.0.2.54/32 file", "198.51.1.0/24 file"]);
    assert!(listens_at(other));
    assert!(!listens_at(one));
}

#[test]
fn what_fails_while_it_is_applied_is_named_and_the_rest_is_done() {
    let daemon = Daemon::start(&speaker("", WEB));
    let path = "[[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.9\"\ninterface = \"none0\"\n";
    daemon.write(&speaker("", &format!("{path}{}", route(1))));
    let told = daemon.fails(1, &["reload"]);
    assert!(
        told.starts_with("herald: bfd-session path: no BFD session: "),
        "{told}"
    );
    assert!(told.contains("none0"), "{told}");
    assert!(told.trim_end().ends_with("it is tried again"), "{told}");
    wait_for(&daemon, &["198.51.1.0/24 file"]);
}

#[test]
fn advertisements_change_one_by_one_and_contradictions_are_told() {
    let peer = "[[peer]]\nname = \"tor\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n";
    let advertisements = |keys: &str, more: &str| {
        let text = format!("{peer}[[advertisement]]\nname = \"up\"\n{keys}\n{more}");
        speaker("", &text)
    };
    let daemon = Daemon::start(&advertisements("med = 10", ""));
    daemon.ok(&["service", "add", "dns", "192.0.2.53"]);
    let other = "[[advertisement]]\nname = \"other\"\nservices = [\"dns\"]\nmed = 30\n";
    let events = || {
        let events = daemon.show(&["events"]);
        let causes = events.as_array().unwrap().iter();
        let causes = causes.map(|event| event["cause"].as_str().unwrap().to_owned());
        causes.collect::<Vec<_>>().join("\n")
    };
    daemon.write(&advertisements("med = 20", other));
    let withdrawn = "service dns: will be withdrawn: [[advertisement]] \"up\" and \"other\" both fit it at peer tor, and differ in med";
    let planned = daemon.ok(&["reload", "--dry-run"]);
    assert!(planned.contains(withdrawn), "{planned}");
    assert_eq!(prefixes(&daemon), ["192.0.2.53/32 api"]);
    let done = daemon.ok(&["reload"]);
    assert!(done.contains(withdrawn), "{done}");
    let told = events();
    for line in [
        withdrawn,
        "reload: advertisement up: med 10 -> 20",
        "reload: advertisement other: added",
        "192.0.2.53 is not announced: ",
    ] {
        assert_eq!(told.matches(line).count(), 1, "{line}\n{told}");
    }
    assert_eq!(prefixes(&daemon), [""; 0]);
    daemon.write(&advertisements("med = 20", ""));
    daemon.ok(&["reload"]);
    let told = events();
    let ended = "192.0.2.53 is held back by contradicting advertisements no more";
    for line in ["reload: advertisement other: removed", ended] {
        assert_eq!(told.matches(line).count(), 1, "{line}\n{told}");
    }
    assert_eq!(prefixes(&daemon), ["192.0.2.53/32 api"]);
}

fn metric(daemon: &Daemon, line: &str) -> bool {
    let socket = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    ask(socket, "GET", "/metrics", "", "")
        .body
        .lines()
        .any(|it| it.starts_with(line))
}

#[test]
fn metrics_tell_whether_the_file_is_in_force_and_who_is_shut_down() {
    let peer = format!(
        "[[peer]]\nname = \"tor\"\naddress = \"{}\"\nremote-as = 64521\nenabled = ",
        loopback()
    );
    let daemon = Daemon::start(&speaker("", &format!("{WEB}{peer}true\n")));
    let successful = |value: u8| format!("herald_config_last_reload_successful {value}");
    assert!(metric(&daemon, &successful(1)));
    assert!(metric(&daemon, "herald_peer_shut_down{peer=\"tor\"} 0"));
    assert!(metric(
        &daemon,
        "herald_service_announced_peers{service=\"web\"} 0"
    ));
    assert!(metric(
        &daemon,
        "herald_service_lacks_addresses{service=\"web\"} 0"
    ));
    daemon.write("nonsense");
    daemon.fails(2, &["reload", "--dry-run"]);
    assert!(metric(&daemon, &successful(1)), "a dry run does not count");
    daemon.fails(2, &["reload"]);
    assert!(metric(&daemon, &successful(0)));
    daemon.write(&speaker("", &format!("{WEB}{peer}false\n")));
    daemon.ok(&["reload"]);
    assert!(metric(&daemon, &successful(1)));
    assert!(metric(&daemon, "herald_peer_shut_down{peer=\"tor\"} 1"));
    let since = "herald_config_last_reload_success_timestamp_seconds 1";
    assert!(metric(&daemon, since));
}

#[test]
fn over_tcp_programs_are_shown_without_their_arguments() {
    let own = loopback();
    let viewer = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
    let daemon = Daemon::start(&speaker(
        "",
        &format!(
            "[api]\nlisten = \"{viewer}\"\n{WEB}health = {{ exec = [\"/bin/true\", \"hunter2\"] }}\n\
             [[hook]]\non = [\"peer\"]\nexec = [\"/bin/true\", \"hunter3\"]\n"
        ),
    ));
    let running = daemon.ok(&["show", "config"]);
    assert!(
        running.contains("hunter2") && running.contains("hunter3"),
        "{running}"
    );
    for path in [
        "/v1/config",
        "/v1/services",
        "/v1/services/web",
        "/v1/status",
        "/v1/events",
        "/",
    ] {
        let viewer = TcpStream::connect(viewer).unwrap();
        let body = ask(viewer, "GET", path, "", "").body;
        assert!(!body.contains("hunter"), "{path}: {body}");
    }
}
