//! FRR's `bfdd`, which reads its sessions from a file as it starts: that takes it a while.

use std::fmt::Write as _;

use rustix::process::Pid;

use super::{Speaker, cgroup};
use crate::network;
use crate::responder::Setup;
use crate::support::frr::Frr;
use crate::support::{Lab, Namespace};

pub struct Daemon(Frr);

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, setup: Setup) -> Self {
        let frr = Frr::launch_quiet(lab, at, "frr", "bfdd", &config(setup));
        cgroup::join_ours(&frr.processes());
        Self(frr)
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        self.0.processes()
    }
}

fn config(setup: Setup) -> String {
    let mut config = String::from("frr defaults traditional\nhostname frr\n!\nbfd\n");
    for session in 0..setup.sessions {
        let _ = writeln!(
            config,
            " peer {}\n  detect-multiplier {}\n  receive-interval {interval}\n  transmit-interval {interval}\n exit\n !",
            network::peer(session),
            setup.detect_mult,
            interval = setup.interval.as_millis()
        );
    }
    config.push_str("exit\n!\n");
    config
}
