//! `--watch`: the same once more at each interval, in place of the former on a terminal.

use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::client::ClientError;
use super::{SUCCESS, complain};
use crate::output;

/// The shortest interval: whoever looks must not keep the daemon busy.
const SHORTEST: Duration = Duration::from_millis(100);

/// `2`, `2s`, `500ms`.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    duration
        .filter(|duration| *duration >= SHORTEST)
        .ok_or_else(|| {
            "must be an interval of 100ms or more, such as 1s; what to show goes before --watch"
                .to_owned()
        })
}

/// Goes on until nobody reads. What goes wrong the first time ends it; later it may get better.
pub(super) fn run(
    interval: Duration,
    mut render: impl FnMut() -> Result<String, ClientError>,
) -> u8 {
    let redraws = io::stdout().is_terminal();
    let mut is_first = true;
    loop {
        let text = match render() {
            Ok(text) => text,
            Err(error) if is_first => {
                complain(&error);
                return error.code();
            }
            Err(error) => format!("herald: {error}"),
        };
        let block = match (redraws, is_first) {
            (true, _) => screen(&text, interval, size()),
            (false, true) => format!("{}\n", text.trim_end()),
            (false, false) => format!("\n{}\n", text.trim_end()),
        };
        if output::put(block.as_bytes()).is_break() {
            return SUCCESS;
        }
        is_first = false;
        sleep(interval);
    }
}

/// As much as fits on the screen, from its top.
fn screen(text: &str, interval: Duration, (rows, columns): (usize, usize)) -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let every = humantime::format_duration(interval);
    // A line that went on in the next row would be more rows than are counted.
    let lines = text.trim_end().lines().map(|line| cut(line, columns));
    let lines: Vec<String> = lines.collect();
    // The first line and the empty one below it, and the last, where the cursor stays.
    let room = rows.saturating_sub(3).max(1);
    let (shown, more) = match lines.len() <= room {
        true => (lines.len(), String::new()),
        false => {
            let shown = room - 1;
            let more = lines.len() - shown;
            (shown, format!("… {more} more lines\n"))
        }
    };
    let mut shown: Vec<String> = lines.into_iter().take(shown).collect();
    shown.push(String::new());
    // Home, then each line with what was behind it erased, then everything below.
    let shown = shown.join("\x1b[K\n");
    format!("\x1b[HEvery {every}, {now}\x1b[K\n\x1b[K\n{shown}{more}\x1b[J")
}

/// What of a line fits, with an ellipsis where something does not. Colours take no room.
fn cut(line: &str, columns: usize) -> String {
    let mut kept = String::new();
    let mut is_escape = false;
    let (mut taken, mut last) = (0, 0);
    for c in line.chars() {
        if is_escape || c == '\x1b' {
            is_escape = !c.is_ascii_alphabetic();
        } else if taken == columns {
            // The last column is for the ellipsis, and colours end with the line.
            kept.truncate(last);
            kept.push_str("…\x1b[0m");
            return kept;
        } else {
            taken += 1;
            last = kept.len();
        }
        kept.push(c);
    }
    kept
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    match size {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_seconds_unless_they_say() {
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "50ms", "peers"] {
            let error = interval(wrong).unwrap_err();
            assert!(error.contains("such as 1s"), "{error}");
        }
    }

    #[test]
    fn a_screen_holds_what_fits_and_says_how_much_does_not() {
        let text = ["line"; 30].join("\n");
        let shown = screen(&text, Duration::from_secs(2), (24, 80));
        assert!(shown.starts_with("\x1b[HEvery 2s, "), "{shown:?}");
        assert_eq!(shown.matches("line\x1b[K\n").count(), 20);
        assert!(shown.ends_with("… 10 more lines\n\x1b[J"), "{shown:?}");
        let shown = screen("line\n", Duration::from_secs(2), (24, 80));
        assert!(shown.ends_with("\x1b[K\nline\x1b[K\n\x1b[J"), "{shown:?}");
    }

    #[test]
    fn lines_are_cut_where_the_terminal_ends() {
        assert_eq!(cut("12345", 5), "12345");
        assert_eq!(cut("123456", 5), "1234…\x1b[0m");
        let coloured = "\x1b[38;5;10m12345\x1b[39m";
        assert_eq!(cut(coloured, 5), coloured);
        assert_eq!(cut("\x1b[1m12345\x1b[39m6", 5), "\x1b[1m1234…\x1b[0m");
        let long = ["x".repeat(81).as_str(); 30].join("\n");
        let shown = screen(&long, Duration::from_secs(2), (24, 80));
        assert_eq!(shown.matches("…\x1b[0m\x1b[K\n").count(), 20);
    }
}
