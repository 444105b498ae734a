//! Clients that take their time, on real connections and with short limits.

use std::net::SocketAddr;
use std::time::{Instant, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::routing::{get, put};
use http_body_util::channel::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::events::{Stream, WAITING};
use super::super::request::Body as Received;
use super::*;
use crate::history::History;
use crate::metrics::ApiLoad;

const SHORT: Duration = Duration::from_millis(100);
/// Long enough for a request, or for what was read, to come through on a busy machine.
const ENOUGH: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

/// None that this test is not about.
fn limits() -> Limits {
    Limits {
        head: LONG,
        body: LONG,
        connection: LONG,
        answer: LONG,
        unread: LONG,
        ..Limits::default()
    }
}

struct Served {
    address: SocketAddr,
    load: Arc<Load>,
    _server: Server,
}

impl Served {
    async fn start(limits: Limits, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Server::with_limits(limits);
        server.serve(listener, router);
        Self {
            address,
            load: Arc::clone(&server.load),
            _server: server,
        }
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    fn load(&self) -> ApiLoad {
        let load = Lease::new(Limits::default(), Arc::clone(&self.load)).metrics();
        // Without the one that asks.
        let connections = load.connections - 1;
        ApiLoad {
            connections,
            ..load
        }
    }

    async fn wait_for(&self, wanted: ApiLoad) {
        let start = Instant::now();
        while self.load() != wanted {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.load());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Everything until the other end closes, which it must.
async fn rest(mut stream: TcpStream) -> String {
    let mut octets = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut octets)).await;
    // A reset is an end, too.
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&octets).into_owned()
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

const GET: &str = "GET / HTTP/1.1\r\nhost: herald\r\n\r\n";

#[tokio::test]
async fn the_head_of_a_request_must_come_in_time() {
    let limits = Limits {
        head: SHORT,
        ..limits()
    };
    let served = Served::start(limits, hello()).await;
    let drip = served.send("GET / HTTP/1.1\r\nhost: her").await;
    assert!(!rest(drip).await.contains("hello"));
    served.wait_for(ApiLoad::default()).await;
}

#[tokio::test]
async fn a_connection_does_not_wait_for_its_next_request_for_ever() {
    let limits = Limits {
        head: ENOUGH,
        ..limits()
    };
    let served = Served::start(limits, hello()).await;
    let idle = served.send(GET).await;
    assert!(rest(idle).await.ends_with("hello"));
    served.wait_for(ApiLoad::default()).await;
}

#[tokio::test]
async fn the_body_of_a_request_must_come_in_time() {
    let limits = Limits {
        body: SHORT,
        ..limits()
    };
    let router = Router::new().route("/", put(|_: Received| async { "all of it" }));
    let served = Served::start(limits, router).await;
    let head = "PUT / HTTP/1.1\r\nhost: herald\r\ncontent-length: 7\r\n";
    let answer = rest(served.send(&format!("{head}\r\nhal")).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let wanted = "the request's body must be there within 100ms";
    assert!(answer.contains(wanted), "{answer}");
    let whole = format!("{head}connection: close\r\n\r\nthe lot");
    let answer = rest(served.send(&whole).await).await;
    assert!(answer.ends_with("all of it"), "{answer}");
}

#[tokio::test]
async fn the_head_of_a_request_has_a_bounded_size() {
    let served = Served::start(limits(), hello()).await;
    let head = format!("GET / HTTP/1.1\r\nlong: {}", "x".repeat(limits().buffer));
    let answer = rest(served.send(&head).await).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn so_many_are_served_and_the_others_wait() {
    let limits = Limits {
        connections: 2,
        ..limits()
    };
    let served = Served::start(limits, hello()).await;
    let first = served.send("GET / HT").await;
    let _second = served.send("GET / HT").await;
    let both = ApiLoad {
        connections: 2,
        ..ApiLoad::default()
    };
    served.wait_for(both).await;
    let closing = "GET / HTTP/1.1\r\nhost: herald\r\nconnection: close\r\n\r\n";
    let mut third = served.send(closing).await;
    let early = timeout(SHORT, third.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(served.load(), both);
    drop(first);
    assert!(rest(third).await.ends_with("hello"));
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_cut_off() {
    let limits = Limits {
        connection: ENOUGH,
        answer: SHORT,
        ..limits()
    };
    // More than the kernel keeps for a connection.
    let long = || async { vec![b'x'; 64 << 20] };
    let served = Served::start(limits, Router::new().route("/", get(long))).await;
    let _unread = served.send(GET).await;
    let cut_off = ApiLoad {
        slow: 1,
        ..ApiLoad::default()
    };
    served.wait_for(cut_off).await;
}

#[tokio::test]
async fn a_connection_that_only_waits_ends_and_nobody_is_blamed() {
    let limits = Limits {
        connection: ENOUGH,
        ..limits()
    };
    let served = Served::start(limits, hello()).await;
    assert!(rest(served.send(GET).await).await.ends_with("hello"));
    served.wait_for(ApiLoad::default()).await;
}

/// Events that come for ever.
async fn follow(Extension(lease): Extension<Lease>) -> Body {
    let mut history = History::beginning(UNIX_EPOCH);
    let places = Arc::new(Semaphore::new(1));
    let place = places.try_acquire_owned().unwrap();
    let (body, answer) = Channel::<Bytes>::new(WAITING);
    let followed = history.follow(None, None);
    lease.extend();
    tokio::spawn(async move {
        let text = "x".repeat(60_000);
        let noting = async {
            loop {
                history.note(UNIX_EPOCH, &text);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = Stream::new(body, None, place, lease).run(followed) => {}
            () = noting => {}
        }
    });
    Body::new(answer)
}

#[tokio::test]
async fn who_leaves_its_events_unread_is_cut_off() {
    let limits = Limits {
        connection: ENOUGH,
        unread: ENOUGH,
        ..limits()
    };
    let served = Served::start(limits, Router::new().route("/", get(follow))).await;
    let mut reading = served.send(GET).await;
    let _unread = served.send(GET).await;
    let reading = tokio::spawn(async move {
        let mut octets = vec![0; 1 << 16];
        while reading
            .read(&mut octets)
            .await
            .is_ok_and(|length| length > 0)
        {}
    });
    let cut_off = ApiLoad {
        connections: 1,
        slow: 0,
        unread: 1,
    };
    served.wait_for(cut_off).await;
    assert!(!reading.is_finished());
    reading.abort();
}
