//! Holds a [`Session`] to the [`Model`]: the same inputs, at the same times; the same states, packets and intervals.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use herald_bfd::{ControlPacket, Micros, Session, SessionConfig, SessionId, SessionKey};

use crate::model::{Change, Model};

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Operation {
    Hear(ControlPacket),
    /// Time passes, in microseconds.
    Pass(u32),
    /// Until the session has something to do.
    Wait,
    /// Until this many microseconds before detection, or at it.
    AwaitDetection(u8),
    Configure(SessionConfig),
    Administrate {
        down: bool,
    },
    Poll,
}

/// Both, side by side.
#[derive(Debug)]
pub struct Comparison {
    session: Session,
    model: Model,
    start: Instant,
    now: u64,
}

impl Comparison {
    pub fn new(start: Instant, seed: u64, config: SessionConfig) -> Self {
        let local_discr = NonZeroU32::new(0x1111).expect("not zero");
        let id = SessionId::new(local_discr);
        let config = runnable(config);
        Self {
            session: Session::new(start, id, config.clone(), seed),
            model: Model::new(local_discr, config),
            start,
            now: 0,
        }
    }

    /// # Panics
    ///
    /// If the two differ.
    pub fn apply(&mut self, operation: Operation) {
        let time_passes = matches!(
            operation,
            Operation::Pass(_) | Operation::Wait | Operation::AwaitDetection(_)
        );
        match operation {
            Operation::Hear(packet) => {
                let accepted = self.session.handle_packet(self.at(), &packet).is_ok();
                assert_eq!(accepted, self.model.receive(self.now, &packet));
            }
            Operation::Pass(micros) => self.advance(self.now + u64::from(micros)),
            Operation::Wait => {
                let next = self.session.poll_timeout();
                let micros = next.map(|at| (at - self.start).as_nanos().div_ceil(1000));
                self.advance(micros.map_or(self.now, |at| u64::try_from(at).expect("soon")));
            }
            Operation::AwaitDetection(early) => {
                if let Some(at) = self.model.deadline() {
                    self.advance(at.saturating_sub(u64::from(early)));
                }
            }
            Operation::Configure(config) => {
                let config = runnable(config);
                self.session.set_config(self.at(), config.clone());
                self.model.configure(config);
            }
            Operation::Administrate { down } => {
                match down {
                    true => self.session.disable(self.at()),
                    false => self.session.enable(self.at()),
                }
                self.model.administrate(down);
            }
            Operation::Poll => {
                self.session.poll(self.at());
                self.model.poll();
            }
        }
        self.compare_changes();
        self.compare_packets(time_passes);
        self.compare_variables();
    }

    /// Each change is told once, in order, and at its time.
    fn compare_changes(&mut self) {
        let now = self.at();
        let told = std::iter::from_fn(|| self.session.poll_event());
        let told: Vec<_> = told
            .inspect(|change| assert_eq!(change.at, now))
            .map(|change| Change {
                from: change.from,
                to: change.to,
                diag: change.local_diag,
                generation: change.generation,
            })
            .collect();
        assert_eq!(told, std::mem::take(&mut self.model.changes));
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        self.session.handle_timeout(self.at());
        self.model.expire(self.now);
    }

    /// What is to be sent at once is; beside it, there may be one packet whose time has come.
    fn compare_packets(&mut self, time_passes: bool) {
        let now = self.at();
        let mut sent = std::iter::from_fn(|| self.session.poll_transmit(now)).peekable();
        while let Some(expected) = self.model.immediate() {
            assert_eq!(sent.next(), Some(expected), "at once");
        }
        if sent.peek().is_some() {
            assert!(
                self.model.tx_interval().is_some(),
                "{:?} while nothing may be sent",
                sent.peek()
            );
            assert!(time_passes, "{:?} before its time", sent.peek());
            assert_eq!(sent.next(), Some(self.model.periodic()));
        }
        assert_eq!(sent.next(), None, "one packet, and no more");
    }

    fn compare_variables(&mut self) {
        let (model, key) = (&self.model, SessionKey::single_hop([192, 0, 2, 1].into()));
        let status = self.session.status(key);
        let remote = model.remote.as_ref();
        assert_eq!(status.session_state, model.state);
        assert_eq!(status.local_diag, model.diag);
        assert_eq!(status.remote_discr, remote.map(|it| it.my_discriminator));
        assert_eq!(status.remote_detect_mult, remote.map(|it| it.detect_mult));
        assert_eq!(status.desired_min_tx_interval, model.tx);
        assert_eq!(status.required_min_rx_interval, model.rx);
        assert_eq!(status.polling, model.polling);
        let interval = model.tx_interval().map(Micros::as_duration);
        assert_eq!(status.tx_interval, interval);
        let detection_time = model.detection_time().map(Duration::from_micros);
        assert_eq!(status.detection_time, detection_time);
        if let Some(heard) = remote {
            assert_eq!(status.remote_session_state, heard.state);
            assert_eq!(status.remote_demand_mode, heard.demand);
            assert_eq!(
                status.remote_min_rx_interval,
                heard.required_min_rx_interval
            );
            assert_eq!(status.remote_diag, heard.diagnostic);
        }
    }
}

/// The model knows neither demand mode of our own nor authentication, and takes intervals as they are.
fn runnable(config: SessionConfig) -> SessionConfig {
    SessionConfig {
        desired_min_tx_interval: config
            .desired_min_tx_interval
            .max(SessionConfig::MIN_INTERVAL),
        required_min_rx_interval: config
            .required_min_rx_interval
            .max(SessionConfig::MIN_INTERVAL),
        detect_mult: config.detect_mult,
        passive: config.passive,
        control_plane_independent: config.control_plane_independent,
        ..SessionConfig::default()
    }
}
