//! Routes that come in: a neighbor made of a socket, and the real binary.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use support::{Daemon, eventually, loopback, stderr, stdout, words};

/// A router in AS 64521 that a daemon in AS 64520 connects to.
struct Neighbor {
    daemon: Daemon,
    listener: TcpListener,
    session: TcpStream,
}

fn message(r#type: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[r#type], body].concat()
}

/// Prefixes 11.`first`.`second`.0/24 over 64521 and this AS.
fn update(origin_as: u16, prefixes: &[(u8, u8, u8)]) -> Vec<u8> {
    let [high, low] = origin_as.to_be_bytes();
    let [peer_high, peer_low] = 64521_u16.to_be_bytes();
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 2, peer_high, peer_low, high, low],
        &[0x40, 3, 4, 192, 0, 2, 1],
    ]
    .concat();
    let mut body = vec![0, 0, 0, u8::try_from(attributes.len()).unwrap()];
    body.extend(attributes);
    for (a, b, c) in prefixes {
        body.extend([24, *a, *b, *c]);
    }
    message(2, &body)
}

impl Neighbor {
    fn start(more: &str) -> Self {
        let [own, other] = [loopback(), loopback()];
        let listener = TcpListener::bind((other, 11179)).unwrap();
        let daemon = Daemon::start(&Self::config(own, other, more));
        let session = accept(&listener);
        let neighbor = Self {
            daemon,
            listener,
            session,
        };
        neighbor.daemon.wait_until_established("other");
        neighbor
    }

    fn config(own: Ipv4Addr, other: Ipv4Addr, more: &str) -> String {
        format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[[peer]]\nname = \"other\"\n\
             address = \"{other}\"\nport = 11179\nremote-as = 64521\nsource-address = \"{own}\"\n\
             connect-retry-time = \"1s\"\n{more}\n"
        )
    }

    fn say(&mut self, octets: &[u8]) {
        self.session.write_all(octets).unwrap();
    }

    fn ipv4(&self) -> serde_json::Value {
        self.daemon.show(&["peer", "other"])["families"][0].clone()
    }

    /// What the daemon sent up to the end of the connection.
    fn heard(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.session.read_to_end(&mut octets).unwrap();
        octets
    }
}

/// A connection with an OPEN and a KEEPALIVE said on it, and no read that waits for ever.
fn accept(listener: &TcpListener) -> TcpStream {
    let mut session = accept_within(listener, Duration::from_secs(20));
    session
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let [high, low] = 64521_u16.to_be_bytes();
    // Route refresh is offered, and nothing else.
    let open = message(1, &[4, high, low, 0, 90, 192, 0, 2, 1, 4, 2, 2, 2, 0]);
    session
        .write_all(&[open, message(4, &[])].concat())
        .unwrap();
    session
}

/// The next connection.
#[track_caller]
fn accept_within(listener: &TcpListener, patience: Duration) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + patience;
    loop {
        match listener.accept() {
            Ok((session, _)) => {
                session.set_nonblocking(false).unwrap();
                return session;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "nobody connects: {listener:?}");
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}: {listener:?}"),
        }
    }
}

/// A daemon that says nothing must fail a test, not hold it up.
#[test]
#[should_panic(expected = "nobody connects")]
fn nobody_is_waited_for_without_end() {
    let listener = TcpListener::bind((loopback(), 0)).unwrap();
    accept_within(&listener, Duration::from_millis(50));
}

fn metrics(daemon: &Daemon) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: herald\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const TABLE: usize = 250_000;

impl Neighbor {
    /// Says a table shaped like the Internet's: some prefixes to an UPDATE, and many different paths.
    /// Tells how much the daemon has grown by it.
    fn say_table(&mut self) -> u64 {
        let all: Vec<(u8, u8, u8)> = (0..TABLE)
            .map(|number| {
                let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
                (11 + a, b, c)
            })
            .collect();
        self.say(&update(1, &all[..5]));
        eventually("the first have come", || self.ipv4()["received"] == 5);
        let before = self.daemon.resident_kib();
        for (number, prefixes) in all[5..].chunks(5).enumerate() {
            let origin_as = u16::try_from(number % 60_000).unwrap() + 1;
            self.say(&update(origin_as, prefixes));
        }
        eventually("all have come", || self.ipv4()["received"] == TABLE);
        let after = self.daemon.resident_kib();
        eprintln!("{TABLE} prefixes: {before} KiB before, {after} KiB after");
        after.saturating_sub(before)
    }
}

