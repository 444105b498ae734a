use std::os::unix::fs::{PermissionsExt, symlink};

use std::fs;
use std::path::Path;

use super::*;
use crate::additions::LOCK;
use crate::config::{Config, PoolName};

fn kept() -> Kept {
    let route = RouteSpec {
        med: Some(10),
        communities: vec!["no-export".to_owned(), "large:64520:1:2".to_owned()],
        peers: Some(vec![PeerName::new("tor-a").unwrap()]),
        ..RouteSpec::default()
    };
    let service = ServiceSpec {
        addresses: vec!["192.0.2.150".to_owned(), "2001:db8::150".to_owned()],
        ..ServiceSpec::default()
    };
    let name = |text| ServiceName::new(text).unwrap();
    let dual = Assigned {
        ipv4: Some(Ipv4Addr::new(198, 51, 100, 1)),
        ipv6: Some("2001:db8:5::1".parse().unwrap()),
    };
    let asking = ServiceSpec {
        pool: PoolName::new("public"),
        ip_families: Some(vec!["ipv4".to_owned(), "ipv6".to_owned()]),
        ..ServiceSpec::default()
    };
    Kept {
        router_id: BgpIdentifier::new(Ipv4Addr::new(192, 0, 2, 71)),
        additions: Additions {
            services: [("web", service), ("dns", asking)]
                .map(|(text, spec)| {
                    let service = ServiceConfig::try_from(&spec).unwrap();
                    (name(text), Arc::new(service))
                })
                .into(),
            routes: [(
                "198.51.100.0/24".parse().unwrap(),
                Arc::new(RouteConfig::try_from(&route).unwrap()),
            )]
            .into(),
        },
        shutdowns: [
            (PeerName::new("tor-a").unwrap(), Some("moving racks".into())),
            (PeerName::new("tor-b").unwrap(), None),
        ]
        .into(),
        drain: Drain {
            all: true,
            peers: [PeerName::new("tor-a").unwrap()].into(),
        },
        assigned: [(name("dns"), dual)].into(),
        released: vec![(name("gone"), Assigned { ipv6: None, ..dual })],
    }
}

fn open(path: &Path) -> (Store, Kept) {
    Store::open(Arc::new(StateDir::open(path).unwrap())).unwrap()
}

fn refused_by(path: &Path) -> StateError {
    Store::open(Arc::new(StateDir::open(path).unwrap())).unwrap_err()
}

#[test]
fn what_is_saved_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, nothing) = open(directory.path());
    assert_eq!(nothing, Kept::default());
    store.replace(&kept()).unwrap();
    drop(store);
    assert_eq!(open(directory.path()).1, kept());
}

#[test]
fn two_daemons_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = StateDir::open(directory.path()).unwrap();
    assert!(matches!(
        StateDir::open(directory.path()),
        Err(StateError::InUse { .. })
    ));
    drop(first);
    assert!(StateDir::open(directory.path()).is_ok());
}

#[test]
fn nobody_else_may_look_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("above").join("state");
    open(&path).0.replace(&kept()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join(SNAPSHOT)), 0o600);
    assert_eq!(mode(&path.join(LOG)), 0o600);
    assert_eq!(mode(&path.join(LOCK)), 0o600);
}

#[test]
fn links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let intact = || assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let path = directory.path().join("state");
    fs::create_dir(&path).unwrap();
    let link = |name: &str| symlink(&victim, path.join(name)).unwrap();

    link(LOCK);
    let refused = StateDir::open(&path);
    assert!(matches!(refused, Err(StateError::Link { path: link }) if link == path.join(LOCK)));
    intact();
    fs::remove_file(path.join(LOCK)).unwrap();

    for file in [SNAPSHOT, LOG] {
        link(file);
        assert!(matches!(refused_by(&path), StateError::Link { .. }));
        fs::remove_file(path.join(file)).unwrap();
    }
    link("state.json.new");
    open(&path).0.replace(&kept()).unwrap();
    intact();
    assert_eq!(open(&path).1, kept());
}

#[test]
fn what_a_crash_left_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("state.json.new"), "{").unwrap();
    open(directory.path()).0.replace(&kept()).unwrap();
    assert_eq!(open(directory.path()).1, kept());
}

