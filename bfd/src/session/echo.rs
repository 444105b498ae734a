//! The echo function (RFC 5880 §6.4, §6.8.5, §6.8.9): packets that the remote system's forwarding plane sends back, and the
//! rate at which ours sends back the remote system's.
//!
//! Whether echo may run at all is the session's to say, through [`Echo::follow`]; how a packet is made to come back is the
//! driver's.

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Session;
use crate::discard::Discard;
use crate::echo_packet::EchoPacket;
use crate::key::SessionId;
use crate::packet::{Diagnostic, Micros, State};

/// What a user chooses about the echo function of a single-hop session. Multihop sessions have none (RFC 5883 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoConfig {
    /// The shortest interval at which we would like to send echo packets of our own; `None` sends none. Below one millisecond
    /// it is run as one.
    pub desired_min_tx_interval: Option<Micros>,
    /// Required Min Echo RX Interval, as advertised: the shortest interval between the remote system's echo packets that we
    /// send back; zero asks it to send none. Any other below one millisecond is run as one.
    pub required_min_rx_interval: Micros,
}

impl EchoConfig {
    /// Both ways at this interval.
    pub const fn both_ways(interval: Micros) -> Self {
        Self {
            desired_min_tx_interval: Some(interval),
            required_min_rx_interval: interval,
        }
    }
}

/// Why the driver cannot do its part of the echo function, in words for a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EchoObstacles {
    /// Why our echo packets cannot be sent or would not be seen when they come back. The session sends none meanwhile.
    pub transmit: Option<String>,
    /// Why the remote system's echo packets would not be sent back. The session asks for none meanwhile.
    pub receive: Option<String>,
}

/// The echo function of a session, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EchoStatus {
    /// The interval at which we send echo packets, before jitter; `None` while we send none.
    pub tx_interval: Option<Duration>,
    /// The time without an echo packet that came back after which the session is declared down; `None` while we send none.
    pub detection_time: Option<Duration>,
    /// Required Min Echo RX Interval, as advertised; zero means that the remote system is to send none.
    pub required_min_rx_interval: Micros,
    /// Echo packets of ours that were handed to the driver.
    pub packets_out: u64,
    /// Those among them that have come back in time.
    pub packets_in: u64,
    /// Those among them that have not.
    pub packets_lost: u64,
    /// Echo packets of the remote system that we have sent back. Those that the system forwards by itself are not seen.
    pub packets_returned: u64,
    /// How long the latest echo packet was on its way there and back.
    pub last_round_trip: Option<Duration>,
    /// What the driver cannot do.
    pub obstacles: EchoObstacles,
}