#[test]
fn a_full_table_does_not_grow_the_daemon() {
    let mut neighbor = Neighbor::start("");
    let grown = neighbor.say_table();
    assert!(grown < 4096, "{grown} KiB");
    assert_eq!(neighbor.ipv4()["prefixes"], serde_json::Value::Null);
}

#[test]
fn what_is_kept_of_a_full_table_is_bounded() {
    let mut neighbor = Neighbor::start("received-routes = \"kept\"\nmax-prefixes = 250000");
    let grown = neighbor.say_table();
    // 100,000 routes of 20,000 different paths, and 250,000 prefixes.
    assert!(grown < 40 * 1024, "{grown} KiB");
    let ipv4 = neighbor.ipv4();
    assert_eq!(ipv4["kept"]["routes"], 100_000);
    assert_eq!(ipv4["kept"]["not_kept"], TABLE - 100_000);
    assert_eq!(ipv4["prefixes"], TABLE);
}

#[test]
fn kept_routes_can_be_looked_at() {
    let mut neighbor = Neighbor::start("received-routes = \"kept\"\nreceived-routes-limit = 3");
    neighbor.say(&update(64999, &[(11, 0, 1), (11, 0, 2)]));
    neighbor.say(&update(64998, &[(11, 0, 1)]));
    eventually("three have come", || neighbor.ipv4()["received"] == 3);
    let show = ["show", "routes", "--received", "other"];
    let routes = neighbor.daemon.show(&show[1..]);
    assert_eq!(routes[0]["prefix"], "11.0.1.0/24");
    assert_eq!(routes[0]["as_path"], serde_json::json!([64521, 64998]));
    assert_eq!(routes[0]["next_hop"], "192.0.2.1");
    assert_eq!(routes[0]["origin"], "igp");
    assert_eq!(routes[0]["stale"], false);
    assert_eq!(routes[0]["long_lived_stale"], false);
    assert_eq!(routes[1]["as_path"], serde_json::json!([64521, 64999]));
    let table = neighbor.daemon.ok(&show);
    assert!(
        table.contains("11.0.1.0/24  192.0.2.1  64521 64998  igp"),
        "{table}"
    );
    let wide = neighbor.daemon.ok(&[&show[..], &["-o", "wide"]].concat());
    assert!(wide.contains("COMMUNITIES"), "{wide}");

    neighbor.say(&update(64999, &[(11, 0, 3), (11, 0, 4)]));
    eventually("five have come", || neighbor.ipv4()["received"] == 5);
    let expected =
        serde_json::json!({"routes": 3, "stale": 0, "long_lived_stale": 0, "not_kept": 1});
    assert_eq!(neighbor.ipv4()["kept"], expected);
    let said = metrics(&neighbor.daemon);
    for line in [
        r#"herald_peer_kept_routes{peer="other",family="ipv4-unicast"} 3"#,
        r#"herald_peer_not_kept_total{peer="other",family="ipv4-unicast"} 1"#,
        r#"herald_peer_received_announcements_total{peer="other",family="ipv4-unicast"} 5"#,
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    let page = neighbor.daemon.ok(&["show", "peer", "other"]);
    let line = "received prefixes: 3 kept, 1 not kept for want of room";
    assert!(page.contains(line), "{page}");

    let output = neighbor
        .daemon
        .herald(&["show", "routes", "--received", "othr"]);
    let complaint = "herald: there is no peer othr; the nearest name is other\n";
    assert_eq!(
        (stderr(&output).as_str(), output.status.code()),
        (complaint, Some(1))
    );
    drop(neighbor.session);
    eventually("the session ends, and what was kept with it", || {
        stdout(&neighbor.daemon.herald(&show)).starts_with("no routes of other")
    });
}

#[test]
fn routes_that_are_not_kept_cannot_be_looked_at_until_they_are() {
    let mut neighbor = Neighbor::start("");
    neighbor.say(&update(64999, &[(11, 0, 1)]));
    eventually("it has come", || neighbor.ipv4()["received"] == 1);
    let show = ["show", "routes", "--received", "other"];
    let output = neighbor.daemon.herald(&show);
    let complaint = stderr(&output);
    assert!(
        complaint.contains("received-routes = \"kept\""),
        "{complaint}"
    );

    let file = std::fs::read_to_string(neighbor.daemon.file()).unwrap();
    let file = file.replace("[[peer]]", "[[peer]]\nreceived-routes = \"kept\"");
    std::fs::write(neighbor.daemon.file(), file).unwrap();
    let plan = neighbor.daemon.ok(&["reload"]);
    let change = "received-routes counted -> kept";
    assert!(plan.contains(change) && !plan.contains('!'), "{plan}");
    eventually("the neighbor is asked for its routes", || {
        neighbor.daemon.show(&["peer", "other"])["messages"]["sent"]["route_refresh"] == 1
    });
    neighbor.say(&update(64999, &[(11, 0, 1)]));
    eventually("they are kept", || {
        neighbor.daemon.show(&show[1..])[0]["prefix"] == "11.0.1.0/24"
    });
}

#[test]
fn c_049_too_many_prefixes_end_the_session_until_somebody_resets_it() {
    let mut neighbor = Neighbor::start("max-prefixes = 2");
    neighbor.say(&update(64999, &[(11, 0, 1), (11, 0, 2)]));
    neighbor.say(&update(64999, &[(11, 0, 1), (11, 0, 2)]));
    eventually("they have come", || neighbor.ipv4()["received"] == 4);
    assert_eq!(neighbor.ipv4()["prefixes"], 2);
    let page = neighbor.daemon.ok(&["show", "peer", "other"]);
    assert!(page.contains("received prefixes: 2 of at most 2"), "{page}");
    let said = metrics(&neighbor.daemon);
    for line in [
        r#"herald_peer_received_prefixes{peer="other",family="ipv4-unicast"} 2"#,
        r#"herald_peer_max_prefixes{peer="other",family="ipv4-unicast"} 2"#,
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    neighbor.say(&update(64999, &[(11, 0, 3)]));
    // Cease/1, AFI 1, SAFI 1, 2
    let farewell = message(3, &[6, 1, 0, 1, 1, 0, 0, 0, 2]);
    assert!(neighbor.heard().ends_with(&farewell));

    let peers = neighbor.daemon.ok(&["show", "peers"]);
    assert!(peers.contains("Idle (max-prefixes)"), "{peers}");
    let over = r#"herald_peer_over_max_prefixes{peer="other"} 1"#;
    assert!(metrics(&neighbor.daemon).contains(over));
    let page = neighbor.daemon.ok(&["show", "peer", "other"]);
    let last = "ago: 6/1 Cease, Maximum Number of Prefixes Reached: at most 2 of ipv4-unicast";
    assert!(words(&page).contains(last), "{page}");
    let log = neighbor.daemon.log();
    for line in [
        "announces 2 ipv4-unicast prefixes, nearly the 2 that max-prefixes allows",
        "BGP session lost: sent 6/1 Cease, Maximum Number of Prefixes Reached: at most 2 of ipv4-unicast",
    ] {
        assert!(log.contains(line), "{log}");
    }
    thread::sleep(Duration::from_secs(3));
    let peer = neighbor.daemon.show(&["peer", "other"]);
    assert_eq!(
        (&peer["state"], &peer["over_max_prefixes"]),
        (&"Idle".into(), &"ipv4-unicast".into())
    );
    assert_eq!(peer["idle_for_ms"], serde_json::Value::Null);
    neighbor.daemon.ok(&["peer", "reset", "other"]);
    neighbor.session = accept(&neighbor.listener);
    neighbor.daemon.wait_until_established("other");
}
