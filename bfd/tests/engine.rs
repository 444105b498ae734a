//! The engine over loopback, with unprivileged ports: two engines, and a relay between them that can be cut.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use herald_bfd::engine::{Engine, EngineConfig, EngineError};
use herald_bfd::{
    ControlPacket, Diagnostic, HopKind, Micros, PollFinal, SessionConfig, SessionId, SessionKey,
    SessionStatus, State, StateChange,
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Long enough for a loaded machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that is free at the moment.
fn free_port(ip: IpAddr) -> SocketAddr {
    UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// Detection is slow beside the interval, so that a loaded machine does not make sessions flap.
const DETECTION_TIME: Duration = Duration::from_secs(1);

fn fast() -> SessionConfig {
    SessionConfig {
        desired_min_tx_interval: Micros::from_millis(50),
        required_min_rx_interval: Micros::from_millis(50),
        detect_mult: NonZeroU8::new(20).unwrap(),
        ..SessionConfig::default()
    }
}

/// An engine with one session, and what it reports.
struct Host {
    engine: Engine,
    session: SessionId,
    changes: Receiver<StateChange>,
}

impl Host {
    fn start(listen: SocketAddr, key: SessionKey, config: SessionConfig) -> Self {
        let (sender, changes) = mpsc::channel();
        let engine_config = EngineConfig {
            single_hop_listen: vec![listen],
            multihop_listen: vec![listen],
            ..EngineConfig::default()
        };
        let engine = Engine::start(engine_config, move |change| {
            let _ = sender.send(*change);
        })
        .unwrap();
        let session = engine.add(key, config).unwrap();
        Self {
            engine,
            session,
            changes,
        }
    }

    fn wait_for(&self, state: State) -> StateChange {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let change = self.changes.recv_timeout(left).unwrap();
            if change.to == state {
                return change;
            }
        }
    }

    fn status(&self) -> SessionStatus {
        let mut all = self.engine.status();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn wait_until(&self, what: &str, reached: impl Fn(&SessionStatus) -> bool) -> SessionStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if reached(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "no {what}: {status:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn to(remote: SocketAddr) -> SessionKey {
    SessionKey {
        remote,
        local: None,
        interface: None,
        hop: HopKind::Single,
    }
}

/// Two hosts that talk to each other directly.
fn pair(ip: IpAddr, config: SessionConfig) -> (Host, Host) {
    let (a, b) = (free_port(ip), free_port(ip));
    (
        Host::start(a, to(b), config.clone()),
        Host::start(b, to(a), config),
    )
}

/// Forwards datagrams one way, with TTL 255, until it is cut.
struct Relay {
    entrance: SocketAddr,
    cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(exit: SocketAddr) -> Self {
        let socket = UdpSocket::bind((V4, 0)).unwrap();
        socket.set_ttl(255).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let entrance = socket.local_addr().unwrap();
        let (cut, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let flags = (Arc::clone(&cut), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !flags.1.load(Ordering::Relaxed) {
                if let Ok(len) = socket.recv(&mut buffer)
                    && !flags.0.load(Ordering::Relaxed)
                {
                    let _ = socket.send_to(&buffer[..len], exit);
                }
            }
        });
        Self {
            entrance,
            cut,
            stop,
            thread: Some(thread),
        }
    }

    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn comes_up(ip: IpAddr) {
    let (a, b) = pair(ip, fast());
    for host in [&a, &b] {
        assert_eq!(host.wait_for(State::Up).generation, 1);
        let status = host.wait_until("agreement on 50 ms", |status| {
            status.tx_interval == Some(Duration::from_millis(50))
                && status.detection_time == Some(DETECTION_TIME)
        });
        assert_eq!(status.counters.downs, 0);
        assert!(status.counters.packets_in > 0);
    }
    assert_eq!(
        a.status().remote_discr,
        Some(b.status().local_discr),
        "each knows the other's discriminator"
    );
}

#[test]
fn two_engines_come_up_over_ipv4() {
    comes_up(V4);
}

#[test]
fn two_engines_come_up_over_ipv6() {
    comes_up(V6);
}

#[test]
fn a_path_cut_silently_is_found_within_the_detection_time_and_comes_back() {
    let (a, b) = (free_port(V4), free_port(V4));
    let (to_a, to_b) = (Relay::start(a), Relay::start(b));
    let left = Host::start(a, to(to_b.entrance), fast());
    let right = Host::start(b, to(to_a.entrance), fast());
    left.wait_for(State::Up);
    right.wait_for(State::Up);
    left.wait_until("fast detection", |status| {
        status.detection_time == Some(DETECTION_TIME)
    });

    to_a.cut(true);
    let change = left.wait_for(State::Down);
    assert_eq!(change.from, State::Up);
    assert_eq!(
        change.local_diag,
        Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
    );
    assert_ne!(change.remote_state, State::AdminDown);
    assert_eq!(change.generation, 1);
    let change = right.wait_for(State::Down);
    assert_eq!(
        change.local_diag,
        Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN
    );
    assert_eq!(
        change.remote_diag,
        Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
    );

    to_a.cut(false);
    assert_eq!(left.wait_for(State::Up).generation, 2);
    assert_eq!(right.wait_for(State::Up).generation, 2);
}

#[test]
fn removal_says_admin_down() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    a.engine.remove(a.session);
    let change = b.wait_for(State::Down);
    assert_eq!(change.remote_state, State::AdminDown, "not a failure");
    assert_eq!(change.remote_diag, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert!(a.engine.status().is_empty());
}

#[test]
fn shutdown_says_admin_down_and_is_bounded() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    let before = Instant::now();
    a.engine.shutdown();
    // Five seconds at most, and what a loaded machine takes besides.
    assert!(before.elapsed() < Duration::from_secs(8));
    assert_eq!(b.wait_for(State::Down).remote_state, State::AdminDown);
}

#[test]
fn dropping_the_engine_says_admin_down() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    drop(a.engine);
    assert_eq!(b.wait_for(State::Down).remote_state, State::AdminDown);
}

#[test]
fn admin_down_and_back() {
    let (a, b) = pair(V6, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    a.engine.set_admin_down(a.session, true);
    assert_eq!(a.wait_for(State::AdminDown).from, State::Up);
    assert_eq!(b.wait_for(State::Down).remote_state, State::AdminDown);
    a.engine.set_admin_down(a.session, false);
    assert_eq!(a.wait_for(State::Up).generation, 2);
    assert_eq!(b.wait_for(State::Up).generation, 2);
}

#[test]
fn c_143_intervals_change_while_up_without_a_flap() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    for (tx, rx) in [(200, 200), (20, 300), (50, 50)] {
        let config = SessionConfig {
            desired_min_tx_interval: Micros::from_millis(tx),
            required_min_rx_interval: Micros::from_millis(rx),
            ..fast()
        };
        a.engine.set_config(a.session, config.clone());
        let status = a.wait_until("end of the poll", |status| {
            status.config == config && !status.polling
        });
        assert_eq!(status.desired_min_tx_interval, Micros::from_millis(tx));
        b.wait_until("new intervals at the other end", |status| {
            status.remote_desired_min_tx_interval == Micros::from_millis(tx)
                && status.remote_min_rx_interval == Micros::from_millis(rx)
        });
    }
    for host in [&a, &b] {
        let status = host.status();
        assert_eq!(status.session_state, State::Up);
        assert_eq!(status.counters.downs, 0);
    }
}

#[test]
fn a_failure_found_elsewhere_is_told_and_comes_back() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    a.engine.take_down(a.session, Diagnostic::PATH_DOWN);
    assert_eq!(a.wait_for(State::Down).local_diag, Diagnostic::PATH_DOWN);
    assert_eq!(b.wait_for(State::Down).remote_diag, Diagnostic::PATH_DOWN);
    assert_eq!(a.wait_for(State::Up).generation, 2);
}

#[test]
fn a_panic_in_the_callback_ends_the_engine_and_shows() {
    let config = EngineConfig {
        single_hop_listen: vec![free_port(V4)],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, |_| panic!("as the test wants")).unwrap();
    let key = to(free_port(V4));
    let session = engine.add(key.clone(), fast()).unwrap();
    assert!(engine.is_running());
    engine.set_admin_down(session, true);
    let deadline = Instant::now() + PATIENCE;
    while engine.is_running() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(engine.add(key, fast()), Err(EngineError::Stopped)));
    assert!(engine.status().is_empty());
}