#[test]
fn what_cannot_be_understood_is_refused_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(SNAPSHOT);
    for (content, reason) in [
        ("", "EOF"),
        (r#"{"version": 3}"#, "found version 3; must be 2 or less"),
        (
            r#"{"version": 1, "routes": {"10.0.0.1/8": {}}}"#,
            "must be \"10.0.0.0/8\"",
        ),
        (
            r#"{"version": 1, "services": {"web": {"ip_families": ["ipv5"]}}}"#,
            "service web: ip_families: found [\"ipv5\"]",
        ),
    ] {
        fs::write(&file, content).unwrap();
        let error = refused_by(directory.path()).to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn the_file_goes_before_what_was_added() {
    let mut additions = kept().additions;
    additions.services.remove("dns");
    let config = Config::parse(
        Path::new("herald.toml"),
        "[speaker]\nlocal-as = 64520\n[[service]]\nname = \"other\"\naddresses = [\"192.0.2.150\"]\n\
         [[route]]\nprefix = \"198.51.100.0/24\"\n",
    )
    .unwrap()
    .config;
    assert_eq!(
        additions.give_way(&config),
        [
            "service web: was added at run time, and is removed, for 192.0.2.150 is an address of service other in the file; 2001:db8::150 is withdrawn",
            "route 198.51.100.0/24: was added at run time, and gives way to the one in the file",
        ]
    );
    assert_eq!(additions, Additions::default());
}

#[test]
fn what_is_lost_with_a_service_that_gives_way_is_told() {
    let gone = |file: &str| {
        let service = ServiceConfig {
            addresses: ["192.0.2.90", "192.0.2.91"]
                .map(|it| it.parse().unwrap())
                .into(),
            ..ServiceConfig::default()
        };
        let name = ServiceName::new("api1").unwrap();
        let mut additions = Additions::default();
        additions.services.insert(name, Arc::new(service));
        let file = format!("[speaker]\nlocal-as = 64520\n[[service]]\n{file}");
        let config = Config::parse(Path::new("herald.toml"), &file).unwrap();
        additions.give_way(&config.config)
    };
    assert_eq!(
        gone("name = \"filesvc\"\naddresses = [\"192.0.2.90\"]\n"),
        [
            "service api1: was added at run time, and is removed, for 192.0.2.90 is an address of service filesvc in the file; 192.0.2.91 is withdrawn"
        ]
    );
    assert_eq!(
        gone("name = \"api1\"\naddresses = [\"192.0.2.92\"]\n"),
        [
            "service api1: was added at run time, and gives way to the one in the file; 192.0.2.90, 192.0.2.91 are withdrawn"
        ]
    );
    assert_eq!(
        gone("name = \"other\"\naddresses = [\"192.0.2.92\"]\n"),
        [""; 0]
    );
}

#[test]
fn what_was_added_gives_way_to_a_neighbor() {
    let mut additions = kept().additions;
    let config = Config::parse(
        Path::new("herald.toml"),
        "[speaker]\nlocal-as = 64520\n[[peer]]\naddress = \"192.0.2.150\"\nremote-as = 64521\n",
    )
    .unwrap()
    .config;
    let [gone] = &additions.give_way(&config)[..] else {
        panic!("it stays");
    };
    assert!(
        gone.contains("for 192.0.2.150 is the address of peer 192.0.2.150"),
        "{gone}"
    );
}

/// One of each kind, and what they lead to.
fn every_change() -> (Vec<Vec<Change>>, Kept) {
    let Kept {
        additions,
        assigned,
        drain,
        ..
    } = kept();
    let name = |text| ServiceName::new(text).unwrap();
    let peer = |text| PeerName::new(text).unwrap();
    let dns = *assigned.get(&name("dns")).unwrap();
    let (prefix, route) = additions.routes.iter().next().unwrap();
    let service = |text: &str| Arc::clone(&additions.services[text]);
    let changes = vec![
        vec![Change::PutService(name("web"), service("web"))],
        vec![
            Change::PutService(name("dns"), service("dns")),
            Change::Assign(name("dns"), dns),
        ],
        vec![Change::PutRoute(*prefix, Arc::clone(route))],
        vec![Change::PutRoute(
            "10.0.0.0/8".parse().unwrap(),
            Arc::clone(route),
        )],
        vec![Change::DeleteRoute("10.0.0.0/8".parse().unwrap())],
        vec![Change::ShutDown(peer("tor-a"), Some("moving racks".into()))],
        vec![Change::ShutDown(peer("tor-b"), None)],
        vec![Change::Enable(peer("tor-b"))],
        vec![Change::Drain(drain)],
        vec![
            Change::DeleteService(name("dns")),
            Change::Release(name("dns")),
        ],
    ];
    let mut after = Kept::default();
    for step in &changes {
        after.apply(step);
    }
    assert_eq!(after.released, [(name("dns"), dns)]);
    assert_eq!(after.shutdowns.len(), 1);
    assert_eq!(after.additions.services.len(), 1);
    (changes, after)
}

/// A directory that every change has been made in, after a snapshot.
fn changed() -> (tempfile::TempDir, Kept) {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, mut kept) = open(directory.path());
    assert!(store.wants_snapshot(), "there is none");
    store.replace(&kept).unwrap();
    let (changes, after) = every_change();
    for step in &changes {
        assert!(!store.wants_snapshot());
        store.append(step).unwrap();
        kept.apply(step);
        drop(store);
        let (again, found) = open(directory.path());
        assert_eq!(found, kept, "{step:?}");
        store = again;
    }
    assert_eq!(kept, after);
    (directory, after)
}

#[test]
fn a_change_costs_a_line() {
    let (directory, _) = changed();
    let log = fs::read_to_string(directory.path().join(LOG)).unwrap();
    assert_eq!(log.lines().count(), every_change().0.len());
}

#[test]
fn whatever_is_torn_off_is_one_change_less() {
    let (directory, after) = changed();
    let (changes, _) = every_change();
    let log = directory.path().join(LOG);
    let whole = fs::read(&log).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|octet| *octet == b'\n')
        .unwrap()
        + 1;
    let mut before = Kept::default();
    for step in &changes[..changes.len() - 1] {
        before.apply(step);
    }
    for length in last..whole.len() {
        for garbage in [&b""[..], b"\0\0\0", b"\0\n"] {
            fs::write(&log, [&whole[..length], garbage].concat()).unwrap();
            let (mut store, found) = open(directory.path());
            assert_eq!(found, before, "{length}");
            store.append(changes.last().unwrap()).unwrap();
            drop(store);
            assert_eq!(open(directory.path()).1, after);
            assert_eq!(fs::read(&log).unwrap(), whole);
        }
    }
}

