//! The table of docs/reload.md, held to `plan`: what a change of each key does.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use herald::config::Config;
use herald::plan::{Change, plan};

/// A file that has one of everything, as sections of keys and values.
const BASE: &[(&str, &[(&str, &str)])] = &[
    (
        "[speaker]",
        &[
            ("local-as", "64520"),
            ("router-id", "\"192.0.2.71\""),
            ("listen", "[\"127.0.0.1:1179\"]"),
        ],
    ),
    ("[api]", &[]),
    ("[bfd]", &[]),
    ("[log]", &[]),
    ("[[bfd-profile]]", &[("name", "\"fast\"")]),
    (
        "[[peer]]",
        &[
            ("name", "\"tor\""),
            ("address", "\"192.0.2.1\""),
            ("remote-as", "64521"),
            ("bfd-profile", "\"fast\""),
        ],
    ),
    (
        "[[bfd-session]]",
        &[("name", "\"path\""), ("address", "\"192.0.2.9\"")],
    ),
    (
        "[[bfd-range]]",
        &[("name", "\"fabric\""), ("prefix", "\"198.51.100.0/25\"")],
    ),
    (
        "[[peer-range]]",
        &[
            ("name", "\"leafs\""),
            ("prefix", "\"10.0.0.0/24\""),
            ("remote-as", "64530"),
        ],
    ),
    (
        "[[pool]]",
        &[
            ("name", "\"public\""),
            ("addresses", "[\"203.0.113.0/28\", \"2001:db8:6::/120\"]"),
        ],
    ),
    (
        "[[service]]",
        &[("name", "\"web\""), ("addresses", "[\"192.0.2.150\"]")],
    ),
    ("[[route]]", &[("prefix", "\"198.51.100.0/24\"")]),
    ("[[advertisement]]", &[]),
    (
        "[[hook]]",
        &[("on", "[\"peer\"]"), ("exec", "[\"/bin/true\"]")],
    ),
];

/// Of a section, or of several that have it: a key, two values that it may have, and what it takes beside.
type Sample = (&'static str, &'static str, &'static str, &'static str);

