//! `[service.health]`: how it is found out whether a service works.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::BfdName;

/// What a service depends on; at least one of both. Of several, all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// What is checked again and again.
    pub check: Option<Arc<CheckConfig>>,
    /// The `[[bfd-session]]` without which the service is of no use.
    pub bfd: Option<BfdName>,
}

/// A check, and when it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckConfig {
    /// What is done.
    pub probe: Probe,
    /// How often.
    pub interval: Duration,
    /// How long it may take. The next one does not begin before.
    pub timeout: Duration,
    /// How many failures in a row make a healthy service unhealthy.
    pub fall: NonZeroU8,
    /// How many successes in a row make an unhealthy service healthy.
    pub rise: NonZeroU8,
}

impl CheckConfig {
    /// How often, where nothing is said.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
    /// The shortest and the longest interval.
    pub const INTERVALS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(3600)];
    /// The shortest and the longest timeout.
    pub const TIMEOUTS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(60)];
    /// The longest timeout where nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// How many failures it takes, where nothing is said.
    pub const DEFAULT_FALL: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);
    /// How many successes it takes, where nothing is said.
    pub const DEFAULT_RISE: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

    /// The interval, and not longer than five seconds.
    #[must_use]
    pub fn default_timeout(interval: Duration) -> Duration {
        interval.min(Self::DEFAULT_TIMEOUT)
    }

    /// How long a service that hangs may stay healthy: it hangs right after a success, and each
    /// check takes as long as it may.
    #[must_use]
    pub fn slowest_fall(&self) -> Duration {
        let pace = self.interval.max(self.timeout);
        let between = pace.saturating_mul(u32::from(self.fall.get() - 1));
        self.interval
            .saturating_add(between)
            .saturating_add(self.timeout)
    }
}

/// One way to see whether a service works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// `GET`: 2xx and 3xx are good.
    Http(HttpProbe),
    /// A connection is accepted.
    Tcp(SocketAddr),
    /// A program, and its arguments: exit status 0 is good.
    Exec(Vec<String>),
}

impl Probe {
    /// The key that it is written with.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Exec(_) => "exec",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => match http.other_host() {
                Some(host) => write!(f, "http {} (Host: {host})", http.url()),
                None => write!(f, "http {}", http.url()),
            },
            Self::Tcp(address) => write!(f, "tcp {address}"),
            // Arguments may hold secrets, and this goes to logs, events and the API.
            Self::Exec(exec) => match exec.as_slice() {
                [program] => write!(f, "exec {program}"),
                [program, ..] => write!(f, "exec {program} …"),
                [] => f.write_str("exec"),
            },
        }
    }
}

/// A request over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpProbe {
    /// Where to, as it is written in the URL: an address, or `localhost`.
    authority: String,
    /// The addresses that are tried, one after the other; at least one.
    addresses: Vec<SocketAddr>,
    /// From the first slash on, with the query.
    path: String,
    /// The Host header, where it is not what the URL says.
    other_host: Option<String>,
}

const HTTP: &str = "an URL with an address in it, such as \"http://127.0.0.1:8080/healthz\" or \"http://[::1]:8080/\"";

impl HttpProbe {
    /// The port of HTTP.
    const PORT: u16 = 80;

    /// Reads an URL.
    ///
    /// # Errors
    /// What it must be, to complete the sentence "must be …".
    pub fn new(url: &str) -> Result<Self, String> {
        if starts_with_ignoring_case(url, "https://") {
            return Err(format!(
                "{HTTP}: herald checks over plain HTTP only; check an unencrypted port, or tcp = \"ADDRESS:PORT\", or in the configuration file exec = [\"/usr/bin/curl\", \"--fail\", …]"
            ));
        }
        if !starts_with_ignoring_case(url, "http://") {
            return Err(HTTP.to_owned());
        }
        let rest = url.get("http://".len()..).unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(format!("{HTTP}, without a user in it"));
        }
        let path = path.split('#').next().unwrap_or_default();
        let addresses = addresses_of(authority)?;
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        if path.len() > 2048 || !path.is_ascii() || path.parse::<hyper::Uri>().is_err() {
            return Err(format!(
                "{HTTP}, with a path of at most 2048 ASCII characters; a space is written as %20"
            ));
        }
        Ok(Self {
            authority: authority.to_ascii_lowercase(),
            addresses,
            path,
            other_host: None,
        })
    }

    /// With another Host header than the URL says, or with that again.
    #[must_use]
    pub fn with_host(self, host: Option<String>) -> Self {
        Self {
            other_host: host,
            ..self
        }
    }

    /// As it is written.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    /// The addresses that are tried, one after the other.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What is asked for.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the Host header says, where that is not in the URL.
    #[must_use]
    pub fn other_host(&self) -> Option<&str> {
        self.other_host.as_deref()
    }

    /// What the Host header says (RFC 9112 §3.2).
    #[must_use]
    pub fn host(&self) -> &str {
        self.other_host.as_deref().unwrap_or(&self.authority)
    }
}

