//! The book in `docs/`: every page is in its summary, every link leads somewhere, and every configuration in it is one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use herald::config::Config;

/// One that is not listed is not in the book.
#[test]
fn every_page_is_in_the_summary() {
    let docs = workspace().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut listed = BTreeSet::new();
    for link in links(&fs::read_to_string(&summary).unwrap()) {
        let page = docs.join(&link);
        assert!(listed.insert(page), "docs/SUMMARY.md lists {link} twice");
    }
    let pages: BTreeSet<PathBuf> = pages(&docs)
        .into_iter()
        .filter(|page| *page != summary)
        .collect();
    assert_eq!(pages, listed);
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if !leads_somewhere(&page, &text, &link) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// Those that begin with a section that every file has; others are parts of one.
#[test]
fn every_configuration_is_one() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        for block in configurations(&text) {
            count += 1;
            let block = with_keys(block);
            if let Err(error) = Config::parse(&page, &block) {
                wrong.push(format!("{error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 0, "no configuration was found");
}

/// The Debian package has the book as a whole, and what it speaks of: its links lead somewhere there too.
#[test]
fn the_package_has_every_page_and_every_example() {
    let manifest = fs::read_to_string(workspace().join("speaker/Cargo.toml")).unwrap();
    let assets = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"../"));
    let assets: Vec<(&str, &str)> = assets
        .filter_map(|line| {
            let mut texts = line.split('"');
            Some((texts.next()?, texts.nth(1)?))
        })
        .collect();
    for directory in ["docs", "examples"] {
        let home = format!("usr/share/doc/herald/{directory}/");
        for path in files(&workspace().join(directory)) {
            let path = path.strip_prefix(workspace()).unwrap().to_str().unwrap();
            // Programs to be compiled, and what makes the pages a book.
            if path.ends_with(".rs") || path == "docs/book.toml" {
                continue;
            }
            let is_there =
                |(asset, to): &(&str, &str)| covers(asset, path) && to.starts_with(&home);
            assert!(assets.iter().any(is_there), "{path} is in no asset");
        }
    }
}

/// Both licences go with the package, in the words of ours.
#[test]
fn the_package_has_both_licences() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let words = |text: &str| {
        let lines = text.lines().map(|line| line.trim_start_matches(" ."));
        let lines: Vec<&str> = lines.collect();
        lines
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let copyright = words(&read("packaging/debian/copyright"));
    let mit = read("LICENSE-MIT");
    let (_, terms) = mit.split_once("\n\nPermission").unwrap();
    assert!(copyright.contains(&words(&format!("Permission{terms}"))));
    assert!(copyright.contains("License: Expat or Apache-2.0"));
    assert!(copyright.contains("/usr/share/common-licenses/Apache-2.0"));
}

/// Whether a path is one of those that a pattern with `*` and `**/` has.
fn covers(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(before) else {
        return false;
    };
    match after.strip_prefix("*/*") {
        Some(end) => rest.ends_with(end),
        None => rest.ends_with(after) && !rest.contains('/'),
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page for people, of the book and beside it. Those of the engines are rustdoc, which checks its links itself.
fn documents() -> Vec<PathBuf> {
    let beside = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    let mut all = pages(&workspace().join("docs"));
    all.extend(beside.map(|name| workspace().join(name)));
    all
}

fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut pages = files(directory);
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// All that is below.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Where the links outside code lead.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let prose: String = prose.flat_map(|part| part.split('`').step_by(2)).collect();
    let targets = prose.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> bool {
    if link.contains("://") {
        return true;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = page.parent().unwrap().join(file);
    let text = if file.is_empty() {
        text.to_owned()
    } else if heading.is_empty() {
        return target.exists();
    } else {
        fs::read_to_string(target).unwrap_or_default()
    };
    text.lines()
        .any(|line| anchor(line).as_deref() == Some(heading))
}

/// What a heading is called in links: letters and digits in lower case, hyphens for spaces.
fn anchor(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#').strip_prefix(' ');
    let heading = heading.filter(|_| line.starts_with('#'))?;
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

fn configurations(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("[speaker]"))
}

/// Key files are looked into; those of the examples are not on this host.
fn with_keys(block: &str) -> String {
    let key = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book.key");
    fs::write(&key, "s3cret\n").unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        let is_key = line.trim_start().starts_with("password-file");
        lines.push(if is_key {
            format!("password-file = {key:?}")
        } else {
            line.to_owned()
        });
    }
    lines.join("\n")
}

/// Who comes from elsewhere finds each word that they know, were it to read that it is not there.
#[test]
fn every_word_of_what_is_left_behind_is_on_its_page() {
    let metallb = "myASN peerASN dynamicASN localASN peerAddress interface sourceAddress peerPort holdTime keepaliveTime \
        connectTime routerID nodeSelectors password passwordSecret bfdProfile enableGracefulRestart ebgpMultiHop vrf \
        disableMP dualStackAddressFamily receiveInterval transmitInterval detectMultiplier echoInterval echoMode \
        passiveMode minimumTtl aggregationLength aggregationLengthV6 localPref communities ipAddressPools \
        ipAddressPoolSelectors peers serviceSelectors addresses autoAssign avoidBuggyIPs serviceAllocation name value";
    let exabgp = "--silent --syslog-facility --no-syslog --debug --no-ack --sudo --name --config --pid --user --group \
        --interval --fast-interval --timeout --rise --fall --disable --command --cmd --next-hop --ip --ip-ifname \
        --local-preference --deaggregate-networks --no-ip-setup --dynamic-ip-setup --label --label-exact-match \
        --start-ip --up-metric --down-metric --disabled-metric --increase --community --extended-community \
        --large-community --disabled-community --as-path --up-as-path --down-as-path --disabled-as-path \
        --withdraw-on-down --path-id --neighbor --debounce --execute --up-execute --down-execute --disabled-execute";
    for (page, words) in [("from-metallb.md", metallb), ("from-exabgp.md", exabgp)] {
        let text = fs::read_to_string(workspace().join("docs/howto").join(page)).unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        // What they know is in the first column, in code.
        let known: BTreeSet<String> = rows
            .filter_map(|row| row.split('|').nth(1).map(str::to_owned))
            .flat_map(|cell| {
                cell.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter_map(|code| code.split_whitespace().next().map(str::to_owned))
            .collect();
        for word in words.split_whitespace() {
            assert!(
                known.contains(word),
                "{page} does not say what becomes of {word}"
            );
        }
    }
}
