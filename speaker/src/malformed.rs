//! UPDATEs with errors that RFC 7606 lets pass: what is needed to find out who made them so (RFC
//! 7606 §8), and no more of it than can be looked at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::SystemTime;

use bgp::wire::{AttributeAction, AttributeError};
use ipnet::IpNet;

/// How much of a message is kept: all of one that is not extended (RFC 8654).
const MAX_OCTETS: usize = 4096;
/// How many of its prefixes, and of its errors, are kept.
const MAX_LISTED: usize = 16;

/// One such UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// When it came.
    pub at: SystemTime,
    /// The attributes and what was made of each, the first ones: `ORIGIN (1): treat-as-withdraw`.
    pub errors: Vec<String>,
    /// The prefixes that it is about, the first ones.
    pub prefixes: Vec<IpNet>,
    /// How many prefixes there are.
    pub prefix_count: usize,
    /// The beginning of the message, with its header.
    pub message: Vec<u8>,
    /// How long the message was.
    pub length: usize,
}

impl Malformed {
    pub(crate) fn new(at: SystemTime, update: &bgp::MalformedUpdate) -> Self {
        // RFC 4271 §4.1: marker, length, type. The session has taken the header off.
        let length = 19 + update.body.len();
        let mut message = vec![0xFF; 16];
        message.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        message.push(2);
        message.extend(update.body.iter().take(MAX_OCTETS - message.len()));
        let errors: BTreeSet<(u8, AttributeAction)> = update
            .errors
            .iter()
            .map(|AttributeError { code, action }| (*code, *action))
            .collect();
        let errors = errors.into_iter().take(MAX_LISTED);
        Self {
            at,
            errors: errors.map(described).collect(),
            prefixes: update.prefixes.iter().take(MAX_LISTED).copied().collect(),
            prefix_count: update.prefixes.len(),
            message,
            length,
        }
    }

    /// The prefixes in words.
    pub(crate) fn prefix_list(&self) -> String {
        listed(&self.prefixes, self.prefix_count)
    }

    /// The message in hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.message.iter().fold(String::new(), |mut hex, octet| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{octet:02x}");
            hex
        })
    }
}

/// Some of `count` prefixes in words.
pub(crate) fn listed<T: ToString>(prefixes: &[T], count: usize) -> String {
    if prefixes.is_empty() {
        return "no prefix".to_owned();
    }
    let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    let text = texts.join(", ");
    match count.saturating_sub(prefixes.len()) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn described((code, action): (u8, AttributeAction)) -> String {
    let action = match action {
        AttributeAction::Discard => "attribute discard",
        AttributeAction::TreatAsWithdraw => "treat-as-withdraw",
    };
    format!("{} ({code}): {action}", attribute(code))
}

/// The name that IANA's registry has for an attribute.
pub(crate) const fn attribute(code: u8) -> &'static str {
    match code {
        1 => "ORIGIN",
        2 => "AS_PATH",
        3 => "NEXT_HOP",
        4 => "MULTI_EXIT_DISC",
        5 => "LOCAL_PREF",
        6 => "ATOMIC_AGGREGATE",
        7 => "AGGREGATOR",
        8 => "COMMUNITIES",
        9 => "ORIGINATOR_ID",
        10 => "CLUSTER_LIST",
        14 => "MP_REACH_NLRI",
        15 => "MP_UNREACH_NLRI",
        16 => "EXTENDED COMMUNITIES",
        17 => "AS4_PATH",
        18 => "AS4_AGGREGATOR",
        25 => "IPv6 EXTENDED COMMUNITIES",
        32 => "LARGE_COMMUNITY",
        35 => "ONLY_TO_CUSTOMER",
        _ => "attribute",
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let error = |code| AttributeError {
            code,
            action: AttributeAction::Discard,
        };
        let prefix = |octet| IpNet::from(std::net::IpAddr::from([192, 0, 2, octet]));
        let malformed = Malformed::new(
            UNIX_EPOCH,
            &bgp::MalformedUpdate {
                errors: (0..=255).chain(0..=255).map(error).collect(),
                prefixes: (0..=255).map(prefix).collect(),
                body: vec![0xAB; 60_000].into(),
            },
        );
        assert_eq!(malformed.errors.len(), MAX_LISTED);
        assert_eq!(malformed.errors[1], "ORIGIN (1): attribute discard");
        assert!(malformed.prefix_list().ends_with(" and 240 more"));
        assert_eq!(malformed.message.len(), MAX_OCTETS);
        assert_eq!(malformed.length, 60_019);
        assert!(
            malformed
                .hex()
                .starts_with(&format!("{}ea7302abab", "f".repeat(32)))
        );
    }
}
