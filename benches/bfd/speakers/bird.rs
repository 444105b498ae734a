//! BIRD, with one protocol that has all sessions.

use std::fmt::Write as _;

use rustix::process::Pid;

use super::{Speaker, cgroup};
use crate::network::{self, DEVICE, SPEAKER};
use crate::responder::Setup;
use crate::support::bird::Bird;
use crate::support::{Lab, Namespace};

pub struct Daemon(Bird);

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, setup: Setup) -> Self {
        let bird = Bird::start(lab, at, "bird", &config(setup));
        cgroup::join_ours(&bird.processes());
        Self(bird)
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        self.0.processes()
    }
}

fn config(setup: Setup) -> String {
    let mut config = format!(
        "router id {SPEAKER};\nprotocol device {{}}\nprotocol bfd {{\n    interface \"{DEVICE}\" {{ interval {} us; multiplier {}; }};\n",
        setup.interval.as_micros(),
        setup.detect_mult
    );
    for session in 0..setup.sessions {
        let peer = network::peer(session);
        let _ = writeln!(
            config,
            "    neighbor {peer} dev \"{DEVICE}\" local {SPEAKER};"
        );
    }
    config.push_str("}\n");
    config
}
