//! Another configuration with as many services, of which some have another address: until it is in force, until the router has been told
//! the last of it, and how much it was told.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::router::{Router, Sum};
use crate::support::Lab;
use crate::support::bird::Bird;
use crate::support::daemon::{self, Herald, socket_in};
use crate::support::frr::Frr;
use crate::table::{Cell, Table};
use crate::{Network, ROUTERS, quantile, services, speakers};

const SERVICES: u32 = 10_000;
const DIFFERENCES: [u32; 3] = [0, 1, 100];
/// When nothing has come for so long, nothing will.
const QUIET: Duration = Duration::from_secs(2);

/// One speaker: makes it take another configuration, and returns when it has said that it did.
trait Reloads {
    fn reload(&mut self, services: &[Ipv4Addr]);
}

struct OfHerald<'a>(Herald, &'a Lab);

impl Reloads for OfHerald<'_> {
    fn reload(&mut self, services: &[Ipv4Addr]) {
        let directory = self.1.directory("herald");
        self.0
            .write_config(&speakers::herald(&directory, &ROUTERS[..1], services));
        // What `herald reload` does, without the start of a program.
        run(Command::new(daemon::binary())
            .arg("reload")
            .arg("--socket")
            .arg(socket_in(&directory)));
    }
}

struct OfBird(Bird);

impl Reloads for OfBird {
    fn reload(&mut self, services: &[Ipv4Addr]) {
        self.0
            .configure(&speakers::bird(&ROUTERS[..1], services, "blackhole"));
    }
}

struct OfFrr<'a>(Frr, &'a Lab);

impl Reloads for OfFrr<'_> {
    fn reload(&mut self, services: &[Ipv4Addr]) {
        let file = self.1.directory("frr").join("frr.conf");
        fs::write(file, speakers::frr(&ROUTERS[..1], services)).unwrap();
        let mut reload = self.0.command("/usr/lib/frr/frr-reload.py");
        run(reload.args(["--reload", "--overwrite", "/etc/frr/frr.conf"]));
    }
}

fn run(command: &mut Command) {
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

pub fn run_all(lab: &Lab, network: &Network, is_quick: bool) -> Vec<Table> {
    let mut tables: Vec<Table> = DIFFERENCES
        .map(|differences| {
            Table::new(
                format!("A reload of {SERVICES} services, of which {differences} have another address; median"),
                ["command answered, ms", "router told, ms", "octets", "routes announced", "withdrawn"],
            )
        })
        .into();
    let router = Router::listen(&network.routers, ROUTERS[0]);
    let all = services(SERVICES);
    let rounds = if is_quick { 3 } else { 15 };
    {
        let directory = speakers::herald_directory(lab);
        let config = speakers::herald(&directory, &ROUTERS[..1], &all);
        let herald = Herald::start(&network.speaker, &directory, &config);
        measure(
            &mut tables,
            "Herald",
            &router,
            &mut OfHerald(herald, lab),
            rounds,
        );
    }
    {
        let config = speakers::bird(&ROUTERS[..1], &all, "blackhole");
        let bird = Bird::start(lab, &network.speaker, "bird", &config);
        let name = "BIRD, `birdc configure`";
        measure(&mut tables, name, &router, &mut OfBird(bird), rounds);
    }
    let config = speakers::frr(&ROUTERS[..1], &all);
    let frr = Frr::start_quiet(lab, &network.speaker, "frr", &config);
    measure(
        &mut tables,
        "FRR, frr-reload.py",
        &router,
        &mut OfFrr(frr, lab),
        if is_quick { 1 } else { 3 },
    );
    tables
}

fn measure(
    tables: &mut [Table],
    name: &str,
    router: &Router,
    speaker: &mut dyn Reloads,
    rounds: u32,
) {
    router.wait_for(u64::from(SERVICES), 0);
    router.listen_for(QUIET);
    let mut spare = u32::from(Ipv4Addr::new(12, 0, 0, 0));
    let mut running = services(SERVICES);
    for (table, differences) in tables.iter_mut().zip(DIFFERENCES) {
        let (mut answered, mut told) = (Vec::new(), Vec::new());
        let mut last = Sum::default();
        for _ in 0..rounds {
            for service in running.iter_mut().take(differences as usize) {
                spare += 1;
                *service = spare.into();
            }
            let began = Instant::now();
            speaker.reload(&running);
            answered.push(began.elapsed());
            let wanted = u64::from(differences);
            last = router
                .wait_for(wanted, wanted)
                .with(router.listen_for(QUIET));
            told.extend(last.at.map(|at| at - began));
        }
        let median = |times: &mut Vec<Duration>| match times.is_empty() {
            true => Cell::none(),
            false => Cell::time(quantile(times, 0.5)),
        };
        let cells = [
            median(&mut answered),
            median(&mut told),
            Cell::number(last.octets as f64, 0),
            Cell::number(last.announced as f64, 0),
            Cell::number(last.withdrawn as f64, 0),
        ];
        table.add(name, cells);
    }
}