#[test]
fn a_handle_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
}

/// A valid packet for the session, as somebody far away would forge it.
fn forged(status: &SessionStatus) -> Vec<u8> {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll_final: PollFinal::Neither,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::MIN,
        my_discriminator: NonZeroU32::new(!status.local_discr.get()).unwrap_or(NonZeroU32::MAX),
        your_discriminator: Some(status.local_discr),
        desired_min_tx_interval: Micros::ONE_SECOND,
        required_min_rx_interval: Micros::ONE_SECOND,
        required_min_echo_rx_interval: Micros::ZERO,
        authentication: None,
    }
    .encode()
}

fn refuses_low_ttl(ip: IpAddr) {
    let (a, b) = (free_port(ip), free_port(ip));
    let left = Host::start(a, to(b), fast());
    let right = Host::start(b, to(a), fast());
    left.wait_for(State::Up);
    right.wait_for(State::Up);
    let packet = forged(&left.status());
    for ttl in [1, 64, 254] {
        let socket = socket2::Socket::from(UdpSocket::bind((ip, 0)).unwrap());
        if ip.is_ipv4() {
            socket.set_ttl_v4(ttl).unwrap();
        } else {
            socket.set_unicast_hops_v6(ttl).unwrap();
        }
        socket.send_to(&packet, &a.into()).unwrap();
    }
    let status = left.wait_until("refusal", |status| {
        status.counters.discarded.get("ttl") == 3
    });
    assert_eq!(status.session_state, State::Up);
    assert_eq!(status.counters.downs, 0);
}

