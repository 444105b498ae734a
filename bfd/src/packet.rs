//! The BFD Control packet of RFC 5880 §4.1, as an owned value.
//!
//! Parsing applies the rules of §6.8.6 that need no session: version, length, multiplier, Multipoint bit, My Discriminator.
//! Everything that a packet accepted here can hold may also be sent.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use thiserror::Error;

/// Length in octets of the mandatory section.
const MANDATORY_LEN: usize = 24;
/// Mandatory section, plus the smallest authentication section (Auth Type and Auth Len).
const MANDATORY_LEN_WITH_AUTH: usize = 26;
/// The protocol version of RFC 5880.
const VERSION: u8 = 1;

const POLL: u8 = 0b10_0000;
const FINAL: u8 = 0b01_0000;
const CONTROL_PLANE_INDEPENDENT: u8 = 0b00_1000;
const AUTHENTICATION_PRESENT: u8 = 0b00_0100;
const DEMAND: u8 = 0b00_0010;
const MULTIPOINT: u8 = 0b00_0001;

/// A session state (RFC 5880 §4.1, `Sta`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Held down by an operator; never a failure of the path (RFC 5882 §4.2).
    AdminDown,
    /// No two-way communication.
    Down,
    /// The remote system is heard; it is not known whether it hears us.
    Init,
    /// Both systems hear each other.
    Up,
}

impl State {
    fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    fn to_bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session last changed its state (RFC 5880 §4.1, `Diag`): five bits, of which 9 to 31 have no meaning yet and are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// 0: no diagnostic.
    pub const NONE: Self = Self(0);
    /// 1: no valid packet came for a Detection Time.
    pub const CONTROL_DETECTION_TIME_EXPIRED: Self = Self(1);
    /// 2: the echo function failed.
    pub const ECHO_FUNCTION_FAILED: Self = Self(2);
    /// 3: the remote system said that its session is down.
    pub const NEIGHBOR_SIGNALED_SESSION_DOWN: Self = Self(3);
    /// 4: the forwarding plane was reset.
    pub const FORWARDING_PLANE_RESET: Self = Self(4);
    /// 5: the path is down, as told by something other than BFD.
    pub const PATH_DOWN: Self = Self(5);
    /// 6: a concatenated path is down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// 7: an operator took the session down.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);
    /// 8: a concatenated path is down, in the reverse direction.
    pub const REVERSE_CONCATENATED_PATH_DOWN: Self = Self(8);

    /// The diagnostic with this code, or `None` above 31: the field has five bits.
    pub const fn new(code: u8) -> Option<Self> {
        if code < 32 { Some(Self(code)) } else { None }
    }

    /// The number on the wire, 0 to 31.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::NONE => "no diagnostic",
            Self::CONTROL_DETECTION_TIME_EXPIRED => "control detection time expired",
            Self::ECHO_FUNCTION_FAILED => "echo function failed",
            Self::NEIGHBOR_SIGNALED_SESSION_DOWN => "neighbor signaled session down",
            Self::FORWARDING_PLANE_RESET => "forwarding plane reset",
            Self::PATH_DOWN => "path down",
            Self::CONCATENATED_PATH_DOWN => "concatenated path down",
            Self::ADMINISTRATIVELY_DOWN => "administratively down",
            Self::REVERSE_CONCATENATED_PATH_DOWN => "reverse concatenated path down",
            Self(code) => return write!(f, "unassigned diagnostic {code}"),
        })
    }
}

/// An interval in microseconds, as BFD carries it: at most 4294.967295 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Micros(u32);

impl Micros {
    /// No time; as Required Min RX Interval it means "send me nothing periodically" (RFC 5880 §4.1).
    pub const ZERO: Self = Self(0);
    /// One second: nothing is sent faster while a session is not Up (RFC 5880 §6.8.3).
    pub const ONE_SECOND: Self = Self(1_000_000);

    /// This many microseconds.
    pub const fn new(micros: u32) -> Self {
        Self(micros)
    }

