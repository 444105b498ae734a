//! GoBGP, whose table comes from an MRT file (RFC 6396) and whose single routes come from its own command.

use std::fmt::Write as _;
use std::process::{Child, Stdio};

use rustix::process::Pid;

use super::{Speaker, one_more, table};
use crate::sinks::{self, SINK_AS};
use crate::support::gobgp::Gobgp;
use crate::support::{Lab, Namespace};
use crate::{SPEAKER, SPEAKER_AS};

pub struct Daemon {
    gobgp: Gobgp,
    running: Option<Child>,
}

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, prefixes: u32, sinks: u8) -> Self {
        let mut config =
            format!("[global.config]\nas = {SPEAKER_AS}\nrouter-id = \"{SPEAKER}\"\n\n");
        for index in 0..sinks {
            let _ = writeln!(
                config,
                "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {SINK_AS}\n[neighbors.transport.config]\npassive-mode = true\n",
                sinks::address(index)
            );
        }
        let gobgp = Gobgp::start_quiet(lab, at, "gobgp", &config);
        std::fs::write(lab.directory("gobgp").join("table.mrt"), mrt(prefixes)).unwrap();
        gobgp.command(&format!(
            "mrt inject global --nexthop {SPEAKER} /etc/gobgp/table.mrt"
        ));
        Self {
            gobgp,
            running: None,
        }
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        self.gobgp.processes()
    }

    fn change(&mut self, is_more: bool) {
        let verb = if is_more { "add" } else { "del" };
        let mut command = self.gobgp.cli();
        command.args(["global", "rib", verb, &format!("{}/32", one_more())]);
        self.running = Some(command.stdout(Stdio::null()).spawn().unwrap());
    }

    fn settle(&mut self) {
        let running = self.running.as_mut().unwrap();
        assert!(running.wait().unwrap().success(), "gobgp fails");
    }
}

/// TABLE_DUMP_V2: an index of one peer, and an entry for each prefix. The last one comes a thousand times: `gobgp` ends before what it
/// has read last has been taken in.
fn mrt(prefixes: u32) -> Vec<u8> {
    const PEER_INDEX_TABLE: u16 = 1;
    const RIB_IPV4_UNICAST: u16 = 2;
    /// ORIGIN, an empty AS_PATH, NEXT_HOP.
    const ATTRIBUTES: [u8; 14] = [0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 10, 99, 255, 1];
    let record = |subtype: u16, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [
            &[0; 4][..],
            &13u16.to_be_bytes(),
            &subtype.to_be_bytes(),
            &length,
            body,
        ]
        .concat()
    };
    let speaker = SPEAKER.octets();
    let [high, low] = SPEAKER_AS.to_be_bytes();
    let peer = [&[2][..], &speaker, &speaker, &[0, 0, high, low]].concat();
    let index = [&speaker[..], &[0, 0, 0, 1], &peer].concat();
    let mut file = record(PEER_INDEX_TABLE, &index);
    let last = table(prefixes).last().into_iter();
    let entries = table(prefixes).chain(last.cycle().take(1000));
    for (number, address) in (0u32..).zip(entries) {
        let entry = [&[0, 1, 0, 0, 0, 0, 0, 0, 0, 14][..], &ATTRIBUTES].concat();
        let body = [&number.to_be_bytes()[..], &[32], &address.octets(), &entry].concat();
        file.extend(record(RIB_IPV4_UNICAST, &body));
    }
    file
}
