//! The examples of `docs/api.md` do what they are there for, and there is one for everything that can be asked.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use support::http::ask;
use support::{Daemon, loopback};

const PAGE: &str = include_str!("../../docs/api.md");
const FILE: &str = include_str!("../src/api/openapi.json");

/// What a line of the page asks.
#[derive(Debug)]
struct Example {
    method: String,
    path: String,
    body: String,
}

/// Every call of `curl` on the page.
fn examples() -> Vec<Example> {
    let blocks = PAGE.split("```console\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let lines: Vec<String> = blocks
        .flat_map(|block| {
            let block = block.replace("\\\n", " ");
            block.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let calls = lines.iter().filter_map(|line| line.strip_prefix("$ curl "));
    calls.map(example).collect()
}

fn example(call: &str) -> Example {
    let mut example = Example {
        method: "GET".to_owned(),
        path: String::new(),
        body: String::new(),
    };
    let mut words = words(call).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => example.method = words.next().unwrap(),
            "--json" => example.body = words.next().unwrap(),
            "--unix-socket" | "-o" => drop(words.next()),
            "--no-buffer" => {}
            url => example.path = url.strip_prefix("http://herald").expect(url).to_owned(),
        }
    }
    example
}

/// As a shell takes them, as far as the page has need of it.
fn words(call: &str) -> Vec<String> {
    let parts = call.split('\'').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// What of the document an example asks.
fn operation(document: &Value, example: &Example) -> (String, String) {
    let (path, _) = example.path.split_once('?').unwrap_or((&example.path, ""));
    let method = example.method.to_lowercase();
    let fits = |template: &str| {
        let (parts, wanted) = (path.split('/'), template.split('/'));
        parts.clone().count() == wanted.clone().count()
            && parts
                .zip(wanted)
                .all(|(part, wanted)| wanted.starts_with('{') || part == wanted)
    };
    let paths = document["paths"].as_object().unwrap();
    let known = paths
        .iter()
        .find(|(template, operations)| fits(template) && operations.get(&method).is_some());
    let (template, _) = known.unwrap_or_else(|| panic!("{example:?} is not described"));
    (template.clone(), method)
}

#[test]
fn the_examples_work_and_leave_nothing_out() {
    let (own, other) = (loopback(), loopback());
    let _router = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64521\nrouter-id = \"{other}\"\nlisten = [\"{other}:11179\"]\n\
         [[peer]]\naddress = \"{own}\"\nremote-as = 64520\npassive = true\n"
    ));
    let mut daemon = Daemon::start(&format!(
        "[speaker]\nlocal-as = 64520\nrouter-id = \"{own}\"\n[bfd]\nlisten = [\"{own}:13784\"]\n\
         [[peer]]\nname = \"tor-a\"\naddress = \"{other}\"\nport = 11179\nremote-as = 64521\n\
         source-address = \"{own}\"\nreceived-routes = \"kept\"\n\
         [[bfd-session]]\nname = \"storage\"\naddress = \"{other}\"\n\
         [[pool]]\nname = \"public\"\naddresses = [\"192.0.2.64/28\"]\n"
    ));
    daemon.wait_until_established("tor-a");
    let document: Value = serde_json::from_str(FILE).unwrap();
    let mut asked = BTreeSet::new();
    // The one that never ends comes first, while there is somebody to follow.
    let (following, others): (Vec<_>, Vec<_>) = examples()
        .into_iter()
        .partition(|example| example.path.contains("follow=true"));
    for Example { path, .. } in following {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: herald\r\n\r\n").unwrap();
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).unwrap();
        assert!(first.starts_with("HTTP/1.1 200 "), "{path}: {first}");
    }
    for example in others {
        let Example { method, path, body } = &example;
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        let json = "content-type: application/json\r\n";
        let headers = if body.is_empty() { "" } else { json };
        let answer = ask(stream, method, path, headers, body);
        assert!(
            (200..300).contains(&answer.status),
            "{example:?}: {answer:?}"
        );
        asked.insert(operation(&document, &example));
    }
    let paths = document["paths"].as_object().unwrap().iter();
    let described = paths.flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys();
        methods.map(|method| (path.clone(), method.clone()))
    });
    let described: BTreeSet<(String, String)> = described.collect();
    assert_eq!(asked, described, "left: examples, right: openapi.json");
    assert!(daemon.wait().success());
}
