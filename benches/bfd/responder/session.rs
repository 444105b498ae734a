//! One session of the responder: as much of RFC 5880 §6.8 as a well-behaved router shows, written apart from `herald-bfd`, so that
//! neither hides the other's mistakes. Passive: it does not speak before it is spoken to. Times are nanoseconds.

/// Nanoseconds since 1970, as the kernel stamps packets.
pub type Nanoseconds = u64;

/// Octets of a control packet without authentication.
pub const LENGTH: usize = 24;

const SECOND: Nanoseconds = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    AdminDown,
    Down,
    Init,
    Up,
}

/// Control Detection Time Expired.
pub const DETECTION_TIME_EXPIRED: u8 = 1;
/// Neighbor Signaled Session Down.
const NEIGHBOR_SIGNALED_DOWN: u8 = 3;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;

/// What of a control packet (RFC 5880 §4.1) matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub diagnostic: u8,
    pub state: State,
    pub poll: bool,
    pub final_: bool,
    pub detect_mult: u8,
    pub my_discriminator: u32,
    pub your_discriminator: u32,
    pub desired_min_tx: Nanoseconds,
    pub required_min_rx: Nanoseconds,
}

impl Packet {
    pub fn read(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; LENGTH] = octets.get(..LENGTH)?.try_into().ok()?;
        let word = |at: usize| {
            u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
        };
        (octets[0] >> 5 == 1).then_some(Self {
            diagnostic: octets[0] & 0x1F,
            state: match octets[1] >> 6 {
                0 => State::AdminDown,
                1 => State::Down,
                2 => State::Init,
                _ => State::Up,
            },
            poll: octets[1] & POLL != 0,
            final_: octets[1] & FINAL != 0,
            detect_mult: octets[2],
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx: Nanoseconds::from(word(12)) * 1000,
            required_min_rx: Nanoseconds::from(word(16)) * 1000,
        })
    }

    pub fn write(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1 << 6,
            State::Init => 2 << 6,
            State::Up => 3 << 6,
        };
        let poll = if self.poll { POLL } else { 0 };
        let final_ = if self.final_ { FINAL } else { 0 };
        octets[0] = 1 << 5 | self.diagnostic;
        octets[1] = state | poll | final_;
        octets[2] = self.detect_mult;
        octets[3] = 24;
        let microseconds = |time: Nanoseconds| u32::try_from(time / 1000).unwrap();
        for (at, word) in [
            (4, self.my_discriminator),
            (8, self.your_discriminator),
            (12, microseconds(self.desired_min_tx)),
            (16, microseconds(self.required_min_rx)),
        ] {
            octets[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        octets
    }
}

/// One session.
#[derive(Clone, Debug)]
pub struct Session {
    pub state: State,
    diagnostic: u8,
    local_discr: u32,
    /// Zero while unknown.
    remote_discr: u32,
    /// What it wants both ways while Up.
    interval: Nanoseconds,
    detect_mult: u8,
    remote_min_rx: Nanoseconds,
    remote_min_tx: Nanoseconds,
    remote_mult: u8,
    /// Its interval has changed, and the remote system has not said that it knows.
    is_polling: bool,
    owes_final: bool,
    last_sent: Nanoseconds,
    /// When the next packet is due; never while the remote system is unknown.
    pub due: Nanoseconds,
    /// When silence becomes a failure.
    pub silent_at: Nanoseconds,
}

impl Session {
    pub fn new(local_discr: u32, interval: Nanoseconds, detect_mult: u8) -> Self {
        Self {
            state: State::Down,
            diagnostic: 0,
            local_discr,
            remote_discr: 0,
            interval,
            detect_mult,
            remote_min_rx: 1000,
            remote_min_tx: SECOND,
            remote_mult: 1,
            is_polling: false,
            owes_final: false,
            last_sent: 0,
            due: Nanoseconds::MAX,
            silent_at: Nanoseconds::MAX,
        }
    }

    /// Takes a packet in that is for this session (RFC 5880 §6.8.6).
    pub fn handle(&mut self, now: Nanoseconds, packet: &Packet) {
        let is_new = self.remote_discr == 0;
        let interval_before = self.tx_interval();
        self.remote_discr = packet.my_discriminator;
        self.remote_min_rx = packet.required_min_rx;
        self.remote_min_tx = packet.desired_min_tx;
        self.remote_mult = packet.detect_mult;
        self.is_polling &= !packet.final_;
        self.owes_final |= packet.poll;
        self.silent_at = now + self.detection_time();

        let next = match (self.state, packet.state) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => State::Down,
            (State::Down, State::Down) => State::Init,
            (State::Down | State::Init, State::Init) | (State::Init, State::Up) => State::Up,
            (state, _) => state,
        };
        if next != self.state {
            let diagnostic = if next == State::Down {
                NEIGHBOR_SIGNALED_DOWN
            } else {
                0
            };
            self.enter(now, next, diagnostic);
        } else if is_new || self.owes_final {
            self.due = now;
        } else if self.tx_interval() < interval_before {
            // What was put off for a slow receiver is not put off for a fast one.
            self.due = self.due.min(self.last_sent + self.tx_interval());
        }
    }

    /// Nothing has been heard for a Detection Time.
    pub fn handle_silence(&mut self, now: Nanoseconds) {
        let was_speaking = matches!(self.state, State::Init | State::Up);
        self.remote_discr = 0;
        self.owes_final = false;
        self.silent_at = Nanoseconds::MAX;
        if was_speaking {
            self.enter(now, State::Down, DETECTION_TIME_EXPIRED);
        }
        // RFC 5880 §6.8.7: a passive system that knows no discriminator does not speak.
        self.due = Nanoseconds::MAX;
    }

    /// The packet that is due; `jitter` is 0 to 1 (RFC 5880 §6.8.7).
    pub fn transmit(&mut self, now: Nanoseconds, jitter: f64) -> [u8; LENGTH] {
        let final_ = std::mem::take(&mut self.owes_final);
        let most = if self.detect_mult == 1 { 0.9 } else { 1.0 };
        let part = 0.75 + jitter * (most - 0.75);
        // From when it was due, so that lateness does not add up; it is asked for early as well as late.
        let from = if final_ || self.due + self.interval < now {
            now
        } else {
            self.due
        };
        self.due = from + (self.tx_interval() as f64 * part) as Nanoseconds;
        self.last_sent = now;
        self.packet(final_).write()
    }

    fn packet(&self, final_: bool) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            // RFC 5880 §6.5: never both.
            poll: self.is_polling && !final_,
            final_,
            detect_mult: self.detect_mult,
            my_discriminator: self.local_discr,
            your_discriminator: self.remote_discr,
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.interval,
        }
    }

    fn enter(&mut self, now: Nanoseconds, state: State, diagnostic: u8) {
        self.is_polling = state == State::Up;
        self.state = state;
        self.diagnostic = diagnostic;
        // RFC 5880 §6.8.7: news does not wait for its turn.
        self.due = now;
    }

    /// RFC 5880 §6.8.3: a second at least while not Up.
    fn desired_min_tx(&self) -> Nanoseconds {
        match self.state {
            State::Up => self.interval,
            _ => self.interval.max(SECOND),
        }
    }

    fn tx_interval(&self) -> Nanoseconds {
        self.desired_min_tx().max(self.remote_min_rx)
    }

    /// RFC 5880 §6.8.4.
    fn detection_time(&self) -> Nanoseconds {
        Nanoseconds::from(self.remote_mult) * self.interval.max(self.remote_min_tx)
    }
}