/// What the echo function adds to a session.
impl Session {
    /// The next echo packet of ours to send, such that it comes back. Ask until there is none.
    pub fn poll_echo_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let now = self.advance(now);
        let packet = self.echo.as_mut()?.poll_transmit(now, self.id)?;
        Some(packet.encode())
    }

    /// Takes note that the system has not sent the latest echo packet: nobody owes it to us.
    pub fn refuse_echo(&mut self) {
        self.count_transmit_error();
        if let Some(echo) = &mut self.echo {
            echo.take_back();
        }
    }

    /// Whether echo packets of the remote system go back: we say so, and so may it expect.
    pub(crate) fn asks_for_echo(&self) -> bool {
        self.required_min_echo_rx_interval() != Micros::ZERO
    }

    /// Takes an echo packet that has come back.
    ///
    /// # Errors
    ///
    /// If it is none of ours, or has come back before, or too late.
    pub fn handle_echo(&mut self, now: Instant, payload: &[u8]) -> Result<(), Discard> {
        let now = self.advance(now);
        let packet = EchoPacket::parse(payload).filter(|packet| packet.session == self.id);
        let outcome = match (&mut self.echo, packet) {
            (Some(echo), Some(packet)) => echo.handle_return(now, &packet),
            _ => Err(Discard::EchoUnknown),
        };
        if let Err(discard) = &outcome {
            self.counters.discarded.count(discard);
        }
        outcome
    }

    /// Whether to send back an echo packet of the remote system, which is to leave at once if so.
    ///
    /// # Errors
    ///
    /// If the remote system was not told that it may send echo packets, or sends them too fast.
    pub fn return_echo(&mut self, now: Instant) -> Result<(), Discard> {
        let now = self.advance(now);
        let interval = self.required_min_echo_rx_interval().as_duration();
        let outcome = match &mut self.echo {
            // The remote system may be Up before it has told us so.
            Some(echo)
                if !interval.is_zero() && matches!(self.session_state, State::Init | State::Up) =>
            {
                let may = echo.may_return(now, interval);
                may.then_some(()).ok_or(Discard::EchoRate)
            }
            _ => Err(Discard::EchoUnwanted),
        };
        if let Err(discard) = &outcome {
            self.counters.discarded.count(discard);
        }
        outcome
    }

    /// Takes note of what the driver cannot do: what is impossible is neither done nor asked for.
    pub fn set_echo_obstacles(&mut self, now: Instant, obstacles: EchoObstacles) {
        let now = self.advance(now);
        if let Some(echo) = &mut self.echo {
            echo.status.obstacles = obstacles;
        }
        self.reschedule(now);
    }

    /// Gives the session what its configuration asks for, or takes it away.
    pub(super) fn set_up_echo(&mut self) {
        if self.config.echo.is_none() {
            self.echo = None;
        } else if self.echo.is_none() {
            self.echo = Some(Box::new(Echo::new(self.rng.random())));
        }
    }

    /// Has echo packets sent if all that they need is given.
    pub(super) fn follow_echo(&mut self, now: Instant) {
        let interval = self.echo_tx_interval();
        if let Some(echo) = &mut self.echo {
            echo.follow(now, interval, self.config.detect_mult);
        }
    }

    /// §6.8.9: no echo packets unless Up, and unless the latest packet of the remote system allows them; and not more often than
    /// it allows.
    fn echo_tx_interval(&self) -> Option<Duration> {
        let echo = self.echo.as_ref()?;
        let desired = self.config.echo?.desired_min_tx_interval?;
        let allowed = self.remote.min_echo_rx_interval;
        let may_send = self.session_state == State::Up && allowed != Micros::ZERO;
        (may_send && echo.status.obstacles.transmit.is_none())
            .then(|| desired.max(allowed).as_duration())
    }

    /// As advertised. §6.8.7: zero where echo packets of the remote system would not come back.
    pub(super) fn required_min_echo_rx_interval(&self) -> Micros {
        match (&self.echo, &self.config.echo) {
            (Some(echo), Some(config)) if echo.status.obstacles.receive.is_none() => {
                config.required_min_rx_interval
            }
            _ => Micros::ZERO,
        }
    }

    /// §6.8.5. Echo belongs to a session that is Up: one that silence has just taken down does not fail again.
    pub(super) fn expire_echo_detection(&mut self, now: Instant) {
        if self.session_state != State::Up {
            return;
        }
        if self.echo.as_mut().is_some_and(|echo| echo.has_failed(now)) {
            self.set_state(now, State::Down, Diagnostic::ECHO_FUNCTION_FAILED);
        }
    }

    pub(super) fn echo_status(&self) -> Option<EchoStatus> {
        let echo = self.echo.as_ref()?;
        let times = echo.times();
        Some(EchoStatus {
            tx_interval: times.map(|(interval, _)| interval),
            detection_time: times.map(|(_, detection_time)| detection_time),
            required_min_rx_interval: self.required_min_echo_rx_interval(),
            ..echo.status.clone()
        })
    }
}

/// How many echo packets of the remote system may come at once and are sent back all the same.
const RETURN_BURST: u32 = 16;

