//! The text format that Prometheus had before OpenMetrics (version 0.0.4), for what reads nothing
//! else: `promtool check metrics`, old collectors.
//!
//! It is OpenMetrics but for this: a metric is described by the whole name of its samples, there are
//! no units and no infos, and there is no end.

use std::collections::BTreeMap;

/// A text of OpenMetrics in the format of version 0.0.4.
pub(super) fn from_openmetrics(text: &str) -> String {
    let types: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let end_of = |name| match types.get(name) {
        Some(&"counter") => "_total",
        Some(&"info") => "_info",
        _ => "",
    };
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let parts = [words.next(), words.next(), words.next(), words.next()];
        let described = match parts {
            [Some("#"), Some("EOF"), ..] | [Some("#"), Some("UNIT"), ..] => continue,
            [Some("#"), Some("TYPE"), Some(name), Some(kind)] => {
                let kind = if kind == "info" { "gauge" } else { kind };
                Some(("TYPE", name, kind))
            }
            [Some("#"), Some("HELP"), Some(name), help] => {
                Some(("HELP", name, help.unwrap_or_default()))
            }
            _ => None,
        };
        match described {
            Some((what, name, rest)) => {
                let end = end_of(name);
                out.extend(["# ", what, " ", name, end, " ", rest]);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Whether somebody who accepts this (RFC 9110 §12.5.1) would rather have it than OpenMetrics, which
/// is what all get that do not mind.
pub(super) fn is_preferred(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let mut offers = accept.split(',').map(|offer| offer.split(';'));
        let offer = offers.find_map(|mut parts| {
            let kind = parts.next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case(wanted).then_some(parts)
        });
        offer.map_or(0.0, |mut parameters| {
            let quality = parameters.find_map(|it| it.trim().strip_prefix("q=")?.parse().ok());
            quality.unwrap_or(1.0_f32)
        })
    };
    quality("text/plain") > quality("application/openmetrics-text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_samples() {
        let open = "# HELP herald_a How often.\n# TYPE herald_a counter\nherald_a_total{peer=\"x\"} 1\n\
                    # HELP herald_b_seconds How long.\n# TYPE herald_b_seconds gauge\n\
                    # UNIT herald_b_seconds seconds\nherald_b_seconds 2.0\n\
                    # HELP herald_build The program.\n# TYPE herald_build info\nherald_build_info{version=\"1\"} 1\n# EOF\n";
        assert_eq!(
            from_openmetrics(open),
            "# HELP herald_a_total How often.\n# TYPE herald_a_total counter\nherald_a_total{peer=\"x\"} 1\n\
             # HELP herald_b_seconds How long.\n# TYPE herald_b_seconds gauge\nherald_b_seconds 2.0\n\
             # HELP herald_build_info The program.\n# TYPE herald_build_info gauge\nherald_build_info{version=\"1\"} 1\n"
        );
    }

    #[test]
    fn who_asks_for_it_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for other in ["", "*/*", prometheus, "application/json", "text/plain;q=0"] {
            assert!(!is_preferred(other), "{other}");
        }
        for classic in [
            "text/plain",
            "text/plain; version=0.0.4",
            "application/openmetrics-text;q=0.3, Text/Plain;version=0.0.4;q=0.6",
        ] {
            assert!(is_preferred(classic), "{classic}");
        }
    }
}
