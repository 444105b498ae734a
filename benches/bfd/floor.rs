//! What no speaker can be better than: how late this machine's timers are, and what a datagram costs.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::load::{Busy, Load};
use crate::network::Network;
use crate::quantile;
use crate::table::{Cell, Table};

/// A timer's period, and how often it is waited for.
const TIMERS: [(u64, u32); 3] = [(10, 300), (50, 100), (300, 40)];
const DATAGRAMS: u32 = 200;
const ROUNDS: u32 = 50;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    load: Load,
    /// Fewer samples.
    #[arg(long)]
    quick: bool,
}

pub fn run(network: &Network, options: &Options) -> Vec<Table> {
    let _busy = Busy::start(options.load);
    let timers = timers(network, options.load, options.quick);
    let mut datagrams = Table::new(format!(
        "24 octets over loopback, {}",
        options.load.describe()
    ));
    let (send, receive) = network.speaker.enter(time_datagrams);
    datagrams.add(vec![
        Cell::number("send, us: p50", quantile(&send, 0.5), 2),
        Cell::number("receive, us: p50", quantile(&receive, 0.5), 2),
    ]);
    vec![timers, datagrams]
}

/// How late a thread wakes that waits for a timer file descriptor.
pub fn timers(network: &Network, load: Load, is_quick: bool) -> Table {
    let mut table = Table::new(format!("Timer lateness, {}", load.describe()));
    for (period, times) in TIMERS {
        let times = if is_quick { times / 4 } else { times };
        let late = network.speaker.enter(move || {
            load.prioritize_thread(rustix::thread::gettid());
            time_timer(Duration::from_millis(period), times)
        });
        table.add(vec![
            Cell::count("period, ms", period),
            Cell::number("late, ms: p50", quantile(&late, 0.5), 3),
            Cell::number("p99", quantile(&late, 0.99), 3),
            Cell::number("max", quantile(&late, 1.0), 3),
            Cell::count("samples", late.len() as u64),
        ]);
    }
    table
}

/// In milliseconds.
fn time_timer(period: Duration, times: u32) -> Vec<f64> {
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).unwrap();
    let mut late: Vec<f64> = (0..times)
        .map(|_| {
            let began = Instant::now();
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(period).unwrap(),
            };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once).unwrap();
            poll(&mut [PollFd::new(&timer, PollFlags::IN)], None).unwrap();
            (began.elapsed().saturating_sub(period)).as_secs_f64() * 1e3
        })
        .collect();
    late.sort_by(f64::total_cmp);
    late
}

/// Sending and receiving one, in microseconds.
fn time_datagrams() -> (Vec<f64>, Vec<f64>) {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    let time = |mut one: Box<dyn FnMut() + '_>| {
        let began = Instant::now();
        (0..DATAGRAMS).for_each(|_| one());
        began.elapsed().as_secs_f64() * 1e6 / f64::from(DATAGRAMS)
    };
    let (mut sends, mut receives) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sends.push(time(Box::new(|| {
            sender.send(&[0; 24]).unwrap();
        })));
        receives.push(time(Box::new(|| {
            receiver.recv(&mut [0; 64]).unwrap();
        })));
        thread::sleep(Duration::from_millis(1));
    }
    sends.sort_by(f64::total_cmp);
    receives.sort_by(f64::total_cmp);
    (sends, receives)
}
