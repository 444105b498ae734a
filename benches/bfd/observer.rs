//! Watches what comes into a namespace, by the kernel's time stamps, without being part of it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::responder::session::Nanoseconds;
use crate::responder::socket::Receiver;
use crate::support::Namespace;

/// An IPv4 packet that has come in.
pub struct Seen<'a> {
    pub at: Nanoseconds,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    /// What follows the IPv4 header, as far as it was kept.
    pub payload: &'a [u8],
}

/// A running observer; it keeps what `note` makes of packets.
pub struct Observer<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Observer<T> {
    /// Starts one that misses nothing once this returns.
    pub fn start(
        at: &Namespace,
        mut notes: T,
        note: impl Fn(&mut T, Seen<'_>) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let (ready, started) = std::sync::mpsc::channel();
        let thread = at.spawn_thread(move || {
            let mut receiver = Receiver::of_everything();
            ready.send(()).unwrap();
            loop {
                let is_last = is_stopped.load(Ordering::Relaxed);
                while receiver.receive(|packet| {
                    if let Some(seen) = Seen::read(packet.at, packet.payload) {
                        note(&mut notes, seen);
                    }
                }) {}
                if is_last {
                    return notes;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        started.recv().expect("the observer starts");
        Self { stop, thread }
    }

    pub fn stop(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the observer runs")
    }
}

impl<'a> Seen<'a> {
    fn read(at: Nanoseconds, packet: &'a [u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 0x0F) * 4;
        let address = |at: usize| {
            let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        Some(Self {
            at,
            source: address(12)?,
            destination: address(16)?,
            protocol: *packet.get(9)?,
            payload: packet.get(header..)?,
        })
    }
}
