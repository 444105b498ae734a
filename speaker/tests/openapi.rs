//! What a running daemon answers is what `openapi.json` says, and everything that it says is asked.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use support::http::{Answer, ask};
use support::schema::check;
use support::{Daemon, eventually, loopback};

const FILE: &str = include_str!("../src/api/openapi.json");
const JSON: &str = "content-type: application/json\r\n";

fn config(own: Ipv4Addr, own_as: u32, other: Ipv4Addr, other_as: u32, more: &str) -> String {
    format!(
        "[speaker]\nlocal-as = {own_as}\nrouter-id = \"{own}\"\nlisten = [\"{own}:11179\"]\n\
         [bfd]\nlisten = [\"{own}:13784\"]\n\
         [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = {other_as}\n\
         source-address = \"{own}\"\nbfd-profile = \"default\"\nbfd-port = 13784\nconnect-retry-time = \"1s\"\n\
         received-routes = \"kept\"\n{more}\n"
    )
}

/// A daemon with something of everything, and its peer.
struct Described {
    document: Value,
    daemon: Daemon,
    _router: Daemon,
    viewer: SocketAddr,
    /// What was asked: method and path as in the document.
    asked: RefCell<BTreeSet<(String, String)>>,
}

impl Described {
    fn start() -> Self {
        let (own, other) = (loopback(), loopback());
        let viewer = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
        let route = "[[route]]\nprefix = \"203.0.113.0/24\"\n";
        let router = Daemon::start(&config(other, 64521, own, 64520, route));
        let more = format!(
            "[[service]]\nname = \"web\"\naddresses = [\"192.0.2.150\", \"2001:db8::150\"]\n\
             [[pool]]\nname = \"public\"\naddresses = [\"192.0.2.64/28\"]\n\
             [[hook]]\nname = \"page\"\non = [\"peer\"]\nexec = [\"/bin/true\"]\n\
             [[bfd-session]]\nname = \"storage\"\naddress = \"192.0.2.9\"\n\
             [api]\nlisten = \"{viewer}\"\n"
        );
        let daemon = Daemon::start(&config(own, 64520, other, 64521, &more));
        daemon.wait_until_up("other");
        eventually("its route has come", || {
            daemon.show(&["routes", "--received", "other"]) != Value::Array(Vec::new())
        });
        Self {
            document: serde_json::from_str(FILE).unwrap(),
            daemon,
            _router: router,
            viewer,
            asked: RefCell::default(),
        }
    }

    /// Asks, and compares the answer with the document.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, filled: &str, body: &str) -> Answer {
        let stream = UnixStream::connect(self.daemon.socket()).unwrap();
        let headers = if body.is_empty() { "" } else { JSON };
        let answer = ask(stream, method, filled, headers, body);
        self.compare(method, path, &answer);
        answer
    }

    /// The media type of the metrics for who asks like this.
    #[track_caller]
    fn metrics_for(&self, accept: &str) -> String {
        let stream = UnixStream::connect(self.daemon.socket()).unwrap();
        let headers = format!("accept: {accept}\r\n");
        let answer = ask(stream, "GET", "/metrics", &headers, "");
        self.compare("GET", "/metrics", &answer);
        let media = answer.head.split("\r\ncontent-type: ").nth(1).unwrap();
        media.split(';').next().unwrap().to_owned()
    }

    #[track_caller]
    fn compare(&self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        let responses = &operation["responses"];
        let response = match responses.get(answer.status.to_string()) {
            Some(response) => response,
            None => {
                assert!(answer.status >= 400, "{method} {path}: {answer:?}");
                &responses["default"]
            }
        };
        let media = answer.head.split("\r\ncontent-type: ").nth(1);
        let Some(media) = media.and_then(|rest| rest.split([';', '\r']).next()) else {
            assert!(
                response.get("content").is_none(),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(answer.body, "");
            return;
        };
        let schema = &response["content"][media]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path}: {media} is not described"
        );
        if media.ends_with("json") {
            check(&self.document, schema, &answer.json(), path).unwrap();
        }
        let key = (method.to_lowercase(), path.to_owned());
        self.asked.borrow_mut().insert(key);
    }

    #[track_caller]
    fn expect(&self, status: u16, method: &str, path: &str, filled: &str, body: &str) {
        let answer = self.ask(method, path, filled, body);
        assert_eq!(answer.status, status, "{method} {filled}: {answer:?}");
        self.asked
            .borrow_mut()
            .insert((method.to_lowercase(), path.to_owned()));
    }

    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(|method| (method.clone(), path.clone()))
        });
        operations.collect()
    }
}