    /// This many milliseconds; more than fit (about 71 minutes) gives the longest interval there is.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// The interval, rounded down to a microsecond, or `None` if it is longer than 4294.967295 s.
    pub fn from_duration(duration: Duration) -> Option<Self> {
        u32::try_from(duration.as_micros()).ok().map(Self)
    }

    /// The number on the wire.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The same length of time as a [`Duration`].
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_duration(), f)
    }
}

/// The Poll and Final bits. Both together are never sent, and never accepted (RFC 5880 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PollFinal {
    /// Neither bit is set.
    #[default]
    Neither,
    /// The sender runs a Poll Sequence and wants an answer.
    Poll,
    /// The answer to a Poll.
    Final,
}

/// An Authentication Section (RFC 5880 §4.1), whole but not interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthenticationSection {
    auth_type: u8,
    data: Vec<u8>,
}

impl AuthenticationSection {
    /// A section of this type with this data after Auth Len, or `None` if it does not fit into a packet.
    pub fn new(auth_type: u8, data: Vec<u8>) -> Option<Self> {
        (MANDATORY_LEN_WITH_AUTH + data.len() <= usize::from(u8::MAX))
            .then_some(Self { auth_type, data })
    }

    /// The Auth Type; values without meaning are kept.
    pub fn auth_type(&self) -> u8 {
        self.auth_type
    }

    /// What follows Auth Len.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Overwrites the last octets of the data.
    pub(crate) fn set_end(&mut self, end: &[u8]) {
        for (place, octet) in self.data.iter_mut().rev().zip(end.iter().rev()) {
            *place = *octet;
        }
    }

    /// The section fills what Length leaves for it: octets that belong to neither would be covered by no rule of §6.7.
    fn parse(octets: &[u8]) -> Result<Self, ParseError> {
        let malformed = |auth_len| ParseError::AuthenticationLength {
            auth_len,
            available: octets.len(),
        };
        let [auth_type, auth_len, ..] = *octets else {
            return Err(malformed(0));
        };
        let data = octets
            .get(2..)
            .filter(|_| octets.len() == usize::from(auth_len))
            .ok_or(malformed(auth_len))?;
        Ok(Self {
            auth_type,
            data: data.to_vec(),
        })
    }

    fn wire_len(&self) -> usize {
        2 + self.data.len()
    }
}

/// A BFD Control packet (RFC 5880 §4.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       My Discriminator                        |
/// |                      Your Discriminator                       |
/// |                    Desired Min TX Interval                    |
/// |                   Required Min RX Interval                    |
/// |                 Required Min Echo RX Interval                 |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Auth Type   |   Auth Len    |    Authentication Data...     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// The version is 1 and the Multipoint bit is 0 in every value of this type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ControlPacket {
    /// Why the sender last changed its state.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// The P and F bits.
    pub poll_final: PollFinal,
    /// C: the sender's BFD shares no fate with its control plane.
    pub control_plane_independent: bool,
    /// D: the sender asks the receiver to cease periodic packets.
    pub demand: bool,
    /// After how many missing packets the receiver declares the session down.
    pub detect_mult: NonZeroU8,
    /// The sender's name for the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's name for the session; `None` (zero) while the sender does not know it.
    pub your_discriminator: Option<NonZeroU32>,
    /// The shortest interval at which the sender would like to transmit.
    pub desired_min_tx_interval: Micros,
    /// The shortest interval at which the sender can receive; zero asks for no periodic packets.
    pub required_min_rx_interval: Micros,
    /// The shortest interval at which the sender can loop echo packets back; zero: not at all.
    pub required_min_echo_rx_interval: Micros,
    /// The Authentication Section; the A bit is set exactly when there is one.
    pub authentication: Option<AuthenticationSection>,
}

