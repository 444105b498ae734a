//! A small HTTP server that says who it is, and a client that asks from many source ports and keeps count.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::namespace::Namespace;

/// Answers every request with its own name; gone when dropped.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
}

impl Server {
    /// Listens on these addresses in the namespace.
    #[track_caller]
    pub fn start(namespace: &Namespace, addresses: &[SocketAddr], name: &str) -> Self {
        let (addresses, name) = (addresses.to_vec(), name.to_owned());
        namespace.enter(move || {
            let listeners: Vec<TcpListener> = addresses
                .iter()
                .map(|address| TcpListener::bind(address).unwrap())
                .collect();
            for listener in &listeners {
                let (listener, name) = (listener.try_clone().unwrap(), name.clone());
                thread::spawn(move || serve(&listener, &name));
            }
            Self { listeners }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Wakes the thread that waits in accept.
            let _ = SockRef::from(listener).shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(listener: &TcpListener, name: &str) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { return };
        let name = name.to_owned();
        thread::spawn(move || answer(connection, &name));
    }
}

fn answer(mut connection: TcpStream, name: &str) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&buffer[..n]),
        }
    }
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
        name.len()
    )
}

/// One request, and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    pub source_port: u16,
    pub began: Instant,
    pub ended: Instant,
    /// The name of the server that answered, or what went wrong.
    pub answer: Result<String, String>,
}

/// Asks from this source port, over a new connection.
pub fn request(source_port: u16, server: SocketAddr, timeout: Duration) -> Request {
    let began = Instant::now();
    let answer = fetch(source_port, server, timeout).map_err(|error| error.to_string());
    Request {
        source_port,
        began,
        ended: Instant::now(),
        answer,
    }
}

fn fetch(source_port: u16, server: SocketAddr, timeout: Duration) -> io::Result<String> {
    let any: IpAddr = if server.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let socket = Socket::new(
        Domain::for_address(server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // The port is free again at once: a reset ends the connection, not a wait.
    socket.set_reuse_address(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::new(any, source_port).into())?;
    socket.set_read_timeout(Some(timeout))?;
    socket.connect_timeout(&server.into(), timeout)?;

    let mut connection = TcpStream::from(socket);
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    let body = response
        .strip_prefix("HTTP/1.1 200 OK\r\n")
        .and_then(|rest| rest.split_once("\r\n\r\n"))
        .map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::other(format!("not an answer: {response:?}")))
}

/// Asks once from each source port, and says which server each of them leads to. Every request must be answered.
#[track_caller]
pub fn survey(client: &Namespace, server: SocketAddr, ports: Range<u16>) -> BTreeMap<u16, String> {
    let requests = client.enter(move || {
        ports
            .map(|port| request(port, server, Duration::from_secs(5)))
            .collect::<Vec<_>>()
    });
    requests
        .into_iter()
        .map(|request| {
            (
                request.source_port,
                request
                    .answer
                    .unwrap_or_else(|error| panic!("port {}: {error}", request.source_port)),
            )
        })
        .collect()
}

/// A stream of requests at a steady pace, each over a new connection and from the next source port.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    requests: Option<JoinHandle<Vec<Request>>>,
}

impl Load {
    /// Starts a request every `interval`, whether or not earlier ones were answered, until [`Self::stop`] or until the ports run out.
    pub fn start(
        client: &Namespace,
        server: SocketAddr,
        ports: Range<u16>,
        interval: Duration,
        timeout: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = stop.clone();
        let requests = client.spawn_thread(move || {
            let mut running = Vec::new();
            let start = Instant::now();
            for (port, turn) in ports.zip(0..) {
                thread::sleep((start + interval * turn).saturating_duration_since(Instant::now()));
                if is_stopped.load(Ordering::Relaxed) {
                    break;
                }
                running.push(thread::spawn(move || request(port, server, timeout)));
            }
            running
                .into_iter()
                .map(|request| request.join().unwrap())
                .collect()
        });
        Self {
            stop,
            requests: Some(requests),
        }
    }

    /// Starts no more, waits for those under way, and returns all.
    #[track_caller]
    pub fn stop(mut self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        self.requests.take().unwrap().join().unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
