//! `[[service]]`: addresses that are served here, or what a pool is asked for, and what they depend on.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::super::document::{Located, Section};
use super::super::{
    BfdName, BfdSessionConfig, IpFamilies, IpFamily, PoolConfig, PoolName, PoolRequest,
    ServiceConfig, ServiceName, neighbors, value,
};
use super::health::{check_bfd, read_health};
use super::peer::Peers;
use super::pool::Pools;
use super::{one_of, quoted, refuse_again};

pub(super) fn read_services(
    sections: Vec<Section<'_>>,
    pools: &Pools,
    bfd_sessions: &BTreeMap<BfdName, BfdSessionConfig>,
    peers: &Peers,
) -> BTreeMap<ServiceName, Arc<ServiceConfig>> {
    let neighbors = neighbors(&peers.configs, bfd_sessions);
    let mut services = Vec::with_capacity(sections.len());
    let mut names = HashMap::with_capacity(sections.len());
    let mut users: HashMap<IpAddr, (usize, Rc<str>)> = HashMap::with_capacity(sections.len());
    let mut demand = Demand::new();
    for mut section in sections {
        let name = section.require(
            "name",
            "the name of the service, such as \"web\"",
            value::name::<ServiceName>,
        );
        let addresses = section.take_list("addresses", value::service_address);
        let request = read_request(&mut section, addresses.is_some(), pools);
        if addresses.is_none() {
            warn_of_want(&section, &request, pools, &mut demand);
        }
        let health = read_health(&mut section);
        section.finish();
        if let Some(health) = &health {
            check_bfd(&section, health, bfd_sessions, peers);
        }
        if addresses.as_ref().is_some_and(Vec::is_empty) && !section.has_error("addresses") {
            section.error(
                section.line,
                "addresses",
                "found an empty array; must have an address, or be left out, to have some assigned from a [[pool]]"
                    .to_owned(),
            );
        }
        let addresses = addresses.unwrap_or_default();
        for address in &addresses {
            if let Some(neighbor) = neighbors.get(&address.value) {
                let expected = format!("an address that no neighbor has; {neighbor} has it");
                section.refuse("addresses", address, &expected);
            }
            match users.get(&address.value) {
                Some((line, user)) => section.refuse(
                    "addresses",
                    address,
                    &format!("an address that no other service has; {user} has it (line {line})"),
                ),
                None => {
                    users.insert(address.value, (address.line, Rc::clone(&section.label)));
                }
            }
        }
        let Some(name) = name else { continue };
        match names.entry(name.value.clone()) {
            Entry::Occupied(first) => refuse_again(&section, "name", &name, *first.get()),
            Entry::Vacant(place) => {
                place.insert(name.line);
                let addresses = addresses.into_iter().map(|address| address.value).collect();
                let service = ServiceConfig {
                    addresses,
                    request,
                    health: health.map(|health| health.value),
                };
                services.push((name.value, Arc::new(service)));
            }
        }
    }
    services.into_iter().collect()
}

/// How many services ask for an address of a family, by pool.
type Demand = BTreeMap<(PoolName, IpFamily), u128>;

/// The first service for which a pool is too small is told.
fn warn_of_want(section: &Section<'_>, request: &PoolRequest, pools: &Pools, demand: &mut Demand) {
    let mut assigning = pools.configs.iter().filter(|(_, pool)| pool.auto_assign);
    let home = match (&request.pool, assigning.next(), assigning.next()) {
        (Some(name), ..) => pools.configs.get_key_value(name),
        (None, Some(only), None) => Some(only),
        _ => None,
    };
    let Some((name, pool)) = home else { return };
    let families = request.ip_families.or(pool.families());
    for family in families.iter().flat_map(|families| families.iter()) {
        let asking = demand.entry((name.clone(), family)).or_default();
        *asking += 1;
        let size = pool.size(family);
        if size > 0 && *asking == size.saturating_add(1) {
            let addresses = if size == 1 { "address" } else { "addresses" };
            let text = format!(
                "[[pool]] {name:?} has {size} {family} {addresses}, and more services than that ask for one"
            );
            section.warning(section.line, "pool", text);
        }
    }
}

