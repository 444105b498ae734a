//! One side of the demonstration: its BGP thread and its BFD engine, on ports of their own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bfd::engine::{Engine, EngineConfig};
use bfd::{HopKind, Micros, SessionKey};
use bgp::{Asn, BgpIdentifier, ReceivedRoutes, RemoteAs, RouteAttributes, SessionConfig};
use ipnet::IpNet;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::Failure;
use super::relay::{BfdPath, LOCALHOST, Relay};
use crate::bgp_thread::{BgpEvent, BgpThread, PeerSetup, Transport};
use crate::config::{CaptureSize, PeerName};

/// What is announced: addresses that documentation may use (RFC 5737, RFC 3849).
pub(super) const SERVICE: [&str; 2] = ["192.0.2.150/32", "2001:db8:5::150/128"];
pub(super) const BFD_INTERVAL: Duration = Duration::from_millis(50);
pub(super) const BFD_DETECT_MULT: u8 = 3;
const CONNECT_RETRY_TIME: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Speaker,
    Router,
}

pub(super) struct Node {
    bgp: BgpThread,
    bfd: Engine,
    neighbor: PeerName,
    events: UnboundedReceiver<BgpEvent>,
    changes: UnboundedReceiver<bfd::StateChange>,
    /// The router's table: what the speaker has announced to it.
    table: BTreeSet<IpNet>,
}

impl Node {
    pub(super) async fn open(role: Role, relay: &Relay) -> Result<Self, Failure> {
        let (events_sender, events) = mpsc::unbounded_channel();
        let (changes_sender, changes) = mpsc::unbounded_channel();
        let bgp = BgpThread::start(events_sender)?;
        let path = role.bfd_path(relay);
        let reporter = bgp.clone();
        let engine_config = EngineConfig {
            single_hop_listen: vec![path.listen],
            multihop_listen: Vec::new(),
            ..EngineConfig::default()
        };
        let bfd = Engine::start(engine_config, move |change| {
            reporter.bfd_changed(change);
            let _ = changes_sender.send(*change);
        })?;
        if role == Role::Router {
            bgp.listen(vec![relay.router_bgp]).await?;
        }
        let neighbor = PeerName::new("neighbor").ok_or(Failure::Ended)?;
        let session = bfd.add(bfd_key(path), bfd_config())?;
        let setup = PeerSetup {
            session: role.session_config().ok_or(Failure::Ended)?,
            transport: Transport {
                local: Some(LOCALHOST.into()),
                ..Transport::to(role.bgp_remote(relay))
            },
            password: None,
            bfd: Some(session),
            enabled: true,
            capture: CaptureSize::OFF,
            restarted: false,
            incomplete_until: None,
        };
        bgp.set_peer(neighbor.clone(), setup);
        Ok(Self {
            bgp,
            bfd,
            neighbor,
            events,
            changes,
            table: BTreeSet::new(),
        })
    }

    /// When the BGP session came up.
    pub(super) async fn established(&mut self) -> Result<Instant, Failure> {
        loop {
            if let bgp::Event::StateChanged(change) = self.next_event().await?
                && change.to == bgp::State::Established
            {
                return Ok(change.at);
            }
        }
    }

    /// Announces the service; returns when that was.
    pub(super) fn announce(&self) -> Instant {
        let attributes = Arc::new(RouteAttributes::default());
        let prefixes = SERVICE.iter().filter_map(|prefix| prefix.parse().ok());
        let routes = prefixes
            .map(|prefix| (prefix, Arc::clone(&attributes)))
            .collect();
        let at = Instant::now();
        self.bgp
            .set_routes(vec![(self.neighbor.clone(), Arc::new(routes))]);
        at
    }

    /// When all of the service came into the table, or the last of it left.
    pub(super) async fn route(&mut self, is_there: bool) -> Result<Instant, Failure> {
        let wanted = if is_there { SERVICE.len() } else { 0 };
        loop {
            let at = match self.next_event().await? {
                bgp::Event::Update(update) => {
                    let withdrawn = update.withdrawn().collect::<BTreeSet<_>>();
                    self.table.retain(|prefix| !withdrawn.contains(prefix));
                    self.table.extend(update.announced());
                    Instant::now()
                }
                // Routes go with the session that brought them (RFC 4271 §8.2.2).
                bgp::Event::StateChanged(change) if change.from == bgp::State::Established => {
                    self.table.clear();
                    change.at
                }
                _ => continue,
            };
            if self.table.len() == wanted {
                return Ok(at);
            }
        }
    }

    /// When BFD got into `state`.
    pub(super) async fn bfd(&mut self, state: bfd::State) -> Result<Instant, Failure> {
        loop {
            let change = self.changes.recv().await.ok_or(Failure::Ended)?;
            if change.to == state {
                return Ok(change.at);
            }
        }
    }

    pub(super) async fn close(self) {
        self.bgp
            .stop(bgp::StopReason::AdministrativeShutdown(None))
            .await;
        // A short notice suffices: the other side ends with this one.
        drop(self.bfd);
    }

    async fn next_event(&mut self) -> Result<bgp::Event, Failure> {
        self.events
            .recv()
            .await
            .map(|event| event.event)
            .ok_or(Failure::Ended)
    }
}

impl Role {
    fn bfd_path(self, relay: &Relay) -> BfdPath {
        match self {
            Self::Speaker => relay.speaker_bfd,
            Self::Router => relay.router_bfd,
        }
    }

    /// The router waits for whoever comes from the relay's address.
    fn bgp_remote(self, relay: &Relay) -> SocketAddr {
        match self {
            Self::Speaker => relay.bgp,
            Self::Router => SocketAddr::new(LOCALHOST.into(), 0),
        }
    }

    fn session_config(self) -> Option<SessionConfig> {
        let (local_as, remote_as, last) = match self {
            Self::Speaker => (64520, 64521, 71),
            Self::Router => (64521, 64520, 1),
        };
        let identifier = BgpIdentifier::new([192, 0, 2, last].into())?;
        let remote_as = RemoteAs::Is(Asn::new(remote_as)?);
        Some(SessionConfig {
            passive: self == Self::Router,
            connect_retry_time: CONNECT_RETRY_TIME,
            next_hop_v4: Some([192, 0, 2, last].into()),
            next_hop_v6: Some([0x2001, 0xDB8, 0, 0, 0, 0, 0, u16::from(last)].into()),
            received_routes: match self {
                Self::Speaker => ReceivedRoutes::Counted,
                Self::Router => ReceivedRoutes::Reported,
            },
            ..SessionConfig::new(Asn::new(local_as)?, identifier, remote_as)
        })
    }
}

fn bfd_key(path: BfdPath) -> SessionKey {
    SessionKey {
        remote: path.remote,
        local: Some(LOCALHOST.into()),
        interface: None,
        hop: HopKind::Single,
    }
}

fn bfd_config() -> bfd::SessionConfig {
    let defaults = bfd::SessionConfig::default();
    let interval = Micros::from_duration(BFD_INTERVAL);
    bfd::SessionConfig {
        desired_min_tx_interval: interval.unwrap_or(defaults.desired_min_tx_interval),
        required_min_rx_interval: interval.unwrap_or(defaults.required_min_rx_interval),
        detect_mult: NonZeroU8::new(BFD_DETECT_MULT).unwrap_or(defaults.detect_mult),
        ..defaults
    }
}
