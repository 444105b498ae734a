//! What a daemon stands of those who ask it and of those it hears from: repetition, text that means harm,
//! and other versions of the command. How slow they may be is tested beside the server.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use support::http::{Answer, ask};
use support::{Daemon, eventually, herald, loopback, run, stderr, stdout};

const JSON: &str = "content-type: application/json\r\n";
const ALONE: &str = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n";

fn request(daemon: &Daemon, method: &str, path: &str, body: &str) -> Answer {
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    ask(stream, method, path, JSON, body)
}

fn neighbor(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nconnect-retry-time = \"1s\"\n"
    )
}

#[test]
fn what_is_repeated_costs_no_update() {
    let [own, other] = [loopback(), loopback()];
    let _router = Daemon::start(&neighbor(other, 64521, own, 64520));
    let daemon = Daemon::start(&neighbor(own, 64520, other, 64521));
    daemon.wait_until_established("other");
    let put = |path: &str, body: &str, status: u16| {
        let answer = request(&daemon, "PUT", path, body);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    };
    let advertised = |number: u64| {
        eventually("as many prefixes are announced", || {
            daemon.show(&["peer", "other"])["families"][0]["advertised"] == number
        });
    };
    let updates = || daemon.show(&["peer", "other"])["messages"]["sent"]["update"].as_u64();
    let service = r#"{"addresses": ["192.0.2.150"]}"#;
    let route = r#"{"med": 5, "communities": ["64520:1"]}"#;
    put("/v1/services/web", service, 201);
    put("/v1/routes/198.51.100.0%2F24", route, 201);
    advertised(2);
    let before = updates().unwrap();
    for _ in 0..5 {
        put("/v1/services/web", service, 200);
        put("/v1/routes/198.51.100.0%2F24", route, 200);
    }
    // What follows is told, and is all that is told.
    put("/v1/routes/203.0.113.0%2F24", route, 201);
    advertised(3);
    assert_eq!(updates(), Some(before + 1));

    for path in [
        "/v1/services/web",
        "/v1/routes/198.51.100.0%2F24",
        "/v1/routes/203.0.113.0%2F24",
    ] {
        assert_eq!(request(&daemon, "DELETE", path, "").status, 204);
        request(&daemon, "DELETE", path, "").refusal(404);
    }
    advertised(0);
}

/// Behind a marker, with length and type (RFC 4271 §4.1).
fn message(r#type: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[r#type], body].concat()
}

#[test]
fn what_a_neighbor_says_is_text_and_nothing_else() {
    let [own, other] = [loopback(), loopback()];
    let viewer = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
    let router = TcpListener::bind((other, 11179)).unwrap();
    let daemon = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[api]\nlisten = \"{viewer}\"\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = 64521\n\
         source-address = \"{own}\"\n"
    ));
    let (mut session, _) = router.accept().unwrap();
    let [high, low] = 64521_u16.to_be_bytes();
    let open = message(1, &[4, high, low, 0, 90, 192, 0, 2, 1, 0]);
    session
        .write_all(&[open, message(4, &[])].concat())
        .unwrap();
    daemon.wait_until_established("other");
    // RFC 9003: Administrative Shutdown, with a text of the neighbor's choice.
    let text = "<script>alert('1')</script>\"&\n\u{1b}[2J\u{1}";
    let length = u8::try_from(text.len()).unwrap();
    let shutdown = message(3, &[&[6, 2, length], text.as_bytes()].concat());
    session.write_all(&shutdown).unwrap();
    eventually("it has been heard", || {
        !daemon.show(&["peer", "other"])["last_notification_received"].is_null()
    });
    let peer = daemon.show(&["peer", "other"]);
    assert_eq!(peer["last_notification_received"]["communication"], text);

    let answer = ask(TcpStream::connect(viewer).unwrap(), "GET", "/", "", "");
    assert_eq!(answer.status, 200);
    let policy = "\r\ncontent-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n";
    assert!(answer.head.contains(policy), "{answer:?}");
    assert!(answer.body.contains("&lt;script&gt;"), "{}", answer.body);
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    // Neither does it move the cursor of a terminal, nor begin lines of its own.
    for command in [&["show", "peer", "other"][..], &["show", "events"]] {
        let page = daemon.ok(command);
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!page.contains(is_control), "{page:?}");
    }
    let log = daemon.log();
    assert!(log.contains("<script>"), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{1}']), "{log:?}");
}

/// One who answers everything with this, as a daemon of another version.
fn another_version(socket: &Path, status: &'static str, body: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.unwrap() != "") {}
            let length = body.len();
            // The command may have gone already.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nserver: herald/99.0.0\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
        }
    });
}

