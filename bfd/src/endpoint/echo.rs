//! The echo packets of all sessions (RFC 5881 §4, §5): which session one is for, and whether it may be believed or sent back.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{ECHO_PORT, Endpoint, Entry, Transmit, TransmitKind};
use crate::discard::Discard;
use crate::echo_packet::{EchoPacket, RETURNED_TTL};
use crate::key::{Encapsulation, SessionId, TRANSMIT_TTL};

/// The longest echo packet that is sent back. Ours have 24 octets, and so have those of FRR.
pub(crate) const MAX_RETURNED: usize = 128;

/// What is known of an echo datagram besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoMeta {
    /// Who sent it, or sent it back.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, if known.
    pub destination: Option<IpAddr>,
    /// The index of the interface it came in at, if known.
    pub interface_index: Option<u32>,
    /// The TTL or hop limit it came in with, if known.
    pub ttl: Option<u8>,
}

impl Entry {
    pub(super) fn echo_transmit(&self, id: SessionId, payload: Vec<u8>) -> Transmit {
        let heard_at = self.heard_at;
        let interface_index = self.expected_interface();
        let mut destination = self.destination();
        destination.set_port(ECHO_PORT);
        Transmit {
            kind: TransmitKind::Echo {
                interface_index: interface_index.or(heard_at.and_then(|(_, interface)| interface)),
            },
            session: id,
            destination,
            local: self.key.local.or(heard_at.map(|(local, _)| local)),
            payload,
        }
    }

    /// Whether an echo packet that came in here may be this session's.
    fn echo_comes_from_here(&self, meta: &EchoMeta) -> bool {
        let heard = self.heard_at.and_then(|(_, interface)| interface);
        let expected = self.expected_interface().or(heard);
        expected.is_none() || expected == meta.interface_index
    }

    /// Whether an echo packet of a remote system may belong to this session.
    fn echo_is_sent_here(&self, meta: &EchoMeta) -> bool {
        let (local, destination) = (self.key.local, meta.destination);
        self.echo_comes_from_here(meta)
            && (local.is_none() || destination.is_none() || local == destination)
    }
}

impl Endpoint {
    /// Takes note of an echo packet that the system refused to send: one of ours is not missed then. Unknown ids are ignored.
    pub fn refuse_echo(&mut self, transmit: &Transmit) {
        let Some(entry) = self.sessions.get_mut(&transmit.session) else {
            return;
        };
        match transmit.kind {
            TransmitKind::Echo { .. } => entry.session.refuse_echo(),
            _ => entry.session.count_transmit_error(),
        }
    }

    /// Takes a datagram that came in at [`ECHO_PORT`], and says for which session it was: one of ours that has come
    /// back, or one of a remote system that is to go back, which is the next to be sent.
    ///
    /// A driver whose system forwards the remote systems' echo packets by itself does not hand them over.
    ///
    /// # Errors
    ///
    /// Why the datagram was discarded. It has been counted: with the session it was for, if one was found.
    pub fn handle_echo_datagram(
        &mut self,
        now: Instant,
        meta: &EchoMeta,
        payload: &[u8],
    ) -> Result<SessionId, Discard> {
        match meta.ttl {
            // On its way out: nobody has forwarded it yet.
            Some(TRANSMIT_TTL) => self.return_echo(now, meta, payload),
            Some(RETURNED_TTL) => self.take_echo(now, meta, payload),
            got => self.discard_echo(Discard::Ttl {
                got,
                minimum: RETURNED_TTL,
            }),
        }
    }

    fn take_echo(
        &mut self,
        now: Instant,
        meta: &EchoMeta,
        payload: &[u8],
    ) -> Result<SessionId, Discard> {
        let found = EchoPacket::parse(payload).and_then(|packet| {
            let entry = self.sessions.get_mut(&packet.session)?;
            let is_from_here = entry.echo_comes_from_here(meta);
            is_from_here.then_some((packet.session, entry))
        });
        let Some((id, entry)) = found else {
            return self.discard_echo(Discard::EchoUnknown);
        };
        // Detection has moved away; the timer finds out when it fires.
        entry.session.handle_echo(now, payload)?;
        Ok(id)
    }