/// The state of the echo function.
#[derive(Debug)]
pub(super) struct Echo {
    /// Cryptographic: who has seen some cookies must not be able to guess the others.
    rng: StdRng,
    next_sequence: u64,
    /// `Some` while echo packets are to be sent.
    active: Option<Active>,
    allowance: Allowance,
    status: EchoStatus,
}

#[derive(Debug)]
struct Active {
    interval: Duration,
    detect_mult: NonZeroU8,
    due: bool,
    next_at: Instant,
    last_sent_at: Option<Instant>,
    /// The longest interval since then.
    paced_by: Duration,
    /// Since when silence counts: the latest return, or the first packet that could have returned.
    silent_since: Instant,
    /// What a change of the interval has left: silence means nothing earlier.
    patient_until: Instant,
    /// In order of their sequence, without gaps; none older than a Detection Time, and so bounded.
    under_way: VecDeque<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    sequence: u64,
    cookie: u64,
    sent_at: Instant,
    came_back: bool,
}

impl Active {
    fn detection_time(&self) -> Duration {
        self.interval * u32::from(self.detect_mult.get())
    }

    /// What was not sent cannot come back: after a pause of our own, silence says nothing.
    fn has_paused(&self, now: Instant) -> bool {
        self.last_sent_at
            .is_none_or(|at| now.saturating_duration_since(at) > 2 * self.paced_by)
    }

    /// Another interval, or multiplier, from here on. Silence goes on: what makes us less patient leaves a Detection Time from
    /// here, but no longer than there was.
    fn change(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        interval: Duration,
        detect_mult: NonZeroU8,
    ) {
        if self.has_paused(now) {
            self.silent_since = now;
        }
        let former = self.silence_ends_at();
        (self.interval, self.detect_mult) = (interval, detect_mult);
        self.paced_by = self.paced_by.max(interval);
        self.patient_until = former.min(now + self.detection_time());
        self.next_at = match self.last_sent_at {
            Some(at) => (at + self.jittered(rng)).max(now),
            None => now,
        };
    }

    /// §6.8.9: 75 to 100 % of the interval, and as with control packets (§6.8.7) up to 90 % where one packet gone missing is
    /// enough to be declared down: the latest may take a little longer than the one before.
    fn jittered(&self, rng: &mut StdRng) -> Duration {
        let micros = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        let least = match self.detect_mult {
            NonZeroU8::MIN => micros.div_ceil(10),
            _ => 0,
        };
        self.interval - Duration::from_micros(rng.random_range(least..=micros / 4))
    }

    fn silence_ends_at(&self) -> Instant {
        (self.silent_since + self.detection_time()).max(self.patient_until)
    }

    fn deadline(&self) -> Option<Instant> {
        self.last_sent_at.map(|_| self.silence_ends_at())
    }
}

/// How many echo packets of the remote system may be sent back: a bucket that fills as fast as it is allowed to send.
#[derive(Debug, Default)]
struct Allowance {
    left: Duration,
    counted_at: Option<Instant>,
}

impl Allowance {
    /// §6.8.9: with jitter, packets may come at three quarters of the advertised interval.
    fn take(&mut self, now: Instant, required_min_rx_interval: Duration) -> bool {
        let each = required_min_rx_interval * 3 / 4;
        let capacity = each * RETURN_BURST;
        let passed = self
            .counted_at
            .map_or(capacity, |at| now.saturating_duration_since(at));
        self.left = self.left.saturating_add(passed).min(capacity);
        self.counted_at = Some(now);
        match self.left.checked_sub(each) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl Echo {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            next_sequence: 0,
            active: None,
            allowance: Allowance::default(),
            status: EchoStatus::default(),
        }
    }

