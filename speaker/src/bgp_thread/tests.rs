//! Two BGP threads on loopback.

use std::time::{Duration, Instant};

use bgp::{Asn, BgpIdentifier, RemoteAs, RouteAttributes, SessionConfig, State};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

struct Speaker {
    thread: BgpThread,
    events: mpsc::UnboundedReceiver<BgpEvent>,
}

fn name() -> PeerName {
    PeerName::new("neighbor").unwrap()
}

impl Speaker {
    fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            thread: BgpThread::start(sender).unwrap(),
            events,
        }
    }

    async fn wait_for(&mut self, state: State) {
        let reached = async {
            while let Some(BgpEvent { event, .. }) = self.events.recv().await {
                if matches!(&event, bgp::Event::StateChanged(change) if change.to == state) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("the state is reached");
    }
}

fn setup(local_as: u32, remote_as: u32, remote: SocketAddr, local: &str) -> PeerSetup {
    let identifier = BgpIdentifier::new([10, 0, 0, u8::try_from(local_as - 64500).unwrap()].into());
    let asn = |number| Asn::new(number).unwrap();
    PeerSetup {
        session: SessionConfig::new(
            asn(local_as),
            identifier.unwrap(),
            RemoteAs::Is(asn(remote_as)),
        ),
        transport: Transport {
            local: Some(local.parse().unwrap()),
            ..Transport::to(remote)
        },
        password: None,
        bfd: None,
        enabled: true,
        capture: CaptureSize::default(),
        restarted: false,
        incomplete_until: None,
    }
}

fn free_port(address: &str) -> SocketAddr {
    let address: IpAddr = address.parse().unwrap();
    std::net::TcpListener::bind((address, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A speaker that connects from `local`, and one that waits at `remote`.
async fn pair(local: &str, remote: &str) -> (Speaker, Speaker) {
    let (active, passive) = (Speaker::new(), Speaker::new());
    let listen = free_port(remote);
    passive.thread.listen(vec![listen]).await.unwrap();
    let mut waiting = setup(
        64521,
        64520,
        SocketAddr::new(local.parse().unwrap(), 179),
        remote,
    );
    waiting.session.passive = true;
    passive.thread.set_peer(name(), waiting);
    active
        .thread
        .set_peer(name(), setup(64520, 64521, listen, local));
    (active, passive)
}

fn routes(prefixes: &[&str]) -> Arc<bgp::Routes> {
    let attributes = Arc::new(RouteAttributes::default());
    let route = |prefix: &&str| (prefix.parse().unwrap(), Arc::clone(&attributes));
    Arc::new(prefixes.iter().map(route).collect())
}

/// Waits until what the only session tells of itself is as it should be.
async fn eventually(speaker: &Speaker, is_right: impl Fn(&bgp::SessionStatus) -> bool) {
    let reached = async {
        while !is_right(&speaker.thread.status().await.remove(0).1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("it comes to be so");
}

#[tokio::test]
async fn sessions_come_up_over_both_families_and_say_good_bye() {
    for (local, remote) in [("127.0.0.2", "127.0.0.3"), ("::1", "::1")] {
        let (mut active, mut passive) = pair(local, remote).await;
        active.wait_for(State::Established).await;
        passive.wait_for(State::Established).await;
        active
            .thread
            .stop(bgp::StopReason::AdministrativeShutdown(Some(
                "maintenance".into(),
            )))
            .await;
        passive.wait_for(State::Idle).await;
        let (_, status) = passive.thread.status().await.remove(0);
        let cause = status.last_reset.unwrap().cause.to_string();
        assert_eq!(
            cause,
            r#"received 6/2 Cease, Administrative Shutdown: "maintenance""#
        );
    }
}

#[tokio::test]
async fn routes_reach_the_neighbor_without_a_reset() {
    let (mut active, mut passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    for prefixes in [
        &["192.0.2.1/32"][..],
        &["192.0.2.1/32", "192.0.2.2/32"],
        &[],
    ] {
        active.thread.set_routes(vec![(name(), routes(prefixes))]);
        eventually(&active, |status| {
            let ipv4 = &status.families[0];
            (ipv4.advertised, ipv4.pending) == (prefixes.len(), 0)
        })
        .await;
    }
    eventually(&passive, |status| status.families[0].received == 2).await;
    let (_, status) = passive.thread.status().await.remove(0);
    assert_eq!((status.established, status.dropped), (1, 0));
}

#[tokio::test]
async fn c_102_end_of_rib_waits_until_it_is_said_or_the_time_is_over() {
    for is_said in [true, false] {
        let (active, passive) = (Speaker::new(), Speaker::new());
        let listen = free_port("127.0.0.3");
        passive.thread.listen(vec![listen]).await.unwrap();
        let to_us = SocketAddr::new("127.0.0.2".parse().unwrap(), 179);
        let mut waiting = setup(64521, 64520, to_us, "127.0.0.3");
        waiting.session.passive = true;
        passive.thread.set_peer(name(), waiting);
        let mut restarting = setup(64520, 64521, listen, "127.0.0.2");
        let time = Duration::from_secs(if is_said { 3600 } else { 1 });
        restarting.incomplete_until = Some(Instant::now() + time);
        active.thread.set_peer(name(), restarting);
        let end_of_rib_received =
            |status: &bgp::SessionStatus| status.families.iter().all(|it| it.end_of_rib_received);
        let has = |status: &bgp::SessionStatus, number| {
            status
                .families
                .first()
                .is_some_and(|it| it.received == number)
        };
        for (number, prefixes) in [&["192.0.2.1/32"][..], &["192.0.2.1/32", "192.0.2.2/32"]]
            .into_iter()
            .enumerate()
        {
            active.thread.set_routes(vec![(name(), routes(prefixes))]);
            let number = number as u64 + 1;
            eventually(&passive, |status| has(status, number)).await;
            if is_said {
                let (_, status) = passive.thread.status().await.remove(0);
                assert!(!end_of_rib_received(&status));
            }
        }
        if is_said {
            active.thread.routes_are_complete();
        }
        eventually(&passive, end_of_rib_received).await;
    }
}

/// RFC 4724 §4.1: what a change says of some routes is no word about the others.
#[tokio::test]
async fn c_102_end_of_rib_waits_for_the_routes_whatever_changes_before() {
    let (mut active, mut passive) = pair("127.0.0.10", "127.0.0.11").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    let first: IpNet = "192.0.2.1/32".parse().unwrap();
    let told = |to: Addressees| {
        let peers = Arc::new(to);
        [(first, RouteChange { peers, path: None })].into()
    };
    active.thread.change_routes(told(Addressees::new()));
    let to_neighbor = [(name(), Arc::new(RouteAttributes::default()))];
    active.thread.change_routes(told(to_neighbor.into()));
    let has_first = |status: &bgp::SessionStatus| status.families.iter().any(|it| it.received == 1);
    let is_complete =
        |status: &bgp::SessionStatus| status.families.iter().all(|it| it.end_of_rib_received);
    eventually(&passive, has_first).await;
    assert!(!is_complete(&passive.thread.status().await.remove(0).1));
    let all = routes(&["192.0.2.1/32", "192.0.2.2/32"]);
    active.thread.set_routes(vec![(name(), all)]);
    eventually(&passive, is_complete).await;
}

#[tokio::test]
async fn bfd_down_closes_the_session_at_once() {
    let (mut active, mut passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    active.thread.tell(Command::Peer(
        name(),
        PeerCommand::Liveness(bgp::Liveness::Up, 1),
    ));
    active.thread.tell(Command::Peer(
        name(),
        PeerCommand::Liveness(bgp::Liveness::Down(bgp::Fate::Shared), 1),
    ));
    passive.wait_for(State::Idle).await;
    let (_, status) = passive.thread.status().await.remove(0);
    assert_eq!(
        status.last_reset.unwrap().cause.to_string(),
        "received 6/10 Cease, BFD Down"
    );
}

/// RFC 9384 §2: the word goes from thread to thread, past the one that has the configuration, the API and the history.
#[tokio::test(flavor = "current_thread")]
async fn c_171_bfd_down_closes_the_session_while_the_control_thread_is_blocked() {
    let (mut active, mut passive) = pair("127.0.0.6", "127.0.0.7").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    let bgp = active.thread.clone();
    let elsewhere = std::thread::spawn(move || {
        let liveness = |liveness| Command::Peer(name(), PeerCommand::Liveness(liveness, 1));
        bgp.tell(liveness(bgp::Liveness::Up));
        bgp.tell(liveness(bgp::Liveness::Down(bgp::Fate::Shared)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async move {
            passive.wait_for(State::Idle).await;
            passive.thread.status().await.remove(0)
        })
    });
    // Nothing that runs on this thread gets on meanwhile.
    let (_, status) = elsewhere.join().unwrap();
    assert_eq!(
        status.last_reset.unwrap().cause.to_string(),
        "received 6/10 Cease, BFD Down"
    );
}

/// What is of no use without a path goes past that thread too, and the session stays.
#[tokio::test(flavor = "current_thread")]
async fn what_depends_on_a_path_is_withdrawn_while_the_control_thread_is_blocked() {
    let (mut active, mut passive) = pair("127.0.0.8", "127.0.0.9").await;
    let told = routes(&["192.0.2.1/32", "192.0.2.2/32"]);
    active.thread.set_routes(vec![(name(), told)]);
    let path = bfd::SessionId::new(std::num::NonZeroU32::MIN);
    let dependent = "192.0.2.1/32".parse().unwrap();
    let storage = BfdName::new("storage").unwrap();
    active.thread.set_paths([(storage.clone(), path)].into());
    let dependents = [(storage, [dependent].into())].into();
    active.thread.set_dependents(dependents);
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    let bgp = active.thread.clone();
    let elsewhere = std::thread::spawn(move || {
        let change = |from, to, remote_state| bfd::StateChange {
            session: path,
            from,
            to,
            local_diag: bfd::Diagnostic::NONE,
            remote_state,
            remote_diag: bfd::Diagnostic::NONE,
            remote_control_plane_independent: false,
            at: Instant::now(),
            silence: None,
            detection_time: None,
            generation: 1,
        };
        use bfd::State::{AdminDown, Down, Up};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        // RFC 5882 §4.2: AdminDown is no failure.
        bgp.bfd_changed(&change(Up, Down, AdminDown));
        let advertised = || runtime.block_on(bgp.advertised(&name())).unwrap().len();
        let start = Instant::now();
        while advertised() < 2 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(5));
        }
        bgp.bfd_changed(&change(Up, Down, Up));
        while advertised() > 1 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(5));
        }
        runtime.block_on(bgp.status()).remove(0).1
    });
    // Nothing that runs on this thread gets on meanwhile.
    let status = elsewhere.join().unwrap();
    assert_eq!((status.established, status.dropped), (1, 0));
}

/// Who takes the dependency away may not have heard of the failure yet.
#[tokio::test]
async fn what_a_failed_path_took_away_is_told_when_it_depends_on_that_no_more() {
    let (mut active, mut passive) = pair("127.0.0.10", "127.0.0.11").await;
    let told = routes(&["192.0.2.1/32"]);
    active.thread.set_routes(vec![(name(), told.clone())]);
    let path = bfd::SessionId::new(std::num::NonZeroU32::MIN);
    let (&prefix, attributes) = told.iter().next().unwrap();
    let storage = BfdName::new("storage").unwrap();
    active.thread.set_paths([(storage.clone(), path)].into());
    active
        .thread
        .set_dependents([(storage.clone(), [prefix].into())].into());
    let (reported, mut withheld) = mpsc::unbounded_channel();
    active.thread.report_withheld(reported);
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    active.thread.bfd_changed(&bfd::StateChange {
        session: path,
        from: bfd::State::Up,
        to: bfd::State::Down,
        local_diag: bfd::Diagnostic::CONTROL_DETECTION_TIME_EXPIRED,
        remote_state: bfd::State::Up,
        remote_diag: bfd::Diagnostic::NONE,
        remote_control_plane_independent: false,
        at: Instant::now(),
        silence: None,
        detection_time: None,
        generation: 1,
    });
    let addressees = Arc::new([(name(), Arc::clone(attributes))].into());
    let say = |path| {
        let peers = Arc::clone(&addressees);
        [(prefix, RouteChange { peers, path })].into()
    };
    active.thread.change_routes(say(Some(storage)));
    active.thread.set_routes(vec![(name(), told.clone())]);
    let advertised = async || active.thread.advertised(&name()).await.unwrap().len();
    assert_eq!(advertised().await, 0, "the path is down");
    active.thread.set_dependents(Dependents::new());
    let withheld = tokio::time::timeout(PATIENCE, withheld.recv()).await;
    assert_eq!(withheld.unwrap(), Some([prefix].into()));
    active.thread.change_routes(say(None));
    assert_eq!(advertised().await, 1);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let (one, other) = (Speaker::new(), Speaker::new());
    let address = free_port("127.0.0.1");
    one.thread.listen(vec![address]).await.unwrap();
    let error = other
        .thread
        .listen(vec![address])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("cannot listen for BGP on {address}: ")),
        "{error}"
    );
    assert!(
        error.contains("another BGP speaker may be running"),
        "{error}"
    );
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let mut speaker = Speaker::new();
    let address = free_port("127.0.0.1");
    speaker.thread.listen(vec![address]).await.unwrap();
    let mut stranger = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut octets = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stranger, &mut octets);
    tokio::time::timeout(PATIENCE, read).await.unwrap().ok();
    assert!(octets.is_empty());
    assert!(speaker.events.try_recv().is_err());
}

#[tokio::test]
async fn listening_moves_to_an_address_that_overlaps_and_back_if_it_cannot() {
    let speaker = Speaker::new();
    let address = free_port("127.0.0.1");
    let everywhere = SocketAddr::new("0.0.0.0".parse().unwrap(), address.port());
    speaker.thread.listen(vec![address]).await.unwrap();
    speaker.thread.listen(vec![everywhere]).await.unwrap();
    speaker.thread.listen(vec![address]).await.unwrap();
    let elsewhere = "192.0.2.1:179".parse().unwrap();
    speaker.thread.listen(vec![elsewhere]).await.unwrap_err();
    tokio::net::TcpStream::connect(address).await.unwrap();
}

#[tokio::test]
async fn a_connection_to_another_address_than_ours_is_refused() {
    let (mut active, passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    let mut elsewhere = setup(
        64521,
        64520,
        SocketAddr::new("127.0.0.2".parse().unwrap(), 179),
        "127.0.0.4",
    );
    elsewhere.session.passive = true;
    passive.thread.set_peer(name(), elsewhere);
    active.wait_for(State::Idle).await;
    active.wait_for(State::OpenSent).await;
    active.wait_for(State::Active).await;
}

#[tokio::test]
async fn a_removed_peer_has_settled_when_its_neighbor_knows() {
    let (mut active, mut passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    active.thread.remove_peer(&name());
    active.thread.settled(&name()).await;
    active.thread.settled(&name()).await;
    passive.wait_for(State::Idle).await;
    let (_, status) = passive.thread.status().await.remove(0);
    let cause = status.last_reset.unwrap().cause.to_string();
    assert_eq!(cause, "received 6/3 Cease, Peer De-configured");
}

#[tokio::test]
async fn a_flood_from_one_peer_does_not_keep_others_waiting() {
    let (mut active, mut passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;

    // A neighbor that says nothing but UPDATEs, as fast as it can.
    let listen = free_port("127.0.0.3");
    let flood = std::net::TcpListener::bind(listen).unwrap();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = flood.accept().unwrap();
        let message = |kind: u8, body: &[u8]| {
            let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
            [&[0xFF; 16], &length[..], &[kind], body].concat()
        };
        let open = message(1, &[4, 0xFC, 9, 0, 90, 10, 0, 0, 99, 0]);
        let update = message(2, &[0, 0, 0, 0]).repeat(2000);
        stream.write_all(&[open, message(4, &[])].concat()).unwrap();
        while stream.write_all(&update).is_ok() {}
    });
    let flooding = PeerName::new("flooding").unwrap();
    active
        .thread
        .set_peer(flooding.clone(), setup(64520, 64521, listen, "127.0.0.2"));
    active.wait_for(State::Established).await;

    for _ in 0..20 {
        let asked = tokio::time::timeout(Duration::from_secs(2), active.thread.status()).await;
        assert_eq!(asked.expect("the thread answers").len(), 2);
    }
    active.thread.remove_peer(&flooding);
}

#[tokio::test]
async fn peers_that_get_the_same_share_a_table_until_they_do_not() {
    let (mut active, mut passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    passive.wait_for(State::Established).await;
    let second = PeerName::new("second").unwrap();
    let remote = free_port("127.0.0.4");
    let other = Speaker::new();
    other.thread.listen(vec![remote]).await.unwrap();
    let mut waiting = setup(64521, 64520, "127.0.0.2:179".parse().unwrap(), "127.0.0.4");
    waiting.session.passive = true;
    other.thread.set_peer(name(), waiting);
    active
        .thread
        .set_peer(second.clone(), setup(64520, 64521, remote, "127.0.0.2"));
    active.wait_for(State::Established).await;

    let has = async |name: &PeerName, count: usize| {
        let reached = async {
            while active.thread.advertised(name).await.unwrap().len() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("the routes are announced");
    };
    let both = routes(&["192.0.2.1/32", "192.0.2.2/32"]);
    active
        .thread
        .set_routes(vec![(name(), both.clone()), (second.clone(), both)]);
    has(&name(), 2).await;
    has(&second, 2).await;
    let one = active.thread.advertised(&name()).await.unwrap();
    let other = active.thread.advertised(&second).await.unwrap();
    assert!(Arc::ptr_eq(&one, &other), "what both have is told once");
    active
        .thread
        .set_routes(vec![(second.clone(), routes(&["192.0.2.3/32"]))]);
    has(&second, 1).await;
    has(&name(), 2).await;
    let third = routes(&["192.0.2.3/32"]);
    active
        .thread
        .set_routes(vec![(name(), third.clone()), (second.clone(), third)]);
    has(&name(), 1).await;
    eventually(&passive, |status| status.families[0].received == 3).await;

    // Who is told the same as somebody who is there joins, and otherwise is told on its own.
    let nobody = PeerName::new("nobody").unwrap();
    let alone = routes(&["192.0.2.7/32", "192.0.2.8/32"]);
    active
        .thread
        .add_to_fellows(&second, vec![nobody.clone()], alone);
    has(&second, 2).await;
    has(&name(), 1).await;
    let fellows = vec![nobody, name()];
    active
        .thread
        .add_to_fellows(&second, fellows, Arc::default());
    has(&second, 1).await;

    // A change that is one for both leaves them together, another parts them.
    let said = Arc::new(RouteAttributes::default());
    let to = |names: &[&PeerName]| {
        let names = names.iter().map(|name| ((*name).clone(), said.clone()));
        let peers = Arc::new(names.collect::<Addressees>());
        RouteChange { peers, path: None }
    };
    let change = |prefix: &str, names: &[&PeerName]| {
        let changes = BTreeMap::from([(prefix.parse().unwrap(), to(names))]);
        active.thread.change_routes(changes);
    };
    change("192.0.2.4/32", &[&name(), &second]);
    has(&name(), 2).await;
    has(&second, 2).await;
    let one = active.thread.advertised(&name()).await.unwrap();
    let other = active.thread.advertised(&second).await.unwrap();
    assert!(Arc::ptr_eq(&one, &other), "they share the table still");
    change("192.0.2.3/32", &[&second]);
    has(&name(), 1).await;
    has(&second, 2).await;
    change("192.0.2.5/32", &[&name(), &second]);
    has(&name(), 2).await;
    has(&second, 3).await;
    change("192.0.2.4/32", &[]);
    has(&name(), 1).await;
    has(&second, 2).await;
    eventually(&passive, |status| status.families[0].received == 5).await;
}

#[tokio::test]
async fn who_parts_from_a_table_is_sent_nothing_that_is_for_the_others() {
    let (mut active, _passive) = pair("127.0.0.2", "127.0.0.3").await;
    active.wait_for(State::Established).await;
    let second = PeerName::new("second").unwrap();
    let remote = free_port("127.0.0.4");
    let other = Speaker::new();
    other.thread.listen(vec![remote]).await.unwrap();
    let mut waiting = setup(64521, 64520, "127.0.0.2:179".parse().unwrap(), "127.0.0.4");
    waiting.session.passive = true;
    other.thread.set_peer(name(), waiting);
    let (of_second, parted) = (second.clone(), setup(64520, 64521, remote, "127.0.0.2"));
    active.thread.set_peer(of_second, parted);
    active.wait_for(State::Established).await;

    let attributes = Arc::new(RouteAttributes::default());
    let said = |names: &[&PeerName]| {
        let names = names.iter().map(|name| (*name).clone());
        let peers: Addressees = names.map(|name| (name, attributes.clone())).collect();
        let peers = Arc::new(peers);
        RouteChange { peers, path: None }
    };
    let none: Arc<bgp::Routes> = Arc::default();
    let both = |routes: &Arc<bgp::Routes>| {
        [name(), second.clone()]
            .map(|name| (name, routes.clone()))
            .to_vec()
    };
    for number in 0..100 {
        // They share a table.
        active.thread.set_routes(both(&none));
        // Whoever asks how it is has a peer awake before it hears that the table is another's.
        let (asking, _answers) = mpsc::unbounded_channel();
        active.thread.tell(Command::Status(asking));
        let change = |prefix: String, change| BTreeMap::from([(prefix.parse().unwrap(), change)]);
        let of_one = change(format!("192.0.2.{number}/32"), said(&[&name()]));
        active.thread.change_routes(of_one);
        let of_both = change(format!("198.51.100.{number}/32"), said(&[&name(), &second]));
        active.thread.change_routes(of_both);
        let announced = |status: &bgp::SessionStatus| {
            let family = status.families.first();
            family.map_or(0, |family| family.received)
        };
        eventually(&other, |status| announced(status) > number).await;
        let status = other.thread.status().await.remove(0).1;
        assert_eq!(announced(&status), number + 1, "only what is for both");
    }
}

/// A key from a file, as it is configured.
fn password(key: &str) -> Option<Password> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, key).unwrap();
    Some(Password::load(&file).unwrap())
}

/// One that connects, and one that waits, with these keys; and how each is set up.
async fn keyed_pair(
    (local, remote): (&str, &str),
    keys: [Option<Password>; 2],
) -> ((Speaker, PeerSetup), (Speaker, PeerSetup)) {
    let (active, passive) = (Speaker::new(), Speaker::new());
    let listen = free_port(remote);
    passive.thread.listen(vec![listen]).await.unwrap();
    let from = SocketAddr::new(local.parse().unwrap(), 179);
    let mut waiting = setup(64521, 64520, from, remote);
    waiting.session.passive = true;
    let mut connecting = setup(64520, 64521, listen, local);
    connecting.session.connect_retry_time = Duration::from_millis(500);
    [connecting.password, waiting.password] = keys;
    passive.thread.set_peer(name(), waiting.clone());
    // When it answers, its listener has the key.
    passive.thread.status().await;
    active.thread.set_peer(name(), connecting.clone());
    ((active, connecting), (passive, waiting))
}

const BOTH_FAMILIES: [(&str, &str); 2] = [("127.0.0.2", "127.0.0.3"), ("::1", "::1")];

#[tokio::test]
async fn c_111_the_same_key_on_both_sides() {
    for addresses in BOTH_FAMILIES {
        let keys = [password("s3cret"), password("s3cret")];
        let ((mut active, _), (mut passive, _)) = keyed_pair(addresses, keys).await;
        active.wait_for(State::Established).await;
        passive.wait_for(State::Established).await;
    }
}

/// Until an attempt to connect has met with no answer.
async fn wait_for_silence(speaker: &Speaker, shown: &str) {
    let silence = async {
        while speaker.thread.transports().await[&name()].unanswered_attempts == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let silence = tokio::time::timeout(PATIENCE, silence).await;
    silence.unwrap_or_else(|_| panic!("somebody answers: {shown}"));
}

#[tokio::test]
async fn silence_is_told_once_and_what_it_may_come_of() {
    let keys = [password("s3cret"), password("other")];
    let ((mut active, _), _passive) = keyed_pair(BOTH_FAMILIES[0], keys).await;
    let longer = async {
        while active.thread.transports().await[&name()].unanswered_attempts < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, longer).await.unwrap();
    let mut told = Vec::new();
    while let Ok(BgpEvent { event, .. }) = active.events.try_recv() {
        if let bgp::Event::StateChanged(change) = event
            && let bgp::Cause::ConnectFailed(reason) = change.cause
        {
            assert_eq!(change.from, change.to);
            told.push(reason);
        }
    }
    let [reason] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(reason.starts_with("3 attempts had no answer: "), "{reason}");
    assert!(reason.contains("password-file"), "{reason}");
}

#[tokio::test]
async fn c_111_another_key_or_none_is_met_with_silence() {
    for addresses in BOTH_FAMILIES {
        for keys in [
            [password("s3cret"), password("other")],
            [password("s3cret"), None],
            [None, password("s3cret")],
        ] {
            let shown = format!("{addresses:?}: {keys:?}");
            let ((active, _), (passive, _)) = keyed_pair(addresses, keys).await;
            wait_for_silence(&active, &shown).await;
            for speaker in [&active, &passive] {
                let (_, status) = speaker.thread.status().await.remove(0);
                assert_eq!((status.established, status.sent.open), (0, 0), "{shown}");
            }
        }
    }
}

/// Also from none and to none: what one side drops meanwhile, the other sends again.
#[tokio::test]
async fn c_111_a_key_changes_under_a_running_session() {
    for addresses in BOTH_FAMILIES {
        let first = password("first");
        let keys = [first.clone(), first];
        let ((mut active, mut connecting), (mut passive, mut waiting)) =
            keyed_pair(addresses, keys).await;
        active.wait_for(State::Established).await;
        passive.wait_for(State::Established).await;
        for (count, key) in [password("second"), None, password("third")]
            .into_iter()
            .enumerate()
        {
            waiting.password.clone_from(&key);
            passive.thread.set_peer(name(), waiting.clone());
            let prefix = format!("192.0.2.{count}/32");
            active.thread.set_routes(vec![(name(), routes(&[&prefix]))]);
            tokio::time::sleep(Duration::from_millis(100)).await;
            connecting.password = key;
            active.thread.set_peer(name(), connecting.clone());
            let received = u64::try_from(count + 1).unwrap();
            eventually(&passive, |status| status.families[0].received == received).await;
        }
        for speaker in [&active, &passive] {
            let (_, status) = speaker.thread.status().await.remove(0);
            let counts = (status.established, status.dropped);
            assert_eq!(counts, (1, 0), "{:?}", status.last_reset);
        }
    }
}

/// Loopback counts down no TTL: what GTSM drops is what was not sent with 255.
#[tokio::test]
async fn c_112_gtsm_hears_only_what_was_sent_with_255() {
    for (local, remote) in [("127.0.0.2", "127.0.0.3"), ("::1", "::1")] {
        for (active_gtsm, passive_gtsm) in [(true, true), (true, false), (false, true)] {
            let (mut active, passive) = (Speaker::new(), Speaker::new());
            let listen = free_port(remote);
            passive.thread.listen(vec![listen]).await.unwrap();
            let secured = |mut setup: PeerSetup, gtsm: bool| {
                if gtsm {
                    setup.transport.ttl = Some(255);
                    setup.transport.minimum_ttl = Some(255);
                }
                setup
            };
            let from = SocketAddr::new(local.parse().unwrap(), 179);
            let mut waiting = secured(setup(64521, 64520, from, remote), passive_gtsm);
            waiting.session.passive = true;
            passive.thread.set_peer(name(), waiting);
            // It is heard before anybody connects.
            assert_eq!(passive.thread.status().await.len(), 1);
            let connecting = secured(setup(64520, 64521, listen, local), active_gtsm);
            active.thread.set_peer(name(), connecting);
            if active_gtsm && passive_gtsm {
                active.wait_for(State::Established).await;
                continue;
            }
            // The other side hears everything, and may think better of it. A listener that demands
            // it of all neighbors does not even answer.
            if active_gtsm {
                active.wait_for(State::OpenSent).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            } else {
                wait_for_silence(&active, local).await;
            }
            let strict = if active_gtsm { &active } else { &passive };
            let (_, status) = strict.thread.status().await.remove(0);
            assert_eq!(
                status.established, 0,
                "{local}: {active_gtsm} {passive_gtsm}"
            );
        }
    }
}

#[tokio::test]
async fn c_112_what_was_said_before_the_kernel_knew_counts_as_little() {
    for (near, far) in [("127.0.0.2", "127.0.0.3"), ("::1", "::2")] {
        let speaker = Speaker::new();
        let listen = free_port(near);
        speaker.thread.listen(vec![listen]).await.unwrap();
        // The listener cannot demand of all what is demanded of one.
        let other = SocketAddr::new(far.parse().unwrap(), 179);
        let other_name = PeerName::new("other").unwrap();
        let mut waiting = setup(64521, 64522, other, near);
        waiting.session.passive = true;
        speaker.thread.set_peer(other_name, waiting.clone());
        let peer = SocketAddr::new(near.parse().unwrap(), 179);
        waiting.transport.remote = peer;
        waiting.session.remote_as = RemoteAs::Is(Asn::new(64520).unwrap());
        waiting.transport.ttl = Some(255);
        waiting.transport.minimum_ttl = Some(255);
        speaker.thread.set_peer(name(), waiting);
        let mut statuses = speaker.thread.status().await;
        assert_eq!(statuses.len(), 2);

        let domain = socket2::Domain::for_address(listen);
        let stranger = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        stranger
            .bind(&SocketAddr::new(peer.ip(), 0).into())
            .unwrap();
        match listen {
            SocketAddr::V4(_) => stranger.set_ttl_v4(254).unwrap(),
            SocketAddr::V6(_) => stranger.set_unicast_hops_v6(254).unwrap(),
        }
        stranger.connect(&listen.into()).unwrap();
        let mut stranger = std::net::TcpStream::from(stranger);
        let heard = tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let message = |kind: u8, body: &[u8]| {
                let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
                [&[0xFF; 16], &length[..], &[kind], body].concat()
            };
            let open = message(1, &[4, 0xFC, 8, 0, 90, 10, 0, 0, 99, 0]);
            let _ = stranger.write_all(&[open, message(4, &[])].concat());
            let mut heard = Vec::new();
            let timeout = Some(Duration::from_secs(10));
            stranger.set_read_timeout(timeout).unwrap();
            // Closed over what it never read, it is reset.
            let _ = stranger.read_to_end(&mut heard);
            heard
        });
        assert!(heard.await.unwrap().is_empty(), "{near}");
        statuses = speaker.thread.status().await;
        assert!(statuses.iter().all(|(_, status)| status.received.open == 0));
    }
}

#[tokio::test]
async fn a_flood_of_errors_is_not_heaped_up_while_nobody_listens() {
    const ERRORS: u64 = 50_000;
    let mut active = Speaker::new();
    let listen = free_port("127.0.0.3");
    let flood = std::net::TcpListener::bind(listen).unwrap();
    let flooding = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = flood.accept().unwrap();
        let message = |kind: u8, body: &[u8]| {
            let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
            [&[0xFF; 16], &length[..], &[kind], body].concat()
        };
        let open = message(1, &[4, 0xFC, 9, 0, 90, 10, 0, 0, 99, 0]);
        // ORIGIN 9, for 192.0.2.0/24.
        let malformed = message(2, &[0, 0, 0, 4, 0x40, 1, 1, 9, 24, 192, 0, 2]);
        stream.write_all(&[open, message(4, &[])].concat()).unwrap();
        stream
            .write_all(&malformed.repeat(usize::try_from(ERRORS).unwrap()))
            .unwrap();
        stream
    });
    active
        .thread
        .set_peer(name(), setup(64520, 64521, listen, "127.0.0.2"));
    eventually(&active, |status| status.update_errors == ERRORS).await;
    assert!(active.events.len() < 20, "{}", active.events.len());
    let lost = active.thread.transports().await[&name()].lost_events;
    assert!(lost > ERRORS - 20, "{lost}");
    active.wait_for(State::Established).await;
    drop(flooding.join().unwrap());
    active.wait_for(State::Idle).await;
}

