//! Examples for the rules, and properties over arbitrary pools, services and changes of both.

use proptest::prelude::*;

use super::*;
use crate::config::PeerName;

type Configured = BTreeMap<PoolName, PoolConfig>;
type Requests = BTreeMap<ServiceName, PoolRequest>;
type Assignments = BTreeMap<ServiceName, Assigned>;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn pool_name(text: &str) -> PoolName {
    PoolName::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(ranges: &[&str]) -> PoolConfig {
    let ranges = ranges.iter().map(|text| AddressRange::parse(text).unwrap());
    PoolConfig {
        addresses: ranges.collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
    }
}

fn pools<const N: usize>(pools: [(&str, PoolConfig); N]) -> Configured {
    let pools = pools.into_iter();
    pools.map(|(name, pool)| (pool_name(name), pool)).collect()
}

fn any_pool() -> PoolRequest {
    PoolRequest::default()
}

fn of_pool(pool: &str) -> PoolRequest {
    PoolRequest {
        pool: Some(pool_name(pool)),
        ip_families: None,
    }
}

fn of_families(families: IpFamilies) -> PoolRequest {
    PoolRequest {
        pool: None,
        ip_families: Some(families),
    }
}

fn requests<const N: usize>(requests: [(&str, PoolRequest); N]) -> Requests {
    let requests = requests.into_iter();
    requests
        .map(|(text, request)| (name(text), request))
        .collect()
}

fn settle(
    pools: &Configured,
    fixed: &[(IpAddr, Holder)],
    requests: &Requests,
    kept: &Assignments,
) -> Pools {
    let former = Former {
        assigned: kept,
        released: &[],
    };
    Pools::settle(
        pools,
        fixed.iter().cloned(),
        &requests.iter().collect::<Vec<_>>(),
        former,
    )
}

#[test]
fn nobody_is_given_what_is_a_neighbor_s_or_the_host_s_own() {
    let pools = pools([("public", pool(&["10.9.0.0/29"]))]);
    let router = Holder::Neighbor(Party::Peer(PeerName::new("frr").unwrap()));
    let barred = [
        (ip("10.9.0.0"), Holder::Host),
        (ip("10.9.0.1"), router.clone()),
        (ip("10.9.0.2"), Holder::Host),
    ];
    // It may have been given away before the router came.
    let had = Assigned {
        ipv4: Some("10.9.0.1".parse().unwrap()),
        ipv6: None,
    };
    let kept: Assignments = [(name("web"), had)].into();
    let mut books = settle(&pools, &barred, &requests([("web", any_pool())]), &kept);
    let has: Vec<_> = books.assigned(&name("web")).addresses().collect();
    assert_eq!(has, [ip("10.9.0.3")]);
    let said = books.reassignments(&kept, None);
    assert_eq!(
        said[&name("web")].to_string(),
        "10.9.0.1 is the address of peer frr; gets 10.9.0.3 of pool public"
    );
    // A service that names the host's address, and is removed, does not set it free.
    books.reserve(ip("10.9.0.2"), Holder::Fixed(name("own")));
    books.unreserve(ip("10.9.0.2"), &Holder::Fixed(name("own")));
    assert_eq!(books.holder(ip("10.9.0.2")), Some(&Holder::Host));
    books.unreserve(ip("10.9.0.1"), &router);
    assert_eq!(books.holder(ip("10.9.0.1")), None);
}

fn assignments(books: &Pools) -> Assignments {
    let clients = books.clients();
    clients
        .map(|(name, client)| (name.clone(), client.assigned))
        .collect()
}

/// `service address address`
fn said(books: &Pools) -> Vec<String> {
    let clients = books.clients().map(|(name, client)| {
        let addresses = client.assigned.addresses().map(|ip| format!(" {ip}"));
        format!("{name}{}", addresses.collect::<String>())
    });
    clients.collect()
}

fn reassigned(books: &Pools, before: &Pools) -> Vec<String> {
    let all = books.reassignments(&assignments(before), Some(before));
    all.iter()
        .map(|(name, it)| format!("service {name}: {it}"))
        .collect()
}

#[test]
fn the_lowest_free_address_of_each_family_is_given() {
    let pools = pools([("public", pool(&["192.0.2.8/29", "2001:db8:5::8/125"]))]);
    let fixed = [
        (ip("192.0.2.8"), Holder::Fixed(name("dns"))),
        (ip("2001:db8:5::9"), Holder::Route),
    ];
    let requests = requests([("a", any_pool()), ("b", any_pool())]);
    let books = settle(&pools, &fixed, &requests, &Assignments::new());
    assert_eq!(
        said(&books),
        ["a 192.0.2.9 2001:db8:5::8", "b 192.0.2.10 2001:db8:5::a"]
    );
}

#[test]
fn a_service_has_all_its_addresses_from_one_pool() {
    let pools = pools([
        ("a-v4", pool(&["192.0.2.0/31"])),
        ("b-v6", pool(&["2001:db8:5::/127"])),
        ("c-dual", pool(&["198.51.100.0/31", "2001:db8:6::/127"])),
    ]);
    let requests = requests([
        ("both", of_families(IpFamilies::Both)),
        ("only-v6", of_families(IpFamilies::Only(IpFamily::V6))),
        ("plain", any_pool()),
    ]);
    let books = settle(&pools, &[], &requests, &Assignments::new());
    assert_eq!(
        said(&books),
        [
            "both 198.51.100.0 2001:db8:6::",
            "only-v6 2001:db8:5::",
            "plain 192.0.2.0"
        ]
    );
}

#[test]
fn a_pool_without_auto_assign_is_for_those_who_name_it() {
    let reserved = PoolConfig {
        auto_assign: false,
        ..pool(&["192.0.2.0/24"])
    };
    let pools = pools([("reserved", reserved)]);
    let requests = requests([("named", of_pool("reserved")), ("unnamed", any_pool())]);
    let books = settle(&pools, &[], &requests, &Assignments::new());
    assert_eq!(said(&books), ["named 192.0.2.0", "unnamed"]);
    let lack = |service| books.client(&name(service)).unwrap().lack.clone();
    assert_eq!(lack("unnamed"), Some(Lack::NoneAssigns));
    assert_eq!(lack("named"), None);
}

#[test]
fn buggy_addresses_are_given_to_nobody_where_they_are_to_be_avoided() {
    let careful = PoolConfig {
        avoid_buggy_ips: true,
        ..pool(&["192.0.2.254-192.0.3.1"])
    };
    let pools = pools([("public", careful)]);
    let requests = requests([("a", any_pool()), ("b", any_pool()), ("c", any_pool())]);
    let books = settle(&pools, &[], &requests, &Assignments::new());
    assert_eq!(said(&books), ["a 192.0.2.254", "b 192.0.3.1", "c"]);
    let use_ = books.uses().next().unwrap();
    assert_eq!((use_.in_use(IpFamily::V4), use_.free(IpFamily::V4)), (2, 0));
}

#[test]
fn who_has_an_address_keeps_it_whoever_comes_before_it_by_name() {
    let pools = pools([("public", pool(&["192.0.2.0/30"]))]);
    let first = settle(
        &pools,
        &[],
        &requests([("m", any_pool())]),
        &Assignments::new(),
    );
    let more = requests([("a", any_pool()), ("m", any_pool()), ("z", any_pool())]);
    let books = settle(&pools, &[], &more, &assignments(&first));
    assert_eq!(said(&books), ["a 192.0.2.1", "m 192.0.2.0", "z 192.0.2.2"]);
}

#[test]
fn what_is_in_a_pool_no_longer_is_replaced_and_said() {
    let requests = requests([("web", of_pool("public"))]);
    let before = pools([("public", pool(&["192.0.2.5-192.0.2.6", "2001:db8:5::/64"]))]);
    let before = settle(&before, &[], &requests, &Assignments::new());
    let after = pools([("public", pool(&["192.0.2.9-192.0.2.10", "2001:db8:5::/64"]))]);
    let after = settle(&after, &[], &requests, &assignments(&before));
    assert_eq!(said(&after), ["web 192.0.2.9 2001:db8:5::"]);
    assert_eq!(
        reassigned(&after, &before),
        ["service web: 192.0.2.5 is no longer in pool public; gets 192.0.2.9 of pool public"]
    );
    assert_eq!(reassigned(&after, &after), [""; 0]);
}

#[test]
fn a_pool_that_vanishes_leaves_those_without_who_name_it_and_moves_the_others() {
    let requests = requests([("any", any_pool()), ("web", of_pool("a"))]);
    let before = pools([
        ("a", pool(&["192.0.2.0/24"])),
        ("b", pool(&["198.51.100.0/24"])),
    ]);
    let before = settle(&before, &[], &requests, &Assignments::new());
    let after = pools([("b", pool(&["198.51.100.0/24"]))]);
    let after = settle(&after, &[], &requests, &assignments(&before));
    assert_eq!(
        reassigned(&after, &before),
        [
            "service any: 192.0.2.0 was of pool a, which is gone; gets 198.51.100.0 of pool b",
            "service web: 192.0.2.1 was of pool a, which is gone; lacks an address: there is no pool a",
        ]
    );
}

#[test]
fn a_pool_of_another_name_is_as_good_to_those_who_name_none() {
    let requests = requests([("any", any_pool())]);
    let before = pools([("a", pool(&["192.0.2.0/24"]))]);
    let before = settle(&before, &[], &requests, &Assignments::new());
    let renamed = pools([
        ("a", pool(&["198.51.100.0/24"])),
        ("b", pool(&["192.0.2.0/24"])),
    ]);
    let after = settle(&renamed, &[], &requests, &assignments(&before));
    assert_eq!(said(&after), ["any 192.0.2.0"]);
}

#[test]
fn an_address_that_somebody_names_is_given_up_for_it() {
    let requests = requests([("web", any_pool())]);
    let pools = pools([("public", pool(&["192.0.2.0/30"]))]);
    let before = settle(&pools, &[], &requests, &Assignments::new());
    let fixed = [(ip("192.0.2.0"), Holder::Fixed(name("dns")))];
    let after = settle(&pools, &fixed, &requests, &assignments(&before));
    assert_eq!(
        reassigned(&after, &before),
        ["service web: 192.0.2.0 is an address of service dns; gets 192.0.2.1 of pool public"]
    );
}

#[test]
fn a_family_that_a_pool_is_given_later_is_added_to_what_services_have() {
    let requests = requests([("web", any_pool())]);
    let before = pools([("public", pool(&["192.0.2.0/30"]))]);
    let before = settle(&before, &[], &requests, &Assignments::new());
    let after = pools([("public", pool(&["192.0.2.0/30", "2001:db8:5::/64"]))]);
    let after = settle(&after, &[], &requests, &assignments(&before));
    assert_eq!(said(&after), ["web 192.0.2.0 2001:db8:5::"]);
}

#[test]
fn who_finds_no_address_gets_one_as_soon_as_one_is_free() {
    let pools = pools([("public", pool(&["192.0.2.0/31"]))]);
    let all = requests([("a", any_pool()), ("b", any_pool()), ("c", any_pool())]);
    let mut books = settle(&pools, &[], &all, &Assignments::new());
    assert_eq!(said(&books), ["a 192.0.2.0", "b 192.0.2.1", "c"]);
    assert!(books.serve_waiting().is_empty());
    books.release(&name("a"));
    let served = books.serve_waiting();
    assert_eq!(served.len(), 1);
    assert_eq!(said(&books), ["b 192.0.2.1", "c 192.0.2.0"]);
    assert_eq!(books.waiting().len(), 0);
}

#[test]
fn who_comes_back_gets_what_it_had_if_nobody_else_has() {
    let pools = pools([("public", pool(&["192.0.2.0/30"]))]);
    let had = Assigned {
        ipv4: Some(Ipv4Addr::new(192, 0, 2, 2)),
        ipv6: None,
    };
    let back = requests([("a", any_pool()), ("web", any_pool())]);
    let back: Vec<_> = back.iter().collect();
    let (nobody, released) = (Assignments::new(), [(name("web"), had)]);
    let former = Former {
        assigned: &nobody,
        released: &released,
    };
    let books = Pools::settle(&pools, [], &back, former);
    assert_eq!(said(&books), ["a 192.0.2.0", "web 192.0.2.2"]);
    let taken: Assignments = [(name("a"), had)].into();
    let former = Former {
        assigned: &taken,
        released: &released,
    };
    let books = Pools::settle(&pools, [], &back, former);
    assert_eq!(said(&books), ["a 192.0.2.2", "web 192.0.2.0"]);
}

#[test]
fn a_pool_takes_no_memory_for_its_size() {
    let pools = pools([("huge", pool(&["10.0.0.0/8", "2001:db8::/32"]))]);
    let names = (0..2_000).map(|number| name(&format!("s{number}")));
    let many: Requests = names.map(|name| (name, any_pool())).collect();
    let books = settle(&pools, &[], &many, &Assignments::new());
    let pool = &books.pools[&pool_name("huge")];
    assert_eq!(pool.lowest(IpFamily::V4), Some(ip("10.0.7.208")));
    assert_eq!(pool.lowest(IpFamily::V6), Some(ip("2001:db8::7d0")));
    let use_ = books.uses().next().unwrap();
    assert_eq!(use_.free(IpFamily::V6), (1 << 96) - 2_000);
}

const RANGES: [&str; 6] = [
    "192.0.2.0/30",
    "192.0.2.254-192.0.3.2",
    "198.51.100.7",
    "2001:db8:5::/126",
    "2001:db8:5::10-2001:db8:5::11",
    "203.0.113.0/28",
];

/// Each range in one of three pools, or in none.
fn some_pools() -> impl Strategy<Value = Configured> {
    let places = prop::array::uniform6(0_usize..4);
    let flags = prop::array::uniform3(any::<(bool, bool)>());
    (places, flags).prop_map(|(places, flags)| {
        let names = ["a", "b", "c"].into_iter().enumerate();
        let configured = names.filter_map(|(index, name)| {
            let ranges = RANGES.iter().zip(places);
            let ranges = ranges.filter(|(_, place)| *place == index);
            let mut addresses: Vec<AddressRange> = ranges
                .map(|(text, _)| AddressRange::parse(text).unwrap())
                .collect();
            addresses.sort();
            let (auto_assign, avoid_buggy_ips) = flags[index];
            let config = PoolConfig {
                addresses,
                auto_assign,
                avoid_buggy_ips,
            };
            (!config.addresses.is_empty()).then(|| (pool_name(name), config))
        });
        configured.collect()
    })
}

fn some_requests() -> impl Strategy<Value = Requests> {
    let pool = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let families = prop::option::of(prop::sample::select(vec![
        IpFamilies::Only(IpFamily::V4),
        IpFamilies::Only(IpFamily::V6),
        IpFamilies::Both,
    ]));
    let request = (pool, families).prop_map(|(pool, ip_families)| PoolRequest {
        pool: pool.map(pool_name),
        ip_families,
    });
    let service = (0_u8..16).prop_map(|number| name(&format!("s{number}")));
    prop::collection::btree_map(service, request, 0..16)
}

fn some_fixed() -> impl Strategy<Value = Vec<(IpAddr, Holder)>> {
    let inside = prop::sample::select(vec![
        "192.0.2.0",
        "192.0.2.1",
        "192.0.3.0",
        "198.51.100.7",
        "2001:db8:5::1",
        "10.9.9.9",
    ]);
    let fixed = prop::collection::btree_set(inside, 0..4);
    fixed.prop_map(|fixed| {
        let fixed = fixed.into_iter();
        fixed
            .map(|text| (ip(text), Holder::Fixed(name("fixed"))))
            .collect()
    })
}

/// Everything that must hold at any time.
fn check(books: &Pools, pools: &Configured, fixed: &[(IpAddr, Holder)]) {
    let mut seen = BTreeSet::new();
    for (name, client) in books.clients() {
        let mut homes = BTreeSet::new();
        for ip in client.assigned.addresses() {
            assert!(seen.insert(ip), "{ip} is assigned twice");
            assert!(!fixed.iter().any(|(it, _)| *it == ip), "{ip} is fixed");
            assert_eq!(books.holder(ip), Some(&Holder::Assigned(name.clone())));
            let pool = books.pool_of(ip).expect("it is in a pool");
            assert!(pools[pool].may_assign(ip), "{ip} is not for assigning");
            assert!(client.request.pool.as_ref().is_none_or(|it| it == pool));
            homes.insert(pool);
        }
        assert!(homes.len() <= 1, "{name} has addresses of {homes:?}");
        assert_eq!(client.lack.is_some(), books.waiting.contains(name));
        let families = client.request.ip_families;
        if let Some(families) = families.filter(|_| client.lack.is_none()) {
            for family in IpFamily::ALL {
                assert_eq!(client.assigned.has(family), families.contains(family));
            }
        }
        assert!(client.lack.is_some() || !client.assigned.is_empty());
    }
    for pool in books.uses() {
        for family in IpFamily::ALL {
            let space = books.pools[pool.name].space(family);
            assert_eq!(space.lowest().is_none(), pool.free(family) == 0);
        }
    }
}

proptest! {
    #[test]
    fn nobody_has_what_is_not_his(
        pools in some_pools(), fixed in some_fixed(), requests in some_requests(),
        others in (some_pools(), some_fixed(), some_requests()),
    ) {
        let before = settle(&pools, &fixed, &requests, &Assignments::new());
        check(&before, &pools, &fixed);
        // Then everything changes at once.
        let (pools, fixed, requests) = others;
        let after = settle(&pools, &fixed, &requests, &assignments(&before));
        check(&after, &pools, &fixed);
        // Whoever may keep an address keeps it.
        for (name, client) in after.clients() {
            let had = before.assigned(name);
            let kept = after.retained(name, &client.request, had);
            for ip in kept.addresses() {
                prop_assert!(client.assigned.addresses().any(|it| it == ip));
            }
        }
    }

    #[test]
    fn a_reload_that_changes_nothing_moves_nobody(
        pools in some_pools(), fixed in some_fixed(), requests in some_requests(),
    ) {
        let before = settle(&pools, &fixed, &requests, &Assignments::new());
        let after = settle(&pools, &fixed, &requests, &assignments(&before));
        prop_assert_eq!(&after, &before);
        prop_assert!(after.reassignments(&assignments(&before), Some(&before)).is_empty());
    }

    #[test]
    fn what_is_said_to_change_is_what_changes(
        pools in some_pools(), requests in some_requests(),
        other_pools in some_pools(), fixed in some_fixed(),
    ) {
        let before = settle(&pools, &[], &requests, &Assignments::new());
        let after = settle(&other_pools, &fixed, &requests, &assignments(&before));
        let said = after.reassignments(&assignments(&before), Some(&before));
        for (name, client) in after.clients() {
            let changed = client.assigned != before.assigned(name);
            prop_assert!(!changed || said.contains_key(name), "{}", name);
        }
    }

    #[test]
    fn one_by_one_the_books_stay_right(
        pools in some_pools(), fixed in some_fixed(), requests in some_requests(),
        order in prop::collection::vec((0_u8..16, 0_u8..3), 0..60),
    ) {
        let mut books = settle(&pools, &fixed, &Requests::new(), &Assignments::new());
        for (number, what) in order {
            let name = name(&format!("s{number}"));
            let address = ip(&format!("192.0.2.{}", number % 4));
            match what {
                0 => {
                    let Some(request) = requests.get(&name) else { continue };
                    let choice = books.choose(&name, request, books.assigned(&name));
                    books.enter(&name, request, &choice);
                }
                1 => {
                    books.release(&name);
                }
                _ if books.holder(address).is_none() => books.reserve(address, Holder::Route),
                _ => books.unreserve(address, &Holder::Route),
            }
            let served = books.serve_waiting();
            for (name, choice) in served {
                prop_assert_eq!(books.assigned(&name), choice.assigned);
            }
            check(&books, &pools, &[]);
        }
    }
}
