//! What this host calls itself, for the hostname capability.

use bgp::wire::Hostname;

/// The system's name of this host, its domain apart; `None` where it has none that can be said.
pub(crate) fn own() -> Option<Hostname> {
    let system = rustix::system::uname();
    split(system.nodename().to_str().ok()?)
}

fn split(name: &str) -> Option<Hostname> {
    let (host, domain) = name.split_once('.').unwrap_or((name, ""));
    // What Linux says of a host that was not given a name.
    let is_named = !host.is_empty() && host != "(none)";
    is_named.then(|| Hostname::new(host, domain)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_what_is_behind_the_first_dot() {
        let parts =
            |name| split(name).map(|name| (name.host().to_owned(), name.domain().to_owned()));
        let pair = |host: &str, domain: &str| Some((host.to_owned(), domain.to_owned()));
        assert_eq!(parts("node-1"), pair("node-1", ""));
        assert_eq!(parts("node-1.rack.example"), pair("node-1", "rack.example"));
        assert_eq!(parts("(none)"), None);
        assert_eq!(parts(""), None);
    }
}
