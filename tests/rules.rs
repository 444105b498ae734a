//! The pages of `docs/rfc/` say which test holds which rule. Here they are held to the sources, so that they do not rot.
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

use source::rust_files;

/// How many rules there are.
const RULES: u32 = 178;

#[test]
fn every_rule_stands_on_one_page() {
    let mut numbers: Vec<u32> = rules().iter().map(|rule| rule.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=RULES).collect::<Vec<_>>());
}

#[test]
fn every_rule_has_a_test_or_says_what_is_missing() {
    for rule in rules() {
        let argued = rule.held_by.starts_with("Not yet");
        assert!(
            argued || !rule.tests().is_empty(),
            "C-{:03}: name the test that holds it, or say \"Not yet: …\"",
            rule.number
        );
    }
}

#[test]
fn every_test_named_exists_where_it_is_said_to_be() {
    for rule in rules() {
        for (test, file) in rule.tests() {
            let source = fs::read_to_string(workspace().join(&file));
            let source =
                source.unwrap_or_else(|error| panic!("C-{:03}: {file}: {error}", rule.number));
            assert!(
                source.contains(&format!("fn {test}(")),
                "C-{:03}: there is no test {test} in {file}",
                rule.number
            );
        }
    }
}

#[test]
fn every_test_that_bears_a_number_is_named_with_its_rule() {
    let named: BTreeMap<u32, BTreeSet<String>> = rules()
        .iter()
        .map(|rule| {
            let tests = rule.tests().into_iter().map(|(test, _)| test);
            (rule.number, tests.collect())
        })
        .collect();
    let numbered = numbered_tests();
    let unnamed = numbered.iter().flat_map(|(test, file)| {
        let is_unnamed =
            |number: &u32| !named.get(number).is_some_and(|tests| tests.contains(test));
        let unnamed = numbers_in(test).into_iter().filter(is_unnamed);
        unnamed.map(move |number| format!("C-{number:03}: `{test}` ({})", file.display()))
    });
    let unnamed: Vec<String> = unnamed.collect();
    assert!(
        unnamed.is_empty(),
        "name these tests with their rules in docs/rfc/, and say what is kept:\n{}",
        unnamed.join("\n")
    );
}

/// A row of a page.
struct Rule {
    number: u32,
    held_by: String,
}

impl Rule {
    /// `| C-001 | what it demands | where from | what holds it |`
    fn read(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.split(" | ").collect();
        let number = cells.first()?.strip_prefix("| C-")?.parse().ok()?;
        assert_eq!(cells.len(), 4, "four cells: {line}");
        let held_by = cells[3].trim_end_matches('|').trim().to_owned();
        Some(Self { number, held_by })
    }

    /// Each test and its file, as in `` `name` (path) ``.
    fn tests(&self) -> Vec<(String, String)> {
        let pieces: Vec<&str> = self.held_by.split('`').collect();
        let names = pieces.iter().skip(1).step_by(2);
        let behind = pieces.iter().skip(2).step_by(2);
        let file = |text: &str| Some(text.strip_prefix(" (")?.split_once(')')?.0.to_owned());
        names
            .zip(behind)
            .filter_map(|(name, text)| Some(((*name).to_owned(), file(text)?)))
            .collect()
    }
}

fn rules() -> Vec<Rule> {
    let pages = fs::read_dir(workspace().join("docs/rfc")).unwrap();
    let pages = pages.map(|page| fs::read_to_string(page.unwrap().path()).unwrap());
    pages
        .flat_map(|page| page.lines().filter_map(Rule::read).collect::<Vec<_>>())
        .collect()
}

/// The tests whose names begin with the number of a rule.
fn numbered_tests() -> Vec<(String, PathBuf)> {
    let members = ["bgp", "bfd", "speaker", "tests"].map(|member| workspace().join(member));
    let mut tests = Vec::new();
    for file in members.iter().flat_map(|member| rust_files(member)) {
        let source = fs::read_to_string(&file).unwrap();
        let names = source.lines().filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            let name = line.strip_prefix("fn ")?.split_once('(')?.0;
            (!numbers_in(name).is_empty()).then(|| name.to_owned())
        });
        let shown = file.strip_prefix(workspace()).unwrap();
        tests.extend(names.map(|name| (name, shown.to_owned())));
    }
    tests
}

/// 51 and 52 in `c_051_c_052_what_is_held`.
fn numbers_in(test: &str) -> Vec<u32> {
    let mut words = test.split('_');
    let mut numbers = Vec::new();
    while let (Some("c"), Some(number)) = (words.next(), words.next()) {
        match number.parse() {
            Ok(number) if words.clone().next().is_some() => numbers.push(number),
            _ => break,
        }
    }
    numbers
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
