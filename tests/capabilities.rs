//! What a running daemon may do: the capability sets of all its threads, what it says of them, and what a reload cannot have any more.
//! These tests need root.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use support::daemon::{Herald, binary, socket_in};
use support::host::Host;
use support::process::Process;
use support::{ensure, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);
/// "nobody"
const USER: u32 = 65534;

const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_NICE: u64 = 1 << 23;

const PORT_179: &str = "listen = [\"127.0.0.1:179\"]";
const LO: &str = "address-interface = \"lo\"";
const UNNUMBERED: &str = "[[peer]]\ninterface = \"eth9\"\nremote-as = \"external\"\n";
const HOOK: &str = "[[hook]]\non = [\"peer\"]\nexec = [\"/bin/true\"]\n";

/// What `/proc` says of a thread.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    bounding: u64,
    no_new_privs: bool,
}

impl Sets {
    /// Those of all threads, which must agree.
    #[track_caller]
    fn of(herald: &Herald) -> Self {
        Self::of_process(herald.pid())
    }

    #[track_caller]
    fn of_process(pid: Pid) -> Self {
        let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap();
        // A thread may end while we look.
        let statuses =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        let sets = statuses.map(|status| Self::read(&status));
        let mut sets: Vec<Self> = BTreeSet::from_iter(sets).into_iter().collect();
        assert_eq!(sets.len(), 1, "all threads have the same: {sets:x?}");
        sets.remove(0)
    }

    fn read(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {status}"))
                .trim()
        };
        let set = |name: &str| u64::from_str_radix(field(name), 16).unwrap();
        Self {
            effective: set("CapEff:"),
            permitted: set("CapPrm:"),
            inheritable: set("CapInh:"),
            ambient: set("CapAmb:"),
            bounding: set("CapBnd:"),
            no_new_privs: field("NoNewPrivs:") == "1",
        }
    }

    /// These, and no way to others.
    fn only(capabilities: u64) -> Self {
        Self {
            effective: capabilities,
            permitted: capabilities,
            inheritable: 0,
            ambient: 0,
            bounding: capabilities,
            no_new_privs: true,
        }
    }
}

/// The capabilities that `herald show status` says are held, and those that it says are missing.
fn told(herald: &Herald) -> [Vec<String>; 2] {
    let status = herald.show("status");
    let privileges = &status["privileges"];
    let held = privileges["held"].as_array().unwrap().iter();
    let needed = privileges["needed"].as_array().unwrap().iter();
    let missing = needed.filter(|need| need["held"] == false);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    [
        held.map(text).collect(),
        missing.map(|need| text(&need["capability"])).collect(),
    ]
}

#[test]
fn a_daemon_keeps_what_its_configuration_needs_and_nothing_else() {
    let Some(host) = Host::create("caps-kept") else {
        return;
    };
    let realtime = "[bfd]\nrealtime = true\n";
    for (speaker, rest, needed, names) in [
        ("", "", 0, [""; 0].as_slice()),
        (
            PORT_179,
            "",
            NET_BIND_SERVICE,
            ["CAP_NET_BIND_SERVICE"].as_slice(),
        ),
        (
            LO,
            &format!("{UNNUMBERED}{realtime}"),
            NET_ADMIN | NET_RAW | SYS_NICE,
            ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_NICE"].as_slice(),
        ),
    ] {
        let herald = host.start(speaker, rest);
        assert_eq!(
            Sets::of(&herald),
            Sets::only(needed),
            "{speaker:?} {rest:?}"
        );
        assert_eq!(told(&herald), [names, &[]]);
    }
}

/// A program may have its own means, such as sudo: they are left to it.
#[test]
fn where_programs_run_only_the_daemon_itself_gives_up() {
    let Some(host) = Host::create("caps-hook") else {
        return;
    };
    let own = Sets::read(&fs::read_to_string("/proc/self/status").unwrap());
    let herald = host.start("", HOOK);
    let expected = Sets {
        bounding: own.bounding,
        no_new_privs: own.no_new_privs,
        ..Sets::only(KILL)
    };
    assert_eq!(Sets::of(&herald), expected);
}

/// As the unit starts it: with more than is needed, as ambient capabilities.
#[test]
fn a_user_keeps_what_is_needed_of_what_was_given() {
    let Some(host) = Host::create("caps-user") else {
        return;
    };
    let directory = host.directory();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    chown(directory, Some(USER), Some(USER)).unwrap();
    // It may be built where the user has no way to.
    let herald = directory.join("herald");
    fs::copy(binary(), &herald).unwrap();
    let config = directory.join("herald.toml");
    fs::write(&config, host.config(PORT_179, "")).unwrap();
    let given = "+net_bind_service,+net_admin,+net_raw";
    let mut command = host.namespace.command("setpriv");
    command
        .args([
            format!("--reuid={USER}"),
            format!("--regid={USER}"),
            "--clear-groups".to_owned(),
        ])
        .args([
            format!("--inh-caps={given}"),
            format!("--ambient-caps={given}"),
        ])
        .arg(&herald)
        .args(["run", "-c"])
        .arg(&config);
    let process = Process::spawn("herald as nobody", &mut command);
    wait_until("the socket is there", PATIENCE, || {
        ensure(socket_in(directory).exists(), || "it is not".to_owned())
    });
    wait_until("the daemon has given up the rest", PATIENCE, || {
        let sets = Sets::of_process(process.pid());
        let [kept, all] = [sets.permitted, sets.effective];
        ensure(
            (kept, all, sets.ambient, sets.inheritable)
                == (NET_BIND_SERVICE, NET_BIND_SERVICE, 0, 0)
                && sets.no_new_privs,
            || format!("{sets:x?}"),
        )
    });
}