const SAMPLES: &[(&[&str], &[Sample])] = &[
    (
        &["[speaker]"],
        &[
            ("local-as", "64520", "64519", ""),
            ("router-id", "\"192.0.2.71\"", "\"192.0.2.72\"", ""),
            ("listen", "[\"127.0.0.1:1179\"]", "[\"127.0.0.2:1179\"]", ""),
            ("state-dir", "\"/one\"", "\"/two\"", ""),
            ("on-exit", "\"withdraw\"", "\"restart\"", ""),
            ("address-interface", "\"lo\"", "\"dummy0\"", ""),
            ("drain-time", "\"0s\"", "\"5s\"", ""),
            ("reload-on-change", "false", "true", ""),
            ("blackhole-length", "32", "24", ""),
            ("blackhole-length-v6", "128", "64", ""),
        ],
    ),
    (
        &["[api]"],
        &[
            ("socket", "\"/one\"", "\"/two\"", ""),
            ("socket-mode", "\"0660\"", "\"0600\"", ""),
            ("socket-owner", "0", "1", ""),
            ("socket-group", "0", "1", ""),
            ("listen", "\"127.0.0.1:1\"", "\"127.0.0.1:2\"", ""),
        ],
    ),
    (
        &["[bfd]"],
        &[
            ("listen", "[\"127.0.0.1:3784\"]", "[\"127.0.0.1:3785\"]", ""),
            (
                "multihop-listen",
                "[\"127.0.0.1:4784\"]",
                "[\"127.0.0.1:4785\"]",
                "",
            ),
            ("realtime", "false", "true", ""),
            ("lock-memory", "false", "true", ""),
        ],
    ),
    (
        &["[log]"],
        &[
            ("level", "\"info\"", "\"debug\"", ""),
            ("format", "\"text\"", "\"json\"", ""),
        ],
    ),
    (
        &["[[bfd-profile]]"],
        &[
            ("transmit-interval", "\"100ms\"", "\"200ms\"", ""),
            ("receive-interval", "\"100ms\"", "\"200ms\"", ""),
            ("detect-multiplier", "3", "4", ""),
            ("passive-mode", "false", "true", ""),
            ("demand-mode", "false", "true", ""),
            (
                "demand-poll-interval",
                "\"1s\"",
                "\"2s\"",
                "demand-mode = true",
            ),
            ("echo-mode", "false", "true", ""),
            (
                "echo-interval",
                "\"100ms\"",
                "\"200ms\"",
                "echo-mode = true\necho-receive-interval = \"50ms\"",
            ),
            ("echo-receive-interval", "\"100ms\"", "\"200ms\"", ""),
            ("minimum-ttl", "200", "201", ""),
            (
                "auth",
                "{ type = \"keyed-sha1\", key-id = 1, key-file = \"KEY\" }",
                "{ type = \"keyed-sha1\", key-id = 2, key-file = \"KEY\" }",
                "",
            ),
        ],
    ),
    (
        &["[[peer]]"],
        &[
            ("name", "\"tor\"", "\"other\"", ""),
            ("address", "\"192.0.2.1\"", "\"192.0.2.2\"", ""),
            ("port", "179", "1179", ""),
            ("remote-as", "64521", "64522", ""),
            ("local-as", "64520", "64999", ""),
            ("hold-time", "\"90s\"", "\"30s\"", ""),
            ("keepalive-time", "\"9s\"", "\"8s\"", ""),
            ("connect-retry-time", "\"5s\"", "\"6s\"", ""),
            ("delay-open-time", "\"0s\"", "\"1s\"", ""),
            ("graceful-restart", "false", "{}", ""),
            ("send-hold-time", "\"8min\"", "\"9min\"", ""),
            ("source-address", "\"192.0.2.71\"", "\"192.0.2.72\"", ""),
            ("source-interface", "\"eth0\"", "\"eth1\"", ""),
            ("passive", "false", "true", ""),
            ("ebgp-multihop", "2", "3", ""),
            ("ttl-security", "2", "3", ""),
            ("password-file", "\"KEY\"", "\"OTHER\"", ""),
            ("dscp", "48", "46", ""),
            ("families", "[\"ipv4-unicast\"]", "[\"ipv6-unicast\"]", ""),
            ("bfd-profile", "\"fast\"", "\"default\"", ""),
            ("bfd-multihop", "false", "true", ""),
            ("bfd-port", "3784", "3785", ""),
            ("bfd-strict", "false", "true", ""),
            (
                "bfd-strict-hold-time",
                "\"20s\"",
                "\"30s\"",
                "bfd-strict = true",
            ),
            ("enabled", "true", "false", ""),
            ("description", "\"x\"", "\"y\"", ""),
            ("hostname", "true", "false", ""),
            ("capture", "\"64KiB\"", "\"off\"", ""),
            ("received-routes", "\"counted\"", "\"kept\"", ""),
            (
                "received-routes-limit",
                "5",
                "6",
                "received-routes = \"kept\"",
            ),
            (
                "received-attributes-limit",
                "65536",
                "65537",
                "received-routes = \"kept\"",
            ),
            ("max-prefixes", "5", "6", ""),
            ("max-prefixes-warning", "80", "90", "max-prefixes = 5"),
            (
                "max-prefixes-restart",
                "\"1min\"",
                "\"2min\"",
                "max-prefixes = 5",
            ),
            ("enforce-first-as", "true", "false", ""),
            ("next-hop", "\"192.0.2.72\"", "\"192.0.2.73\"", ""),
            ("link-local-next-hop", "\"double\"", "\"native\"", ""),
            ("extended-next-hop", "false", "true", ""),
            ("add-path", "\"both\"", "\"send\"", ""),
            ("role", "\"customer\"", "\"peer\"", ""),
            ("role-strict", "false", "true", "role = \"customer\""),
        ],
    ),
    (
        &["[[peer-range]]"],
        &[
            ("name", "\"leafs\"", "\"others\"", ""),
            ("prefix", "\"10.0.0.0/24\"", "\"10.0.0.0/25\"", ""),
            ("limit", "5", "6", ""),
        ],
    ),
    (
        &["[[bfd-session]]"],
        &[
            ("name", "\"path\"", "\"way\"", ""),
            ("address", "\"192.0.2.9\"", "\"192.0.2.8\"", ""),
            ("interface", "\"eth0\"", "\"eth1\"", ""),
            ("port", "3784", "3785", ""),
            ("source-address", "\"192.0.2.71\"", "\"192.0.2.72\"", ""),
            ("multihop", "false", "true", ""),
            ("minimum-ttl", "250", "251", "multihop = true"),
            ("bfd-profile", "\"fast\"", "\"default\"", ""),
            ("enabled", "true", "false", ""),
            ("description", "\"x\"", "\"y\"", ""),
        ],
    ),
    (
        &["[[bfd-range]]"],
        &[
            ("name", "\"fabric\"", "\"other\"", ""),
            ("prefix", "\"198.51.100.0/25\"", "\"198.51.100.0/26\"", ""),
            ("interface", "\"eth0\"", "\"eth1\"", ""),
            ("port", "3784", "3785", ""),
            ("bfd-profile", "\"fast\"", "\"default\"", ""),
            ("max-sessions", "5", "6", ""),
            ("enabled", "true", "false", ""),
            ("description", "\"x\"", "\"y\"", ""),
        ],
    ),
    (
        &["[[pool]]"],
        &[
            ("name", "\"public\"", "\"other\"", ""),
            (
                "addresses",
                "[\"203.0.113.0/28\"]",
                "[\"203.0.113.0/27\"]",
                "",
            ),
            ("auto-assign", "true", "false", ""),
            ("avoid-buggy-ips", "false", "true", ""),
        ],
    ),
    (
        &["[[service]]"],
        &[
            ("name", "\"web\"", "\"dns\"", ""),
            ("addresses", "[\"192.0.2.150\"]", "[\"192.0.2.151\"]", ""),
            (
                "ip-families",
                "[\"ipv4\"]",
                "[\"ipv6\"]",
                "pool = \"public\"",
            ),
            (
                "health",
                "{ tcp = \"127.0.0.1:1\" }",
                "{ tcp = \"127.0.0.1:2\" }",
                "",
            ),
        ],
    ),
    (
        &["[[route]]"],
        &[("prefix", "\"198.51.100.0/24\"", "\"198.51.101.0/24\"", "")],
    ),
    (
        &["[[advertisement]]"],
        &[
            ("name", "\"x\"", "\"y\"", ""),
            ("services", "[\"web\"]", "[]", ""),
            ("pools", "[\"public\"]", "[]", ""),
            ("aggregation-length", "32", "30", ""),
            ("aggregation-length-v6", "128", "124", ""),
        ],
    ),
    (
        &["[[route]]", "[[advertisement]]"],
        &[
            ("med", "1", "2", ""),
            ("local-pref", "1", "2", ""),
            ("as-path-prepend", "1", "2", ""),
            ("communities", "[\"64520:1\"]", "[\"64520:2\"]", ""),
            ("next-hop", "\"192.0.2.72\"", "\"192.0.2.73\"", ""),
            ("atomic-aggregate", "false", "true", ""),
            (
                "aggregator",
                "\"64520 192.0.2.71\"",
                "\"64520 192.0.2.72\"",
                "",
            ),
            ("peers", "[\"tor\"]", "[\"leafs\"]", ""),
        ],
    ),
    (
        &["[[hook]]"],
        &[
            ("name", "\"x\"", "\"y\"", ""),
            ("on", "[\"peer\"]", "[\"bfd\"]", ""),
            ("exec", "[\"/bin/true\"]", "[\"/bin/false\"]", ""),
            ("timeout", "\"1s\"", "\"2s\"", ""),
            ("names", "[\"tor\"]", "[\"path\"]", ""),
        ],
    ),
];