impl ControlPacket {
    /// Reads the payload of a UDP datagram: RFC 5880 §6.8.6 up to the check of My Discriminator, in its order.
    ///
    /// # Errors
    ///
    /// Names the first rule that the payload breaks.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let too_short = ParseError::TooShort {
            payload: payload.len(),
        };
        let Some((mandatory, _)) = payload.split_first_chunk::<MANDATORY_LEN>() else {
            return Err(too_short);
        };
        let [vers_diag, flags, detect_mult, length, words @ ..] = *mandatory;

        let version = vers_diag >> 5;
        if version != VERSION {
            return Err(ParseError::Version(version));
        }
        let authenticated = flags & AUTHENTICATION_PRESENT != 0;
        let minimum = if authenticated {
            MANDATORY_LEN_WITH_AUTH
        } else {
            MANDATORY_LEN
        };
        if usize::from(length) < minimum {
            return Err(ParseError::LengthTooSmall {
                length,
                authenticated,
            });
        }
        // Octets behind Length are padding (RFC 9764 §3).
        let Some(packet) = payload.get(..usize::from(length)) else {
            return Err(ParseError::LengthBeyondPayload {
                length,
                payload: payload.len(),
            });
        };
        let detect_mult = NonZeroU8::new(detect_mult).ok_or(ParseError::DetectMultZero)?;
        if flags & MULTIPOINT != 0 {
            return Err(ParseError::MultipointSet);
        }
        let [my, your, desired_tx, required_rx, required_echo_rx] = be_words(&words);
        let my_discriminator = NonZeroU32::new(my).ok_or(ParseError::MyDiscriminatorZero)?;

        let poll_final = match (flags & POLL != 0, flags & FINAL != 0) {
            (false, false) => PollFinal::Neither,
            (true, false) => PollFinal::Poll,
            (false, true) => PollFinal::Final,
            // §6.5: the bits MUST NOT be set together; such a packet cannot be answered in a way that is right.
            (true, true) => return Err(ParseError::PollAndFinal),
        };
        let authentication = match packet.get(MANDATORY_LEN..) {
            Some(section) if authenticated => Some(AuthenticationSection::parse(section)?),
            _ => None,
        };
        Ok(Self {
            diagnostic: Diagnostic(vers_diag & 0b1_1111),
            state: State::from_bits(flags >> 6),
            poll_final,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_mult,
            my_discriminator,
            your_discriminator: NonZeroU32::new(your),
            desired_min_tx_interval: Micros(desired_tx),
            required_min_rx_interval: Micros(required_rx),
            required_min_echo_rx_interval: Micros(required_echo_rx),
            authentication,
        })
    }

    /// The octets to put into a UDP datagram.
    pub fn encode(&self) -> Vec<u8> {
        let auth_len = self
            .authentication
            .as_ref()
            .map_or(0, AuthenticationSection::wire_len);
        let mut octets = Vec::with_capacity(MANDATORY_LEN + auth_len);
        octets.push(VERSION << 5 | self.diagnostic.0);
        octets.push(self.flags());
        octets.push(self.detect_mult.get());
        octets.push(saturating_octet(MANDATORY_LEN + auth_len));
        for word in [
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            self.desired_min_tx_interval.0,
            self.required_min_rx_interval.0,
            self.required_min_echo_rx_interval.0,
        ] {
            octets.extend_from_slice(&word.to_be_bytes());
        }
        if let Some(section) = &self.authentication {
            octets.push(section.auth_type);
            octets.push(saturating_octet(auth_len));
            octets.extend_from_slice(&section.data);
        }
        octets
    }

    fn flags(&self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        self.state.to_bits() << 6
            | bit(self.poll_final == PollFinal::Poll, POLL)
            | bit(self.poll_final == PollFinal::Final, FINAL)
            | bit(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | bit(self.authentication.is_some(), AUTHENTICATION_PRESENT)
            | bit(self.demand, DEMAND)
    }
}

/// A length that [`AuthenticationSection::new`] has kept below 256.
fn saturating_octet(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn be_words(octets: &[u8; MANDATORY_LEN - 4]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, chunk) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*chunk);
    }
    words
}

