//! `herald capture`: the last messages of a session, for Wireshark.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Client, ClientError, segment};
use super::{FAILURE, SUCCESS, USAGE, complain};
use crate::api::CAPTURE_NEXT;

/// How often it is asked for what is new.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(client: &Client, name: &str, file: Option<PathBuf>, follow: bool) -> u8 {
    let file = file.filter(|path| path.as_os_str() != "-");
    if file.is_none() && io::stdout().is_terminal() {
        complain(format_args!(
            "a capture is no text for a terminal; write it to a file with `-w {name}.pcapng`, or look at it with `herald capture {name} | tshark -r -`"
        ));
        return USAGE;
    }
    let first = match fetch(client, name, 0) {
        Ok(first) => first,
        Err(error) => {
            complain(&error);
            return error.code();
        }
    };
    // What was written before is worth more than an answer that is none.
    let out: io::Result<Box<dyn Write>> = match &file {
        Some(path) => File::create(path).map(|file| Box::new(file) as Box<dyn Write>),
        None => Ok(Box::new(io::stdout())),
    };
    let shown = file.as_ref().map_or_else(
        || "standard output".to_owned(),
        |path| path.display().to_string(),
    );
    match out.and_then(|out| write(client, name, out, first, follow)) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(error)) => {
            complain(&error);
            error.code()
        }
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => SUCCESS,
        Err(error) => {
            complain(format_args!("{shown}: {error}"));
            FAILURE
        }
    }
}

/// Each answer is a section of its own, and sections may follow each other.
fn write(
    client: &Client,
    name: &str,
    mut out: Box<dyn Write>,
    (first, mut next): (Vec<u8>, u64),
    follow: bool,
) -> io::Result<Result<(), ClientError>> {
    out.write_all(&first)?;
    out.flush()?;
    if !follow {
        return Ok(Ok(()));
    }
    loop {
        std::thread::sleep(FOLLOW_EVERY);
        match fetch(client, name, next) {
            Ok((_, number)) if number == next => {}
            Ok((more, number)) => {
                next = number;
                out.write_all(&more)?;
                out.flush()?;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn fetch(client: &Client, name: &str, from: u64) -> Result<(Vec<u8>, u64), ClientError> {
    let path = format!("/v1/peers/{}/capture?from={from}", segment(name));
    let (file, next) = client.fetch_with(&path, &CAPTURE_NEXT)?;
    let next = next.and_then(|text| text.parse().ok()).unwrap_or(from);
    Ok((file.to_vec(), next))
}
