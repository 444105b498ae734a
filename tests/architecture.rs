//! The rules of who may know whom, and of where clocks, chance and unsafe code are allowed, held as tests.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use source::rust_files;

use serde_json::Value;

/// The engines know neither each other, nor the speaker, nor a runtime; not through other crates either.
#[test]
fn engines_depend_on_nothing_above_them() {
    let dependencies = Dependencies::of_workspace();
    for (engine, forbidden) in [
        (
            "herald-bgp",
            ["herald-bfd", "herald", "tokio", "socket2", "mio"].as_slice(),
        ),
        (
            "herald-bfd",
            ["herald-bgp", "herald", "tokio", "mio"].as_slice(),
        ),
    ] {
        let reached = dependencies.reachable_from(engine);
        for name in forbidden {
            assert!(
                !reached.contains(*name),
                "{engine} must not depend on {name}, not even through another crate"
            );
        }
    }
}

/// What we need builds with the compiler that we say is enough; that our own code does is clippy's `incompatible_msrv`.
#[test]
fn no_dependency_asks_for_a_newer_compiler_than_we_do() {
    let metadata = metadata();
    let version = |package: &Value| -> Option<Vec<u32>> {
        let text = package["rust_version"].as_str()?;
        let numbers = text.split('.').map(|number| number.parse().unwrap());
        Some(numbers.take(2).collect())
    };
    let packages = metadata["packages"].as_array().unwrap();
    let promised = packages.iter().find(|it| it["name"] == "herald").unwrap();
    let promised = version(promised).expect("rust-version is in Cargo.toml");
    let too_new: Vec<&str> = packages
        .iter()
        .filter(|package| version(package).is_some_and(|asked| asked > promised))
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    assert!(too_new.is_empty(), "newer than {promised:?}: {too_new:?}");

    let words = format!("needs Rust {}.{} or newer", promised[0], promised[1]);
    for page in ["README.md", "docs/quick-start.md"] {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        assert!(text.contains(&words), "{page} must say: {words}");
    }
}

/// Inside an engine each layer knows only those below it.
#[test]
fn layers_know_only_what_is_below() {
    for (source, layers) in [
        ("bgp/src", ["wire", "session"].as_slice()),
        (
            "bfd/src",
            ["packet", "session", "endpoint", "engine"].as_slice(),
        ),
    ] {
        for (height, layer) in layers.iter().enumerate() {
            let root = workspace().join(source);
            let files = rust_files(&root.join(layer))
                .into_iter()
                .chain([root.join(format!("{layer}.rs"))]);
            for file in files.filter(|file| file.is_file()) {
                for above in &layers[height + 1..] {
                    let named = format!("crate::{above}");
                    let breach = lines_of_code(&file)
                        .into_iter()
                        .find(|(_, line)| line.contains(&named));
                    assert!(
                        breach.is_none(),
                        "{}: {layer} must not know {above}: {breach:?}",
                        shown(&file)
                    );
                }
            }
        }
    }
}

/// Time and randomness come from the caller, everywhere but in the drivers: this is what makes the rest testable in virtual time.
#[test]
fn only_drivers_read_the_clock_or_roll_dice() {
    const DRIVERS: [&str; 12] = [
        "bfd/src/engine",
        "speaker/src/addresses/mod.rs",
        "speaker/src/api/capture.rs",
        "speaker/src/bfd_thread",
        "speaker/src/bgp_thread",
        "speaker/src/cli",
        "speaker/src/demo",
        "speaker/src/history/journal.rs",
        "speaker/src/services/health/thread.rs",
        "speaker/src/speaker",
        "speaker/src/unnumbered",
        "speaker/src/watch.rs",
    ];
    const FORBIDDEN: [&str; 4] = [
        "Instant::now",
        "SystemTime::now",
        "rand::rng()",
        "rand::random",
    ];

    let sources = ["bgp/src", "bfd/src", "speaker/src"].map(|source| workspace().join(source));
    for file in sources.iter().flat_map(|source| rust_files(source)) {
        if DRIVERS
            .iter()
            .any(|driver| file.starts_with(workspace().join(driver)))
        {
            continue;
        }
        for (number, line) in lines_of_code(&file) {
            for name in FORBIDDEN {
                assert!(
                    !line.contains(name),
                    "{}:{number}: {name}: the caller passes time and seeds",
                    shown(&file)
                );
            }
        }
    }
}

