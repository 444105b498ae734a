//! Up to thousands of routers on one thread, which answer the speaker under test and watch it by the kernel's time stamps.
//!
//! It must cost less than the speakers do: one socket receives for all, sends go out from connected ones, and it wakes at most every
//! [`tick`], when it takes in what has come and sends what is due until the next time: so its packets are early by a fiftieth of their
//! interval at most.

pub mod histogram;
pub mod session;
pub mod socket;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::thread::Pid;

use crate::network;
use crate::support::Namespace;

use histogram::Histogram;
use session::{DETECTION_TIME_EXPIRED, Nanoseconds, Packet, Session, State};
use socket::{Receiver, Sender, now};

/// Batches taken in before it is time to send.
const BATCHES_PER_TICK: u32 = 64;

/// What the sessions of a responder are like.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub sessions: u16,
    /// Both ways.
    pub interval: Duration,
    /// Both ways.
    pub detect_mult: u8,
}

impl Setup {
    pub fn detection_time(&self) -> Duration {
        self.interval * u32::from(self.detect_mult)
    }

    fn interval_nanoseconds(&self) -> Nanoseconds {
        self.interval.as_nanos() as Nanoseconds
    }

    /// How often the responder wakes.
    fn tick(&self) -> Duration {
        (self.interval / 50).clamp(Duration::from_micros(200), Duration::from_millis(1))
    }
}

/// The speaker has declared a session down that was up.
#[derive(Clone, Copy, Debug)]
pub struct Down {
    pub session: u16,
    /// When its packet came that says so.
    pub at: Nanoseconds,
    pub diagnostic: u8,
    /// Before our last packet was sent.
    pub last_sent: Nanoseconds,
    pub was_muted: bool,
    /// The longest time without a packet of ours of late, the latest one included.
    pub worst_gap: Nanoseconds,
}

impl Down {
    /// Whether the speaker has missed packets, rather than been told.
    pub fn is_detected(&self) -> bool {
        self.diagnostic == DETECTION_TIME_EXPIRED
    }

    /// Whether it says so although our packets were sent in time.
    pub fn is_false(&self, setup: &Setup) -> bool {
        self.is_detected() && u128::from(self.worst_gap) < setup.detection_time().as_nanos()
    }

    /// How much later than it had to be, in milliseconds.
    pub fn latency(&self, setup: &Setup) -> f64 {
        let expected = self.last_sent as f64 + setup.detection_time().as_nanos() as f64;
        (self.at as f64 - expected) / 1e6
    }
}

/// What has been seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of all; `None` while the speaker has said nothing.
    pub first_packet: Option<Nanoseconds>,
    /// When every session was up for the first time.
    pub all_up_at: Option<Nanoseconds>,
    /// Sessions that are up at both ends.
    pub up: u16,
    /// Packets sent in all.
    pub sent: u64,
    /// What follows has been seen since [`Responder::watch`].
    pub since: Nanoseconds,
    pub until: Nanoseconds,
    pub packets: u64,
    /// Between packets of one session that was and is up.
    pub gaps: Histogram,
    /// Gaps longer than the Detection Time.
    pub silences: u64,
    /// Sessions that the speaker declared down because it missed packets, although they were sent in time.
    pub false_downs: u64,
    /// Sessions that the speaker declared down because it missed packets that the responder was too late to send.
    pub deserved_downs: u64,
    /// Sessions that the speaker declared down for another reason.
    pub other_downs: u64,
    /// Packets that the responder had no room for; each looks like a gap.
    pub dropped: u64,
}

enum Command {
    Mute(u16),
    Unmute,
    Watch,
    Report(mpsc::Sender<Report>),
    Stop,
}

/// A running responder; stopped when dropped.
pub struct Responder {
    commands: mpsc::Sender<Command>,
    downs: mpsc::Receiver<Down>,
    task: Pid,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts one that listens when this returns.
    pub fn start(at: &Namespace, setup: Setup) -> Self {
        let (commands, received) = mpsc::channel();
        let (tell, downs) = mpsc::channel();
        let (tell_task, task) = mpsc::channel();
        let thread = at.spawn_thread(move || {
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
            let worker = Worker::new(setup, received, tell);
            tell_task.send(rustix::thread::gettid()).unwrap();
            worker.run();
        });
        Self {
            commands,
            downs,
            task: task.recv().expect("the responder starts"),
            thread: Some(thread),
        }
    }

    /// Its thread.
    pub fn task(&self) -> Pid {
        self.task
    }

    /// Sends nothing more for a session.
    pub fn mute(&self, session: u16) {
        self.tell(Command::Mute(session));
    }

