//! The path between the two: one relay for TCP and one for UDP, which can swallow everything.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

/// Where both sides are; the relay is there as well, for whoever looks from either.
pub(super) const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Single-hop BFD believes nothing that a router could have forwarded (RFC 5881 §5).
const BFD_TTL: u32 = 255;

pub(super) struct Relay {
    /// The router's BGP port, for the router to listen at.
    pub(super) router_bgp: SocketAddr,
    /// Where the speaker finds the router's BGP port.
    pub(super) bgp: SocketAddr,
    /// Where each side listens for BFD, and where it sends to.
    pub(super) speaker_bfd: BfdPath,
    pub(super) router_bfd: BfdPath,
    is_cut: watch::Sender<bool>,
}

/// One side's view of BFD.
#[derive(Clone, Copy)]
pub(super) struct BfdPath {
    pub(super) listen: SocketAddr,
    pub(super) remote: SocketAddr,
}

impl Relay {
    pub(super) async fn open() -> io::Result<Self> {
        let (is_cut, cut) = watch::channel(false);
        let listener = TcpListener::bind((LOCALHOST, 0)).await?;
        let bgp = listener.local_addr()?;
        let router_bgp = free_tcp_port().await?;
        tokio::spawn(relay_connections(listener, router_bgp, cut.clone()));

        let (to_router, to_speaker) = (udp_socket().await?, udp_socket().await?);
        let (router_listens, speaker_listens) = (free_udp_port().await?, free_udp_port().await?);
        let speaker_bfd = BfdPath {
            listen: speaker_listens,
            remote: to_router.local_addr()?,
        };
        let router_bfd = BfdPath {
            listen: router_listens,
            remote: to_speaker.local_addr()?,
        };
        tokio::spawn(relay_datagrams(to_router, router_listens, cut.clone()));
        tokio::spawn(relay_datagrams(to_speaker, speaker_listens, cut));
        Ok(Self {
            router_bgp,
            bgp,
            speaker_bfd,
            router_bfd,
            is_cut,
        })
    }

    /// From the moment returned on, nothing comes through.
    pub(super) fn cut(&self) -> Instant {
        self.is_cut.send_replace(true);
        Instant::now()
    }

    /// From the moment returned on, everything comes through.
    pub(super) fn mend(&self) -> Instant {
        self.is_cut.send_replace(false);
        Instant::now()
    }
}

/// A port that was free a moment ago.
async fn free_tcp_port() -> io::Result<SocketAddr> {
    TcpListener::bind((LOCALHOST, 0)).await?.local_addr()
}

async fn free_udp_port() -> io::Result<SocketAddr> {
    UdpSocket::bind((LOCALHOST, 0)).await?.local_addr()
}

async fn udp_socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((LOCALHOST, 0)).await?;
    SockRef::from(&socket).set_ttl_v4(BFD_TTL)?;
    Ok(socket)
}

async fn relay_datagrams(socket: UdpSocket, to: SocketAddr, cut: watch::Receiver<bool>) {
    let mut datagram = [0; 2048];
    loop {
        // Errors are those of a side that is not listening, as on any network.
        let Ok((length, _)) = socket.recv_from(&mut datagram).await else {
            continue;
        };
        if !*cut.borrow() {
            let _ = socket
                .send_to(datagram.get(..length).unwrap_or_default(), to)
                .await;
        }
    }
}

async fn relay_connections(listener: TcpListener, to: SocketAddr, cut: watch::Receiver<bool>) {
    while let Ok((from_speaker, _)) = listener.accept().await {
        tokio::spawn(relay_connection(from_speaker, to, cut.clone()));
    }
}

async fn relay_connection(from_speaker: TcpStream, to: SocketAddr, mut cut: watch::Receiver<bool>) {
    if cut.wait_for(|is_cut| !is_cut).await.is_err() {
        return;
    }
    let Ok(to_router) = TcpStream::connect(to).await else {
        return;
    };
    let _ = from_speaker.set_nodelay(true);
    let _ = to_router.set_nodelay(true);
    let (speaker_read, speaker_write) = from_speaker.into_split();
    let (router_read, router_write) = to_router.into_split();
    tokio::spawn(relay_octets(router_read, speaker_write, cut.clone()));
    relay_octets(speaker_read, router_write, cut).await;
}

/// While the path is cut, octets wait where TCP would have to send them again.
async fn relay_octets(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) {
    let mut octets = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut octets).await.unwrap_or(0);
        if cut.wait_for(|is_cut| !is_cut).await.is_err() {
            return;
        }
        let read = octets.get(..count).unwrap_or_default();
        if read.is_empty() || to.write_all(read).await.is_err() {
            return;
        }
    }
}