    /// RFC 5881 §4 leaves this to the forwarding plane. Where it is done here, it is done for the neighbors of sessions that
    /// ask for it and for nobody else, no faster than they were told, and not longer than an echo packet is: nobody can use us
    /// to reflect a flood.
    fn return_echo(
        &mut self,
        now: Instant,
        meta: &EchoMeta,
        payload: &[u8],
    ) -> Result<SessionId, Discard> {
        let place = (Encapsulation::SingleHop, meta.source.ip());
        let ids = self.by_remote.get(&place).into_iter().flatten();
        // Of several sessions with one neighbor, one that returns echo is meant.
        let found = ids
            .filter_map(|id| Some((*id, self.sessions.get(id)?)))
            .filter(|(_, entry)| entry.echo_is_sent_here(meta))
            .max_by_key(|(_, entry)| (entry.session.asks_for_echo(), entry.key.local.is_some()))
            .map(|(id, _)| id);
        let found = found.filter(|_| payload.len() <= MAX_RETURNED);
        let Some((id, entry)) = found.and_then(|id| Some((id, self.sessions.get_mut(&id)?))) else {
            return self.discard_echo(Discard::EchoUnwanted);
        };
        entry.session.return_echo(now)?;
        self.agenda.echo_returns.push_back(Transmit {
            kind: TransmitKind::EchoReturn {
                interface_index: meta.interface_index,
            },
            session: id,
            destination: meta.source,
            local: meta
                .destination
                .filter(|address| !address.is_multicast())
                .or(entry.key.local)
                .or(entry.heard_at.map(|(local, _)| local)),
            payload: payload.to_vec(),
        });
        Ok(id)
    }

