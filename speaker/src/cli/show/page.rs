//! A page of lines with labels, for one peer or one BFD session.

use std::fmt::{Arguments, Write as _};

use super::event_text;
use crate::status::EventStatus;

/// How many columns a line has.
const WIDTH: usize = 80;
/// The column behind the labels.
pub(super) const TEXT: usize = 16;

/// Lines of text, broken where they are too long.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// A line that is too long goes on below its text. A word that is too long stays whole.
    pub(super) fn line(&mut self, indent: usize, line: Arguments<'_>) {
        let line = format!("{:indent$}{line}", "");
        let has_label = line.get(..TEXT).is_some_and(|label| label.ends_with("  "));
        let hanging = if has_label { TEXT } else { indent + 2 };
        let mut rest = line.as_str();
        let mut taken = indent.max(if has_label { TEXT } else { 0 });
        let mut room = WIDTH;
        while let Some((first, more)) = broken(rest, taken, room) {
            // Writing to a String cannot fail.
            let _ = write!(self.0, "{first}\n{:hanging$}", "");
            rest = more;
            (taken, room) = (0, WIDTH - hanging);
        }
        self.0.extend([rest, "\n"]);
    }

    /// In words, before anything else.
    pub(super) fn story(&mut self, story: &[String]) {
        for sentence in story {
            self.line(2, format_args!("{sentence}"));
        }
        if !story.is_empty() {
            self.0.push('\n');
        }
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }

    pub(super) fn events(&mut self, events: &[EventStatus]) {
        if events.is_empty() {
            return;
        }
        self.line(2, format_args!("Events"));
        for event in events {
            let text = event_text(event);
            self.line(4, format_args!("{} {}  {text}", event.at, event.subject));
        }
    }
}

/// A text in front of and behind the last space that leaves at most `room` columns in front, or the
/// next one; not within the first `taken` octets. `None`: it fits, or is one word.
fn broken(text: &str, taken: usize, room: usize) -> Option<(&str, &str)> {
    let (end, _) = text.char_indices().nth(room)?;
    let body = text.get(taken..)?;
    let fits = |at: &usize| taken + at <= end;
    let spaces = || body.match_indices(' ').map(|(at, _)| at);
    let at = taken
        + spaces()
            .take_while(fits)
            .last()
            .or_else(|| spaces().next())?;
    Some((text.get(..at)?.trim_end(), text.get(at..)?.trim_start()))
}

pub(super) fn seconds(ms: u64) -> String {
    humantime::format_duration(std::time::Duration::from_millis(ms)).to_string()
}
