//! What the kernel counts of TCP segments that it dropped without a word: the only trace of a
//! neighbor with another key, or too far away. The counters are of the whole network namespace.

/// Since the namespace exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpDrops {
    /// Signed segments from neighbors without a key (`TCPMD5Unexpected`).
    pub md5_unexpected: u64,
    /// Unsigned segments from neighbors with a key (`TCPMD5NotFound`).
    pub md5_not_found: u64,
    /// Segments signed with another key (`TCPMD5Failure`).
    pub md5_failure: u64,
    /// TTL below what GTSM demands (`TCPMinTTLDrop`).
    pub minimum_ttl: u64,
}

impl TcpDrops {
    /// Reads them from `/proc/net/netstat`; all zero where there is none.
    #[must_use]
    pub fn read() -> Self {
        let text = std::fs::read_to_string("/proc/net/netstat");
        text.map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// A line of names and a line of numbers, both with `TcpExt:` in front.
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
        let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
            return Self::default();
        };
        let counter = |wanted: &str| {
            let mut counters = names.split(' ').zip(numbers.split(' '));
            let found = counters.find(|(name, _)| *name == wanted);
            found
                .and_then(|(_, number)| number.parse().ok())
                .unwrap_or(0)
        };
        Self {
            md5_unexpected: counter("TCPMD5Unexpected"),
            md5_not_found: counter("TCPMD5NotFound"),
            md5_failure: counter("TCPMD5Failure"),
            minimum_ttl: counter("TCPMinTTLDrop"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text =
            "TcpExt: SyncookiesSent TCPMinTTLDrop Last\nTcpExt: 1 22 3\nIpExt: A\nIpExt: 9\n";
        let drops = TcpDrops {
            minimum_ttl: 22,
            ..TcpDrops::default()
        };
        assert_eq!(TcpDrops::parse(text), drops);
        assert_eq!(TcpDrops::parse("IpExt: A\n"), TcpDrops::default());
    }
}
