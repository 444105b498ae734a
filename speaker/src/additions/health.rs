//! What a service depends on, as the API takes it and the state file keeps it.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{
    BfdName, CheckConfig, HealthConfig, HttpProbe, Probe, parse_http_host, parse_tcp,
};

/// Exactly one of `http` and `tcp`, `bfd`, or both kinds. `exec` is for the file alone: whoever may
/// use the socket need not be allowed to run programs as the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// An URL with an address in it; 2xx and 3xx are good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The Host header, where it is not what the URL says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_host: Option<String>,
    /// An address and a port that accepts connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// Refused, with a word about why.
    #[serde(skip_serializing)]
    #[cfg_attr(test, schemars(skip))]
    pub exec: Option<serde_json::Value>,
    /// A `[[bfd-session]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdName>,
    /// How often; 1000 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// How long a check may take; the interval, at most 5000, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Failures in a row until it is unhealthy; 3 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fall: Option<NonZeroU8>,
    /// Successes in a row until it is healthy again; 2 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rise: Option<NonZeroU8>,
}

impl TryFrom<&HealthSpec> for HealthConfig {
    type Error = String;

    fn try_from(spec: &HealthSpec) -> Result<Self, String> {
        if spec.exec.is_some() {
            return Err("health: exec: must be absent: programs are named in the configuration file only, for they run as the daemon; use http, tcp or bfd, or put the service into the file".to_owned());
        }
        let probe = probe(spec)?;
        let [low, high] = CheckConfig::INTERVALS;
        let interval = millis("interval_ms", spec.interval_ms, low, high)?;
        let interval = interval.unwrap_or(CheckConfig::DEFAULT_INTERVAL);
        let [low, high] = CheckConfig::TIMEOUTS;
        let timeout = millis("timeout_ms", spec.timeout_ms, low, high)?;
        let check = probe.map(|probe| {
            Arc::new(CheckConfig {
                probe,
                interval,
                timeout: timeout.unwrap_or(CheckConfig::default_timeout(interval)),
                fall: spec.fall.unwrap_or(CheckConfig::DEFAULT_FALL),
                rise: spec.rise.unwrap_or(CheckConfig::DEFAULT_RISE),
            })
        });
        if check.is_none() && spec.bfd.is_none() {
            return Err("health: must have http, tcp or bfd".to_owned());
        }
        Ok(Self {
            check,
            bfd: spec.bfd.clone(),
        })
    }
}

fn probe(spec: &HealthSpec) -> Result<Option<Probe>, String> {
    let wrong = |key: &str, found: &str, expected: String| {
        format!("health: {key}: found {found:?}; must be {expected}")
    };
    match (&spec.http, &spec.tcp) {
        (Some(_), Some(_)) => Err("health: must be http or tcp, not both".to_owned()),
        (Some(url), None) => {
            let probe = HttpProbe::new(url).map_err(|expected| wrong("http", url, expected))?;
            let host = spec.http_host.as_deref().map(|host| {
                parse_http_host(host).map_err(|expected| wrong("http_host", host, expected))
            });
            Ok(Some(Probe::Http(probe.with_host(host.transpose()?))))
        }
        (None, Some(address)) => {
            let tcp = parse_tcp(address).map_err(|expected| wrong("tcp", address, expected))?;
            Ok(Some(Probe::Tcp(tcp)))
        }
        (None, None) => Ok(None),
    }
}

fn millis(
    key: &str,
    number: Option<u64>,
    low: Duration,
    high: Duration,
) -> Result<Option<Duration>, String> {
    let Some(number) = number else {
        return Ok(None);
    };
    let time = Duration::from_millis(number);
    match (low..=high).contains(&time) {
        true => Ok(Some(time)),
        false => Err(format!(
            "health: {key}: found {number}; must be a number from {} to {}",
            low.as_millis(),
            high.as_millis()
        )),
    }
}

impl From<&HealthConfig> for HealthSpec {
    fn from(health: &HealthConfig) -> Self {
        let mut spec = Self {
            bfd: health.bfd.clone(),
            ..Self::default()
        };
        let Some(check) = &health.check else {
            return spec;
        };
        match &check.probe {
            Probe::Http(http) => {
                spec.http = Some(http.url());
                spec.http_host = http.other_host().map(str::to_owned);
            }
            Probe::Tcp(address) => spec.tcp = Some(address.to_string()),
            // It is in no specification that is kept.
            Probe::Exec(_) => {}
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).ok();
        spec.interval_ms = millis(check.interval);
        spec.timeout_ms = millis(check.timeout);
        spec.fall = Some(check.fall);
        spec.rise = Some(check.rise);
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<HealthConfig, String> {
        let spec: HealthSpec = serde_json::from_str(json).map_err(|error| error.to_string())?;
        HealthConfig::try_from(&spec)
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for json in [
            r#"{"http":"http://127.0.0.1:8080/","http_host":"www.example.com","interval_ms":200}"#,
            r#"{"tcp":"[::1]:53","bfd":"storage","timeout_ms":50,"fall":1,"rise":9}"#,
            r#"{"bfd":"storage"}"#,
        ] {
            let health = read(json).unwrap();
            let kept = serde_json::to_string(&HealthSpec::from(&health)).unwrap();
            assert_eq!(read(&kept), Ok(health), "{kept}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_would_be_right() {
        for (json, words) in [
            (r#"{}"#, "must have http, tcp or bfd"),
            (r#"{"http":"https://127.0.0.1/"}"#, "plain HTTP only"),
            (r#"{"tcp":"localhost:80"}"#, "no name is looked up"),
            (
                r#"{"tcp":"127.0.0.1:80","http":"http://127.0.0.1/"}"#,
                "not both",
            ),
            (
                r#"{"tcp":"127.0.0.1:80","interval_ms":9}"#,
                "from 10 to 3600000",
            ),
            (r#"{"tcp":"127.0.0.1:80","fall":0}"#, "nonzero"),
            (
                r#"{"exec":["/bin/true"]}"#,
                "in the configuration file only",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