/// The clock on the wall may be set while sessions run: timers and silence are measured by one that cannot be (`Instant`).
#[test]
fn f_93_a_clock_step_reaches_no_protocol() {
    const FORBIDDEN: [&str; 4] = ["SystemTime", "UNIX_EPOCH", "CLOCK_REALTIME", "SO_TIMESTAMP"];
    let sources = [
        "bgp/src",
        "bfd/src",
        "speaker/src/bgp_thread",
        "speaker/src/bfd_thread",
    ]
    .map(|source| workspace().join(source));
    for source in &sources {
        let files = rust_files(source);
        assert!(!files.is_empty(), "{} is no place", shown(source));
        for file in files {
            for (number, line) in lines_of_code(&file) {
                for name in FORBIDDEN {
                    assert!(
                        !line.contains(name),
                        "{}:{number}: {name}: a clock that can be set",
                        shown(&file)
                    );
                }
            }
        }
    }
}

/// Unsafe code is in a few leaf files, each of which ARCHITECTURE.md lists with its reason, and it lists no others.
#[test]
fn unsafe_code_is_only_where_the_architecture_says() {
    let architecture = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = architecture
        .split_once("## Unsafe code")
        .expect("a section about unsafe code");
    let section = section.split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = section
        .split('`')
        .filter(|word| word.ends_with(".rs"))
        .map(str::to_owned)
        .collect();

    let allows = |file: &PathBuf| {
        lines_of_code(file)
            .iter()
            .any(|(_, line)| line.contains("allow(") && line.contains("unsafe_code"))
    };
    let members = ["bgp", "bfd", "speaker", "tests", "examples", "benches"]
        .map(|member| workspace().join(member));
    let files = members
        .iter()
        .flat_map(|member| rust_files(member))
        .filter(allows);
    let allowing: BTreeSet<String> = files.map(|file| shown(&file)).collect();
    assert_eq!(
        allowing, listed,
        "the files that allow unsafe code, and those that ARCHITECTURE.md lists"
    );
}

/// The workspace's lints hold only where a member asks for them.
#[test]
fn every_member_takes_the_workspace_lints() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        if !package["source"].is_null() {
            continue;
        }
        let manifest = package["manifest_path"].as_str().unwrap();
        let text = fs::read_to_string(manifest).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true\n"),
            "{manifest} must say: [lints] workspace = true"
        );
    }
}

/// Which package needs which, as cargo resolved it with all features.
struct Dependencies {
    names: BTreeMap<String, String>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Dependencies {
    fn of_workspace() -> Self {
        let metadata = metadata();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let packages = metadata["packages"].as_array().unwrap().iter();
        let names = packages
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();

        let is_for_development = |dependency: &Value| {
            dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .all(|kind| kind["kind"] == "dev")
        };
        let nodes = metadata["resolve"]["nodes"].as_array().unwrap().iter();
        let needs = nodes.map(|node| {
            let needed = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| !is_for_development(dependency));
            (
                text(&node["id"]),
                needed.map(|dependency| text(&dependency["pkg"])).collect(),
            )
        });
        Self {
            names,
            needs: needs.collect(),
        }
    }

    /// The names of all packages that one needs, itself excepted.
    fn reachable_from(&self, name: &str) -> BTreeSet<&str> {
        let start = self
            .names
            .iter()
            .find(|(_, other)| *other == name)
            .unwrap_or_else(|| panic!("no package {name}"))
            .0;
        let mut reached = BTreeSet::new();
        let mut open: Vec<&String> = self.needs[start].iter().collect();
        while let Some(id) = open.pop() {
            if reached.insert(self.names[id].as_str()) {
                open.extend(&self.needs[id]);
            }
        }
        reached
    }
}

/// What cargo knows of the workspace, for this machine only: others' crates need not be on its disk.
fn metadata() -> Value {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--all-features",
        "--locked",
        "--filter-platform",
        host,
    ]);
    let output = cargo.current_dir(workspace()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The name of a file as ARCHITECTURE.md writes it.
fn shown(file: &Path) -> String {
    file.strip_prefix(workspace())
        .unwrap()
        .display()
        .to_string()
}

/// The numbered lines of a file that are neither comments nor tests.
fn lines_of_code(file: &Path) -> Vec<(usize, String)> {
    if file.ends_with("tests.rs")
        || file
            .components()
            .any(|component| component.as_os_str() == "tests")
    {
        return Vec::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let numbered = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.to_owned()));
    // Those in a file of their own are left out by its name.
    let until_tests = numbered.take_while(|(_, line)| !line.starts_with("mod tests {"));
    until_tests
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}
