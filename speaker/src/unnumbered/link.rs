//! One interface: says that we are there, and hears who else is.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use tokio::sync::mpsc::UnboundedSender;

use super::Sighting;
use super::message::Message;
use super::socket::LinkSocket;

/// How often it is looked whether the interface is as it was.
const CHECK: Duration = Duration::from_secs(1);
/// Between two of our advertisements (RFC 4861 §10, MIN_DELAY_BETWEEN_RAS).
const LEAST_INTERVAL: Duration = Duration::from_secs(3);
/// The first ones follow each other closely (MAX_INITIAL_RTR_ADVERTISEMENTS).
const INITIAL: u32 = 3;
/// Then there is no hurry, unless somebody asks.
const INTERVAL: Duration = Duration::from_secs(10);
/// A neighbor that was not heard for so long makes room for another.
const SILENCE: Duration = Duration::from_secs(30);

/// Runs until it is aborted, or nobody listens any more.
pub(super) async fn run(interface: String, sightings: UnboundedSender<Sighting>) {
    let mut link = Link {
        interface,
        sightings,
        said: None,
    };
    loop {
        let problem = match link.here() {
            Ok(here) => link.watch(here).await,
            Err(problem) => problem,
        };
        if link.say(Err(problem)).is_none() {
            return;
        }
        tokio::time::sleep(CHECK).await;
    }
}

struct Link {
    interface: String,
    sightings: UnboundedSender<Sighting>,
    /// What was said last.
    said: Option<Result<Ipv6Addr, String>>,
}

/// What makes the interface the one that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Here {
    index: u32,
    address: Ipv6Addr,
}

/// Who is heard on the interface.
#[derive(Clone, Copy, Debug)]
struct Heard {
    address: Ipv6Addr,
    at: Instant,
}

impl Link {
    /// The interface as it is; an error while it is not there, or cannot speak.
    fn here(&self) -> Result<Here, String> {
        let name = &self.interface;
        let index = if_nametoindex(name.as_str())
            .map_err(|_| format!("there is no interface {name}; it is used as soon as it comes"))?;
        let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        let address = link_local_address(&table, index).ok_or_else(|| {
            format!("{name} has no link-local IPv6 address that can be used; is it up, and IPv6 not disabled there?")
        })?;
        Ok(Here { index, address })
    }

    /// Speaks and listens until the interface is another, and says what has become of it.
    async fn watch(&mut self, here: Here) -> String {
        let socket = match LinkSocket::open(&self.interface, here.index) {
            Ok(socket) => socket,
            Err(problem) => return problem,
        };
        let nobody = format!(
            "no router advertisement has been heard on {}",
            self.interface
        );
        let _ = self.say(Err(nobody));
        let mut heard: Option<Heard> = None;
        let mut schedule = Schedule::new(Instant::now());
        let mut problem = send(&socket, Message::Solicitation);
        loop {
            if schedule.is_due(Instant::now()) {
                problem = problem.or(send(&socket, Message::Advertisement));
            }
            if let Some(problem) = problem.take() {
                return format!(
                    "cannot advertise ourselves on {}: {problem}",
                    self.interface
                );
            }
            let wait = schedule.wait(Instant::now()).min(CHECK);
            match tokio::time::timeout(wait, socket.receive()).await {
                Ok(Ok((_, source))) if source == here.address => {}
                Ok(Ok((Message::Solicitation, _))) => schedule.hurry(),
                Ok(Ok((Message::Advertisement, source))) => {
                    if !self.heard(&mut heard, source) {
                        // It may not know us either.
                        schedule.hurry();
                    }
                }
                Ok(Err(error)) => problem = Some(error.to_string()),
                Err(_) => match self.here() {
                    Ok(now) if now == here => {}
                    Ok(_) => return format!("{} has changed", self.interface),
                    Err(problem) => return problem,
                },
            }
        }
    }

    /// Takes note of an advertisement; whether its sender was known.
    fn heard(&mut self, heard: &mut Option<Heard>, source: Ipv6Addr) -> bool {
        let at = Instant::now();
        match heard {
            Some(known) if known.address == source => {
                known.at = at;
                true
            }
            Some(known) if at.duration_since(known.at) < SILENCE => {
                tracing::debug!(interface = %self.interface, %source, first = %known.address, "another router on a link that should have one");
                true
            }
            _ => {
                *heard = Some(Heard {
                    address: source,
                    at,
                });
                let _ = self.say(Ok(source));
                false
            }
        }
    }

    /// Says what is new; `None` when nobody listens.
    fn say(&mut self, neighbor: Result<Ipv6Addr, String>) -> Option<()> {
        if self.said.as_ref() != Some(&neighbor) {
            self.said = Some(neighbor.clone());
            let sighting = Sighting {
                interface: self.interface.clone(),
                neighbor,
            };
            return self.sightings.send(sighting).ok();
        }
        (!self.sightings.is_closed()).then_some(())
    }
}

fn send(socket: &LinkSocket, message: Message) -> Option<String> {
    socket.send(message).err().map(|error| error.to_string())
}

/// When we say that we are there (RFC 4861 §6.2.4, §6.2.6).
struct Schedule {
    sent: u32,
    last: Option<Instant>,
    next: Instant,
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self {
            sent: 0,
            last: None,
            next: now,
        }
    }

    /// Whether it is time; then it is taken as done.
    fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.sent = self.sent.saturating_add(1);
        self.last = Some(now);
        let interval = if self.sent < INITIAL {
            LEAST_INTERVAL
        } else {
            INTERVAL
        };
        self.next = now + interval;
        true
    }

    /// As soon as it may be.
    fn hurry(&mut self) {
        if let Some(last) = self.last {
            self.next = self.next.min(last + LEAST_INTERVAL);
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

/// The link-local address of an interface, in the table `/proc/net/if_inet6`, unless it may be
/// somebody else's.
fn link_local_address(table: &str, index: u32) -> Option<Ipv6Addr> {
    const UNUSABLE: u32 = 0x08 | 0x40;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, found, _, _, flags, ..] = words.as_slice() else {
            return None;
        };
        let address = Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?);
        let found = u32::from_str_radix(found, 16).ok()?;
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_it = found == index && address.is_unicast_link_local() && flags & UNUSABLE == 0;
        is_it.then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4861 §6.2.4: three at first, then at leisure; §6.2.6: at request, but not too often.
    #[test]
    fn advertisements_come_in_a_burst_then_at_leisure_and_at_request() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::new(start);
        let due = |schedule: &mut Schedule, seconds| schedule.is_due(at(seconds));
        let times: Vec<u64> = (0..=26)
            .filter(|second| due(&mut schedule, *second))
            .collect();
        assert_eq!(times, [0, 3, 6, 16, 26]);
        schedule.hurry();
        assert_eq!(schedule.wait(at(27)), Duration::from_secs(2));
        assert!(!schedule.is_due(at(28)));
        assert!(schedule.is_due(at(29)));
        assert_eq!(schedule.wait(at(29)), Duration::from_secs(10));
    }

    #[test]
    fn an_interface_has_one_usable_link_local_address() {
        const TABLE: &str = "\
20010db8000000000000000000000001 02 40 00 80    eth0
fe800000000000000000000000000009 02 40 20 c0    eth0
fe800000000000000000000000000001 02 40 20 80    eth0
fe800000000000000000000000000002 0a 40 20 80    eth1
";
        let address = |index| link_local_address(TABLE, index).map(|it| it.to_string());
        assert_eq!(address(2).as_deref(), Some("fe80::1"));
        assert_eq!(address(10).as_deref(), Some("fe80::2"));
        assert_eq!(address(3), None);
    }
}
