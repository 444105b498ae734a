//! The command line without a daemon: exit codes, and what a mistake leads to.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use support::{file, herald, loopback, run, stderr, stdout, without};

const SMALL: &str = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n\
    [[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n\
    [[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n\
    [[service]]\nname = \"dns\"\naddresses = [\"192.0.2.53\"]\n";

#[test]
fn check_says_how_much_is_right() {
    let (_directory, path) = file(SMALL);
    let output = run(herald().args(["check", "-c"]).arg(&path));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        without(&stdout(&output), &path),
        "FILE: ok (1 peer, 2 services)\n"
    );
}

#[test]
fn the_examples_are_right() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files = std::fs::read_dir(directory).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let examples: Vec<_> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let output = run(herald().args(["check", "-c"]).arg(&example));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        // Their programs are on the reader's host.
        let doubts = stderr(&output);
        let mut doubts = doubts
            .lines()
            .filter(|line| !line.contains("cannot be run here"));
        assert_eq!(doubts.next(), None);
    }
}

#[test]
fn check_says_what_is_doubtful() {
    let (_directory, path) = file(
        "[speaker]\nlocal-as = 64520\n[[bfd-profile]]\nname = \"fast\"\nreceive-interval = \"10ms\"\n",
    );
    let output = run(herald().args(["check", "-c"]).arg(&path));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        without(&stderr(&output), &path),
        "warning: FILE:5: [[bfd-profile]] \"fast\": receive-interval: \"10ms\" is below 50ms: a busy host or router may see failures where there are none\n"
    );
}