#[test]
fn a_running_daemon_answers_what_is_described() {
    let described = Described::start();
    let service = "/v1/services/{name}";
    let route = "/v1/routes/{prefix}";
    let (of_docs, of_route) = ("/v1/services/docs", "/v1/routes/198.51.100.0%2F24");
    let addresses = r#"{"addresses":["192.0.2.80"]}"#;
    let communities = r#"{"communities":["64520:100"],"med":10,"peers":["other"]}"#;
    described.expect(201, "PUT", service, of_docs, addresses);
    described.expect(200, "PUT", service, of_docs, addresses);
    described.expect(409, "PUT", service, "/v1/services/web", addresses);
    described.expect(
        201,
        "PUT",
        service,
        "/v1/services/pooled",
        r#"{"pool":"public"}"#,
    );
    described.expect(201, "PUT", route, of_route, communities);
    described.expect(200, "PUT", route, of_route, "");

    for (method, path) in described.operations() {
        if method == "get" && path != "/v1/events" {
            let name = match path.as_str() {
                "/v1/bfd/{name}" => "storage",
                "/v1/services/{name}" => "web",
                _ => "other",
            };
            let filled = path.replace("{name}", name);
            let filled = filled.replace("{prefix}", "198.51.100.0%2F24");
            described.expect(200, "GET", &path, &filled, "");
        }
    }
    described.expect(200, "GET", "/v1/bfd/{name}", "/v1/bfd/other", "");
    described.expect(200, "GET", "/v1/events", "/v1/events?peer=other", "");
    described.expect(404, "GET", "/v1/events", "/v1/events?peer=nobody", "");
    described.expect(404, "GET", "/v1/peers/{name}", "/v1/peers/nobody", "");

    let openmetrics = "application/openmetrics-text";
    for (accept, media) in [
        ("*/*", openmetrics),
        ("text/plain", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            openmetrics,
        ),
    ] {
        assert_eq!(described.metrics_for(accept), media, "{accept}");
    }

    described.expect(204, "DELETE", service, of_docs, "");
    described.expect(404, "DELETE", service, of_docs, "");
    described.expect(204, "DELETE", route, of_route, "");
    described.expect(404, "DELETE", route, of_route, "");
    described.expect(200, "POST", "/v1/reload", "/v1/reload?dry-run=true", "");
    let refresh = "/v1/peers/{name}/refresh";
    described.expect(200, "POST", refresh, "/v1/peers/other/refresh", "");
    let farewell = r#"{"communication":"moving racks"}"#;
    for what in ["reset", "shutdown", "enable"] {
        let path = format!("/v1/peers/{{name}}/{what}");
        let filled = format!("/v1/peers/other/{what}");
        let body = if what == "enable" { "" } else { farewell };
        described.expect(204, "POST", &path, &filled, body);
    }
    for path in ["/v1/drain", "/v1/undrain"] {
        described.expect(204, "POST", path, path, r#"{"peers":["other"]}"#);
    }
    described.expect(204, "POST", "/v1/stop", "/v1/stop", "");
    let missed: Vec<_> = described
        .operations()
        .difference(&described.asked.borrow())
        .cloned()
        .collect();
    assert!(missed.is_empty(), "never asked: {missed:?}");
}

#[test]
fn each_path_and_method_is_described_and_no_other() {
    let daemon = Daemon::start("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n");
    let served = herald::api::paths().into_iter().map(|path| {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        let answer = ask(stream, "BREW", &path.replace(['{', '}'], ""), "", "");
        let allowed = answer.head.split("\r\nallow: ").nth(1);
        let allowed = allowed.and_then(|rest| rest.split("\r\n").next()).unwrap();
        let methods = allowed.split(',').filter(|method| *method != "head");
        (path.to_owned(), methods.map(str::to_owned).collect())
    });
    let served: BTreeMap<String, BTreeSet<String>> = served.collect();
    let file: Value = serde_json::from_str(FILE).unwrap();
    let described = file["paths"].as_object().unwrap().iter();
    let described = described.map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys().cloned();
        (path.clone(), methods.collect())
    });
    assert_eq!(served, described.collect());
}