/// Root, too, has given up what the file did not need when it was read first.
#[test]
fn a_reload_says_what_it_cannot_have_and_so_does_what_lacks_it() {
    let Some(host) = Host::create("caps-reload") else {
        return;
    };
    let service = "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n";
    let herald = host.start("", service);
    let wanted = host.config(LO, &format!("{service}{UNNUMBERED}{HOOK}"));
    herald.write_config(&wanted);
    let lines = [
        "address-interface = \"lo\" needs CAP_NET_ADMIN, which the daemon does not hold: takes effect after a restart",
        "interface = \"eth9\" needs CAP_NET_RAW, which the daemon does not hold: takes effect after a restart",
        "needs CAP_KILL, which the daemon does not hold",
        "sudo and the like do not work in programs until the daemon is restarted",
    ];
    for arguments in [["reload", "--dry-run"].as_slice(), &["reload"]] {
        let plan = herald.command(arguments);
        for line in lines {
            assert!(plan.contains(line), "{arguments:?}: no {line:?} in\n{plan}");
        }
    }
    assert_eq!(Sets::of(&herald), Sets::only(0));
    assert_eq!(
        told(&herald),
        [
            [""; 0].as_slice(),
            &["CAP_KILL", "CAP_NET_ADMIN", "CAP_NET_RAW"]
        ]
    );
    // What does not work is named where one looks for it, too.
    wait_until("the address is missing", PATIENCE, || {
        let services = herald.command(&["show", "service", "web"]);
        ensure(services.contains("CAP_NET_ADMIN"), || services)
    });
    let again = herald.command(&["reload", "--dry-run"]);
    assert!(!again.contains("CAP_"), "it is said once: {again}");

    // And after a restart it is there.
    drop(herald);
    let herald = Herald::start(&host.namespace, host.directory(), &wanted);
    assert_eq!(told(&herald)[1], [""; 0]);
    assert!(host.has("lo", "192.0.2.150"));
}

/// What `sudo` starts is another user's.
#[test]
fn a_program_that_has_become_another_user_s_ends_with_its_time() {
    let Some(host) = Host::create("caps-kill") else {
        return;
    };
    let directory = host.directory();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let noted = directory.join("pid");
    let script = format!(
        "setpriv --reuid={USER} --regid={USER} --clear-groups /bin/sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600'; true",
        noted.display()
    );
    let check = format!(
        "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\"]\n[service.health]\n\
         exec = [\"/bin/sh\", \"-c\", {script:?}]\ninterval = \"5s\"\ntimeout = \"3s\"\n"
    );
    let herald = host.start("", &check);
    let pid = wait_until("the program runs", PATIENCE, || {
        let text = fs::read_to_string(&noted).map_err(|error| error.to_string())?;
        Pid::from_raw(text.trim().parse().map_err(|_| text.clone())?).ok_or(text)
    });
    wait_until("it ends", PATIENCE, || {
        ensure(!is_there(pid), || format!("{pid:?} is there"))
    });
    drop(herald);
}

fn is_there(pid: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // A zombie has ended; whoever inherits it may take its time.
    test_kill_process(pid).is_ok() && state.is_ok_and(|state| !state.contains(") Z "))
}

/// The unit's capabilities are those that the page has, but for those that are of use to root alone.
#[test]
fn the_unit_and_the_page_agree_about_capabilities() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let page = read("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `CAP_"));
    let documented: BTreeSet<String> = rows
        .filter(|row| !row.contains("| root only") && !row.starts_with("CHOWN"))
        .map(|row| format!("CAP_{}", row.split('`').next().unwrap()))
        .collect();
    let unit = read("packaging/systemd/herald.service");
    for key in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        let given: BTreeSet<String> = line
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        assert_eq!(given, documented, "{key}");
    }
}

/// By systemd itself, where it is here; else by what every unit must be.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let path = workspace().join("packaging/systemd/herald.service");
    let text = fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let is_section = line.starts_with('[') && line.ends_with(']');
        let is_setting = line
            .split_once('=')
            .is_some_and(|(key, _)| key.chars().all(|sign| sign.is_ascii_alphanumeric()));
        let is_nothing = line.is_empty() || line.starts_with('#');
        assert!(is_section || is_setting || is_nothing, "{line:?}");
    }
    let systemd = Command::new("systemd-analyze").arg("--version").output();
    let systemd = systemd.map_err(|error| format!("systemd-analyze: {error}"));
    if support::or_skip("the unit, but for reading it", systemd).is_none() {
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unit");
    fs::create_dir_all(&directory).unwrap();
    let unit = directory.join("herald.service");
    // The binary and its manual need not be installed.
    let here = text
        .replace("/usr/bin/herald", "/bin/true")
        .replace("Documentation=man:herald(1)\n", "");
    fs::write(&unit, here).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let verify = verify
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    let about_it = said.lines().filter(|line| line.contains("herald.service"));
    let about_it: Vec<&str> = about_it.collect();
    assert!(about_it.is_empty(), "{about_it:#?}");

    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=30"]);
    let rated = security.arg(&unit).output().unwrap();
    let table = String::from_utf8_lossy(&rated.stdout);
    assert!(rated.status.success(), "{table}");
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
