//! Somebody who adds and removes services over the API without pause, and does not mind that the daemon is away: what was asked is asked
//! again until it is answered. In between services of either kind fall ill and get well.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::health::Health;
use super::model::{FOR_API, FOR_FILE, added_service};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// For which the daemon may be away.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Flapper {
    stop: Arc<AtomicBool>,
    /// The services that there are, when it has been stopped, and how many requests that took.
    running: JoinHandle<(BTreeSet<u16>, u64)>,
}

impl Flapper {
    /// Goes on from the services that there are.
    pub(crate) fn start(
        socket: PathBuf,
        seed: u64,
        mut services: BTreeSet<u16>,
        health: Health,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let running = thread::spawn(move || {
            let mut chance = SmallRng::seed_from_u64(seed);
            let mut requests = 0;
            while !is_stopped.load(Ordering::Relaxed) {
                let number = chance.random_range(0..FOR_API);
                if services.remove(&number) {
                    ask_until_answered(&socket, "DELETE", number, "");
                } else {
                    services.insert(number);
                    ask_until_answered(&socket, "PUT", number, &added_service(number));
                }
                requests += 1;
                health.turn(chance.random_range(0..FOR_FILE + FOR_API));
                thread::sleep(PAUSE);
            }
            (services, requests)
        });
        Self { stop, running }
    }

    /// The services that there are, and how many requests there were.
    pub(crate) fn stop(self) -> (BTreeSet<u16>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join().unwrap()
    }
}

fn ask_until_answered(socket: &Path, method: &str, number: u16, body: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut asked_before = false;
    loop {
        let answer = ask(socket, method, number, body);
        match &answer {
            Ok(200 | 201 | 204) => return,
            // The first time it was heard, and nobody was there to answer.
            Ok(404) if asked_before && method == "DELETE" => return,
            // It ends, or has ended.
            Ok(503) | Err(_) => {}
            Ok(status) => panic!("{method} added-{number}: {status}"),
        }
        assert!(Instant::now() < deadline, "{method}: {answer:?}");
        asked_before = true;
        thread::sleep(Duration::from_millis(20));
    }
}

/// The status of the answer.
fn ask(socket: &Path, method: &str, number: u16, body: &str) -> io::Result<u16> {
    let mut api = UnixStream::connect(socket)?;
    api.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        api,
        "{method} /v1/services/added-{number} HTTP/1.1\r\nHost: herald\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    api.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other(format!("no answer: {answer:?}")))
}