#[test]
fn a_wrong_file_is_exit_code_2_for_check_and_run() {
    let (_directory, path) = file("[speaker]\nlocal-as = 64520\nlisten = [\"179\"]\nfoo = 1\n");
    for command in ["check", "run"] {
        let output = run(herald().args([command, "-c"]).arg(&path));
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            without(&stderr(&output), &path),
            "FILE:3: [speaker]: listen: found \"179\"; must be an address and a port, such as \"0.0.0.0:179\" or \"[::]:179\"\n\
             FILE:4: [speaker]: foo: unknown key; must be one of local-as, router-id, listen, state-dir, on-exit, drain-time, reload-on-change, address-interface, blackhole-length, blackhole-length-v6\n"
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = run(herald().args(["run", "-c", "/nonexistent/herald.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "/nonexistent/herald.toml: cannot be read: No such file or directory (os error 2); create it, or name another with -c\n"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_named_with_its_line() {
    let (_directory, path) = file("");
    std::fs::write(&path, b"[speaker]\n# \xff\n").unwrap();
    let output = run(herald().args(["check", "-c"]).arg(&path));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        without(&stderr(&output), &path),
        "FILE: line 2 is not UTF-8; a configuration file is UTF-8 text\n"
    );
}

#[test]
fn without_a_daemon_the_next_step_is_said() {
    let output = run(herald().args(["show", "peers", "--socket", "/nonexistent/herald.sock"]));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "herald: the daemon is not running: no socket at /nonexistent/herald.sock; start it with `herald run`, or name another socket with --socket or HERALD_SOCKET\n"
    );
}

#[test]
fn a_dead_daemon_s_socket_is_recognized() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("herald.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let output = run(herald()
        .args(["show", "peers"])
        .env("HERALD_SOCKET", &socket));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("nobody answers at"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["shwo"][..],
        &["show", "peer"],
        &["show", "peers", "--watch", "often"],
        &["events", "--lines", "some"],
        &["show", "events", "--since", "yesterday"],
        &["announce"],
        &["service", "add"],
        &["announce", "10.0.0.0/8", "--as-path-prepend", "11"],
    ] {
        let output = run(herald().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = stdout(&run(herald().arg("--help")));
    assert!(help.contains("herald check -c herald.toml"), "{help}");
    assert!(help.contains("Exit codes: 0 done; 1 failed"), "{help}");
}

#[test]
fn every_shell_gets_a_script_that_asks_for_completions() {
    for shell in ["bash", "zsh", "fish", "elvish"] {
        let output = run(herald().args(["completions", shell]));
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = stdout(&output);
        assert!(script.contains("HERALD_COMPLETE"), "{shell}:\n{script}");
    }
    let output = run(herald().args(["completions", "tcsh"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("[possible values: bash, elvish, fish, zsh]"),
        "{}",
        stderr(&output)
    );
}

/// Starts a daemon that cannot run, and returns what it says.
#[track_caller]
fn cannot_run(more: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("herald.toml");
    let text = format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\nstate-dir = \"DIR/state\"\n{more}"
    );
    let text = text.replace("DIR", &directory.path().display().to_string());
    std::fs::write(&path, text).unwrap();
    let output = run(herald().args(["run", "-c"]).arg(&path));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    without(&stderr(&output), directory.path())
}

#[test]
fn a_bgp_port_in_use_is_named() {
    let taken = TcpListener::bind((loopback(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let message = cannot_run(&format!(
        "listen = [\"{address}\"]\n[api]\nsocket = \"DIR/herald.sock\"\n"
    ));
    assert!(
        message.contains(&format!(
            "cannot listen for BGP on {address}: Address already in use"
        )),
        "{message}"
    );
}

#[test]
fn an_http_port_in_use_is_named() {
    let taken = TcpListener::bind((loopback(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let message = cannot_run(&format!(
        "[api]\nsocket = \"DIR/herald.sock\"\nlisten = \"{address}\"\n"
    ));
    let expected = format!(
        "herald: cannot listen for HTTP at [api] listen = \"{address}\": Address already in use"
    );
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn a_bfd_port_in_use_is_named() {
    let taken = std::net::UdpSocket::bind((loopback(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let message = cannot_run(&format!(
        "[api]\nsocket = \"DIR/herald.sock\"\n[bfd]\nlisten = [\"{address}\"]\n\
         [[peer]]\naddress = \"{}\"\nremote-as = 64521\nbfd-profile = \"default\"\n",
        loopback()
    ));
    let expected = format!("cannot listen for BFD at {address}: Address already in use");
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn a_socket_of_another_program_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("herald.sock");
    let _living = UnixListener::bind(&socket).unwrap();
    let message = cannot_run(&format!("[api]\nsocket = {socket:?}\n"));
    assert!(
        message.contains("another program has this [api] socket; stop it (`ss -xlp` names it)"),
        "{message}"
    );
    assert!(socket.exists());
}

#[test]
fn a_file_in_the_place_of_the_socket_is_not_removed() {
    let (_directory, path) = file("precious");
    let message = cannot_run(&format!("[api]\nsocket = {path:?}\n"));
    assert!(
        message.contains("there is a file that is no socket"),
        "{message}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_log_has_colours_on_a_terminal_unless_they_are_unwelcome() {
    // It is doubtful, which is logged, and then it cannot run.
    let (_directory, path) = file(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\nstate-dir = \"/dev/null\"\n\
         [api]\nsocket = \"/dev/null/herald.sock\"\n\
         [[bfd-profile]]\nname = \"fast\"\ntransmit-interval = \"10ms\"\n",
    );
    for (no_color, colored) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let mut command = herald();
        command
            .args(["run", "-c"])
            .arg(&path)
            .stderr(terminal.slave);
        command.env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        assert_eq!(command.status().unwrap().code(), Some(1));
        let mut octets = [0; 4096];
        let length = std::fs::File::from(terminal.master)
            .read(&mut octets)
            .unwrap();
        let log = String::from_utf8_lossy(&octets[..length]);
        assert!(log.contains("is below 50ms"), "{log}");
        assert_eq!(
            log.contains("\x1b["),
            colored,
            "NO_COLOR={no_color:?}: {log}"
        );
    }
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let (_directory, path) = file("");
    let state = path.join("state");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("herald.toml");
    std::fs::write(
        &config,
        format!(
            "[speaker]\nlocal-as = 64520\nstate-dir = {state:?}\n[api]\nsocket = {:?}\n",
            directory.path().join("herald.sock")
        ),
    )
    .unwrap();
    let output = run(herald().args(["run", "-c"]).arg(&config));
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "{}: cannot be used as [speaker] state-dir: Not a directory",
        state.display()
    );
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn what_standard_output_does_not_take_is_a_failure() {
    let (_directory, path) = file(SMALL);
    let path = path.display().to_string();
    for arguments in [&["check", "-c", &path][..], &["completions", "bash"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = run(herald().args(arguments).stdout(full.unwrap()));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(
            stderr(&output),
            "herald: cannot write to standard output: No space left on device (os error 28)\n"
        );
        // Whoever closed it has seen enough.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(herald().args(arguments).stdout(writer));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_socket_is_refused_where_it_would_be_ignored() {
    let (_directory, path) = file(SMALL);
    let path = path.display().to_string();
    for (arguments, because) in [
        (
            &["run", "-c", &path, "--socket", "s"][..],
            "--socket is of no use to `herald run`: the daemon opens the one that [api] socket in its file names",
        ),
        (
            &["--socket", "s", "check", "-c", &path],
            "--socket is of no use to `herald check`: it asks no daemon",
        ),
    ] {
        let output = run(herald().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(because), "{}", stderr(&output));
    }
    // A variable is for every command of a shell.
    let check = &mut herald();
    let output = run(check.args(["check", "-c", &path]).env("HERALD_SOCKET", "s"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
