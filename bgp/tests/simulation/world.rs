//! Hosts, each with a session to every other, and the TCP connections between them, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use herald_bgp::wire::AddPathDirection;
use herald_bgp::{
    Addresses, AdjRibInLimit, Asn, BgpIdentifier, ConnId, Direction, Event, HoldTime,
    LongLivedStaleTime, ReceivedRoutes, RemoteAs, RestartConfig, RestartTime, Role,
    RouteAttributes, Routes, Session, SessionConfig, SessionStatus, State, StopReason,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// For how long there is trouble, in seconds.
const TROUBLE: f64 = 300.0;
/// How long after the trouble everything must be well: an OPEN may be awaited for four minutes.
const RECOVERY: Duration = Duration::from_secs(400);

/// One end of a session: at `host`, with `neighbor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    host: usize,
    neighbor: usize,
}

impl End {
    fn other(self) -> Self {
        Self {
            host: self.neighbor,
            neighbor: self.host,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The attempt number `attempt` of an end to connect gets to the other end.
    Connect {
        by: End,
        attempt: u64,
    },
    /// The other end has taken it.
    Connected {
        by: End,
        attempt: u64,
        link: usize,
    },
    Arrive {
        to: End,
        link: usize,
        octets: Bytes,
    },
    /// The other end has closed or reset the connection.
    Close {
        to: End,
        link: usize,
    },
    Timeout(End),
    Disturb,
    Routes {
        host: usize,
    },
    /// After a restart, it is known what is to be announced.
    Complete(End),
}

/// A TCP connection, as each of its ends knows it.
struct Link {
    ends: [End; 2],
    conns: [Option<ConnId>; 2],
    /// When the latest octets to each end arrive: nothing overtakes.
    latest: [Instant; 2],
}

impl Link {
    fn place(&self, end: End) -> usize {
        usize::from(self.ends[1] == end)
    }
}

/// An end of a session, and what its driver knows.
struct Peer {
    session: Session,
    attempt: u64,
    connecting: bool,
    /// The timeout that is on the agenda.
    timeout: Option<Instant>,
    /// Open connections, and which link each is.
    links: BTreeMap<ConnId, usize>,
    /// What the neighbor has announced, where that is reported.
    table: BTreeSet<IpNet>,
}

impl Peer {
    /// What the neighbor has announced.
    fn heard(&self) -> BTreeSet<IpNet> {
        let kept = self.session.received_routes();
        let kept = kept.iter().map(|route| route.prefix);
        kept.chain(self.table.iter().copied()).collect()
    }
}

pub(crate) struct World {
    now: Instant,
    end_of_trouble: Instant,
    /// What is sent arrives within this many seconds.
    latency: f64,
    /// How likely it takes up to 2 s.
    slowness: f64,
    rng: SmallRng,
    peers: BTreeMap<End, Peer>,
    /// What each host announces.
    wanted: Vec<BTreeSet<IpNet>>,
    links: Vec<Link>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    order: u64,
    /// Until when nothing gets from one host to another.
    broken_until: BTreeMap<(usize, usize), Instant>,
    verbose: bool,
}

impl World {
    /// Everybody starts at once, and then routes change, and things break.
    pub(crate) fn troubled(hosts: usize, seed: u64, verbose: bool) -> Self {
        let mut world = Self::new(hosts, seed, verbose);
        world.end_of_trouble = world.now + Duration::from_secs_f64(TROUBLE);
        for host in 0..hosts {
            for _ in 0..8 {
                let at = world.now + world.within(TROUBLE);
                world.schedule(at, Happening::Routes { host });
            }
        }
        for _ in 0..world.rng.random_range(0..8 * hosts) {
            let at = world.now + world.within(TROUBLE - 10.0);
            world.schedule(at, Happening::Disturb);
        }
        let passive = world.rng.random_bool(0.3);
        world.start(passive);
        world
    }

    /// Everybody starts at once, all ends connect, and everything arrives within 200 µs.
    pub(crate) fn quick(hosts: usize, seed: u64, verbose: bool) -> Self {
        let mut world = Self::new(hosts, seed, verbose);
        (world.latency, world.slowness) = (0.0002, 0.0);
        world.start(false);
        world
    }

    /// Everybody starts at once, all ends connect, and the paths always work.
    pub(crate) fn undisturbed(hosts: usize, seed: u64, verbose: bool) -> Self {
        let mut world = Self::new(hosts, seed, verbose);
        world.start(false);
        world
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has no other beginning"
    )]
    fn new(hosts: usize, seed: u64, verbose: bool) -> Self {
        let now = Instant::now();
        Self {
            now,
            end_of_trouble: now,
            latency: 0.05,
            slowness: 0.05,
            rng: SmallRng::seed_from_u64(seed),
            peers: BTreeMap::new(),
            wanted: vec![BTreeSet::new(); hosts],
            links: Vec::new(),
            agenda: BinaryHeap::new(),
            order: 0,
            broken_until: BTreeMap::new(),
            verbose,
        }
    }

    /// With `passive`, of each pair one end waits to be connected.
    fn start(&mut self, passive: bool) {
        let asns: Vec<Asn> = self.wanted.iter().map(|_| asn(&mut self.rng)).collect();
        let has_roles: bool = self.rng.random();
        for host in 0..asns.len() {
            for neighbor in (0..asns.len()).filter(|neighbor| *neighbor != host) {
                let config = SessionConfig {
                    passive: passive && host < neighbor,
                    hold_time: hold_time(&mut self.rng),
                    received_routes: match host % 2 {
                        0 => ReceivedRoutes::Reported,
                        _ => ReceivedRoutes::Kept(AdjRibInLimit::default()),
                    },
                    graceful_restart: graceful_restart(&mut self.rng),
                    delay_open_time: delay_open_time(self.slowness, &mut self.rng),
                    next_hop_v6: format!("2001:db8::{host}:1").parse().ok(),
                    add_path: several_paths(&mut self.rng),
                    extended_next_hop: self.rng.random(),
                    role: has_roles.then_some(match host < neighbor {
                        true => Role::Provider,
                        false => Role::Customer,
                    }),
                    role_strict: has_roles,
                    ..SessionConfig::new(asns[host], identifier(host), RemoteAs::Is(asns[neighbor]))
                };
                let peer = Peer {
                    session: Session::new(config, self.rng.random()),
                    attempt: 0,
                    connecting: false,
                    timeout: None,
                    links: BTreeMap::new(),
                    table: BTreeSet::new(),
                };
                self.peers.insert(End { host, neighbor }, peer);
            }
        }
        for end in self.ends() {
            let now = self.now;
            self.peer(end).session.start(now);
            self.carry_out(end);
        }
    }

    /// Until all trouble is over, and everybody has had time to recover.
    pub(crate) fn run(&mut self) {
        self.run_until(self.end_of_trouble + RECOVERY);
    }

    pub(crate) fn run_until(&mut self, end: Instant) {
        while let Some(Reverse((at, _, happening))) = self.agenda.pop() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.happen(happening);
        }
    }

    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn statuses(&self) -> impl Iterator<Item = SessionStatus> {
        self.peers.values().map(|peer| peer.session.status())
    }

