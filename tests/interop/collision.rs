//! Both sides connect in the same instant, again and again (RFC 4271 §6.8): one connection must remain, and stay.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::neighborhood::{Neighborhood, Options, ROUTERS, Transport};
use super::support::{announce, ensure, wait_until};

/// How often, unless `HERALD_SIMULTANEOUS_STARTS` says another number.
const STARTS: u32 = 6;

/// TCP connections come about, and nothing is heard on them: so both sides have one before either has read an OPEN.
const HOLD_BACK: &str = "tcp flags & psh == psh tcp sport 179";
const HOLD_BACK_TOO: &str = "tcp flags & psh == psh tcp dport 179";

#[test]
fn simultaneous_starts_always_leave_one_session() {
    let options = Options {
        bird: "connect delay time 0;",
        ..Options::default()
    };
    let Some(neighborhood) =
        Neighborhood::start("simultaneous_starts_always_leave_one_session", &options)
    else {
        return;
    };
    let starts = std::env::var("HERALD_SIMULTANEOUS_STARTS")
        .map_or(STARTS, |number| number.parse().unwrap());
    let listening = |enabled| {
        let config = neighborhood.config(&format!("enabled = {enabled}"));
        config.replacen("[api]", "listen = [\"192.168.133.71:179\"]\n\n[api]", 1)
    };
    let herald = neighborhood.start_herald(&listening("true"));
    let counts = || {
        neighborhood.routers().map(|(router, _)| {
            let peer = Neighborhood::peer(&herald, router);
            let count = |key: &str| peer[key].as_u64().unwrap();
            (count("established_count"), count("dropped_count"))
        })
    };

    let mut times: [Vec<Duration>; 3] = Default::default();
    let (mut collisions, mut deaths) = ([0; 3], [0; 3]);
    for start in 0..starts {
        herald.write_config(&listening("false"));
        herald.command(&["reload"]);
        for (router, host) in neighborhood.routers() {
            router.disable(&host);
        }
        let before = counts();

        let host = &neighborhood.host.namespace;
        host.nft(&format!(
            "table inet herald_test {{
                chain in {{ type filter hook input priority 0; {HOLD_BACK} drop; {HOLD_BACK_TOO} drop; }}
                chain out {{ type filter hook output priority 0; {HOLD_BACK} drop; {HOLD_BACK_TOO} drop; }}
            }}"
        ));
        herald.write_config(&listening("true"));
        let together = Barrier::new(4);
        thread::scope(|scope| {
            for (router, host) in neighborhood.routers() {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    router.enable(&host);
                });
            }
            together.wait();
            // Routers take their time before they connect: the first to do so is another one each time.
            thread::sleep(Duration::from_millis(u64::from(start % 10) * 120));
            herald.command(&["reload"]);
        });
        thread::sleep(Duration::from_millis(1000 - u64::from(start % 10) * 50));
        for (index, collisions) in collisions.iter_mut().enumerate() {
            let with = format!(
                "ss -Htn state established dst {}",
                Transport::V4.address(ROUTERS[index])
            );
            *collisions += u32::from(host.exec(&with).lines().count() == 2);
        }
        host.drop_nothing();

        let began = Instant::now();
        let mut reached = [None; 3];
        wait_until(
            &format!("start {start}: every session is up"),
            Duration::from_secs(20),
            || {
                for ((router, _), reached) in neighborhood.routers().iter().zip(&mut reached) {
                    let peer = Neighborhood::peer(&herald, *router);
                    if peer["state"] == "Established" {
                        reached.get_or_insert(began.elapsed());
                    }
                }
                ensure(reached.iter().all(Option::is_some), || {
                    format!("{reached:?}")
                })
            },
        );
        neighborhood.wait_for_sessions();
        // A collision that was resolved late would end it here.
        thread::sleep(Duration::from_millis(200));
        for (index, (before, after)) in before.into_iter().zip(counts()).enumerate() {
            times[index].extend(reached[index]);
            deaths[index] += after.1 - before.1;
            let (router, host) = &neighborhood.routers()[index];
            router.ensure_established(host).unwrap();
            assert_eq!(
                after.0 - before.0,
                1 + after.1 - before.1,
                "start {start}: {} came up and stayed",
                router.kind()
            );
        }
    }

    for (index, (router, _)) in neighborhood.routers().iter().enumerate() {
        let (kind, times) = (router.kind(), &mut times[index]);
        times.sort_unstable();
        announce(&format!(
            "simultaneous start, {kind}: {starts} starts, {} of them with two connections; Established after {:.0?} (median), {:.0?} (at most); {} sessions died",
            collisions[index],
            times[times.len() / 2],
            times[times.len() - 1],
            deaths[index],
        ));
    }
    assert!(
        collisions[0] + collisions[1] > 0,
        "no connections collided: nothing was tested"
    );
}
