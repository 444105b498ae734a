//! BIRD, told by another configuration and a word over its control socket.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::Pid;

use super::{Speaker, one_more, table};
use crate::sinks::{self, SINK_AS};
use crate::support::bird::Bird;
use crate::support::{Lab, Namespace};
use crate::{SPEAKER, SPEAKER_AS};

pub struct Daemon {
    bird: Bird,
    /// With the route and without it.
    configs: [String; 2],
    file: PathBuf,
    control: BufReader<UnixStream>,
}

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, prefixes: u32, sinks: u8) -> Self {
        let configs = [true, false].map(|is_more| config(prefixes, sinks, is_more));
        let bird = Bird::start(lab, at, "bird", &configs[1]);
        let control = UnixStream::connect(bird.control_socket()).unwrap();
        let mut daemon = Self {
            file: lab.directory("bird").join("bird.conf"),
            bird,
            configs,
            control: BufReader::new(control),
        };
        daemon.read_answer();
        daemon
    }

    /// To the end of an answer: a line with a code and a space behind it.
    fn read_answer(&mut self) {
        let mut line = String::new();
        while line.as_bytes().get(4) != Some(&b' ') {
            line.clear();
            assert!(
                self.control.read_line(&mut line).unwrap() > 0,
                "BIRD has gone"
            );
        }
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        self.bird.processes()
    }

    fn change(&mut self, is_more: bool) {
        fs::write(&self.file, &self.configs[usize::from(!is_more)]).unwrap();
        self.control.get_mut().write_all(b"configure\n").unwrap();
    }

    fn settle(&mut self) {
        self.read_answer();
    }
}

fn config(prefixes: u32, sinks: u8, is_more: bool) -> String {
    let mut config = format!(
        "log stderr all;\nrouter id {SPEAKER};\nprotocol device {{}}\nprotocol static {{\n    ipv4;\n"
    );
    for address in table(prefixes).chain(is_more.then(one_more)) {
        let _ = writeln!(config, "    route {address}/32 blackhole;");
    }
    config.push_str("}\n");
    for index in 0..sinks {
        let _ = writeln!(
            config,
            "protocol bgp {{ local {SPEAKER} as {SPEAKER_AS}; neighbor {} as {SINK_AS}; passive; ipv4 {{ import none; export all; }}; }}",
            sinks::address(index)
        );
    }
    config
}
