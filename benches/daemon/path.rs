//! The far end of a path: a BFD session (RFC 5880 §6.8.6, as much as it takes) that falls silent when it is told to.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::FAR_END;
use crate::support::{Namespace, ensure, wait_until};

pub const INTERVAL: Duration = Duration::from_millis(50);
pub const DETECTION_TIME: Duration = Duration::from_millis(150);

const DOWN: u8 = 1;
const INIT: u8 = 2;
const UP: u8 = 3;

pub struct Path {
    is_cut: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
struct State {
    session: u8,
    last_sent: Instant,
}

impl Path {
    pub fn start(namespace: &Namespace, speaker: Ipv4Addr) -> Self {
        let is_cut = Arc::new(AtomicBool::new(false));
        let state = Arc::new(Mutex::new(State {
            session: DOWN,
            last_sent: Instant::now(),
        }));
        let (cut, shared) = (Arc::clone(&is_cut), Arc::clone(&state));
        let sockets = namespace.enter(move || {
            let receiving = UdpSocket::bind((FAR_END, 3784)).unwrap();
            let sending = UdpSocket::bind((FAR_END, 49152)).unwrap();
            sending.set_ttl(255).unwrap();
            sending.connect((speaker, 3784)).unwrap();
            (receiving, sending)
        });
        std::thread::spawn(move || speak(&sockets.0, &sockets.1, &cut, &shared));
        Self { is_cut, state }
    }

    pub fn wait_until_up(&self) {
        wait_until("BFD is up", Duration::from_secs(60), || {
            let session = self.state.lock().unwrap().session;
            ensure(session == UP, || format!("state {session}"))
        });
    }

    /// Says nothing more: when it did last.
    pub fn cut(&self) -> Instant {
        self.is_cut.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        self.state.lock().unwrap().last_sent
    }

    pub fn restore(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn speak(receiving: &UdpSocket, sending: &UdpSocket, is_cut: &AtomicBool, shared: &Mutex<State>) {
    let mut packet = [0; 64];
    let (mut your_discr, mut heard) = ([0; 4], Instant::now());
    let (mut session, mut due) = (DOWN, Instant::now());
    loop {
        let timeout = Timespec::try_from(due.saturating_duration_since(Instant::now())).unwrap();
        let mut ready = [PollFd::new(receiving, PollFlags::IN)];
        let mut is_final = false;
        if poll(&mut ready, Some(&timeout)).unwrap() > 0 {
            let Ok((24.., _)) = receiving.recv_from(&mut packet) else {
                continue;
            };
            heard = Instant::now();
            your_discr.copy_from_slice(&packet[4..8]);
            let before = session;
            session = match (session, packet[1] >> 6) {
                (DOWN, DOWN) => INIT,
                (DOWN | INIT, INIT) | (INIT | UP, UP) => UP,
                (UP, 0 | DOWN) | (_, 0) => DOWN,
                (session, _) => session,
            };
            is_final = packet[1] & 0x20 != 0;
            if !is_final && before == session {
                continue;
            }
        } else if session == UP && heard.elapsed() > Duration::from_secs(3) {
            session = DOWN;
        }
        let is_quiet = is_cut.load(Ordering::SeqCst);
        let sent_at = Instant::now();
        if !is_quiet {
            let interval = u32::try_from(INTERVAL.as_micros()).unwrap().to_be_bytes();
            let flags = session << 6 | if is_final { 0x10 } else { 0 };
            let sent = [
                &[0x20, flags, 3, 24, 0, 0, 0, 9][..],
                &your_discr,
                &interval,
                &interval,
                &[0; 4],
            ]
            .concat();
            let _ = sending.send(&sent);
        }
        let mut state = shared.lock().unwrap();
        state.session = session;
        if !is_quiet {
            state.last_sent = sent_at;
        }
        due = sent_at + INTERVAL * 9 / 10;
    }
}
