//! `[service.health]`: how it is found out whether a service works.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::document::{Located, Section};
use super::super::health::{parse_http_host, parse_tcp, why_not_executable};
use super::super::value::{self, Parsed};
use super::super::{BfdName, BfdSessionConfig, CheckConfig, HealthConfig, HttpProbe, Probe};
use super::hook::{argument, is_absolute};
use super::peer::Peers;
use super::{SECOND, one_of};

/// A service that is found dead later than this is a surprise to whoever uses it.
const SLOW: Duration = Duration::from_secs(30);

const NOTHING: &str = "is missing; must be what the service depends on: http = \"http://127.0.0.1:8080/healthz\", tcp = \"127.0.0.1:8080\", exec = [\"/usr/local/bin/check\"] or bfd = \"NAME\"";

/// What the table under `health` says; `None` when there is none, or it is wrong.
pub(super) fn read_health(service: &mut Section<'_>) -> Option<Located<HealthConfig>> {
    let example = "a table: [service.health] with http, tcp, exec or bfd in it";
    let (line, mut tables) = service.take_inline_tables("health", example)?;
    if tables.len() != 1 {
        service.error(line, "health", format!("found an array; must be {example}"));
        return None;
    }
    let mut section = tables.pop()?;
    let keys = Keys::read(&mut section);
    section.finish();
    let line = keys.bfd.as_ref().map_or(line, |bfd| bfd.line);
    let value = keys.check(&section)?;
    Some(Located {
        value,
        line,
        found: "a table".to_owned(),
    })
}

/// What a service depends on must be there.
pub(super) fn check_bfd(
    service: &Section<'_>,
    health: &Located<HealthConfig>,
    sessions: &BTreeMap<BfdName, BfdSessionConfig>,
    peers: &Peers,
) {
    let Some(name) = &health.value.bfd else {
        return;
    };
    match sessions.get(name) {
        Some(session) if !session.enabled => service.warning(
            health.line,
            "health",
            format!("depends on [[bfd-session]] {name:?}, which has enabled = false: the service is not announced before that is up"),
        ),
        Some(_) => {}
        None => {
            let expected = if peers.configs.contains_key(name.as_str()) {
                format!(
                    "the name of a [[bfd-session]], and {name} is a peer: add a [[bfd-session]] of another name with its address"
                )
            } else {
                let known = sessions.keys().map(BfdName::as_str);
                one_of("the name of a [[bfd-session]]", name.as_str(), known)
            };
            service.error(
                health.line,
                "health",
                format!("found bfd = {:?}; must be {expected}", name.as_str()),
            );
        }
    }
}

struct Keys {
    http: Option<Located<HttpProbe>>,
    http_host: Option<Located<String>>,
    tcp: Option<Located<SocketAddr>>,
    exec: Option<Vec<Located<String>>>,
    bfd: Option<Located<BfdName>>,
    interval: Option<Located<Duration>>,
    timeout: Option<Located<Duration>>,
    fall: Option<Located<NonZeroU8>>,
    rise: Option<Located<NonZeroU8>>,
}

impl Keys {
    fn read(section: &mut Section<'_>) -> Self {
        let [low, high] = CheckConfig::INTERVALS;
        let interval = value::duration_between(low, high);
        let [low, high] = CheckConfig::TIMEOUTS;
        let timeout = value::duration_between(low, high);
        Self {
            http: section.take("http", |value| text(value, HttpProbe::new)),
            http_host: section.take("http-host", |value| text(value, parse_http_host)),
            tcp: section.take("tcp", |value| text(value, parse_tcp)),
            exec: section.take_list("exec", argument),
            bfd: section.take("bfd", value::name),
            interval: section.take("interval", interval),
            timeout: section.take("timeout", timeout),
            fall: section.take("fall", value::nonzero_octet),
            rise: section.take("rise", value::nonzero_octet),
        }
    }

    fn check(&self, section: &Section<'_>) -> Option<HealthConfig> {
        let wrong = ["http", "http-host", "tcp", "exec", "bfd"]
            .iter()
            .any(|key| section.has_error(key));
        let probe = self.probe(section);
        if wrong {
            return None;
        }
        let bfd = self.bfd.as_ref().map(|bfd| bfd.value.clone());
        let check = match probe {
            Ok(probe) => probe.map(|probe| Arc::new(self.timed(section, probe))),
            Err(()) => return None,
        };
        if check.is_none() {
            self.warn_of_meaningless(section);
            if bfd.is_none() {
                section.error(section.line, "", NOTHING.to_owned());
                return None;
            }
        }
        Some(HealthConfig { check, bfd })
    }