    fn discard_echo(&mut self, discard: Discard) -> Result<SessionId, Discard> {
        self.discards.count(&discard);
        Err(discard)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use std::net::IpAddr;
    use std::num::{NonZeroU8, NonZeroU32};

    use super::*;
    use crate::endpoint::RxMeta;
    use crate::key::{HopKind, SessionKey};
    use crate::packet::{ControlPacket, Diagnostic, Micros, PollFinal, State};
    use crate::session::{EchoConfig, SessionConfig};

    const PEER: &str = "2001:db8::1";
    const OURS: &str = "2001:db8::2";
    const INTERFACE: Option<u32> = Some(2);

    fn echoing() -> SessionConfig {
        SessionConfig {
            echo: Some(EchoConfig::both_ways(Micros::from_millis(50))),
            ..SessionConfig::default()
        }
    }

    fn from(source: &str, ttl: u8) -> EchoMeta {
        EchoMeta {
            source: SocketAddr::new(source.parse().unwrap(), 50_000),
            destination: OURS.parse().ok(),
            interface_index: INTERFACE,
            ttl: Some(ttl),
        }
    }

    struct Rig {
        endpoint: Endpoint,
        now: Instant,
        id: SessionId,
    }

    impl Rig {
        fn new(key: SessionKey) -> Self {
            let now = Instant::now();
            let mut endpoint = Endpoint::new(1);
            let id = endpoint.add(now, key, None, echoing()).unwrap();
            Self { endpoint, now, id }
        }

        fn up() -> Self {
            let mut rig = Self::new(SessionKey::single_hop(PEER.parse().unwrap()));
            rig.hear(State::Down);
            rig.hear(State::Init);
            rig
        }

        fn hear(&mut self, state: State) {
            let packet = ControlPacket {
                diagnostic: Diagnostic::NONE,
                state,
                poll_final: PollFinal::Neither,
                control_plane_independent: false,
                demand: false,
                detect_mult: NonZeroU8::new(3).unwrap(),
                my_discriminator: NonZeroU32::new(0x7777).unwrap(),
                your_discriminator: Some(self.id.local_discr()),
                desired_min_tx_interval: Micros::from_millis(300),
                required_min_rx_interval: Micros::from_millis(300),
                required_min_echo_rx_interval: Micros::from_millis(50),
                authentication: None,
            };
            let key = self.endpoint.key(self.id).unwrap();
            let meta = RxMeta {
                source: key.remote,
                destination: OURS.parse().unwrap(),
                interface_index: INTERFACE,
                ttl: Some(TRANSMIT_TTL),
                encapsulation: key.hop.encapsulation(),
            };
            self.endpoint
                .handle_datagram(self.now, &meta, &packet.encode())
                .unwrap();
        }

        fn sent(&mut self) -> Vec<Transmit> {
            std::iter::from_fn(|| self.endpoint.poll_transmit(self.now)).collect()
        }

        fn echo_sent(&mut self) -> Transmit {
            let mut sent = self.sent();
            sent.retain(|transmit| matches!(transmit.kind, TransmitKind::Echo { .. }));
            assert_eq!(sent.len(), 1);
            sent.remove(0)
        }

        fn take(&mut self, meta: &EchoMeta, payload: &[u8]) -> Result<SessionId, Discard> {
            self.endpoint.handle_echo_datagram(self.now, meta, payload)
        }
    }

    #[test]
    fn echo_leaves_from_where_control_packets_come_in_and_is_known_again() {
        let mut rig = Rig::up();
        let echo = rig.echo_sent();
        let interface_index = INTERFACE;
        assert_eq!(echo.kind, TransmitKind::Echo { interface_index });
        assert_eq!(
            echo.destination,
            SocketAddr::new(PEER.parse().unwrap(), 3785)
        );
        assert_eq!(echo.local, OURS.parse::<IpAddr>().ok());
        assert_eq!(rig.take(&from(PEER, 254), &echo.payload), Ok(rig.id));
        let refused = rig.take(&from(PEER, 254), &echo.payload);
        assert_eq!(refused, Err(Discard::EchoUnknown));
    }

    #[test]
    fn echo_that_comes_from_elsewhere_is_not_ours() {
        let mut rig = Rig::up();
        let echo = rig.echo_sent();
        let other_interface = EchoMeta {
            interface_index: Some(3),
            ..from(PEER, 254)
        };
        let refused = rig.take(&other_interface, &echo.payload);
        assert_eq!(refused, Err(Discard::EchoUnknown));
        let far = rig.take(&from(PEER, 253), &echo.payload);
        assert!(matches!(far, Err(Discard::Ttl { got: Some(253), .. })));
    }

    #[test]
    fn the_neighbors_echo_goes_back_to_it() {
        let mut rig = Rig::up();
        rig.sent();
        let meta = from(PEER, 255);
        assert_eq!(rig.take(&meta, b"whatever it means to them"), Ok(rig.id));
        let sent = rig.sent();
        let interface_index = INTERFACE;
        assert_eq!(sent[0].kind, TransmitKind::EchoReturn { interface_index });
        assert_eq!(sent[0].destination, meta.source);
        assert_eq!(sent[0].payload, b"whatever it means to them");
    }

    #[test]
    fn f_83_echo_of_anybody_else_is_ignored() {
        let mut rig = Rig::up();
        rig.sent();
        let elsewhere = EchoMeta {
            interface_index: Some(3),
            ..from(PEER, 255)
        };
        let too_long = [0; MAX_RETURNED + 1];
        for (meta, payload) in [
            (from("2001:db8::3", 255), b"echo".as_slice()),
            (elsewhere, b"echo"),
            (from(PEER, 255), &too_long),
        ] {
            assert_eq!(rig.take(&meta, payload), Err(Discard::EchoUnwanted));
        }
        assert!(rig.take(&from(PEER, 64), b"echo").is_err());
        assert_eq!(rig.sent(), []);
        assert_eq!(rig.endpoint.discards().get("echo-unwanted"), 3);

        // A session that has no echo function, and one that is not up.
        let config = SessionConfig::default();
        rig.endpoint.set_config(rig.now, rig.id, config);
        rig.sent();
        assert!(rig.take(&from(PEER, 255), b"echo").is_err());
        assert_eq!(rig.sent(), []);
        let mut down = Rig::new(SessionKey::single_hop(PEER.parse().unwrap()));
        down.sent();
        assert!(down.take(&from(PEER, 255), b"echo").is_err());
        assert_eq!(down.sent(), []);
    }

    #[test]
    fn c_156_multihop_sessions_have_no_echo() {
        let key = SessionKey {
            hop: HopKind::Multi { minimum_ttl: 10 },
            ..SessionKey::single_hop(PEER.parse().unwrap())
        };
        let mut rig = Rig::new(key);
        rig.hear(State::Down);
        rig.hear(State::Init);
        rig.endpoint.set_config(rig.now, rig.id, echoing());
        assert!(
            rig.sent()
                .iter()
                .all(|transmit| transmit.kind == TransmitKind::Control)
        );
        assert_eq!(rig.endpoint.status()[0].echo, None);
        assert!(rig.take(&from(PEER, 255), b"echo").is_err());
    }

    #[test]
    fn of_two_sessions_with_one_neighbor_echo_belongs_to_that_of_its_destination() {
        const OURS_TOO: &str = "2001:db8::22";
        let between = |local: Option<&str>| SessionKey {
            local: local.map(|local| local.parse().unwrap()),
            ..SessionKey::single_hop(PEER.parse().unwrap())
        };
        let mut rig = Rig::new(between(None));
        let now = rig.now;
        let silent = SessionConfig::default();
        rig.endpoint.set_config(now, rig.id, silent);
        let ids = [OURS, OURS_TOO].map(|local| {
            let id = rig.endpoint.add(now, between(Some(local)), None, echoing());
            rig.id = id.unwrap();
            rig.hear(State::Down);
            rig.hear(State::Init);
            rig.id
        });
        for (local, id) in [OURS, OURS_TOO].into_iter().zip(ids) {
            rig.sent();
            let destination = local.parse().ok();
            let meta = EchoMeta {
                destination,
                ..from(PEER, 255)
            };
            assert_eq!(rig.take(&meta, b"echo"), Ok(id));
            assert_eq!(rig.sent()[0].local, destination);
        }
    }

    #[test]
    fn echo_follows_its_interface_to_another_index() {
        let mut rig = Rig::up();
        rig.sent();
        rig.endpoint.set_interface_index(rig.id, Some(7));
        rig.now += std::time::Duration::from_millis(50);
        rig.endpoint.handle_timeout(rig.now);
        let echo = rig.echo_sent();
        let interface_index = Some(7);
        assert_eq!(echo.kind, TransmitKind::Echo { interface_index });
        assert_eq!(echo.local, OURS.parse::<IpAddr>().ok());
        let there = EchoMeta {
            interface_index,
            ..from(PEER, 254)
        };
        assert_eq!(rig.take(&there, &echo.payload), Ok(rig.id));
    }
}