    /// For each end of a session: what its neighbor announces, and what it has heard of that.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&BTreeSet<IpNet>, BTreeSet<IpNet>)> {
        let peers = self.peers.iter();
        peers.map(|(end, peer)| (&self.wanted[end.neighbor], peer.heard()))
    }

    fn ends(&self) -> Vec<End> {
        self.peers.keys().copied().collect()
    }

    fn peer(&mut self, end: End) -> &mut Peer {
        self.peers.get_mut(&end).unwrap()
    }

    fn within(&mut self, seconds: f64) -> Duration {
        Duration::from_secs_f64(self.rng.random_range(0.0..seconds))
    }

    fn latency(&mut self) -> Duration {
        let slow = self.rng.random_bool(self.slowness);
        self.within(if slow { 2.0 } else { self.latency })
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((at, self.order, happening)));
    }

    /// When what is sent to `end` arrives: once the path works.
    fn arrival_of_packet(&mut self, to: End) -> Instant {
        let broken_until = self.broken_until.get(&(to.neighbor, to.host)).copied();
        self.now.max(broken_until.unwrap_or(self.now)) + self.latency()
    }

    /// When what is sent to `end` on a connection arrives: after what was sent before.
    fn arrival(&mut self, to: End, link: usize) -> Instant {
        let at = self.arrival_of_packet(to);
        let link = &mut self.links[link];
        let place = link.place(to);
        link.latest[place] = at.max(link.latest[place]);
        link.latest[place]
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Connect { by, attempt } => self.connect(by, attempt),
            Happening::Connected { by, attempt, link } => self.connected(by, attempt, link),
            Happening::Arrive { to, link, octets } => self.arrive(to, link, &octets),
            Happening::Close { to, link } => self.close(to, link),
            Happening::Timeout(end) => {
                let peer = self.peer(end);
                if peer.timeout.take_if(|timeout| *timeout <= now).is_some() {
                    peer.session.handle_timeout(now);
                    self.carry_out(end);
                }
            }
            Happening::Disturb => self.disturb(),
            Happening::Routes { host } => self.change_routes(host),
            Happening::Complete(end) => self.complete(end),
        }
    }

    fn arrive(&mut self, to: End, link: usize, octets: &[u8]) {
        let place = self.links[link].place(to);
        let Some(conn) = self.links[link].conns[place] else {
            // Nobody is there any more: TCP answers with a reset.
            return self.tell_closed(to.other(), link);
        };
        let split = self.rng.random_range(0..=octets.len());
        let now = self.now;
        let session = &mut self.peer(to).session;
        session.handle_bytes(now, conn, &octets[..split]);
        session.handle_bytes(now, conn, &octets[split..]);
        self.carry_out(to);
    }

    fn change_routes(&mut self, host: usize) {
        let now = self.now;
        self.wanted[host] = arbitrary_routes(host, &mut self.rng);
        let attributes = Arc::new(RouteAttributes::default());
        let routes: Routes = self.wanted[host]
            .iter()
            .map(|prefix| (*prefix, Arc::clone(&attributes)))
            .collect();
        for end in self.ends().into_iter().filter(|end| end.host == host) {
            self.peer(end).session.set_routes(now, routes.clone());
            self.carry_out(end);
        }
    }

    fn connect(&mut self, by: End, attempt: u64) {
        let now = self.now;
        let troubled = now < self.end_of_trouble;
        let (lost, refused) = (self.rng.random_bool(0.05), self.rng.random_bool(0.1));
        let peer = self.peer(by);
        // An attempt that is lost is never heard of again.
        if !peer.connecting || peer.attempt != attempt || troubled && lost {
            return;
        }
        if troubled && refused {
            peer.connecting = false;
            peer.session.handle_connect_failed(now, "refused");
            return self.carry_out(by);
        }
        let link = self.links.len();
        self.links.push(Link {
            ends: [by, by.other()],
            conns: [None; 2],
            latest: [now; 2],
        });
        let at = self.arrival(by, link);
        self.schedule(at, Happening::Connected { by, attempt, link });
        self.tell_connected(by.other(), Direction::Incoming, link);
    }

    fn connected(&mut self, by: End, attempt: u64, link: usize) {
        let peer = self.peer(by);
        if !peer.connecting || peer.attempt != attempt {
            return self.tell_closed(by.other(), link);
        }
        peer.connecting = false;
        self.tell_connected(by, Direction::Outgoing, link);
    }

    fn tell_connected(&mut self, end: End, direction: Direction, link: usize) {
        let now = self.now;
        let port = |host: usize, port: u16| (Ipv4Addr::from(identifier(host)), port).into();
        let addresses = Addresses::new(port(end.host, 50000), port(end.neighbor, 179));
        let peer = self.peer(end);
        let conn = peer.session.handle_connected(now, direction, addresses);
        peer.links.insert(conn, link);
        let place = self.links[link].place(end);
        self.links[link].conns[place] = Some(conn);
        self.carry_out(end);
    }

    fn disturb(&mut self) {
        let now = self.now;
        let ends = self.ends();
        let end = ends[self.rng.random_range(0..ends.len())];
        let open = self.peer(end).links.values().next_back().copied();
        match (self.rng.random_range(0..8), open) {
            // Reset, as by something on the path.
            (0, Some(link)) => {
                self.close(end, link);
                self.close(end.other(), link);
            }
            // Half-closed: one end reads to the end and closes; the other writes on until it hears so.
            (1, Some(link)) => self.close(end, link),
            // Forgotten: the other end finds out when it next sends something.
            (2, Some(link)) => drop(self.forget(end, link)),
            (3, Some(_)) => {
                let reason = StopReason::AdministrativeReset(None);
                self.peer(end).session.stop(now, reason);
                self.carry_out(end);
            }
            (4, _) => self.break_path(end),
            (5 | 6, _) => self.restart(end.host),
            _ => {
                self.break_path(end);
                self.break_path(end.other());
            }
        }
    }

    /// The program at a host ends, planned or not, and is started anew.
    fn restart(&mut self, host: usize) {
        let now = self.now;
        let planned = self.rng.random_bool(0.5);
        for end in self.ends().into_iter().filter(|end| end.host == host) {
            if planned {
                self.peer(end).session.stop(now, StopReason::Restart(None));
                self.carry_out(end);
            }
            for link in self.peer(end).links.clone().into_values() {
                self.close(end, link);
            }
            let seed = self.rng.random();
            let peer = self.peer(end);
            let mut session = Session::new(peer.session.config().clone(), seed);
            session.restarted(now);
            session.hold_end_of_rib();
            session.start(now);
            peer.session = session;
            peer.connecting = false;
            peer.timeout = None;
            peer.table.clear();
            self.carry_out(end);
            let at = now + self.within(2.0);
            self.schedule(at, Happening::Complete(end));
        }
    }

    /// What a host announces is known again after a restart.
    fn complete(&mut self, end: End) {
        let now = self.now;
        let attributes = Arc::new(RouteAttributes::default());
        let routes = self.wanted[end.host].iter();
        let routes = routes.map(|prefix| (*prefix, Arc::clone(&attributes)));
        let routes: Routes = routes.collect();
        let session = &mut self.peer(end).session;
        session.set_routes(now, routes);
        session.release_end_of_rib();
        self.carry_out(end);
    }

    /// What is sent to `end` waits for the path.
    fn break_path(&mut self, to: End) {
        let until = (self.now + self.within(120.0)).min(self.end_of_trouble);
        self.broken_until.insert((to.neighbor, to.host), until);
    }

    /// The connection ends here, and the other end is told.
    fn close(&mut self, end: End, link: usize) {
        if self.forget(end, link) {
            self.tell_closed(end.other(), link);
        }
    }

    /// The connection ends here; false if it had already.
    fn forget(&mut self, end: End, link: usize) -> bool {
        let now = self.now;
        let place = self.links[link].place(end);
        let Some(conn) = self.links[link].conns[place].take() else {
            return false;
        };
        let peer = self.peer(end);
        peer.links.remove(&conn);
        peer.session.handle_closed(now, conn);
        self.carry_out(end);
        true
    }

    fn tell_closed(&mut self, to: End, link: usize) {
        let at = self.arrival(to, link);
        self.schedule(at, Happening::Close { to, link });
    }

    /// Does what a driver does after every input.
    fn carry_out(&mut self, end: End) {
        while let Some(event) = self.peer(end).session.poll_event() {
            if self.verbose {
                println!("{:?} {end:?} {event:?}", self.now);
            }
            self.carry_out_event(end, event);
        }
        let links: Vec<_> = self.peer(end).links.clone().into_iter().collect();
        for (conn, link) in links {
            self.transmit(end, conn, link);
        }
        let peer = self.peer(end);
        let timeout = peer.session.poll_timeout();
        if let Some(deadline) = timeout.filter(|_| peer.timeout != timeout) {
            peer.timeout = timeout;
            self.schedule(deadline, Happening::Timeout(end));
        }
    }

    fn carry_out_event(&mut self, end: End, event: Event) {
        let peer = self.peer(end);
        match event {
            Event::Connect => {
                peer.connecting = true;
                peer.attempt += 1;
                let attempt = peer.attempt;
                let at = self.arrival_of_packet(end.other());
                self.schedule(at, Happening::Connect { by: end, attempt });
            }
            Event::AbortConnect => peer.connecting = false,
            Event::Close { conn, .. } => {
                let Some(link) = peer.links.remove(&conn) else {
                    return;
                };
                self.transmit(end, conn, link);
                let place = self.links[link].place(end);
                self.links[link].conns[place] = None;
                self.tell_closed(end.other(), link);
            }
            Event::Update(update) => {
                for prefix in update.withdrawn() {
                    peer.table.remove(&prefix);
                }
                peer.table.extend(update.announced());
            }
            Event::StateChanged(change) if change.from == State::Established => peer.table.clear(),
            _ => {}
        }
    }

    fn transmit(&mut self, end: End, conn: ConnId, link: usize) {
        let now = self.now;
        let to = end.other();
        let mut out = BytesMut::new();
        while self.peer(end).session.poll_transmit(now, conn, &mut out) {
            let octets = out.split().freeze();
            let session = &mut self.peer(end).session;
            session.handle_written(now, conn, octets.len());
            let at = self.arrival(to, link);
            self.schedule(at, Happening::Arrive { to, link, octets });
        }
    }
}