    /// Lets every session speak.
    pub fn unmute(&self) {
        self.tell(Command::Unmute);
    }

    /// Counts from zero.
    pub fn watch(&self) {
        self.tell(Command::Watch);
    }

    pub fn report(&self) -> Report {
        let (reply, answer) = mpsc::channel();
        self.tell(Command::Report(reply));
        answer.recv().expect("the responder runs")
    }

    /// Waits until as many sessions are up as there are; whether they are in time.
    pub fn wait_until_up(&self, setup: &Setup, patience: Duration) -> bool {
        let deadline = now() + patience.as_nanos() as Nanoseconds;
        while self.report().up < setup.sessions {
            if now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// The next session that the speaker declares down.
    pub fn next_down(&self, patience: Duration) -> Option<Down> {
        self.downs.recv_timeout(patience).ok()
    }

    fn tell(&self, command: Command) {
        self.commands.send(command).expect("the responder runs");
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What was heard of the speaker last.
#[derive(Clone, Copy)]
struct Heard {
    state: State,
    at: Nanoseconds,
    /// A gap that began before the watch does not count.
    is_watched: bool,
}

/// When packets of a session went out: before they did, so that none came later than by a gap seen here.
#[derive(Clone, Copy, Default)]
struct Sent {
    last: Nanoseconds,
    was_up: bool,
    /// The longest gap of the present second, and of the one before.
    longest: [Nanoseconds; 2],
    second: Nanoseconds,
}

impl Sent {
    /// What is sent before and at the beginning of being up has its own, slower times.
    fn note(&mut self, now: Nanoseconds, is_up: bool) {
        let gap = if is_up && self.was_up {
            now.saturating_sub(self.last)
        } else {
            0
        };
        self.was_up = is_up;
        let second = now / 1_000_000_000;
        match second - self.second {
            0 => {}
            1 => self.longest = [0, self.longest[0]],
            _ => self.longest = [0, 0],
        }
        self.second = second;
        self.longest[0] = self.longest[0].max(gap);
        self.last = now;
    }

    fn worst_gap(&self, at: Nanoseconds) -> Nanoseconds {
        let open = at.saturating_sub(self.last);
        self.longest.into_iter().fold(open, Nanoseconds::max)
    }
}

struct Worker {
    setup: Setup,
    receiver: Receiver,
    senders: Vec<Sender>,
    sessions: Vec<Session>,
    heard: Vec<Heard>,
    sent: Vec<Sent>,
    is_muted: Vec<bool>,
    /// Of each session, side by side: this is looked through at every tick.
    due: Vec<Nanoseconds>,
    silent_at: Vec<Nanoseconds>,
    jitter: SmallRng,
    commands: mpsc::Receiver<Command>,
    downs: mpsc::Sender<Down>,
    report: Report,
}

impl Worker {
    fn new(setup: Setup, commands: mpsc::Receiver<Command>, downs: mpsc::Sender<Down>) -> Self {
        let interval = setup.interval_nanoseconds();
        let count = usize::from(setup.sessions);
        let session = |index| Session::new(u32::from(index) + 1, interval, setup.detect_mult);
        let unheard = Heard {
            state: State::Down,
            at: 0,
            is_watched: false,
        };
        Self {
            setup,
            receiver: Receiver::of_sessions(),
            senders: (0..setup.sessions).map(Sender::open).collect(),
            sessions: (0..setup.sessions).map(session).collect(),
            heard: vec![unheard; count],
            sent: vec![Sent::default(); count],
            is_muted: vec![false; count],
            due: vec![Nanoseconds::MAX; count],
            silent_at: vec![Nanoseconds::MAX; count],
            jitter: SmallRng::seed_from_u64(1),
            commands,
            downs,
            report: Report {
                first_packet: None,
                all_up_at: None,
                up: 0,
                sent: 0,
                since: now(),
                until: 0,
                packets: 0,
                gaps: Histogram::new(interval),
                silences: 0,
                false_downs: 0,
                deserved_downs: 0,
                other_downs: 0,
                dropped: 0,
            },
        }
    }

    fn run(mut self) {
        let tick = self.setup.tick();
        let mut next = now();
        while self.handle_commands() {
            self.receive();
            let horizon = now() + tick.as_nanos() as Nanoseconds;
            self.notice_silence();
            self.transmit_until(horizon);
            next = (next + tick.as_nanos() as Nanoseconds).max(now());
            thread::sleep(Duration::from_nanos(next.saturating_sub(now())));
        }
    }

    /// Whether to go on.
    fn handle_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Mute(session)) => {
                    let session = usize::from(session);
                    self.is_muted[session] = true;
                    self.due[session] = Nanoseconds::MAX;
                }
                Ok(Command::Unmute) => {
                    self.is_muted.fill(false);
                    for (due, session) in self.due.iter_mut().zip(&self.sessions) {
                        *due = session.due;
                    }
                }
                Ok(Command::Watch) => self.watch(),
                Ok(Command::Report(reply)) => {
                    self.report.until = now();
                    let dropped = socket::dropped();
                    let _ = reply.send(Report {
                        dropped: dropped - self.report.dropped,
                        ..self.report.clone()
                    });
                }
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn watch(&mut self) {
        self.report = Report {
            since: now(),
            packets: 0,
            gaps: Histogram::new(self.setup.interval_nanoseconds()),
            silences: 0,
            false_downs: 0,
            deserved_downs: 0,
            other_downs: 0,
            dropped: socket::dropped(),
            ..self.report
        };
        for heard in &mut self.heard {
            heard.is_watched = false;
        }
    }

    fn receive(&mut self) {
        let mut received = Vec::new();
        for _ in 0..BATCHES_PER_TICK {
            let may_be_more = self.receiver.receive(|datagram| {
                let session = datagram.destination.and_then(network::session);
                let packet = Packet::read(datagram.payload);
                received.extend(session.zip(packet).map(|both| (both, datagram.at)));
            });
            for ((session, packet), at) in received.drain(..) {
                if session < self.setup.sessions {
                    self.handle(session, &packet, at);
                }
            }
            if !may_be_more {
                return;
            }
        }
    }

    fn handle(&mut self, index: u16, packet: &Packet, at: Nanoseconds) {
        let slot = usize::from(index);
        let was_up = self.is_up(slot);
        self.observe(index, packet, at);
        self.sessions[slot].handle(at, packet);
        self.note_times(slot);
        self.count_up(was_up, slot, at);
    }

    /// Watches the speaker.
    fn observe(&mut self, index: u16, packet: &Packet, at: Nanoseconds) {
        let slot = usize::from(index);
        let before = self.heard[slot];
        self.heard[slot] = Heard {
            state: packet.state,
            at,
            is_watched: true,
        };
        self.report.packets += 1;
        self.report.first_packet.get_or_insert(at);
        if before.state != State::Up {
            return;
        }
        if packet.state == State::Up {
            if before.is_watched {
                let gap = at.saturating_sub(before.at);
                self.report.gaps.add(gap);
                let detection_time = self.setup.detection_time().as_nanos() as Nanoseconds;
                self.report.silences += u64::from(gap > detection_time);
            }
            return;
        }
        let down = Down {
            session: index,
            at,
            diagnostic: packet.diagnostic,
            last_sent: self.sent[slot].last,
            was_muted: self.is_muted[slot],
            worst_gap: self.sent[slot].worst_gap(at),
        };
        let count = if down.is_false(&self.setup) {
            &mut self.report.false_downs
        } else if down.is_detected() {
            &mut self.report.deserved_downs
        } else {
            &mut self.report.other_downs
        };
        *count += 1;
        let _ = self.downs.send(down);
    }

    fn notice_silence(&mut self) {
        let now = now();
        for slot in 0..self.silent_at.len() {
            if self.silent_at[slot] <= now {
                let was_up = self.is_up(slot);
                self.sessions[slot].handle_silence(now);
                self.note_times(slot);
                self.count_up(was_up, slot, now);
            }
        }
    }

    fn transmit_until(&mut self, horizon: Nanoseconds) {
        for slot in 0..self.due.len() {
            if self.due[slot] <= horizon {
                let jitter = self.jitter.random_range(0.0..1.0);
                let now = now();
                let packet = self.sessions[slot].transmit(now, jitter);
                let is_up = self.sessions[slot].state == State::Up;
                self.sent[slot].note(now, is_up);
                self.senders[slot].send(&packet);
                self.report.sent += 1;
                self.note_times(slot);
            }
        }
    }

    fn is_up(&self, slot: usize) -> bool {
        self.heard[slot].state == State::Up && self.sessions[slot].state == State::Up
    }

    fn count_up(&mut self, was_up: bool, slot: usize, at: Nanoseconds) {
        match (was_up, self.is_up(slot)) {
            (false, true) => self.report.up += 1,
            (true, false) => self.report.up -= 1,
            _ => return,
        }
        if self.report.up == self.setup.sessions {
            self.report.all_up_at.get_or_insert(at);
        }
    }

    fn note_times(&mut self, slot: usize) {
        let session = &self.sessions[slot];
        self.silent_at[slot] = session.silent_at;
        if !self.is_muted[slot] {
            self.due[slot] = session.due;
        }
    }
}