/// A neighbor of few words: says what it is to say, and leaves with a reset.
fn rude(listener: &std::net::TcpListener, messages: &[&[u8]], hears: usize) {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().unwrap();
    for message in messages {
        stream.write_all(message).unwrap();
    }
    // So many octets of ours, so that the reset finds the session where it is meant to.
    stream.read_exact(&mut vec![0; hears]).unwrap();
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xFF; 16], &length[..], &[kind], body].concat()
}

/// An OPEN of AS 64521, without capabilities.
fn plain_open() -> Vec<u8> {
    message(1, &[4, 0xFC, 9, 0, 90, 10, 0, 0, 99, 0])
}

#[tokio::test]
async fn f_99_a_reset_in_every_state_is_survived() {
    let keepalive = message(4, &[]);
    let address = free_port("127.0.0.3");
    let mut speaker = Speaker::new();
    let mut setup = setup(64520, 64521, address, "127.0.0.2");
    setup.session.connect_retry_time = Duration::from_millis(200);
    // In Connect: nobody listens, which is a reset.
    speaker.thread.set_peer(name(), setup);
    speaker.wait_for(State::Connect).await;
    speaker.wait_for(State::Active).await;
    let listener = std::net::TcpListener::bind(address).unwrap();
    let neighbor = std::thread::spawn(move || {
        let open = plain_open();
        let (header, acknowledgement) = (19, 19);
        rude(&listener, &[], header);
        rude(&listener, &[&open], header + acknowledgement);
        rude(&listener, &[&open, &keepalive], header + acknowledgement);
        // And once as it should be.
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[open, keepalive].concat()).unwrap();
        std::thread::sleep(PATIENCE);
    });
    eventually(&speaker, |status| {
        status.state == State::Established && status.sent.open == 4
    })
    .await;
    let (_, status) = speaker.thread.status().await.remove(0);
    assert!(status.dropped <= 1, "{status:?}");
    drop((speaker, neighbor));
}

