//! The dashboard and the alert rules of `examples/` ask for metrics that there are, and Prometheus itself understands the rules, and what
//! a running daemon tells it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

#[path = "monitoring/running.rs"]
mod running;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(workspace().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of docs/metrics.md, which a test of the daemon holds to what it exports.
fn documented() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `herald_"));
    let names = rows.flat_map(|row| {
        let (cell, _) = row[1..].split_once('|').unwrap();
        cell.split('`')
            .filter(|text| text.starts_with("herald_"))
            .map(str::to_owned)
    });
    names.collect()
}

/// The metrics that a text names, histograms by their own name.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.match_indices("herald_").map(|(at, _)| {
        let name = &text[at..];
        let name = &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())];
        let histogram = ["_bucket", "_sum", "_count"].iter();
        let bare = histogram.filter_map(|end| name.strip_suffix(end)).next();
        bare.unwrap_or(name).to_owned()
    });
    names.collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let text = read("examples/grafana/herald.json");
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() > 20);
    for query in queries {
        assert!(!named(query).is_empty(), "{query} is about nothing of ours");
    }
    assert_known(&text, "examples/grafana/herald.json");
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    for file in [
        "examples/prometheus/alerts.yml",
        "examples/prometheus/alerts_test.yml",
    ] {
        assert_known(&read(file), file);
    }
}

fn assert_known(text: &str, file: &str) {
    let known = documented();
    assert!(known.len() > 40, "{known:?}");
    for name in named(text) {
        assert!(
            known.contains(&name),
            "{file}: docs/metrics.md knows no {name}"
        );
    }
}

#[test]
fn each_counter_and_unit_is_named_by_prometheus_conventions() {
    let page = read("docs/metrics.md");
    for name in documented() {
        let legal = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(legal), "{name}");
        for unit in [
            "_ms",
            "_millis",
            "_milliseconds",
            "_us",
            "_percent",
            "_minutes",
            "_kib",
        ] {
            assert!(
                !name.trim_end_matches("_total").ends_with(unit),
                "{name}: base units are seconds, bytes and ratios"
            );
        }
    }
    assert!(page.contains("_seconds`") && page.contains("_ratio`"));
}

/// Of the daemon, what is about metrics.
fn sources() -> Vec<String> {
    let mut files = vec![workspace().join("speaker/src/metrics.rs")];
    let folder = fs::read_dir(workspace().join("speaker/src/metrics")).unwrap();
    files.extend(folder.map(|file| file.unwrap().path()));
    let texts = files.into_iter().map(fs::read_to_string);
    texts.map(Result::unwrap).collect()
}

/// The names that the daemon registers its metrics by, as they stand in its source.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources() {
        for (at, call) in source.match_indices("register") {
            let behind = &source[at + call.len()..];
            let behind = behind.strip_prefix("_with_unit").unwrap_or(behind);
            let argument = behind.strip_prefix('(').map(str::trim_start);
            let literal = argument.and_then(|it| it.strip_prefix('"')?.split('"').next());
            names.extend(literal.map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let (registered, documented) = (registered(), documented());
    assert!(registered.len() > 40, "{registered:?}");
    let is = |full: &str, name: &str| {
        let end = full
            .strip_prefix("herald_")
            .and_then(|it| it.strip_prefix(name));
        end.is_some_and(|end| ["", "_total", "_info", "_seconds"].contains(&end))
    };
    for name in &registered {
        assert!(
            documented.iter().any(|full| is(full, name)),
            "docs/metrics.md says nothing about {name}"
        );
    }
    for full in &documented {
        assert!(
            registered.iter().any(|name| is(full, name)),
            "docs/metrics.md tells of {full}, which there is not"
        );
    }
}

/// A rule that never fires in its test may be one that cannot.
#[test]
fn each_alert_is_shown_to_fire() {
    let rules = read("examples/prometheus/alerts.yml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: BTreeSet<&str> = names.collect();
    assert!(names.len() > 15, "{names:?}");
    let tests = read("examples/prometheus/alerts_test.yml");
    let lines: Vec<&str> = tests.lines().map(str::trim).collect();
    let firing = lines.windows(2).filter(|pair| pair[1] == "exp_alerts:");
    let firing: BTreeSet<&str> = firing
        .filter_map(|pair| pair[0].strip_prefix("alertname: "))
        .collect();
    let silent: Vec<_> = names.difference(&firing).collect();
    assert!(silent.is_empty(), "no test shows {silent:?} firing");
}

/// HELP is read alone, in a list of metrics in the order of the alphabet.
#[test]
fn no_help_text_needs_the_one_before() {
    let registrations = sources().into_iter().flat_map(|source| {
        let calls: Vec<String> = source
            .split("registry.register")
            .skip(1)
            .map(str::to_owned)
            .collect();
        calls
    });
    for call in registrations {
        let mut literals = call.split('"').skip(1).step_by(2);
        let (name, help) = (literals.next().unwrap(), literals.next().unwrap());
        for word in ["Of them", "And those", "When that was"] {
            assert!(!help.starts_with(word), "{name}: {help}");
        }
    }
}

/// Where scripts/test puts promtool, or where the system has it.
fn promtool() -> Option<PathBuf> {
    let named = std::env::var_os("HERALD_PROMTOOL").map(PathBuf::from);
    let found = named.unwrap_or_else(|| "promtool".into());
    let runs = Command::new(&found).arg("--version").output();
    runs.is_ok_and(|output| output.status.success())
        .then_some(found)
}

fn promtool_or_skip(what: &str) -> Option<PathBuf> {
    let promtool = promtool().ok_or("promtool is not there; scripts/test fetches it");
    support::or_skip(what, promtool.map_err(str::to_owned))
}

#[test]
fn prometheus_understands_the_alerts_and_they_fire_when_they_should() {
    let Some(promtool) = promtool_or_skip("alert rules") else {
        return;
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(workspace().join("examples/prometheus"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}