/// What a service asks for that names no address.
fn read_request(section: &mut Section<'_>, names_addresses: bool, pools: &Pools) -> PoolRequest {
    let pool = section.take("pool", value::name::<PoolName>);
    let ip_families = section.take("ip-families", value::ip_families);
    if names_addresses || section.has_error("addresses") {
        for (key, line) in [
            ("pool", pool.map(|pool| pool.line)),
            ("ip-families", ip_families.map(|families| families.line)),
        ] {
            if let Some(line) = line {
                let text =
                    "must be left out: this service has addresses; a pool is for one without";
                section.error(line, key, text.to_owned());
            }
        }
        return PoolRequest::default();
    }
    match &pool {
        Some(pool) => check_pool(section, pool, ip_families.as_ref(), pools),
        None if !section.has_error("pool") => check_pools(section, ip_families.as_ref(), pools),
        None => {}
    }
    PoolRequest {
        pool: pool.map(|pool| pool.value),
        ip_families: ip_families.map(|families| families.value),
    }
}

fn check_pool(
    section: &Section<'_>,
    wanted: &Located<PoolName>,
    ip_families: Option<&Located<IpFamilies>>,
    pools: &Pools,
) {
    let known = pools.names.keys().map(String::as_str);
    if !pools.names.contains_key(wanted.value.as_str()) {
        let expected = one_of("the name of a [[pool]]", wanted.value.as_str(), known);
        section.refuse("pool", wanted, &expected);
    } else if let Some(pool) = pools.configs.get(&wanted.value) {
        match pool.families() {
            None => section.refuse(
                "pool",
                wanted,
                "a [[pool]] that has addresses besides those that its avoid-buggy-ips leaves out",
            ),
            Some(has) => {
                if let Some(families) = ip_families
                    && !has_all(pool, families.value)
                {
                    let expected = format!("of {has}, for [[pool]] {} has no others", wanted.found);
                    section.refuse("ip-families", families, &expected);
                }
            }
        }
    }
}

/// A service that names no pool needs one that fits.
fn check_pools(section: &Section<'_>, ip_families: Option<&Located<IpFamilies>>, pools: &Pools) {
    if pools.names.is_empty() {
        section.error(
            section.line,
            "addresses",
            "is missing; must be the addresses of the service, such as [\"192.0.2.1\", \"2001:db8::1\"]; to have some assigned, add a [[pool]]"
                .to_owned(),
        );
        return;
    }
    if pools.configs.len() < pools.names.len() {
        // What is wrong with the others is said already.
        return;
    }
    let mut assigning = pools.configs.values().filter(|pool| pool.auto_assign);
    if assigning.clone().next().is_none() {
        let known = quoted(pools.names.keys().map(String::as_str));
        section.error(
            section.line,
            "pool",
            format!(
                "is missing; must be the name of a [[pool]], for none has auto-assign: {known}"
            ),
        );
    } else if let Some(families) = ip_families
        && !assigning.any(|pool| has_all(pool, families.value))
    {
        let expected = "families that some [[pool]] with auto-assign has addresses of";
        section.refuse("ip-families", families, expected);
    }
}

fn has_all(pool: &PoolConfig, families: IpFamilies) -> bool {
    families.iter().all(|family| pool.size(family) > 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn problems(file: &str) -> Vec<String> {
        let file = format!("[speaker]\nlocal-as = 64520\n{file}");
        let error = Config::parse(Path::new("herald.toml"), &file).unwrap_err();
        error.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_misspelt_key_is_not_missing_as_well() {
        for file in [
            "[[service]]\nname = \"web\"\nadresses = [\"192.0.2.150\"]\n",
            "[[peer]]\nadress = \"192.0.2.1\"\nremote-as = 64521\n",
            "[[peer]]\naddress = \"192.0.2.1\"\nremote-sa = 64521\n",
        ] {
            let problems = problems(file);
            assert_eq!(problems.len(), 1, "{problems:#?}");
            assert!(
                problems[0].contains("unknown key; the nearest"),
                "{problems:?}"
            );
        }
        // What is not there at all is.
        let problems = problems("[[service]]\nname = \"web\"\n");
        assert!(
            problems[0].contains("addresses: is missing"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_number_in_quotes_is_told_so() {
        for key in ["remote-as", "local-as"] {
            let other = match key {
                "remote-as" => "",
                _ => "remote-as = 64521\n",
            };
            let file = format!("[[peer]]\naddress = \"192.0.2.1\"\n{key} = \"64522\"\n{other}");
            let problems = problems(&file);
            assert_eq!(problems.len(), 1, "{problems:#?}");
            assert!(problems[0].contains("without quotes"), "{problems:?}");
        }
    }
}
