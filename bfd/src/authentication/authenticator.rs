//! What a session signs its packets with, and believes others by: the authentication variables of RFC 5880 §6.8.1.

use std::time::{Duration, Instant};

use super::digest::Hash;
use super::{AuthType, Authentication, AuthenticationKey};
use crate::discard::Discard;
use crate::packet::{AuthenticationSection, ControlPacket};

/// How long a sequence number that needs not grow with each packet may stay: what is recorded is worth no more than that.
const KEYED_SEQUENCE_TIME: Duration = Duration::from_secs(1);

/// Signs and verifies the packets of one session.
#[derive(Debug)]
pub(crate) struct Authenticator {
    authentication: Authentication,
    /// bfd.XmitAuthSeq.
    xmit_auth_seq: u32,
    /// bfd.RcvAuthSeq; `None` while bfd.AuthSeqKnown is 0.
    rcv_auth_seq: Option<u32>,
    /// When bfd.AuthSeqKnown becomes 0, once the remote system is not heard.
    forget_at: Option<Instant>,
    received_key_id: Option<u8>,
    /// When the sequence number last grew, and what was sent with it; for types that are not meticulous.
    grown: Option<(Instant, ControlPacket)>,
}

/// What is known of a session's authentication (RFC 5880 §6.8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationStatus {
    /// bfd.AuthType.
    pub auth_type: AuthType,
    /// The id of the key that packets are sent with.
    pub sent_key_id: u8,
    /// The ids of all keys that packets are accepted with.
    pub accepted_key_ids: Vec<u8>,
    /// The id of the key in the latest packet accepted: what the remote system sends with.
    pub received_key_id: Option<u8>,
    /// bfd.RcvAuthSeq: the latest sequence number accepted; `None` while bfd.AuthSeqKnown is 0, and with a simple password,
    /// which has none.
    pub rcv_auth_seq: Option<u32>,
    /// bfd.XmitAuthSeq: the sequence number of the next packet; where the type is not meticulous, unless that packet says
    /// something new. `None` with a simple password.
    pub xmit_auth_seq: Option<u32>,
}

impl Authenticator {
    /// `first_sequence` should be random: after a restart, what was recorded before it is most probably outside the window, and
    /// what we send is accepted once the remote system has forgotten the former number (RFC 5880 §6.8.1).
    pub(crate) fn new(authentication: Authentication, first_sequence: u32) -> Self {
        Self {
            authentication,
            xmit_auth_seq: first_sequence,
            rcv_auth_seq: None,
            forget_at: None,
            received_key_id: None,
            grown: None,
        }
    }

    /// Other keys: sequence numbers go on, so that nothing that was recorded becomes worth anything, and nothing is lost. With
    /// another type nothing of the former is accepted anyway, and the remote system may begin anew.
    pub(crate) fn set_authentication(&mut self, authentication: &Authentication) {
        if self.authentication.auth_type() == authentication.auth_type() {
            self.authentication = authentication.clone();
        } else {
            *self = Self::new(authentication.clone(), self.xmit_auth_seq.wrapping_add(1));
        }
    }

    /// The packet with an Authentication Section.
    pub(crate) fn sign(&mut self, now: Instant, packet: ControlPacket) -> ControlPacket {
        let auth_type = self.authentication.auth_type();
        let key = self.authentication.first();
        let mut data = vec![key.id()];
        let Some(hash) = auth_type.hash() else {
            // §6.7.2
            data.extend(key.password());
            return with_section(packet, auth_type, data);
        };
        // §4.3, §4.4: Reserved is zero.
        data.push(0);
        data.extend(self.next_sequence(now, &packet).to_be_bytes());
        data.resize(data.len() + hash.len(), 0);
        let mut packet = with_section(packet, auth_type, data);
        let digest = hash.digest(&before_digest(&packet, hash), self.authentication.first());
        if let Some(section) = &mut packet.authentication {
            section.set_end(digest.as_slice());
        }
        packet
    }

    /// Whether a packet may be believed: §6.7.2 to §6.7.4, in their order, save that a sequence number is noted only after the
    /// digest has proven it. Nothing is written unless it may.
    ///
    /// # Errors
    ///
    /// The rule by which it may not.
    pub(crate) fn verify(&mut self, packet: &ControlPacket) -> Result<(), Discard> {
        let section = packet
            .authentication
            .as_ref()
            .ok_or(Discard::MissingAuthentication)?;
        let expected = self.authentication.auth_type();
        if section.auth_type() != expected.code() {
            let got = section.auth_type();
            return Err(Discard::AuthenticationType { got, expected });
        }
        let (key_id, rest) = section
            .data()
            .split_first()
            .ok_or(Discard::AuthenticationLength(expected))?;
        let key = self
            .authentication
            .key(*key_id)
            .ok_or(Discard::AuthenticationKeyId(*key_id))?;
        match expected.hash() {
            None => verify_password(key, rest)?,
            Some(hash) => {
                self.rcv_auth_seq = Some(self.verify_keyed(packet, rest, hash, key)?);
            }
        }
        self.received_key_id = Some(*key_id);
        self.forget_at = None;
        Ok(())
    }

