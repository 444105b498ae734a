//! Two hosts on one cable, each with a BFD engine.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bfd::engine::{Engine, EngineConfig};
use bfd::{
    ControlPacket, Diagnostic, HopKind, Micros, PollFinal, SessionConfig, SessionId, SessionKey,
    SessionStatus, State, StateChange,
};

use super::support::lab::owned_name;
use super::support::{Namespace, ensure, namespace, or_skip, wait_until};

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const LEFT_V4: &str = "10.99.0.1";
pub(crate) const RIGHT_V4: &str = "10.99.0.2";
pub(crate) const LEFT_V6: &str = "2001:db8:99::1";
pub(crate) const RIGHT_V6: &str = "2001:db8:99::2";

/// Two namespaces with a cable between their `eth0`.
#[derive(Debug)]
pub(crate) struct Cable {
    pub left: Namespace,
    pub right: Namespace,
}

impl Cable {
    /// `None`, with a word to the user, where there are no namespaces for us. `label` tells tests of one process apart.
    pub(crate) fn lay(label: &str) -> Option<Self> {
        let create = |end: &str| Namespace::create(&owned_name(&format!("{label}-{end}")));
        let cable = Self {
            left: or_skip(label, create("l"))?,
            right: or_skip(label, create("r"))?,
        };
        cable.plug("eth0");
        Some(cable)
    }

    /// Joins both ends by a device of this name, with every address.
    pub(crate) fn plug(&self, device: &str) {
        let [left, right] = [
            ["10.99.0.1/24", "2001:db8:99::1/64", "fe80::1/64"],
            ["10.99.0.2/24", "2001:db8:99::2/64", "fe80::2/64"],
        ];
        for end in [&self.left, &self.right] {
            // An address outlives its interface's being down, as an IPv4 address does.
            end.sysctl("net/ipv6/conf/all/keep_addr_on_down", "1");
            // No link-local address but ours: the kernel would be free to send from the other.
            end.sysctl("net/ipv6/conf/default/addr_gen_mode", "1");
        }
        namespace::connect((&self.left, device, &left), (&self.right, device, &right));
    }
}

/// 50 ms × 3.
pub(crate) fn brisk() -> SessionConfig {
    SessionConfig {
        desired_min_tx_interval: Micros::from_millis(50),
        required_min_rx_interval: Micros::from_millis(50),
        detect_mult: NonZeroU8::new(3).unwrap(),
        ..SessionConfig::default()
    }
}

/// 50 ms × 30: an interruption that is shorter than this takes nothing down.
pub(crate) fn patient() -> SessionConfig {
    SessionConfig {
        detect_mult: NonZeroU8::new(30).unwrap(),
        ..brisk()
    }
}

pub(crate) fn to(remote: &str) -> SessionKey {
    SessionKey::single_hop(remote.parse().unwrap())
}

pub(crate) fn over(interface: &str, remote: &str) -> SessionKey {
    SessionKey {
        interface: Some(interface.to_owned()),
        ..to(remote)
    }
}

pub(crate) fn from(local: &str, remote: &str) -> SessionKey {
    SessionKey {
        local: Some(local.parse().unwrap()),
        ..to(remote)
    }
}

/// An engine in a namespace, and what it reports.
#[derive(Debug)]
pub(crate) struct Host {
    pub engine: Engine,
    changes: Receiver<StateChange>,
    /// What was reported while another session was waited for.
    passed_over: RefCell<VecDeque<StateChange>>,
}

impl Host {
    /// An engine with real-time priority where it may have it: other tests keep the machine busy.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let (sender, changes) = mpsc::channel();
        let config = EngineConfig {
            realtime: true,
            ..EngineConfig::default()
        };
        let start = move || {
            Engine::start(config, move |change| {
                let _ = sender.send(*change);
            })
        };
        Self {
            engine: namespace.enter(start).unwrap(),
            changes,
            passed_over: RefCell::default(),
        }
    }

    /// An engine with one session.
    #[track_caller]
    pub(crate) fn with(
        namespace: &Namespace,
        key: SessionKey,
        config: SessionConfig,
    ) -> (Self, SessionId) {
        let host = Self::start(namespace);
        let session = host.engine.add(key, config).unwrap();
        (host, session)
    }

    pub(crate) fn status(&self, id: SessionId) -> SessionStatus {
        let mut all = self.engine.status().into_iter();
        all.find(|status| status.id == id).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_until(
        &self,
        id: SessionId,
        what: &str,
        reached: impl Fn(&SessionStatus) -> bool,
    ) -> SessionStatus {
        wait_until(what, PATIENCE, || {
            let status = self.status(id);
            ensure(reached(&status), || format!("{status:#?}"))?;
            Ok(status)
        })
    }

    /// Up, and both sides agree on the fast intervals.
    #[track_caller]
    pub(crate) fn wait_settled(&self, id: SessionId) -> SessionStatus {
        self.wait_until(id, "Up, with the intervals configured", |status| {
            status.session_state == State::Up
                && !status.polling
                && status.tx_interval == Some(Duration::from_millis(50))
                && status
                    .detection_time
                    .is_some_and(|time| time < Duration::from_secs(2))
        })
    }

    /// The next change of this session to that state.
    #[track_caller]
    pub(crate) fn wait_for(&self, id: SessionId, state: State) -> StateChange {
        let deadline = Instant::now() + PATIENCE;
        let mut passed_over = self.passed_over.borrow_mut();
        loop {
            while let Some(at) = passed_over.iter().position(|change| change.session == id) {
                let change = passed_over.remove(at).unwrap();
                if change.to == state {
                    return change;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let change = self.changes.recv_timeout(left);
            passed_over.push_back(change.unwrap_or_else(|_| panic!("{id} is not {state}")));
        }
    }

    /// A failure that RFC 5880 requires to be noticed costs one Down, and is over when it is over.
    #[track_caller]
    pub(crate) fn assert_downs(&self, id: SessionId, downs: u64) {
        let status = self.status(id);
        assert_eq!(status.session_state, State::Up, "{status:#?}");
        assert_eq!(status.counters.downs, downs, "{status:#?}");
    }
}

/// A packet as somebody else sends it.
pub(crate) fn packet(state: State, my_discriminator: u32, your: Option<SessionId>) -> Vec<u8> {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll_final: PollFinal::Neither,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(200).unwrap(),
        my_discriminator: my_discriminator.try_into().unwrap(),
        your_discriminator: your.map(SessionId::local_discr),
        desired_min_tx_interval: Micros::ONE_SECOND,
        required_min_rx_interval: Micros::ONE_SECOND,
        required_min_echo_rx_interval: Micros::ZERO,
        authentication: None,
    }
    .encode()
}

pub(crate) fn single_hop_port(address: &str) -> SocketAddr {
    let address: IpAddr = address.parse().unwrap();
    SocketAddr::new(address, HopKind::Single.encapsulation().port())
}