    /// Sends at this interval, or not at all.
    fn follow(&mut self, now: Instant, interval: Option<Duration>, detect_mult: NonZeroU8) {
        match (&mut self.active, interval) {
            (_, None) => self.active = None,
            (Some(active), Some(interval)) => {
                if (interval, detect_mult) != (active.interval, active.detect_mult) {
                    active.change(now, &mut self.rng, interval, detect_mult);
                }
            }
            (None, Some(interval)) => {
                self.active = Some(Active {
                    interval,
                    detect_mult,
                    due: true,
                    next_at: now,
                    last_sent_at: None,
                    paced_by: interval,
                    silent_since: now,
                    patient_until: now,
                    under_way: VecDeque::new(),
                });
            }
        }
    }

    pub(super) fn handle_transmit_timer(&mut self, now: Instant) {
        if let Some(active) = &mut self.active {
            active.due |= active.next_at <= now;
        }
    }

    /// §6.8.5: whether a sufficient number of echo packets has not come back.
    fn has_failed(&mut self, now: Instant) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let failed = active.deadline().is_some_and(|at| at <= now) && !active.has_paused(now);
        if failed {
            let lost = active.under_way.iter().filter(|packet| !packet.came_back);
            self.status.packets_lost += lost.count() as u64;
        }
        failed
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let active = self.active.as_ref().filter(|active| !active.due)?;
        active.deadline().into_iter().chain([active.next_at]).min()
    }

    pub(super) fn is_due(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.due)
    }

    fn poll_transmit(&mut self, now: Instant, session: SessionId) -> Option<EchoPacket> {
        let active = self.active.as_mut().filter(|active| active.due)?;
        if active.has_paused(now) {
            active.silent_since = now;
        }
        active.due = false;
        active.last_sent_at = Some(now);
        active.paced_by = active.interval;
        active.next_at = now + active.jittered(&mut self.rng);
        let detection_time = active.detection_time();
        while let Some(oldest) = active.under_way.front()
            && oldest.sent_at + detection_time <= now
        {
            self.status.packets_lost += u64::from(!oldest.came_back);
            active.under_way.pop_front();
        }
        let packet = EchoPacket {
            session,
            sequence: self.next_sequence,
            cookie: self.rng.random(),
        };
        self.next_sequence += 1;
        active.under_way.push_back(UnderWay {
            sequence: packet.sequence,
            cookie: packet.cookie,
            sent_at: now,
            came_back: false,
        });
        self.status.packets_out += 1;
        Some(packet)
    }

    /// Forgets the latest packet.
    fn take_back(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        if active.under_way.pop_back().is_some() {
            active.last_sent_at = active.under_way.back().map(|packet| packet.sent_at);
            self.next_sequence -= 1;
            self.status.packets_out -= 1;
        }
    }

    /// Takes a packet that has come back.
    fn handle_return(&mut self, now: Instant, packet: &EchoPacket) -> Result<(), Discard> {
        let active = self.active.as_mut().ok_or(Discard::EchoUnknown)?;
        let found = active
            .under_way
            .front()
            .and_then(|oldest| packet.sequence.checked_sub(oldest.sequence))
            .and_then(|position| usize::try_from(position).ok())
            .and_then(|position| active.under_way.get_mut(position))
            .filter(|sent| sent.cookie == packet.cookie && !sent.came_back)
            .ok_or(Discard::EchoUnknown)?;
        found.came_back = true;
        active.silent_since = active.silent_since.max(now);
        self.status.packets_in += 1;
        self.status.last_round_trip = Some(now.saturating_duration_since(found.sent_at));
        Ok(())
    }

    /// Whether another packet of the remote system may be sent back. It counts as sent.
    fn may_return(&mut self, now: Instant, required_min_rx_interval: Duration) -> bool {
        let may = self.allowance.take(now, required_min_rx_interval);
        self.status.packets_returned += u64::from(may);
        may
    }

    /// The interval and the Detection Time of what is sent.
    fn times(&self) -> Option<(Duration, Duration)> {
        let active = self.active.as_ref()?;
        Some((active.interval, active.detection_time()))
    }
}