/// TCP_USER_TIMEOUT is behind the send hold timer: it ends what the kernel has taken and the
/// neighbor does not (RFC 9687 §3).
#[tokio::test]
async fn f_98_a_neighbor_whose_window_stays_shut_is_left() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.unwrap();
    listener.set_recv_buffer_size(2048).unwrap();
    let address = free_port("127.0.0.3");
    listener.set_reuse_address(true).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(1).unwrap();
    let listener = std::net::TcpListener::from(listener);
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let words = [plain_open(), message(4, &[])].concat();
        stream.write_all(&words).unwrap();
        std::thread::sleep(3 * PATIENCE);
    });
    let mut speaker = Speaker::new();
    let mut setup = setup(64520, 64521, address, "127.0.0.2");
    setup.session.send_hold_time = Some(Duration::from_secs(1));
    speaker.thread.set_peer(name(), setup);
    speaker.wait_for(State::Established).await;
    let prefixes: Vec<String> = (0..20_000u32)
        .map(|number| format!("{}/32", std::net::Ipv4Addr::from_bits(0xC612_0000 + number)))
        .collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    speaker.thread.set_routes(vec![(name(), routes(&prefixes))]);
    let left = async {
        while speaker.thread.status().await[0].1.dropped == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // A second and five beyond, and what it takes the kernel to look.
    let left = tokio::time::timeout(Duration::from_secs(20), left).await;
    left.expect("the session is given up");
}

#[tokio::test]
async fn what_is_configured_is_on_the_socket() {
    for (local, remote) in BOTH_FAMILIES {
        let listener = std::net::TcpListener::bind((remote, 0)).unwrap();
        let mut setup = setup(64520, 64521, listener.local_addr().unwrap(), local);
        for (dscp, ttl) in [(48, None), (10, Some(7))] {
            (setup.transport.dscp, setup.transport.ttl) = (dscp, ttl);
            let stream = socket::connect(setup.clone()).await.unwrap();
            let socket = socket2::SockRef::from(&stream);
            let (class, hops) = match remote.contains(':') {
                true => (socket.tclass_v6(), socket.unicast_hops_v6()),
                false => (socket.tos_v4(), socket.ttl_v4()),
            };
            assert_eq!(class.unwrap(), u32::from(dscp) << 2);
            assert_eq!(hops.unwrap(), u32::from(ttl.unwrap_or(1)));
            assert!(socket.tcp_nodelay().unwrap());
        }
    }
}
