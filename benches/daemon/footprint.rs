//! What is resident with two peers and 1,000 services, and how large the programs are.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use crate::router::Router;
use crate::speakers;
use crate::support::Lab;
use crate::support::bird::Bird;
use crate::support::container::Rootfs;
use crate::support::daemon::{self, Herald};
use crate::support::frr::Frr;
use crate::support::gobgp::Gobgp;
use crate::table::{Cell, Table};
use crate::{Network, ROUTERS, services};

const SERVICES: u32 = 1000;
/// Until what was needed at the start is given back.
const REST: Duration = Duration::from_secs(5);

pub fn run(lab: &Lab, network: &Network) -> Vec<Table> {
    let routers = ROUTERS.map(|address| Router::listen(&network.routers, address));
    let mut memory = Table::new(
        format!("Resident with two peers and {SERVICES} services, MiB"),
        ["RSS", "PSS"],
    );
    let all = services(SERVICES);
    let wait_for_tables = || {
        for router in &routers {
            router.wait_for(u64::from(SERVICES), 0);
        }
        thread::sleep(REST);
    };
    {
        let directory = speakers::herald_directory(lab);
        let config = speakers::herald(&directory, &ROUTERS, &all);
        let herald = Herald::start(&network.speaker, &directory, &config);
        wait_for_tables();
        memory.add("Herald", resident(&[herald.pid()]));
    }
    {
        let config = speakers::bird(&ROUTERS, &all, "blackhole");
        let bird = Bird::start(lab, &network.speaker, "bird", &config);
        wait_for_tables();
        memory.add("BIRD", resident(&bird.processes()));
    }
    {
        let config = speakers::frr(&ROUTERS, &all);
        let frr = Frr::start(lab, &network.speaker, "frr", &config);
        wait_for_tables();
        memory.add(
            "FRR, with mgmtd, zebra, staticd and bfdd",
            resident(&frr.processes()),
        );
    }
    {
        let config = speakers::gobgp(&ROUTERS);
        let gobgp = Gobgp::start_quiet(lab, &network.speaker, "gobgp", &config);
        let add: String = all
            .iter()
            .map(|service| format!("gobgp global rib add {service}/32\n"))
            .collect();
        fs::write(lab.directory("gobgp").join("add"), add).unwrap();
        gobgp.shell("sh /etc/gobgp/add");
        wait_for_tables();
        memory.add("GoBGP", resident(&gobgp.processes()));
    }
    vec![memory, sizes(lab)]
}

/// Of several processes together.
fn resident(processes: &[Pid]) -> [Cell; 2] {
    ["Rss:", "Pss:"].map(|key| {
        let kib: f64 = processes.iter().map(|pid| rollup(*pid, key)).sum();
        Cell::number(kib / 1024.0, 1)
    })
}

fn rollup(pid: Pid, key: &str) -> f64 {
    let file = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let file = fs::read_to_string(file).unwrap();
    let line = file.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn sizes(lab: &Lab) -> Table {
    let mut table = Table::new("The programs, MB", ["size"]);
    let ours = fs::metadata(daemon::binary()).unwrap().len();
    table.add("Herald", [Cell::number(ours as f64 / 1e6, 2)]);
    let others: [(&str, &Rootfs, &str); 3] = [
        ("BIRD", lab.bird(), "/usr/sbin/bird"),
        (
            "FRR, with libfrr",
            lab.frr(),
            "/usr/lib/frr/mgmtd /usr/lib/frr/zebra /usr/lib/frr/staticd /usr/lib/frr/bfdd /usr/lib/frr/bgpd $(find /usr/lib -name 'libfrr.so.0')",
        ),
        ("GoBGP", lab.gobgp(), "/usr/bin/gobgpd"),
    ];
    for (name, rootfs, files) in others {
        let sizes = rootfs.run(&format!("stat -L -c %s {files}"));
        let size: f64 = sizes.lines().map(|line| line.parse::<f64>().unwrap()).sum();
        table.add(name, [Cell::number(size / 1e6, 2)]);
    }
    table
}
