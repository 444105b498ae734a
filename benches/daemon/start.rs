//! From the start of the program to its first route at a router that only listens, everything as it is by default. What others need
//! besides their BGP daemon runs already.

use std::time::{Duration, Instant};

use crate::router::Router;
use crate::speakers;
use crate::support::Lab;
use crate::support::bird::Bird;
use crate::support::daemon::Herald;
use crate::support::frr::Frr;
use crate::support::gobgp::Gobgp;
use crate::table::{Cell, Table};
use crate::{Network, ROUTERS, quantile, services};

const SERVICES: u32 = 10;

pub fn run(lab: &Lab, network: &Network, is_quick: bool) -> Table {
    let rounds = if is_quick { 3 } else { 9 };
    let mut table = Table::new(
        format!("From the start of the program to the router, ms; median of {rounds}"),
        ["session Established", "first route"],
    );
    let router = Router::listen(&network.routers, ROUTERS[0]);
    let all = services(SERVICES);
    let measure = |restart: &mut dyn FnMut() -> Instant, has_routes: bool| {
        let (mut established, mut announced) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let began = restart();
            let (session, route) = router.wait_for_start(has_routes);
            established.push(session - began);
            announced.extend(has_routes.then(|| route - began));
            router.listen_for(Duration::from_secs(1));
        }
        let cell = |times: &mut Vec<Duration>| match times.is_empty() {
            true => Cell::none(),
            false => Cell::time(quantile(times, 0.5)),
        };
        [cell(&mut established), cell(&mut announced)]
    };
    {
        let directory = speakers::herald_directory(lab);
        let config = speakers::herald(&directory, &ROUTERS[..1], &all);
        let mut running = None;
        let mut restart = || {
            running = None;
            let began = Instant::now();
            running = Some(Herald::start(&network.speaker, &directory, &config));
            began
        };
        table.add("Herald", measure(&mut restart, true));
    }
    {
        let config = speakers::bird(&ROUTERS[..1], &all, "blackhole");
        let bird = Bird::start(lab, &network.speaker, "bird", &config);
        router.wait_for_route();
        let mut restart = || killed_and_launched(&bird, &router);
        table.add("BIRD", measure(&mut restart, true));
    }
    {
        let config = speakers::frr(&ROUTERS[..1], &all);
        let frr = Frr::start(lab, &network.speaker, "frr", &config);
        router.wait_for_route();
        let mut restart = || killed_and_launched(&frr, &router);
        table.add("FRR", measure(&mut restart, true));
    }
    let config = speakers::gobgp(&ROUTERS[..1]);
    let gobgp = Gobgp::start_quiet(lab, &network.speaker, "gobgp", &config);
    router.wait_for_start(false);
    let mut restart = || killed_and_launched(&gobgp, &router);
    table.add(
        "GoBGP, which has no routes then",
        measure(&mut restart, false),
    );
    table
}

fn killed_and_launched(speaker: &dyn crate::support::router::Router, router: &Router) -> Instant {
    speaker.kill();
    router.listen_for(Duration::from_secs(1));
    let began = Instant::now();
    speaker.launch();
    began
}