    /// Exactly one, or none beside BFD.
    fn probe(&self, section: &Section<'_>) -> Result<Option<Probe>, ()> {
        let lines = [
            ("http", self.http.as_ref().map(|http| http.line)),
            ("tcp", self.tcp.as_ref().map(|tcp| tcp.line)),
            (
                "exec",
                self.exec.as_ref().map(|exec| {
                    let first = exec.first();
                    first.map_or(section.line, |first| first.line)
                }),
            ),
        ];
        let given = lines
            .into_iter()
            .filter_map(|(key, line)| Some((key, line?)));
        if let [(first, _), (second, line), ..] = given.collect::<Vec<_>>().as_slice() {
            section.error(
                *line,
                second,
                format!("is there beside {first}; must be one of http, tcp and exec; one exec can do what several would"),
            );
            return Err(());
        }
        if let (Some(host), None) = (&self.http_host, &self.http) {
            section.warning(
                host.line,
                "http-host",
                "means nothing without http".to_owned(),
            );
        }
        if let Some(http) = &self.http {
            let host = self.http_host.as_ref().map(|host| host.value.clone());
            return Ok(Some(Probe::Http(http.value.clone().with_host(host))));
        }
        if let Some(tcp) = &self.tcp {
            return Ok(Some(Probe::Tcp(tcp.value)));
        }
        let Some(exec) = &self.exec else {
            return Ok(None);
        };
        let Some(program) = exec.first() else {
            section.error(
                section.line,
                "exec",
                "found an empty array; must be a program and its arguments, such as [\"/usr/local/bin/check\"]".to_owned(),
            );
            return Err(());
        };
        if !is_absolute(section, exec) {
            return Err(());
        }
        if let Some(reason) = why_not_executable(&program.value) {
            section.warning(
                program.line,
                "exec",
                format!(
                    "{}: cannot be run here: {reason}; every check fails until it can",
                    program.value
                ),
            );
        }
        let arguments = exec.iter().map(|argument| argument.value.clone());
        Ok(Some(Probe::Exec(arguments.collect())))
    }

    fn timed(&self, section: &Section<'_>, probe: Probe) -> CheckConfig {
        let interval = self.interval.as_ref();
        let interval = interval.map_or(CheckConfig::DEFAULT_INTERVAL, |it| it.value);
        let timeout = self.timeout.as_ref().map(|timeout| timeout.value);
        let fall = self.fall.as_ref().map(|fall| fall.value);
        let rise = self.rise.as_ref().map(|rise| rise.value);
        let check = CheckConfig {
            probe,
            interval,
            timeout: timeout.unwrap_or(CheckConfig::default_timeout(interval)),
            fall: fall.unwrap_or(CheckConfig::DEFAULT_FALL),
            rise: rise.unwrap_or(CheckConfig::DEFAULT_RISE),
        };
        let pretty = humantime::format_duration;
        if let Some(timeout) = &self.timeout
            && timeout.value > interval
        {
            section.warning(
                timeout.line,
                "timeout",
                format!(
                    "{} is longer than the interval of {}: a service that hangs is checked every {} only",
                    timeout.found,
                    pretty(interval),
                    pretty(timeout.value)
                ),
            );
        }
        let slowest = check.slowest_fall();
        if slowest > SLOW {
            let line = [
                self.fall.as_ref().map(|fall| fall.line),
                self.interval.as_ref().map(|interval| interval.line),
                self.timeout.as_ref().map(|timeout| timeout.line),
            ];
            let line = line.into_iter().flatten().min().unwrap_or(section.line);
            let seconds = slowest.as_secs_f64().ceil();
            section.warning(
                line,
                "fall",
                format!(
                    "a service that hangs is announced for up to {} more: fall {}, interval {}, timeout {}",
                    pretty(SECOND.mul_f64(seconds)),
                    check.fall,
                    pretty(check.interval),
                    pretty(check.timeout)
                ),
            );
        }
        check
    }

    fn warn_of_meaningless(&self, section: &Section<'_>) {
        for (key, line) in [
            ("interval", self.interval.as_ref().map(|it| it.line)),
            ("timeout", self.timeout.as_ref().map(|it| it.line)),
            ("fall", self.fall.as_ref().map(|it| it.line)),
            ("rise", self.rise.as_ref().map(|it| it.line)),
        ] {
            if let Some(line) = line {
                section.warning(
                    line,
                    key,
                    "means nothing without http, tcp or exec: a BFD session has its own timers"
                        .to_owned(),
                );
            }
        }
    }
}

fn text<T>(value: &DeValue<'_>, parse: impl Fn(&str) -> Result<T, String>) -> Parsed<T> {
    // What is no text at all is told what a text would be.
    parse(value.as_str().unwrap_or_default()).map_err(Into::into)
}
