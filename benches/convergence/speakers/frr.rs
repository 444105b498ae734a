//! FRR, told over an open `vtysh`, or by `frr-reload.py` as MetalLB does it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};

use rustix::process::Pid;

use super::{Speaker, one_more, table};
use crate::sinks::{self, SINK_AS};
use crate::support::frr::Frr;
use crate::support::{Lab, Namespace};
use crate::{SPEAKER, SPEAKER_AS};

pub struct Daemon {
    frr: Frr,
    config: std::path::PathBuf,
    /// With the route and without it.
    configs: [String; 2],
    teller: Teller,
}

enum Teller {
    Vtysh(Child, ChildStdin),
    Reload(Option<Child>),
}

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, prefixes: u32, sinks: u8, by_reload: bool) -> Self {
        let configs = [true, false].map(|is_more| config(prefixes, sinks, is_more));
        let frr = Frr::start_quiet(lab, at, "frr", &configs[1]);
        let teller = if by_reload {
            Teller::Reload(None)
        } else {
            let mut vtysh = frr.command("vtysh");
            let vtysh = vtysh.stdin(Stdio::piped()).stdout(Stdio::null());
            let mut vtysh = vtysh.spawn().unwrap();
            let mut input = vtysh.stdin.take().unwrap();
            let enter = format!(
                "configure terminal\nrouter bgp {SPEAKER_AS}\naddress-family ipv4 unicast\n"
            );
            input.write_all(enter.as_bytes()).unwrap();
            Teller::Vtysh(vtysh, input)
        };
        Self {
            frr,
            config: lab.directory("frr").join("frr.conf"),
            configs,
            teller,
        }
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        self.frr.processes()
    }

    fn change(&mut self, is_more: bool) {
        match &mut self.teller {
            Teller::Vtysh(_, input) => {
                let no = if is_more { "" } else { "no " };
                writeln!(input, "{no}network {}/32", one_more()).unwrap();
            }
            Teller::Reload(running) => {
                fs::write(&self.config, &self.configs[usize::from(!is_more)]).unwrap();
                let mut reload = self.frr.command("/usr/lib/frr/frr-reload.py");
                reload.args(["--reload", "--overwrite", "/etc/frr/frr.conf"]);
                let reload = reload.stdout(Stdio::null()).stderr(Stdio::null());
                *running = Some(reload.spawn().unwrap());
            }
        }
    }

    fn settle(&mut self) {
        if let Teller::Reload(Some(running)) = &mut self.teller {
            assert!(running.wait().unwrap().success(), "frr-reload.py fails");
        }
    }

    fn most_singles(&self) -> u32 {
        match self.teller {
            Teller::Vtysh(..) => 50,
            Teller::Reload(_) => 8,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Teller::Vtysh(vtysh, _) = &mut self.teller {
            let _ = vtysh.kill();
            let _ = vtysh.wait();
        }
    }
}

fn config(prefixes: u32, sinks: u8, is_more: bool) -> String {
    let mut config = format!(
        "frr defaults traditional\nhostname frr\n!\nrouter bgp {SPEAKER_AS}\n bgp router-id {SPEAKER}\n no bgp ebgp-requires-policy\n no bgp network import-check\n"
    );
    for index in 0..sinks {
        let sink = sinks::address(index);
        let _ = writeln!(
            config,
            " neighbor {sink} remote-as {SINK_AS}\n neighbor {sink} passive"
        );
    }
    config.push_str(" !\n address-family ipv4 unicast\n");
    for address in table(prefixes).chain(is_more.then(one_more)) {
        let _ = writeln!(config, "  network {address}/32");
    }
    config.push_str(" exit-address-family\nexit\n!\n");
    config
}