/// What is wrong with a request is said in one way, whatever it is.
#[test]
fn every_mistake_is_a_problem_with_details() {
    let daemon = Daemon::start("[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n");
    let refused = |method: &str, path: &str, headers: &str, body: &str, status: u16| {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        ask(stream, method, path, headers, body).refusal(status)
    };
    let web = "/v1/services/web";
    for (method, path, headers, body, status, said) in [
        (
            "GET",
            "/nowhere",
            "",
            "",
            404,
            "there is nothing at /nowhere",
        ),
        (
            "GET",
            "/v1/peers/a/b/c",
            "",
            "",
            404,
            "/v1/openapi.json describes",
        ),
        (
            "PATCH",
            "/v1/peers",
            "",
            "",
            405,
            "PATCH is not possible at /v1/peers",
        ),
        ("GET", "/v1/stop", "", "", 405, "GET is not possible"),
        (
            "PUT",
            web,
            JSON,
            "{\"addresses\":\n[,]}",
            400,
            "at line 2 column 2",
        ),
        ("PUT", web, JSON, "{", 400, "EOF"),
        (
            "PUT",
            web,
            JSON,
            "{\"address\":[]}",
            422,
            "unknown field `address`",
        ),
        (
            "PUT",
            web,
            JSON,
            "{\"addresses\":[\"x\"]}",
            422,
            "found \"x\"",
        ),
        (
            "PUT",
            web,
            "content-type: text/plain\r\n",
            "{}",
            415,
            "must be application/json",
        ),
        (
            "PUT",
            web,
            JSON,
            &" ".repeat(70_000),
            413,
            "at most 65536 octets",
        ),
        (
            "PUT",
            "/v1/routes/10.0.0.1%2F8",
            "",
            "",
            422,
            "must be \"10.0.0.0/8\"",
        ),
        ("GET", "/v1/peers/%FF", "", "", 400, "UTF-8"),
        (
            "GET",
            "/v1/events?folow=true",
            "",
            "",
            400,
            "unknown field `folow`",
        ),
    ] {
        let detail = refused(method, path, headers, body, status);
        assert!(detail.contains(said), "{method} {path}: {detail}");
    }
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    let answer = ask(stream, "DELETE", "/v1/peers", "", "");
    assert!(
        answer.head.contains("\r\nallow: get,head\r\n"),
        "{answer:?}"
    );
    assert!(answer.head.contains("\r\nserver: herald/"), "{answer:?}");
}

/// Over TCP nothing can be changed, by any method that the document has.
#[test]
fn over_tcp_everything_is_read_only() {
    let described = Described::start();
    for (method, path) in described.operations() {
        let filled = path
            .replace("{name}", "other")
            .replace("{prefix}", "10.0.0.0%2F8");
        let stream = || TcpStream::connect(described.viewer).unwrap();
        if method == "get" {
            if !path.contains('{') {
                assert_eq!(ask(stream(), "GET", &filled, "", "").status, 200, "{path}");
            }
            continue;
        }
        let method = method.to_uppercase();
        let answer = ask(stream(), &method, &filled, JSON, "");
        let detail = answer.refusal(405);
        // RFC 9110 §15.5.6
        let views = described.document["paths"][&path].get("get").is_some();
        let allowed = if views { "get,head" } else { "" };
        let allow = format!("\r\nallow: {allowed}");
        let line = answer.head.split(&allow).nth(1).unwrap_or_default();
        assert!(
            line.trim_start_matches(' ').starts_with("\r\n"),
            "{answer:?}"
        );
        assert!(
            detail.ends_with("over TCP everything is read-only, control is at the Unix socket"),
            "{method} {path}: {detail}"
        );
    }
    // It is as it was.
    assert_eq!(
        described.daemon.show(&["peer", "other"])["state"],
        "Established"
    );
}
