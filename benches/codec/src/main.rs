//! Our BGP codec beside those of others, on one corpus.
//!
//! `cargo run --release`, in this folder; with a word behind `--`, only the shapes whose names have
//! it. Each round times every codec in turn, so that whatever else the machine does falls upon all
//! of them. The table has medians and the spread; a ratio is the median of the ratios of the
//! rounds. Every codec's walk over what it read must give the same checksum, or nothing is printed.

mod checksum;
mod codecs;
mod corpus;

use std::hint::black_box;
use std::time::{Duration, Instant};

use codecs::bgpkit::Bgpkit;
use codecs::floor::Floor;
use codecs::herald::Herald;
use codecs::netgauze::Netgauze;
use codecs::routecore::Routecore;
use codecs::rustbgpd::Rustbgpd;
use codecs::zettabgp::Zettabgp;
use codecs::{Codec, Out};
use corpus::Shape;

const ROUNDS: usize = 101;
/// How long one codec is timed in one round.
const SLICE: Duration = Duration::from_millis(1);

/// One codec on one shape: runs that many passes over the messages.
type Run = Box<dyn FnMut(usize)>;

struct Contender {
    name: &'static str,
    read: Run,
    /// `None` when it has no encoder for values.
    write: Option<Run>,
    /// Whether it writes what it read.
    is_faithful: bool,
}

fn contender<C: Codec + 'static>(
    new: fn() -> C,
    shape: &Shape,
    message_to_write: fn(&mut C, &[u8]) -> C::Message,
) -> Contender {
    let mut codec = new();
    let octets: Vec<C::Octets> = shape.messages.iter().map(|m| C::octets(m)).collect();
    for (message, octets) in shape.messages.iter().zip(&octets) {
        let expected = Floor::walk(&Floor.decode(message));
        assert_eq!(
            C::walk(&codec.decode(octets)),
            expected,
            "{} on {}",
            C::NAME,
            shape.name
        );
    }
    let values: Vec<C::Message> = shape
        .messages
        .iter()
        .map(|message| message_to_write(&mut codec, message))
        .collect();
    let mut out = Out::default();
    let mut has_encoder = true;
    let mut is_faithful = true;
    for (message, value) in shape.messages.iter().zip(&values) {
        out.clear();
        has_encoder &= codec.encode(value, &mut out);
        is_faithful &= out.written() == *message;
    }
    let mut writer = new();
    Contender {
        name: C::NAME,
        read: Box::new(move |passes| {
            for _ in 0..passes {
                for octets in &octets {
                    let message = codec.decode(black_box(octets));
                    black_box(C::walk(&message));
                }
            }
        }),
        write: has_encoder.then(|| -> Run {
            Box::new(move |passes| {
                for _ in 0..passes {
                    for value in &values {
                        out.clear();
                        writer.encode(black_box(value), &mut out);
                        black_box(&out);
                    }
                }
            })
        }),
        is_faithful,
    }
}

fn decoded<C: Codec>(codec: &mut C, message: &[u8]) -> C::Message {
    let octets = C::octets(message);
    codec.decode(&octets)
}

fn contenders(shape: &Shape) -> Vec<Contender> {
    vec![
        contender(|| Floor, shape, |_, message| Floor::prepare(message)),
        contender(|| Herald, shape, decoded),
        contender(Zettabgp::default, shape, decoded),
        contender(|| Rustbgpd, shape, decoded),
        contender(Routecore::default, shape, decoded),
        contender(Netgauze::default, shape, decoded),
        contender(|| Bgpkit, shape, decoded),
    ]
}

/// Nanoseconds for a message, by round.
struct Timing(Vec<f64>);

impl Timing {
    fn median(&self) -> f64 {
        median(self.0.clone())
    }

    fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// How many times as long as the other, in the same rounds.
    fn ratio_to(&self, other: &Self) -> f64 {
        let rounds = self.0.iter().zip(&other.0);
        median(rounds.map(|(one, other)| one / other).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times all runs in turn, round after round.
fn time(runs: &mut [&mut Run], messages: usize) -> Vec<Timing> {
    let passes: Vec<usize> = runs.iter_mut().map(|run| passes(run)).collect();
    let mut samples = vec![Vec::new(); runs.len()];
    for _ in 0..ROUNDS {
        for ((run, passes), samples) in runs.iter_mut().zip(&passes).zip(&mut samples) {
            let start = Instant::now();
            run(*passes);
            samples.push(start.elapsed().as_secs_f64() * 1e9 / (*passes * messages) as f64);
        }
    }
    samples.into_iter().map(Timing).collect()
}

/// As many as take about one slice.
fn passes(run: &mut Run) -> usize {
    let mut passes = 1;
    loop {
        let start = Instant::now();
        run(passes);
        let elapsed = start.elapsed();
        if elapsed >= SLICE / 2 {
            return (passes as f64 * SLICE.as_secs_f64() / elapsed.as_secs_f64()).ceil() as usize;
        }
        passes *= 2;
    }
}

/// A column of the table, by row.
type Column = Vec<(&'static str, Option<Timing>)>;

fn main() {
    let mut reading = Vec::new();
    let mut writing = Vec::new();
    let mut unfaithful = Vec::new();
    let word = std::env::args().nth(1).unwrap_or_default();
    let chosen = corpus::shapes()
        .into_iter()
        .filter(|shape| shape.name.contains(&word));
    for shape in chosen {
        let count = shape.messages.len();
        let mut contenders = contenders(&shape);
        for contender in &contenders {
            if contender.write.is_some() && !contender.is_faithful {
                unfaithful.push(format!("{} on {}", contender.name, shape.name));
            }
        }
        let octets = shape.messages.iter().map(Vec::len).sum::<usize>() / count;
        let title = format!("{} ({octets} B)", shape.name);
        let mut runs: Vec<&mut Run> = contenders.iter_mut().map(|c| &mut c.read).collect();
        let timings = time(&mut runs, count);
        let column: Column = contenders
            .iter()
            .zip(timings)
            .map(|(c, timing)| (c.name, Some(timing)))
            .collect();
        reading.push((title.clone(), column));

        let names: Vec<_> = contenders
            .iter()
            .map(|c| (c.name, c.write.is_some()))
            .collect();
        let mut runs: Vec<&mut Run> = contenders
            .iter_mut()
            .filter_map(|c| c.write.as_mut())
            .collect();
        let mut timings = time(&mut runs, count).into_iter();
        let column: Column = names
            .into_iter()
            .map(|(name, writes)| (name, if writes { timings.next() } else { None }))
            .collect();
        writing.push((title, column));
    }
    if reading.is_empty() {
        eprintln!("no shape has \"{word}\" in its name");
        std::process::exit(2);
    }
    print_table("decode and walk", &reading);
    print_table("encode", &writing);
    if !unfaithful.is_empty() {
        println!("Not written as it was read: {}.", unfaithful.join("; "));
    }
}

fn print_table(title: &str, columns: &[(String, Column)]) {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| head.as_str()).collect();
    let heads = heads.join(" | ");
    println!("| {title}, ns a message: median (min-max) | {heads} |");
    println!("|---|{}", "---|".repeat(columns.len()));
    let rows = columns[0].1.iter().map(|(name, _)| *name);
    for (row, name) in rows.enumerate() {
        let cell = |column: &Column| match &column[row].1 {
            Some(t) => format!("{:.0} ({:.0}-{:.0})", t.median(), t.min(), t.max()),
            None => "-".to_owned(),
        };
        print_row(name, columns, cell);
    }
    print_row("**herald-bgp / fastest other**", columns, |column| {
        let (name, other) = fastest_other(column);
        format!("**{:.2}** ({name})", ours(column).ratio_to(other))
    });
    print_row("**herald-bgp / floor**", columns, |column| {
        let floor = named(column, Floor::NAME);
        format!("**{:.2}**", ours(column).ratio_to(floor))
    });
    println!();
}

fn print_row(name: &str, columns: &[(String, Column)], cell: impl Fn(&Column) -> String) {
    let cells: Vec<String> = columns.iter().map(|(_, column)| cell(column)).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

fn named<'a>(column: &'a Column, name: &str) -> &'a Timing {
    let (_, timing) = column.iter().find(|(other, _)| *other == name).unwrap();
    timing.as_ref().unwrap()
}

fn ours(column: &Column) -> &Timing {
    named(column, Herald::NAME)
}

fn fastest_other(column: &Column) -> (&'static str, &Timing) {
    column
        .iter()
        .filter(|(name, _)| ![Herald::NAME, Floor::NAME].contains(name))
        .filter_map(|(name, timing)| Some((*name, timing.as_ref()?)))
        .min_by(|(_, one), (_, other)| one.median().total_cmp(&other.median()))
        .expect("there are others")
}