    /// §6.7.3, §6.7.4: what follows Auth Key ID is Reserved, which is ignored, sequence number and digest. Answers the sequence
    /// number.
    fn verify_keyed(
        &self,
        packet: &ControlPacket,
        rest: &[u8],
        hash: Hash,
        key: &AuthenticationKey,
    ) -> Result<u32, Discard> {
        let auth_type = key.auth_type();
        let (sequence, digest) = match *rest {
            [_reserved, a, b, c, d, ref digest @ ..] if digest.len() == hash.len() => {
                (u32::from_be_bytes([a, b, c, d]), digest)
            }
            _ => return Err(Discard::AuthenticationLength(auth_type)),
        };
        if let Some(last) = self.rcv_auth_seq {
            // Detect Mult is the packet's: what may get lost is counted by who sends it.
            let window = 3 * u32::from(packet.detect_mult.get());
            let least = u32::from(auth_type.is_meticulous());
            let got = sequence;
            if !(least..=window).contains(&sequence.wrapping_sub(last)) {
                return Err(Discard::AuthenticationSequence { got, last });
            }
        }
        if !hash.digest(&before_digest(packet, hash), key).is(digest) {
            return Err(Discard::AuthenticationDigest);
        }
        Ok(sequence)
    }

    /// Sets the time at which bfd.AuthSeqKnown becomes 0, unless a packet comes before.
    pub(crate) fn forget_at(&mut self, at: Instant) {
        self.forget_at = self.rcv_auth_seq.map(|_| at);
    }

    /// That time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.forget_at
    }

    /// Sets bfd.AuthSeqKnown to 0: whatever number comes next is accepted.
    pub(crate) fn forget_sequence(&mut self) {
        self.forget_at = None;
        self.rcv_auth_seq = None;
    }

    /// The state variables.
    pub(crate) fn status(&self) -> AuthenticationStatus {
        let auth_type = self.authentication.auth_type();
        AuthenticationStatus {
            auth_type,
            sent_key_id: self.authentication.first().id(),
            accepted_key_ids: self
                .authentication
                .keys()
                .map(AuthenticationKey::id)
                .collect(),
            received_key_id: self.received_key_id,
            rcv_auth_seq: self.rcv_auth_seq,
            xmit_auth_seq: auth_type.hash().map(|_| self.xmit_auth_seq),
        }
    }

    /// §6.7.3, §6.7.4: a meticulous type counts every packet, the others count those that say something new, and once a second.
    fn next_sequence(&mut self, now: Instant, packet: &ControlPacket) -> u32 {
        if self.authentication.auth_type().is_meticulous() {
            let sequence = self.xmit_auth_seq;
            self.xmit_auth_seq = sequence.wrapping_add(1);
            return sequence;
        }
        let old = self.grown.as_ref().is_none_or(|(at, contents)| {
            contents != packet || now.saturating_duration_since(*at) >= KEYED_SEQUENCE_TIME
        });
        if old {
            self.xmit_auth_seq = self.xmit_auth_seq.wrapping_add(1);
            self.grown = Some((now, packet.clone()));
        }
        self.xmit_auth_seq
    }
}

/// §6.7.2
fn verify_password(key: &AuthenticationKey, password: &[u8]) -> Result<(), Discard> {
    if password.len() != key.password().len() {
        return Err(Discard::AuthenticationLength(key.auth_type()));
    }
    match key.is_password(password) {
        true => Ok(()),
        false => Err(Discard::AuthenticationDigest),
    }
}

fn with_section(packet: ControlPacket, auth_type: AuthType, data: Vec<u8>) -> ControlPacket {
    ControlPacket {
        authentication: AuthenticationSection::new(auth_type.code(), data),
        ..packet
    }
}

/// The octets of a packet that ends with a digest, without that: all that the digest covers, save the key in its place.
fn before_digest(packet: &ControlPacket, hash: Hash) -> Vec<u8> {
    let mut octets = packet.encode();
    octets.truncate(octets.len().saturating_sub(hash.len()));
    octets
}