/// Which rule of RFC 5880 §6.8.6 a payload breaks, among those that need no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum ParseError {
    /// The payload has no room for the mandatory section.
    #[error("{payload} octets are too few for a control packet, which has at least 24")]
    TooShort {
        /// Octets in the datagram.
        payload: usize,
    },
    /// The version is not 1.
    #[error("version {0}, not 1")]
    Version(u8),
    /// Length is smaller than the packet's own sections.
    #[error("Length {length} is below {}", if *.authenticated { 26 } else { 24 })]
    LengthTooSmall {
        /// The Length field.
        length: u8,
        /// Whether the A bit is set.
        authenticated: bool,
    },
    /// Length says more than came.
    #[error("Length {length} exceeds the {payload} octets that came")]
    LengthBeyondPayload {
        /// The Length field.
        length: u8,
        /// Octets in the datagram.
        payload: usize,
    },
    /// Detect Mult is zero.
    #[error("Detect Mult is zero")]
    DetectMultZero,
    /// The Multipoint bit is set.
    #[error("the Multipoint bit is set")]
    MultipointSet,
    /// My Discriminator is zero.
    #[error("My Discriminator is zero")]
    MyDiscriminatorZero,
    /// The Poll and the Final bit are set together.
    #[error("Poll and Final are both set")]
    PollAndFinal,
    /// Auth Len is not what Length leaves for the authentication section.
    #[error("Auth Len is {auth_len}, and Length leaves {available} octets for the section")]
    AuthenticationLength {
        /// The Auth Len field.
        auth_len: u8,
        /// Octets that Length leaves for the section.
        available: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State Up, P, multiplier 3, my 1, your 2, 300 ms, 50 ms, echo 0.
    const SAMPLE: [u8; 24] = [
        0x20, 0xe0, 3, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 4, 0x93, 0xe0, 0, 0, 0xc3, 0x50, 0, 0, 0, 0,
    ];

    fn with(change: impl FnOnce(&mut Vec<u8>)) -> Result<ControlPacket, ParseError> {
        let mut octets = SAMPLE.to_vec();
        change(&mut octets);
        ControlPacket::parse(&octets)
    }

    #[test]
    fn sample_has_the_fields_of_the_rfc() {
        let packet = ControlPacket::parse(&SAMPLE).unwrap();
        assert_eq!(packet.state, State::Up);
        assert_eq!(packet.poll_final, PollFinal::Poll);
        assert_eq!(packet.detect_mult.get(), 3);
        assert_eq!(packet.my_discriminator.get(), 1);
        assert_eq!(packet.your_discriminator, NonZeroU32::new(2));
        assert_eq!(packet.desired_min_tx_interval, Micros::from_millis(300));
        assert_eq!(packet.required_min_rx_interval, Micros::from_millis(50));
        assert_eq!(packet.required_min_echo_rx_interval, Micros::ZERO);
        assert_eq!(packet.authentication, None);
        assert_eq!(packet.encode(), SAMPLE);
    }

    #[test]
    fn c_114_version_must_be_1() {
        for version in [0, 2, 3, 7] {
            let error = with(|octets| octets[0] = version << 5).unwrap_err();
            assert_eq!(error, ParseError::Version(version));
        }
    }

    #[test]
    fn c_115_length_covers_the_sections() {
        for length in [0, 1, 23] {
            let error = with(|octets| octets[3] = length).unwrap_err();
            assert!(matches!(error, ParseError::LengthTooSmall { .. }));
        }
        for length in [24, 25] {
            let error = with(|octets| {
                octets[1] |= AUTHENTICATION_PRESENT;
                octets[3] = length;
                octets.extend([1, 4, 0, 0]);
            })
            .unwrap_err();
            assert_eq!(
                error,
                ParseError::LengthTooSmall {
                    length,
                    authenticated: true
                }
            );
        }
        assert_eq!(
            ControlPacket::parse(&SAMPLE[..23]),
            Err(ParseError::TooShort { payload: 23 })
        );
    }

    #[test]
    fn c_116_length_stays_within_the_payload_and_padding_is_ignored() {
        assert_eq!(
            with(|octets| octets[3] = 25),
            Err(ParseError::LengthBeyondPayload {
                length: 25,
                payload: 24
            })
        );
        let padded = with(|octets| octets.resize(24 + 1400, 0xaa)).unwrap();
        assert_eq!(padded, ControlPacket::parse(&SAMPLE).unwrap());
    }

    #[test]
    fn c_117_detect_mult_multipoint_and_my_discriminator() {
        assert_eq!(with(|o| o[2] = 0), Err(ParseError::DetectMultZero));
        assert_eq!(with(|o| o[1] |= MULTIPOINT), Err(ParseError::MultipointSet));
        assert_eq!(with(|o| o[7] = 0), Err(ParseError::MyDiscriminatorZero));
    }

    #[test]
    fn c_117_rules_are_checked_in_the_order_of_the_rfc() {
        let everything_wrong = |upto: usize| {
            with(|o| {
                o[0] = if upto > 0 { 0x20 } else { 0x40 };
                o[3] = if upto > 1 { 24 } else { 23 };
                o[2] = if upto > 2 { 3 } else { 0 };
                o[1] = if upto > 3 { 0 } else { MULTIPOINT };
                o[7] = u8::from(upto > 4);
            })
        };
        assert_eq!(everything_wrong(0), Err(ParseError::Version(2)));
        assert!(matches!(
            everything_wrong(1),
            Err(ParseError::LengthTooSmall { .. })
        ));
        assert_eq!(everything_wrong(2), Err(ParseError::DetectMultZero));
        assert_eq!(everything_wrong(3), Err(ParseError::MultipointSet));
        assert_eq!(everything_wrong(4), Err(ParseError::MyDiscriminatorZero));
        assert!(everything_wrong(5).is_ok());
    }

    #[test]
    fn c_132_poll_and_final_together_are_refused() {
        assert_eq!(with(|o| o[1] |= FINAL), Err(ParseError::PollAndFinal));
    }

    #[test]
    fn c_152_every_diagnostic_is_accepted_and_kept() {
        for code in 0..32 {
            let packet = with(|octets| octets[0] = 0x20 | code).unwrap();
            assert_eq!(packet.diagnostic.code(), code);
        }
        assert_eq!(Diagnostic::new(32), None);
        assert_eq!(
            Diagnostic::new(9).unwrap().to_string(),
            "unassigned diagnostic 9"
        );
    }

    #[test]
    fn f_69_authentication_length_must_fit() {
        let section = |auth_len: u8, octets: &[u8]| {
            with(|o| {
                o[1] |= AUTHENTICATION_PRESENT;
                o.extend([6, auth_len]);
                o.extend(octets);
                o[3] = u8::try_from(o.len()).unwrap();
            })
        };
        for auth_len in [0, 1, 2, 4, 6, 255] {
            assert_eq!(
                section(auth_len, &[1, 2, 3]),
                Err(ParseError::AuthenticationLength {
                    auth_len,
                    available: 5
                })
            );
        }
        let packet = section(5, &[1, 2, 3]).unwrap();
        let authentication = packet.authentication.as_ref().unwrap();
        assert_eq!(authentication.auth_type(), 6);
        assert_eq!(authentication.data(), [1, 2, 3]);
        assert_eq!(ControlPacket::parse(&packet.encode()), Ok(packet));
    }

    #[test]
    fn intervals_convert_without_wrapping() {
        assert_eq!(Micros::from_millis(u32::MAX), Micros::new(u32::MAX));
        assert_eq!(Micros::from_duration(Duration::from_secs(4295)), None);
        assert_eq!(
            Micros::from_duration(Duration::from_micros(u64::from(u32::MAX))),
            Some(Micros::new(u32::MAX))
        );
        assert_eq!(Micros::from_millis(300).to_string(), "300ms");
    }
}
