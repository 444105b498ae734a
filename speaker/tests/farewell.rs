//! The order of the last words. A router that sees BFD go before BGP may think that the path has
//! failed, and drop what it should have kept (FRR 10.3 does). So the neighbor here, which speaks both
//! protocols over sockets of its own, holds BGP's connection open after it has read the last word
//! there: as long as it does, BFD must go on.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Daemon, eventually, loopback};

/// How long the connection is held open: less than the second that the daemon waits for its end, and
/// much more than a packet takes.
const HELD: Duration = Duration::from_millis(400);

const ADMIN_DOWN: u8 = 0;
const DOWN: u8 = 1;
const INIT: u8 = 2;
const UP: u8 = 3;

/// The BFD half of the neighbor.
struct Bfd {
    /// What the daemon said last.
    remote: Arc<AtomicU8>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bfd {
    fn start(local: Ipv4Addr, remote: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((local, 13784)).unwrap();
        socket.set_ttl(255).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let heard = Arc::new(AtomicU8::new(DOWN));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = {
            let (heard, ended) = (Arc::clone(&heard), Arc::clone(&ended));
            std::thread::spawn(move || speak(&socket, remote, &heard, &ended))
        };
        Self {
            remote: heard,
            ended,
            thread: Some(thread),
        }
    }

    fn remote(&self) -> u8 {
        self.remote.load(Ordering::SeqCst)
    }
}

impl Drop for Bfd {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

/// RFC 5880 §6.8.6 and §6.8.7, as much as it takes.
fn speak(socket: &UdpSocket, remote: Ipv4Addr, heard: &AtomicU8, ended: &AtomicBool) {
    let (mut state, mut your_discr) = (DOWN, [0; 4]);
    let mut packet = [0; 64];
    while !ended.load(Ordering::SeqCst) {
        let mut last = 0;
        if let Ok((24.., _)) = socket.recv_from(&mut packet) {
            your_discr.copy_from_slice(&packet[4..8]);
            let remote_state = packet[1] >> 6;
            heard.store(remote_state, Ordering::SeqCst);
            state = match (state, remote_state) {
                (DOWN, DOWN) => INIT,
                (DOWN | INIT, INIT) | (INIT | UP, UP) => UP,
                (UP, INIT) => UP,
                (UP, DOWN) | (_, ADMIN_DOWN) => DOWN,
                (state, _) => state,
            };
            // A Poll is answered with a Final.
            last = if packet[1] & 0x20 != 0 { 0x10 } else { 0 };
        }
        let interval = 200_000_u32.to_be_bytes();
        let answer = [
            &[0x20, state << 6 | last, 20, 24, 0, 0, 0, 9][..],
            &your_discr,
            &interval,
            &interval,
            &[0; 4],
        ]
        .concat();
        let _ = socket.send_to(&answer, (remote, 13784));
    }
}

struct Neighbor {
    daemon: Daemon,
    config: String,
    session: TcpStream,
    bfd: Bfd,
}

fn message(r#type: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[r#type], body].concat()
}

impl Neighbor {
    fn start() -> Self {
        let [own, other] = [loopback(), loopback()];
        let listener = TcpListener::bind((other, 11179)).unwrap();
        let config = format!(
            "[speaker]\nlocal-as = 64520\nrouter-id = \"192.0.2.71\"\n[bfd]\nlisten = [\"{own}:13784\"]\n\
             [[bfd-profile]]\nname = \"slow\"\ntransmit-interval = \"200ms\"\nreceive-interval = \"200ms\"\ndetect-multiplier = 20\n\
             [[peer]]\nname = \"other\"\naddress = \"{other}\"\nport = 11179\nremote-as = 64521\n\
             source-address = \"{own}\"\nbfd-profile = \"slow\"\nbfd-port = 13784\n"
        );
        let daemon = Daemon::start(&config);
        let (mut session, _) = listener.accept().unwrap();
        // When BFD comes up, a connection that is still being made is given up for another; what has
        // its OPEN out stays.
        session.read_exact(&mut [0; 29]).unwrap();
        let bfd = Bfd::start(other, own);
        let [high, low] = 64521_u16.to_be_bytes();
        let open = message(1, &[4, high, low, 0, 90, 192, 0, 2, 1, 0]);
        session
            .write_all(&[open, message(4, &[])].concat())
            .unwrap();
        daemon.wait_until_up("other");
        let neighbor = Self {
            daemon,
            config,
            session,
            bfd,
        };
        assert_eq!(neighbor.bfd.remote(), UP);
        neighbor
    }

    /// Reads up to this Cease, holds the connection open, and only then lets the daemon go on.
    fn hears_bgp_end_before_bfd(mut self, subcode: u8) {
        let last_word = [6, subcode];
        let mut heard = Vec::new();
        let mut octets = [0; 4096];
        loop {
            let count = self.session.read(&mut octets).unwrap();
            assert!(count > 0, "no last word: {heard:02x?}");
            heard.extend(&octets[..count]);
            // The type of a NOTIFICATION, then code and subcode.
            if heard.ends_with(&[&[3][..], &last_word].concat()) {
                break;
            }
        }
        assert_eq!(self.bfd.remote(), UP, "BFD goes on after BGP's last word");
        std::thread::sleep(HELD);
        assert_eq!(self.bfd.remote(), UP, "BFD waits for BGP's end");
        drop(self.session);
        eventually("BFD is taken out of service", || {
            self.bfd.remote() == ADMIN_DOWN
        });
    }
}

#[test]
fn bfd_goes_after_bgp_when_a_peer_is_removed() {
    let neighbor = Neighbor::start();
    let (without, _) = neighbor.config.split_once("[[peer]]").unwrap();
    neighbor.daemon.write(without);
    neighbor.daemon.ok(&["reload"]);
    neighbor.hears_bgp_end_before_bfd(3);
}

#[test]
fn bfd_goes_after_bgp_when_a_peer_is_disabled() {
    let neighbor = Neighbor::start();
    let disabled = format!("{}enabled = false\n", neighbor.config);
    neighbor.daemon.write(&disabled);
    neighbor.daemon.ok(&["reload"]);
    neighbor.hears_bgp_end_before_bfd(2);
}

#[test]
fn bfd_goes_after_bgp_when_a_peer_is_shut_down() {
    let neighbor = Neighbor::start();
    neighbor.daemon.ok(&["peer", "shutdown", "other"]);
    neighbor.hears_bgp_end_before_bfd(2);
}

#[test]
fn bfd_goes_after_bgp_when_the_daemon_stops() {
    let neighbor = Neighbor::start();
    neighbor.daemon.signal(Signal::SIGTERM);
    neighbor.hears_bgp_end_before_bfd(2);
}