#[test]
fn what_is_wrong_in_the_middle_is_refused_and_stays() {
    let (directory, _) = changed();
    let log = directory.path().join(LOG);
    let whole = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let line = |json: &str| format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    for (content, reason) in [
        (
            whole.replace("moving racks", "moving rocks"),
            "line 6: its checksum is wrong: the file is damaged",
        ),
        (
            [lines[0], lines[2]].concat(),
            "line 2: is change 4 where 3 must follow: something between is missing",
        ),
        (
            lines[1..].concat(),
            "line 1: is change 3 where 2 must follow: something between is missing",
        ),
        (
            format!("{}\n{}", lines[0], lines[1]),
            "line 2: it does not begin with a checksum",
        ),
        (
            line(r#"{"number":2,"changes":[{"explode":"web"}]}"#),
            "line 1: unknown variant `explode`",
        ),
        (
            line(r#"{"number":2,"changes":[{"delete_route":"10.0.0.1/8"}]}"#),
            "line 1: route: found \"10.0.0.1/8\"; must be \"10.0.0.0/8\"",
        ),
    ] {
        fs::write(&log, &content).unwrap();
        let error = refused_by(directory.path()).to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("changes.log: cannot be read"), "{error}");
        assert_eq!(fs::read_to_string(&log).unwrap(), content);
    }
    fs::write(&log, &whole).unwrap();
    fs::remove_file(directory.path().join(SNAPSHOT)).unwrap();
    let error = refused_by(directory.path()).to_string();
    let reason = "changes.log: cannot be read: state.json, which it goes on from, is not there";
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_crash_between_snapshot_and_log_costs_nothing() {
    let (directory, after) = changed();
    let log = directory.path().join(LOG);
    let before = fs::read(&log).unwrap();
    let (mut store, _) = open(directory.path());
    store.replace(&after).unwrap();
    drop(store);
    assert_eq!(fs::read(&log).unwrap(), b"");
    fs::write(&log, before).unwrap();
    let (mut store, mut kept) = open(directory.path());
    assert_eq!(kept, after);
    assert!(store.wants_snapshot(), "a line would not follow the last");
    let web = ServiceName::new("web").unwrap();
    kept.apply(&[Change::DeleteService(web)]);
    store.replace(&kept).unwrap();
    drop(store);
    assert_eq!(open(directory.path()).1, kept);
}

#[test]
fn what_was_written_without_a_log_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"version": 1, "services": {"web": {"addresses": ["192.0.2.1"]}}}"#;
    fs::write(directory.path().join(SNAPSHOT), text).unwrap();
    let (store, kept) = open(directory.path());
    assert_eq!(kept.additions.services.len(), 1);
    assert!(store.wants_snapshot(), "the former version knows no log");
}

#[test]
fn a_log_that_is_long_becomes_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, mut kept) = open(directory.path());
    store.replace(&kept).unwrap();
    let peer = PeerName::new("tor-a").unwrap();
    let mut lines = 0;
    while !store.wants_snapshot() {
        let text = "x".repeat(200);
        let change = [Change::ShutDown(peer.clone(), Some(text))];
        store.append(&change).unwrap();
        kept.apply(&change);
        lines += 1;
    }
    assert!(store.length > SHORT && lines > 100, "{lines}");
    store.replace(&kept).unwrap();
    assert_eq!(store.length, 0);
    assert!(!store.wants_snapshot());
    drop(store);
    assert_eq!(open(directory.path()).1, kept);
}
