//! What another `[[route]]` says, and to whom.

use super::advertisement::{All, compare_attributes};
use super::{Listed, compare};
use crate::config::RouteConfig;

/// What differs: `med 5 -> none, peers all -> [tor-a]`.
pub(crate) fn words(running: &RouteConfig, wanted: &RouteConfig) -> String {
    let RouteConfig { attributes, peers } = wanted;
    let mut found = Vec::new();
    compare_attributes(&mut found, &running.attributes, attributes);
    compare(&mut found, "peers", &All(&running.peers), &All(peers));
    Listed(&found).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::additions::RouteSpec;
    use crate::config::PeerName;

    fn route(communities: &[&str]) -> RouteSpec {
        RouteSpec {
            communities: communities.iter().map(|it| (*it).to_owned()).collect(),
            ..RouteSpec::default()
        }
    }

    fn told(running: &RouteSpec, wanted: &RouteSpec) -> String {
        let read = |spec: &RouteSpec| RouteConfig::try_from(spec).unwrap();
        words(&read(running), &read(wanted))
    }

    #[test]
    fn what_a_route_loses_is_said() {
        let running = RouteSpec {
            med: Some(5),
            ..route(&["no-export"])
        };
        assert_eq!(
            told(&running, &RouteSpec::default()),
            "med 5 -> none, communities no-export -> none"
        );
        assert_eq!(told(&running, &running), "");
    }

    #[test]
    fn what_a_route_gets_is_said() {
        let wanted = RouteSpec {
            local_pref: Some(200),
            as_path_prepend: 2,
            next_hop: vec!["192.0.2.7".to_owned()],
            peers: Some(vec![PeerName::new("tor-a").unwrap()]),
            ..route(&["64520:1", "64520:2"])
        };
        assert_eq!(
            told(&RouteSpec::default(), &wanted),
            "local-pref none -> 200, as-path-prepend 0 -> 2, communities none -> [64520:1, 64520:2], \
             next-hop none -> 192.0.2.7, peers all -> [tor-a]"
        );
    }

    #[test]
    fn of_many_communities_the_first_are_named() {
        let many: Vec<String> = (1..=20).map(|value| format!("64520:{value}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            told(&route(&["no-export"]), &route(&many)),
            "communities no-export -> [64520:1, 64520:2, 64520:3, 64520:4, 64520:5, 64520:6, 64520:7, 64520:8, and 12 more]"
        );
        let mut others = many.clone();
        others[19] = "64520:99";
        assert!(
            told(&route(&many), &route(&others)).ends_with(", and 12 more] (others among them)")
        );
    }
}
