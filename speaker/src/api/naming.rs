//! Whom a request means: a peer by its name or its address, a BFD session by its name, that of its
//! peer, or the address of the other end.

use std::net::IpAddr;

use axum::http::StatusCode;

use super::problem::Problem;
use super::request::{Answer, named};
use crate::config::{Config, PeerAddress, PeerName};
use crate::speaker::unknown_peer;

/// A peer that is there.
pub(super) fn peer(config: &Config, text: &str) -> Answer<PeerName> {
    called(config, text)?.ok_or_else(|| unknown_peer(config, text).into())
}

/// The same; what is not there may be a peer of a range that is away, or a range.
pub(super) fn peer_or_name(config: &Config, text: &str) -> Answer<PeerName> {
    called(config, text)?.map_or_else(|| named(text), Ok)
}

/// The name of the one BFD session that this means; the text itself, where there is none.
pub(super) fn bfd_session<'t>(config: &'t Config, text: &'t str) -> &'t str {
    if config.peers.contains_key(text) || config.bfd_sessions.contains_key(text) {
        return text;
    }
    let own = config.bfd_sessions.iter().filter(|(_, session)| {
        let scope = session.interface.clone();
        let ip = Some(session.address);
        is_meant(text, &PeerAddress { ip, scope })
    });
    let peers = config.peers.iter();
    let of_peers = peers.filter(|(_, peer)| peer.bfd.is_some() && is_meant(text, &peer.address));
    let own = own.map(|(name, _)| name.as_str());
    let mut all = own.chain(of_peers.map(|(name, _)| name.as_str()));
    match (all.next(), all.next()) {
        (Some(name), None) => name,
        _ => text,
    }
}

/// A name is that of one peer; an address may be that of several.
fn called(config: &Config, text: &str) -> Answer<Option<PeerName>> {
    if let Some((name, _)) = config.peers.get_key_value(text) {
        return Ok(Some(name.clone()));
    }
    let peers = config.peers.iter();
    let mut meant = peers.filter(|(_, peer)| is_meant(text, &peer.address));
    let Some((first, _)) = meant.next() else {
        return Ok(None);
    };
    let others: Vec<&str> = meant.map(|(name, _)| name.as_str()).collect();
    if others.is_empty() {
        return Ok(Some(first.clone()));
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        format!(
            "{text} is the address of peer {first} and of {}; say which by its name",
            others.join(", ")
        ),
    ))
}

/// A link-local address means whatever interface it is on, unless the text says which.
fn is_meant(text: &str, address: &PeerAddress) -> bool {
    let (ip, scope) = match text.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope)),
        None => (text, None),
    };
    let is_there = scope.is_none() || scope == address.scope.as_deref();
    ip.parse::<IpAddr>().is_ok_and(|ip| address.ip == Some(ip)) && is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n\
            [[peer]]\nname = \"tor\"\naddress = \"2001:db8::1\"\nremote-as = 64521\nbfd-profile = \"default\"\n\
            [[peer]]\nname = \"left\"\naddress = \"fe80::1%eth0\"\nremote-as = 64521\n\
            [[peer]]\nname = \"right\"\naddress = \"fe80::1%eth1\"\nremote-as = 64521\n\
            [[peer]]\naddress = \"192.0.2.1\"\nremote-as = 64521\n\
            [[bfd-session]]\nname = \"path\"\naddress = \"192.0.2.9\"\n";
        Config::parse(std::path::Path::new("herald.toml"), text)
            .unwrap()
            .config
    }

    #[test]
    fn a_peer_is_called_by_its_name_or_its_address() {
        let config = config();
        for (text, name) in [
            ("tor", "tor"),
            ("2001:db8::1", "tor"),
            ("2001:DB8:0::1", "tor"),
            ("192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth1", "right"),
        ] {
            assert_eq!(peer(&config, text).unwrap().as_str(), name, "{text}");
        }
        let problem = peer(&config, "fe80::1").unwrap_err();
        assert_eq!(
            problem.detail,
            "fe80::1 is the address of peer left and of right; say which by its name"
        );
        let problem = peer(&config, "192.0.2.2").unwrap_err();
        assert!(problem.detail.starts_with("there is no peer 192.0.2.2"));
        let away = peer_or_name(&config, "192.0.2.2").unwrap();
        assert_eq!(away.as_str(), "192.0.2.2");
    }

    #[test]
    fn a_bfd_session_is_called_by_the_address_of_the_other_end() {
        let config = config();
        for (text, name) in [
            ("path", "path"),
            ("192.0.2.9", "path"),
            ("2001:db8::1", "tor"),
            // It has none.
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
        ] {
            assert_eq!(bfd_session(&config, text), name, "{text}");
        }
    }
}
