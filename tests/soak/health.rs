//! What the health checks of the file's services ask: an HTTP server that knows who is ill.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::support::Namespace;

const ADDRESS: &str = "127.0.0.1:8080";

/// The services that are ill, by number.
#[derive(Clone, Default)]
pub(crate) struct Health {
    ill: Arc<Mutex<BTreeSet<u16>>>,
}

impl Health {
    /// Answers in the namespace, until the process ends.
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let health = Self::default();
        let listener = namespace.enter(|| TcpListener::bind(ADDRESS).unwrap());
        let answering = health.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let health = answering.clone();
                thread::spawn(move || health.serve(connection));
            }
        });
        health
    }

    /// What is asked about a service.
    pub(crate) fn url(number: u16) -> String {
        format!("http://{ADDRESS}/{number}")
    }

    /// One that was ill is well, or the other way round.
    pub(crate) fn turn(&self, number: u16) {
        let mut ill = self.ill.lock().unwrap();
        if !ill.remove(&number) {
            ill.insert(number);
        }
    }

    pub(crate) fn is_ill(&self, number: u16) -> bool {
        self.ill.lock().unwrap().contains(&number)
    }

    fn serve(&self, mut connection: TcpStream) {
        let _ = connection.set_read_timeout(Some(Duration::from_secs(30)));
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(read @ 1..) = connection.read(&mut buffer) {
            request.extend_from_slice(&buffer[..read]);
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            let words = String::from_utf8_lossy(&request).into_owned();
            let path = words.split(' ').nth(1).unwrap_or_default();
            let number = path.trim_start_matches('/').parse().unwrap();
            let status = if self.is_ill(number) {
                "503 Ill"
            } else {
                "200 OK"
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
            request.clear();
        }
    }
}
