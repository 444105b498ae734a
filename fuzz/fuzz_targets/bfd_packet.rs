//! Octets as a BFD control packet: whatever is read is written again, and read as the same.
#![no_main]

use bfd::ControlPacket;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(packet) = ControlPacket::parse(octets) {
        assert_eq!(ControlPacket::parse(&packet.encode()).as_ref(), Ok(&packet));
    }
});