#[test]
fn a_daemon_of_another_version_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let show =
        |socket: &Path, what: &str| run(herald().arg("--socket").arg(socket).args(["show", what]));
    let refusing = directory.path().join("refusing.sock");
    another_version(
        &refusing,
        "404 Not Found",
        r#"{"title": "Not Found", "status": 404, "detail": "there is nothing at /v1/pools"}"#,
    );
    let output = show(&refusing, "pools");
    assert_eq!(output.status.code(), Some(1));
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(
        stderr(&output),
        format!(
            "herald: there is nothing at /v1/pools; the daemon is herald/99.0.0 and this command herald/{own}: start the daemon anew, or use the command of its version\n"
        )
    );
    let unlike = directory.path().join("unlike.sock");
    another_version(&unlike, "200 OK", r#"[{"something": "else"}]"#);
    let output = show(&unlike, "pools");
    assert_eq!(output.status.code(), Some(1));
    let complaint = stderr(&output);
    assert!(
        complaint.contains("the daemon is herald/99.0.0"),
        "{complaint}"
    );
    // What is understood is shown, and who says it.
    let alike = directory.path().join("alike.sock");
    another_version(
        &alike,
        "200 OK",
        r#"{"version": "99.0.0", "started": "2026-11-22T18:46:01Z", "uptime_ms": 1, "local_as": 1, "router_id": null}"#,
    );
    let output = show(&alike, "status");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = stdout(&output);
    let first = format!("herald 99.0.0 (this command is {own}), up 0.0s since");
    assert!(page.starts_with(&first), "{page}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let file = directory.path().join("herald.toml");
    let config = ALONE.replace("[speaker]", &format!("[speaker]\nstate-dir = {state:?}"));
    let socket = directory.path().join("run/herald.sock");
    std::fs::write(&file, format!("{config}[api]\nsocket = {socket:?}\n")).unwrap();
    let run_directory = directory.path().join("run");
    std::fs::create_dir(&run_directory).unwrap();
    for (path, mode) in [
        (directory.path(), 0o755),
        (&state, 0o555),
        (&run_directory, 0o777),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = herald();
    // To root nothing is read-only.
    if nix::unistd::geteuid().is_root() {
        // It may be built where that user has no way to.
        let copy = directory.path().join("herald");
        let mut cp = Command::new("cp");
        assert!(
            cp.arg(command.get_program())
                .arg(&copy)
                .status()
                .unwrap()
                .success()
        );
        command = Command::new(copy);
        command.uid(65_534).gid(65_534);
    }
    command.args(["run", "-c"]).arg(&file);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let expected = format!(
        "{}: cannot be used as [speaker] state-dir: Permission denied (os error 13); create it for this user, or name another",
        state.display()
    );
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    assert!(!socket.exists());
}

/// With something of everything that has a name.
fn daemon_with_names() -> Daemon {
    let daemon = Daemon::start(&format!(
        "{ALONE}[bfd]\nlisten = [\"{}:13784\"]\n[[peer]]\nname = \"tor-a\"\naddress = \"192.0.2.1\"\nremote-as = 64521\nreceived-routes = \"kept\"\n\
         [[pool]]\nname = \"public\"\naddresses = [\"192.0.2.64/28\"]\n\
         [[bfd-session]]\nname = \"storage\"\naddress = \"192.0.2.9\"\n\
         [[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n",
        loopback()
    ));
    daemon.ok(&["announce", "198.51.100.0/24"]);
    daemon
}

#[test]
fn whatever_is_shown_is_shown_in_each_way() {
    let daemon = daemon_with_names();
    for what in [
        "",
        "peers",
        "peer tor-a",
        "bfd",
        "bfd storage",
        "routes",
        "routes --advertised tor-a",
        "routes --received tor-a",
        "services",
        "service web",
        "pools",
        "events",
        "config",
        "status",
    ] {
        let shown = |output: &str| {
            let words = ["show"].into_iter().chain(what.split_whitespace());
            let words: Vec<&str> = words.chain(["-o", output]).collect();
            daemon.ok(&words)
        };
        assert!(!shown("wide").trim().is_empty(), "{what}");
        let table = shown("table");
        // A configuration is a file, whatever it has in it.
        let fits = |line: &str| what == "config" || line.chars().count() <= 80;
        assert!(table.lines().all(fits), "{what}:\n{table}");
        serde_json::from_str::<serde_json::Value>(&shown("json")).unwrap();
    }
}

#[test]
fn names_are_completed_from_the_daemon() {
    let daemon = daemon_with_names();
    for (words, name) in [
        ("show peer", "tor-a"),
        ("peer shutdown", "tor-a"),
        ("neighbor reset", "tor-a"),
        ("drain", "tor-a"),
        ("capture", "tor-a"),
        ("show bfd", "storage"),
        ("show service", "web"),
        ("service add dns --pool", "public"),
    ] {
        let mut command = herald();
        command
            .env("HERALD_COMPLETE", "fish")
            .env("HERALD_SOCKET", daemon.socket())
            .args(["--", "herald"])
            .args(words.split(' '))
            .arg("");
        let proposed = stdout(&run(&mut command));
        let mut lines = proposed.lines();
        assert!(lines.any(|line| line == name), "{words}: {proposed}");
    }
}

#[test]
fn tables_have_colours_on_a_terminal_only_and_where_they_are_welcome() {
    use std::io::Read;

    let daemon = Daemon::start(&format!(
        "{ALONE}[[peer]]\nname = \"tor-a\"\naddress = \"192.0.2.1\"\nremote-as = 64521\n"
    ));
    let show = || {
        let mut command = herald();
        command.arg("--socket").arg(daemon.socket());
        command.args(["show", "peers"]).env("TERM", "xterm");
        command.env_remove("NO_COLOR");
        command
    };
    assert!(!stdout(&run(&mut show())).contains('\u{1b}'));
    for (no_color, colored) in [(None, true), (Some("1"), false)] {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let mut command = show();
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        command.stdout(terminal.slave);
        assert_eq!(command.status().unwrap().code(), Some(0));
        let mut octets = [0; 4096];
        let length = std::fs::File::from(terminal.master)
            .read(&mut octets)
            .unwrap();
        let table = String::from_utf8_lossy(&octets[..length]);
        assert!(table.contains("tor-a"), "{table}");
        assert_eq!(table.contains('\u{1b}'), colored, "{no_color:?}: {table}");
    }
}