/// [`SAMPLES`], section by section.
fn samples() -> impl Iterator<Item = (&'static str, &'static [Sample])> {
    let rows = SAMPLES.iter();
    rows.flat_map(|(sections, samples)| sections.iter().map(|section| (*section, *samples)))
}

/// Keys that do not go with one of the base, which gives way.
const INSTEAD: &[(&str, &str)] = &[("ip-families", "addresses")];

/// The base, with one key of one section as it is told, and what it takes beside.
fn config(
    directory: &Path,
    section: &str,
    key: &str,
    value: &str,
    beside: &str,
) -> Result<Config, String> {
    let mut text = String::new();
    for (head, keys) in BASE {
        text.push_str(&format!("{head}\n"));
        let is_it = *head == section;
        let gives_way = |other: &str| is_it && (other == key || INSTEAD.contains(&(key, other)));
        for (other, value) in keys.iter().filter(|(other, _)| !gives_way(other)) {
            text.push_str(&format!("{other} = {value}\n"));
        }
        if is_it {
            text.push_str(&format!("{key} = {value}\n{beside}\n"));
        }
    }
    let file = |name: &str| directory.join(name).display().to_string();
    let text = text
        .replace("\"KEY\"", &format!("{:?}", file("key")))
        .replace("\"OTHER\"", &format!("{:?}", file("other")));
    let checked = Config::parse(Path::new("herald.toml"), &text);
    checked
        .map(|checked| checked.config)
        .map_err(|error| error.to_string())
}

