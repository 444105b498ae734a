//! The daemon, told over its API.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Pid;

use super::{Speaker, one_more, table};
use crate::sinks::{self, SINK_AS};
use crate::support::daemon::{Herald, socket_in};
use crate::support::{Lab, Namespace};
use crate::{SPEAKER, SPEAKER_AS};

pub struct Daemon {
    herald: Herald,
    api: UnixStream,
}

impl Daemon {
    pub fn start(lab: &Lab, at: &Namespace, prefixes: u32, sinks: u8) -> Self {
        let directory = lab.directory("herald");
        let _ = std::fs::remove_dir_all(directory.join("state"));
        let mut config = format!(
            "[speaker]\nlocal-as = {SPEAKER_AS}\nrouter-id = \"{SPEAKER}\"\nlisten = [\"{SPEAKER}:179\"]\nstate-dir = \"{}\"\n\n[api]\nsocket = \"{}\"\n\n[peer-defaults]\npassive = true\nremote-as = {SINK_AS}\n\n",
            directory.join("state").display(),
            socket_in(&directory).display(),
        );
        for index in 0..sinks {
            let _ = writeln!(
                config,
                "[[peer]]\naddress = \"{}\"\n",
                sinks::address(index)
            );
        }
        for address in table(prefixes) {
            let _ = writeln!(config, "[[route]]\nprefix = \"{address}/32\"\n");
        }
        let herald = Herald::start(at, &directory, &config);
        let api = UnixStream::connect(socket_in(&directory)).unwrap();
        Self { herald, api }
    }
}

impl Speaker for Daemon {
    fn processes(&self) -> Vec<Pid> {
        vec![self.herald.pid()]
    }

    fn change(&mut self, is_more: bool) {
        let method = if is_more { "PUT" } else { "DELETE" };
        let request = format!(
            "{method} /v1/routes/{}%2F32 HTTP/1.1\r\nHost: herald\r\nContent-Length: 0\r\n\r\n",
            one_more()
        );
        self.api.write_all(request.as_bytes()).unwrap();
    }

    fn settle(&mut self) {
        // The answer comes in one piece: it is short.
        let mut answer = [0; 4096];
        let read = self.api.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}