/// A check that needs a resolver is one of the resolver too, and the service may be that very
/// resolver. So no name is looked up.
fn addresses_of(authority: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(format!("{HTTP}, with a port from 1 to 65535")),
            _ => Ok(vec![address]),
        };
    }
    let bare = authority
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = match bare {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => authority.parse().ok().map(IpAddr::V4),
    };
    if let Some(ip) = ip {
        return Ok(vec![SocketAddr::new(ip, HttpProbe::PORT)]);
    }
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok().filter(|port| *port > 0)),
        None => (authority, Some(HttpProbe::PORT)),
    };
    match port {
        Some(port) if name.eq_ignore_ascii_case("localhost") => Ok(vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
        ]),
        Some(_) if is_host_name(name) => Err(format!(
            "{HTTP}: a health check looks up no names; write the address, and http-host = {name:?} beside it"
        )),
        _ => Err(HTTP.to_owned()),
    }
}

fn is_host_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=253).contains(&text.len())
        && text.chars().all(legal)
        && text.contains(|c: char| c.is_ascii_alphabetic())
}

fn starts_with_ignoring_case(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// The value of a Host header.
///
/// # Errors
/// What it must be, to complete the sentence "must be …".
pub fn parse_http_host(text: &str) -> Result<String, String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_ip = |name: &str| {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
    };
    match (is_host_name(name) || is_ip(name)) && port.is_none_or(is_port) {
        true => Ok(text.to_owned()),
        false => Err("a host's name, perhaps with a port, such as \"www.example.com\"".to_owned()),
    }
}

/// Where a connection is to be accepted.
///
/// # Errors
/// What it must be, to complete the sentence "must be …".
pub fn parse_tcp(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    address.filter(|address| address.port() > 0).ok_or_else(|| {
        "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:53\"; no name is looked up"
            .to_owned()
    })
}

/// Why a program cannot be run by us, as far as that can be seen from here.
pub(crate) fn why_not_executable(program: &str) -> Option<String> {
    let path = Path::new(program);
    match std::fs::metadata(path) {
        Err(error) => Some(error.to_string()),
        Ok(metadata) if !metadata.is_file() => Some("it is no file".to_owned()),
        Ok(_) => {
            let access = rustix::fs::access(path, rustix::fs::Access::EXEC_OK);
            access
                .err()
                .map(|_| "it is not executable for this user".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Result<String, String> {
        let probe = HttpProbe::new(url)?;
        Ok(format!(
            "{:?} {} {}",
            probe.addresses(),
            probe.path(),
            probe.host()
        ))
    }

    #[test]
    fn urls_name_addresses() {
        for (url, read) in [
            (
                "http://127.0.0.1:8080/healthz",
                "[127.0.0.1:8080] /healthz 127.0.0.1:8080",
            ),
            ("HTTP://192.0.2.1", "[192.0.2.1:80] / 192.0.2.1"),
            ("http://[::1]:81?a=b", "[[::1]:81] /?a=b [::1]:81"),
            (
                "http://[2001:db8::1]/x?y#z",
                "[[2001:db8::1]:80] /x?y [2001:db8::1]",
            ),
            (
                "http://LocalHost:9/",
                "[127.0.0.1:9, [::1]:9] / localhost:9",
            ),
        ] {
            assert_eq!(http(url).as_deref(), Ok(read), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_what_to_do_instead() {
        for (url, word) in [
            ("https://127.0.0.1/", "plain HTTP only"),
            (
                "http://www.example.com:80/",
                "http-host = \"www.example.com\"",
            ),
            ("http://user@127.0.0.1/", "without a user"),
            ("http://127.0.0.1/a b", "%20"),
            ("http://127.0.0.1:0/", "port from 1"),
            ("http://localhost:0/", "an URL"),
            ("http://", "an URL"),
            ("http://[::1/", "an URL"),
            ("127.0.0.1:80", "an URL"),
            ("ftp://127.0.0.1", "an URL"),
            ("http://127.0.0.1/\u{e4}", "%20"),
        ] {
            let expected = http(url).unwrap_err();
            assert!(expected.contains(word), "{url}: {expected}");
        }
    }

    #[test]
    fn a_host_header_is_a_name_with_or_without_port() {
        for good in [
            "www.example.com",
            "a:8080",
            "192.0.2.1",
            "[::1]:80",
            "[::1]",
        ] {
            assert_eq!(parse_http_host(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a\r\nX: y", "a:0", ":80", "a/b"] {
            assert!(parse_http_host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_service_that_hangs_is_found_out_after_the_last_timeout() {
        let millis = Duration::from_millis;
        let mut check = CheckConfig {
            probe: Probe::Tcp("127.0.0.1:80".parse().unwrap()),
            interval: millis(200),
            timeout: millis(100),
            fall: CheckConfig::DEFAULT_FALL,
            rise: CheckConfig::DEFAULT_RISE,
        };
        assert_eq!(check.slowest_fall(), millis(200 + 2 * 200 + 100));
        check.timeout = millis(500);
        assert_eq!(check.slowest_fall(), millis(200 + 2 * 500 + 500));
    }
}