/// In the words of the table.
fn effect(changes: &[Change]) -> &'static str {
    let any = |is_it: fn(&Change) -> bool| changes.iter().any(is_it);
    if any(|it| matches!(it, Change::RestartPeer(..))) {
        "restarts the session"
    } else if any(|it| matches!(it, Change::RestartBfdSession(..))) {
        "restarts BFD"
    } else if any(|it| matches!(it, Change::SwitchPeer(..) | Change::SwitchBfdSession(..))) {
        "ends or begins it"
    } else if any(is_removal) {
        "another one"
    } else if any(|it| matches!(it, Change::UpdatePeer(..)) && it.interrupts()) {
        "restarts BFD"
    } else if any(|it| matches!(it, Change::NextStart(_))) {
        "next start of the daemon"
    } else {
        match changes.is_empty() {
            true => "nothing at all",
            false => "in place",
        }
    }
}

fn is_removal(change: &Change) -> bool {
    matches!(
        change,
        Change::RemovePeer(_)
            | Change::RemoveRange(_)
            | Change::RemoveBfdSession(_)
            | Change::RemoveBfdRange(_)
            | Change::RemoveService(_)
            | Change::RemovePool(_)
            | Change::RemoveRoute(_)
    )
}

/// What the table says of a key, by section and key.
fn table() -> BTreeMap<(String, String), String> {
    let page = include_str!("../../docs/reload.md");
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut said = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for section in quoted(cells[2]) {
            for key in quoted(cells[1]) {
                let twice = said.insert((section.clone(), key.clone()), cells[3].to_owned());
                assert!(twice.is_none(), "{section} {key} has two rows");
            }
        }
    }
    said
}

#[test]
fn the_table_says_what_the_plan_does() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["key", "other"] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    let table = table();
    let mut wrong = Vec::new();
    for (section, samples) in samples() {
        for (key, from, to, beside) in samples {
            let config = |value| config(directory.path(), section, key, value, beside);
            let (running, wanted) = match (config(from), config(to)) {
                (Ok(running), Ok(wanted)) => (running, wanted),
                (Err(error), _) | (_, Err(error)) => {
                    wrong.push(format!("{section} {key}: {error}"));
                    continue;
                }
            };
            let does = effect(&plan(&running, &wanted));
            let row = table.get(&(section.to_owned(), (*key).to_owned()));
            let said = row.map_or("nothing", String::as_str);
            if !said.starts_with(does) {
                wrong.push(format!(
                    "{section} {key}: {does}, and docs/reload.md says {said}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Keys that the table has in a form of their own, or that name the one that they are in.
const ELSEWHERE: &[(&str, &str)] = &[
    ("[[bfd-profile]]", "name"),
    ("[[peer]]", "interface"),
    ("[[service]]", "pool"),
];

#[test]
fn every_key_has_been_tried() {
    let everything: toml::Table = include_str!("everything.toml").parse().unwrap();
    let tried: BTreeSet<(&str, &str)> = samples()
        .flat_map(|(section, samples)| samples.iter().map(move |sample| (section, sample.0)))
        .collect();
    for (name, value) in &everything {
        let (head, tables) = match value {
            toml::Value::Array(tables) => (format!("[[{name}]]"), tables.clone()),
            table => (format!("[{name}]"), vec![table.clone()]),
        };
        // What these say is said of peers.
        if head == "[peer-defaults]" {
            continue;
        }
        for table in &tables {
            for key in table.as_table().unwrap().keys() {
                let key = (head.as_str(), key.as_str());
                let of_peers = head == "[[peer-range]]" && tried.contains(&("[[peer]]", key.1));
                assert!(
                    tried.contains(&key) || of_peers || ELSEWHERE.contains(&key),
                    "{} of {} has no sample here, and perhaps no row in docs/reload.md",
                    key.1,
                    key.0
                );
            }
        }
    }
}