#[test]
fn c_133_low_ttl_is_dropped_and_counted_over_ipv4() {
    refuses_low_ttl(V4);
}

#[test]
fn c_133_low_ttl_is_dropped_and_counted_over_ipv6() {
    refuses_low_ttl(V6);
}

#[test]
fn a_change_is_told_before_the_packet_that_says_it() {
    let remote = UdpSocket::bind((V4, 0)).unwrap();
    let key = to(remote.local_addr().unwrap());
    remote.set_nonblocking(true).unwrap();
    // Over loopback, what has been sent is there.
    let has_said_admin_down = |remote: &UdpSocket| {
        let mut packet = [0; 64];
        let packets = iter::from_fn(|| {
            let length = remote.recv(&mut packet).ok()?;
            ControlPacket::parse(&packet[..length]).ok()
        });
        packets.fold(false, |said, packet| {
            said | (packet.state == State::AdminDown)
        })
    };
    let ear = remote.try_clone().unwrap();
    let (sender, told) = mpsc::channel();
    let config = EngineConfig {
        single_hop_listen: vec![free_port(V4)],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, move |_: &StateChange| {
        let _ = sender.send(has_said_admin_down(&ear));
    })
    .unwrap();
    let session = engine.add(key, fast()).unwrap();
    engine.set_admin_down(session, true);
    let was_said_before = told.recv_timeout(PATIENCE).unwrap();
    assert!(!was_said_before);
    let deadline = Instant::now() + PATIENCE;
    while !has_said_admin_down(&remote) {
        assert!(Instant::now() < deadline, "the packet follows");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_waits_in_the_socket_is_read_before_silence_is_believed() {
    let stall = DETECTION_TIME * 2;
    let (a, b) = (free_port(V4), free_port(V4));
    let patient = SessionConfig {
        detect_mult: NonZeroU8::new(200).unwrap(),
        ..fast()
    };
    let (sender, changes) = mpsc::channel();
    let config = EngineConfig {
        single_hop_listen: vec![a],
        ..EngineConfig::default()
    };
    // Stalls the thread when the other session changes.
    let engine = Engine::start(config, move |change: &StateChange| {
        if change.to == State::AdminDown {
            thread::sleep(stall);
        }
        let _ = sender.send(*change);
    })
    .unwrap();
    let left = Host {
        session: engine.add(to(b), patient).unwrap(),
        engine,
        changes,
    };
    let right = Host::start(b, to(a), fast());
    left.wait_for(State::Up);
    right.wait_for(State::Up);
    right.wait_until("patience", |status| {
        status.detection_time == Some(Duration::from_secs(10))
    });
    let deadline = Instant::now() + PATIENCE;
    let status = || left.engine.status().remove(0);
    while status().detection_time != Some(DETECTION_TIME) {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }

    let elsewhere = free_port("127.0.0.2".parse().unwrap());
    let other = left.engine.add(to(elsewhere), fast()).unwrap();
    left.engine.set_admin_down(other, true);
    assert_eq!(left.wait_for(State::AdminDown).session, other);
    let status = || {
        let all = left.engine.status();
        all.into_iter()
            .find(|status| status.id == left.session)
            .unwrap()
    };
    while status().counters.late_timers == 0 {
        assert!(Instant::now() < deadline, "the stall is on record");
        thread::sleep(Duration::from_millis(10));
    }
    let after = status();
    assert_eq!(after.counters.downs, 0, "{after:#?}");
    assert_eq!(after.session_state, State::Up);
}

#[test]
fn what_the_thread_was_too_late_to_read_is_counted() {
    let listen = free_port(V4);
    let (entered, stalled) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let config = EngineConfig {
        single_hop_listen: vec![listen],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, move |_: &StateChange| {
        let _ = entered.send(());
        let _ = may_go_on.recv();
    })
    .unwrap();
    let session = engine.add(to(free_port(V4)), fast()).unwrap();
    assert_eq!(engine.engine_status().kernel_drops.late, 0);
    let packet = forged(&engine.status().remove(0));
    engine.set_admin_down(session, true);
    stalled.recv_timeout(PATIENCE).unwrap();
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    socket.set_ttl(255).unwrap();
    // More than any buffer holds.
    const SENT: u64 = 20_000;
    for _ in 0..SENT {
        socket.send_to(&packet, listen).unwrap();
    }
    drop(go_on);
    let status = engine.engine_status();
    let late = status.kernel_drops.late;
    assert!((1..SENT).contains(&late), "{status:?}");
    assert_eq!(status.kernel_drops.rejected, 0);
    // What has found room is read, late as it is.
    let deadline = Instant::now() + PATIENCE;
    let read = || {
        engine
            .status()
            .remove(0)
            .counters
            .discarded
            .get("admin-down")
    };
    while read() < SENT - late {
        assert!(Instant::now() < deadline, "{} of {}", read(), SENT - late);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn many_sessions_are_added_without_a_flap_of_the_first() {
    let (a, b) = pair(V4, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    let port = free_port(V4).port();
    for host in 2..202_u8 {
        let remote = SocketAddr::new([127, 0, 1, host].into(), port);
        a.engine.add(to(remote), fast()).unwrap();
    }
    assert_eq!(a.engine.status().len(), 201);
    assert_eq!(b.status().counters.downs, 0);
}

#[test]
fn f_82_a_flood_of_garbage_takes_no_session_down() {
    let (a, b) = (free_port(V4), free_port(V4));
    let left = Host::start(a, to(b), fast());
    let right = Host::start(b, to(a), fast());
    left.wait_for(State::Up);
    right.wait_for(State::Up);
    let flood = UdpSocket::bind((V4, 0)).unwrap();
    let end = Instant::now() + Duration::from_millis(800);
    while Instant::now() < end {
        for _ in 0..100 {
            let _ = flood.send_to(&[0x20; 100], a);
        }
        // The machine has other things to do.
        thread::sleep(Duration::from_micros(200));
    }
    for host in [&left, &right] {
        assert_eq!(host.status().counters.downs, 0);
    }
    let discards = left.engine.discards();
    assert!(discards.total() > 100, "{discards:?}");
    assert_eq!(discards.get("unknown-discriminator"), discards.total());
    let drops = left.engine.engine_status().kernel_drops;
    assert!(drops.rejected > 1000, "{drops:?}");
    assert_eq!(drops.late, 0);
}

#[test]
fn c_156_c_157_multihop_has_its_own_sockets_and_minimum_ttl() {
    let (a, b) = (free_port(V4), free_port(V4));
    let multihop = |remote| SessionKey {
        hop: HopKind::Multi { minimum_ttl: 250 },
        ..to(remote)
    };
    let left = Host::start(a, multihop(b), fast());
    let right = Host::start(b, multihop(a), fast());
    left.wait_for(State::Up);
    right.wait_for(State::Up);
    let packet = forged(&left.status());
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    socket.set_ttl(249).unwrap();
    socket.send_to(&packet, a).unwrap();
    let status = left.wait_until("refusal", |status| {
        status.counters.discarded.get("ttl") == 1
    });
    assert_eq!(status.session_state, State::Up);
    socket.set_ttl(250).unwrap();
    socket.send_to(&packet, a).unwrap();
    left.wait_for(State::Down);
}

#[test]
fn c_156_the_minimum_ttl_changes_without_a_flap() {
    let (a, b) = (free_port(V4), free_port(V4));
    let multihop = |remote| SessionKey {
        hop: HopKind::Multi { minimum_ttl: 250 },
        ..to(remote)
    };
    let left = Host::start(a, multihop(b), fast());
    let right = Host::start(b, multihop(a), fast());
    let before = left.wait_for(State::Up);
    right.wait_for(State::Up);
    let packet = forged(&left.status());
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    let refused = |count| {
        left.wait_until("refusal", |status| {
            status.counters.discarded.get("ttl") == count
        })
    };
    left.engine.set_minimum_ttl(left.session, 255);
    assert_eq!(left.status().key.hop.minimum_ttl(), 255);
    socket.set_ttl(254).unwrap();
    socket.send_to(&packet, a).unwrap();
    let status = refused(1);
    assert_eq!(status.generation, before.generation);
    assert_eq!(status.session_state, State::Up);
    // What the kernel sorts by follows.
    left.engine.set_minimum_ttl(left.session, 10);
    assert_eq!(left.status().key.hop.minimum_ttl(), 10);
    socket.set_ttl(9).unwrap();
    socket.send_to(&packet, a).unwrap();
    refused(2);
    assert_eq!(left.status().counters.downs, 0);
    socket.set_ttl(10).unwrap();
    socket.send_to(&packet, a).unwrap();
    left.wait_for(State::Down);
}

#[test]
fn a_session_removed_and_added_again_comes_up_again() {
    let (mut a, b) = pair(V6, fast());
    a.wait_for(State::Up);
    b.wait_for(State::Up);
    let key = a.status().key;
    let before = a.session;
    a.engine.remove(before);
    b.wait_for(State::Down);
    a.session = a.engine.add(key, fast()).unwrap();
    assert_ne!(a.session, before);
    assert_eq!(a.wait_for(State::Up).session, a.session);
    assert_eq!(b.wait_for(State::Up).generation, 2);
}

#[test]
fn garbage_is_counted_and_nothing_else() {
    let listen = free_port(V4);
    let host = Host::start(listen, to(free_port(V4)), fast());
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    socket.send_to(b"no BFD at all", listen).unwrap();
    socket.send_to(&[], listen).unwrap();
    socket.send_to(&[0x20; 1400], listen).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while host.engine.discards().total() < 3 {
        assert!(Instant::now() < deadline, "{:?}", host.engine.discards());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(host.engine.discards().get("too-short"), 2);
}

#[test]
fn c_153_datagrams_come_from_one_high_source_port() {
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let remote = socket.local_addr().unwrap();
    let host = Host::start(free_port(V4), to(remote), fast());
    let mut buffer = [0; 256];
    let mut ports = Vec::new();
    for _ in 0..2 {
        let (len, source) = socket.recv_from(&mut buffer).unwrap();
        let packet = ControlPacket::parse(&buffer[..len]).unwrap();
        assert_eq!(packet.my_discriminator, host.session.local_discr());
        assert_eq!(packet.desired_min_tx_interval, Micros::ONE_SECOND);
        ports.push(source.port());
    }
    assert!(ports[0] >= 49152);
    assert_eq!(ports[0], ports[1]);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = UdpSocket::bind((V4, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let config = EngineConfig {
        single_hop_listen: vec![address],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, |_| {}).unwrap();
    let error = engine
        .add(to(free_port(V4)), SessionConfig::default())
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&address.to_string()), "{message}");
    assert!(message.contains("another BFD daemon"), "{message}");
    assert!(engine.status().is_empty());
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let listen = free_port(V4);
    let config = EngineConfig {
        single_hop_listen: vec![listen],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, |_| {}).unwrap();
    let refused = |key: SessionKey| {
        engine
            .add(key, SessionConfig::default())
            .unwrap_err()
            .to_string()
    };
    let peer: SocketAddr = "127.0.0.1:3784".parse().unwrap();
    let key = to(peer);
    let missing = SessionKey {
        interface: Some("no-such-if0".to_owned()),
        ..key.clone()
    };
    assert!(refused(missing).contains("no-such-if0"));
    let foreign = SessionKey {
        local: Some("192.0.2.1".parse().unwrap()),
        ..key.clone()
    };
    assert!(refused(foreign).contains("no interface has this address"));
    let mixed = SessionKey {
        local: Some(V6),
        ..key.clone()
    };
    assert!(refused(mixed).contains("one is IPv4, the other IPv6"));
    assert!(refused(to("[fe80::1]:3784".parse().unwrap())).contains("link-local"));
    assert!(refused(to("0.0.0.0:3784".parse().unwrap())).contains("one host"));
    assert!(refused(to("[::1]:3784".parse().unwrap())).contains("IPv6"));
    let id = engine.add(key.clone(), SessionConfig::default()).unwrap();
    assert!(matches!(
        engine.add(key.clone(), SessionConfig::default()),
        Err(EngineError::Exists(existing)) if existing == id
    ));
    engine.remove(id);
    let again = engine.add(key, SessionConfig::default()).unwrap();
    assert_ne!(again, id);
}

#[test]
fn nothing_is_bound_without_sessions() {
    let listen = free_port(V4);
    let config = EngineConfig {
        single_hop_listen: vec![listen],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, |_| {}).unwrap();
    drop(UdpSocket::bind(listen).unwrap());
    let id = engine
        .add(to(free_port(V4)), SessionConfig::default())
        .unwrap();
    assert!(UdpSocket::bind(listen).is_err());
    engine.remove(id);
    let deadline = Instant::now() + PATIENCE;
    while UdpSocket::bind(listen).is_err() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn c_148_an_engine_that_is_dropped_tells_every_neighbor() {
    let port = free_port(V4).port();
    let neighbors: Vec<_> = (0..300_u16)
        .map(|number| {
            let [high, low] = (number + 1).to_be_bytes();
            UdpSocket::bind((Ipv4Addr::new(127, 1, high, low), port)).unwrap()
        })
        .collect();
    let config = EngineConfig {
        single_hop_listen: vec![free_port(V4)],
        ..EngineConfig::default()
    };
    let engine = Engine::start(config, |_| {}).unwrap();
    for neighbor in &neighbors {
        let key = to(neighbor.local_addr().unwrap());
        engine.add(key, SessionConfig::default()).unwrap();
    }
    drop(engine);
    for neighbor in &neighbors {
        neighbor.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        let received = iter::from_fn(|| {
            neighbor
                .recv(&mut buffer)
                .ok()
                .map(|len| buffer[..len].to_vec())
        });
        let latest = received.last().expect("a packet");
        assert_eq!(
            ControlPacket::parse(&latest).unwrap().state,
            State::AdminDown
        );
    }
}