fn identifier(host: usize) -> BgpIdentifier {
    let last = u8::try_from(host).unwrap() + 1;
    BgpIdentifier::new([192, 0, 2, last].into()).unwrap()
}

/// Few enough that neighbors are internal now and then.
fn asn(rng: &mut SmallRng) -> Asn {
    let asns = [64520, 64521, 64522, 4_200_000_000];
    Asn::new(asns[rng.random_range(0..asns.len())]).unwrap()
}

fn hold_time(rng: &mut SmallRng) -> HoldTime {
    let seconds = [9, 30, 90, 90];
    HoldTime::from_secs(seconds[rng.random_range(0..seconds.len())]).unwrap()
}

/// Each direction now and then.
fn several_paths(rng: &mut SmallRng) -> Option<AddPathDirection> {
    use AddPathDirection::{Both, Receive, Send};
    let directions = [None, Some(Send), Some(Receive), Some(Both)];
    directions[rng.random_range(0..directions.len())]
}

fn graceful_restart(rng: &mut SmallRng) -> Option<RestartConfig> {
    let restart = RestartConfig {
        restart_time: RestartTime::from_secs(60)?,
        long_lived_stale_time: LongLivedStaleTime::default(),
    };
    rng.random_bool(0.7).then_some(restart)
}

/// Mostly none; always none where everything is `quick`.
fn delay_open_time(slowness: f64, rng: &mut SmallRng) -> Duration {
    let seconds = [0, 0, 0, 0, 1, 5];
    let index = rng.random_range(0..seconds.len());
    Duration::from_secs(if slowness > 0.0 { seconds[index] } else { 0 })
}

/// Mostly a few, at times more than fit one message, or one write.
fn arbitrary_routes(host: usize, rng: &mut SmallRng) -> BTreeSet<IpNet> {
    let count = match rng.random_range(0..1000) {
        0..3 => 10_000,
        3..80 => 1000,
        _ => rng.random_range(0..5),
    };
    (0..count).map(|_| arbitrary_prefix(host, rng)).collect()
}

fn arbitrary_prefix(host: usize, rng: &mut SmallRng) -> IpNet {
    let [high, low] = rng.random::<u16>().to_be_bytes();
    let host = u8::try_from(host).unwrap();
    match rng.random_bool(0.5) {
        true => Ipv4Net::new_assert(Ipv4Addr::new(10, host, high, low), 32).into(),
        false => {
            let last = u16::from_be_bytes([high, low]);
            let address = Ipv6Addr::new(0x2001, 0xDB8, host.into(), 0, 0, 0, 0, last);
            Ipv6Net::new_assert(address, 128).into()
        }
    }
}
