//! How much of what a peer's sessions carry is kept to be looked at.

use std::fmt;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// How much, in octets: nothing, or 4 KiB to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureSize(u32);

impl CaptureSize {
    /// Nothing is kept.
    pub const OFF: Self = Self(0);
    const LEAST: u32 = 4 * KIB;
    const MOST: u32 = 16 * MIB;

    /// `None`: too little for what a message may be, or too much for each of many peers.
    #[must_use]
    pub const fn new(octets: u32) -> Option<Self> {
        match octets {
            0 | Self::LEAST..=Self::MOST => Some(Self(octets)),
            _ => None,
        }
    }

    /// In octets.
    #[must_use]
    pub const fn octets(self) -> usize {
        self.0 as usize
    }

    /// `"64KiB"`, `"1MiB"`, `"off"`, or a number of octets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::OFF);
        }
        let units = [("MiB", MIB), ("KiB", KIB), ("", 1)];
        let (number, unit) = units
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
        if !number.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        Self::new(number.parse::<u32>().ok()?.checked_mul(*unit)?)
    }
}

impl Default for CaptureSize {
    fn default() -> Self {
        Self(16 * KIB)
    }
}

impl fmt::Display for CaptureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("off"),
            octets if octets % MIB == 0 => write!(f, "{}MiB", octets / MIB),
            octets if octets % KIB == 0 => write!(f, "{}KiB", octets / KIB),
            octets => write!(f, "{octets}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_written_and_bounded() {
        for text in ["off", "4KiB", "64KiB", "1MiB", "16MiB", "5000"] {
            assert_eq!(CaptureSize::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(CaptureSize::parse("0"), Some(CaptureSize::OFF));
        assert_eq!(CaptureSize::parse("0KiB"), Some(CaptureSize::OFF));
        assert_eq!(CaptureSize::parse("2048KiB"), CaptureSize::parse("2MiB"));
        for text in [
            "",
            "3KiB",
            "17MiB",
            "64KB",
            "64 KiB",
            "-1",
            "+5000",
            "4096MiB",
            "99999999999",
            "on",
        ] {
            assert_eq!(CaptureSize::parse(text), None, "{text}");
        }
    }
}
