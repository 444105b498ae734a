//! A TOML document as a reader of configuration needs it: every key is asked for once, every value
//! knows its line, and what is wrong is collected, so that one run names every mistake in the file.

use std::cell::RefCell;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// What a value must be, to complete the sentence "must be …".
#[derive(Debug)]
pub(super) struct Expected(pub(super) String);

impl From<&str> for Expected {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Expected {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// How it begins when a key must be there and is not.
const MISSING: &str = "is missing";

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) line: usize,
    /// As it is written in the file.
    pub(super) found: String,
}

/// What is wrong with a file, and what is doubtful.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) errors: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn error(&self, problem: Problem) {
        self.errors.borrow_mut().push(problem);
    }

    pub(super) fn warning(&self, problem: Problem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// That a key of this section is missing is not told.
    fn forget_missing(&self, section: &str, line: usize, key: &str) {
        self.errors.borrow_mut().retain(|problem| {
            (&*problem.section, problem.line, &*problem.key) != (section, Some(line), key)
                || !problem.text.starts_with(MISSING)
        });
    }
}

/// The text of a file, to turn offsets into lines.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line, from 1, of a byte offset.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|newline| *newline < offset)
    }
}

/// One table that is being read.
#[derive(Debug)]
pub(super) struct Section<'d> {
    /// As it is named in messages: `[speaker]`, `[[peer]] "tor-a"`; empty for the whole document.
    pub(super) label: Rc<str>,
    pub(super) line: usize,
    entries: DeTable<'d>,
    known: Vec<&'static str>,
    /// Keys that are meant by unknown ones.
    misspelt: Vec<&'static str>,
    /// Keys that are planned and not there yet.
    planned: &'static [&'static str],
    lines: &'d Lines,
    report: &'d Report,
}

impl<'d> Section<'d> {
    pub(super) fn new(
        label: &str,
        line: usize,
        table: DeTable<'d>,
        lines: &'d Lines,
        report: &'d Report,
    ) -> Self {
        Self {
            label: label.into(),
            line,
            entries: table,
            known: Vec::with_capacity(8),
            misspelt: Vec::new(),
            planned: &[],
            lines,
            report,
        }
    }

    /// Names the keys that a later version will have; they are refused with a word about that.
    pub(super) fn plans(mut self, keys: &'static [&'static str]) -> Self {
        self.planned = keys;
        self
    }

    /// The value of a key as text, left in place; for naming the section before it is read.
    pub(super) fn peek_str(&self, key: &str) -> Option<&str> {
        self.entries.get(key)?.get_ref().as_str()
    }

    /// Whether a key is there, and was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reads one key, if it is there. A wrong value is reported and reads as absent.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Located<T>> {
        let (line, value) = self.entry(key)?;
        let found = display(value.get_ref());
        self.parse(key, line, value.get_ref(), found, parse)
    }

    /// The same for the path of a secret: what is no path may be the secret itself, and is not
    /// repeated.
    pub(super) fn take_path_of_secret<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Located<T>> {
        let (line, value) = self.entry(key)?;
        let is_path = value
            .get_ref()
            .as_str()
            .is_some_and(|text| text.starts_with('/'));
        let found = match is_path {
            true => display(value.get_ref()),
            false => "something else".into(),
        };
        self.parse(key, line, value.get_ref(), found, parse)
    }

    fn parse<T>(
        &self,
        key: &'static str,
        line: usize,
        value: &DeValue<'_>,
        found: String,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Located<T>> {
        match parse(value) {
            Ok(value) => Some(Located { value, line, found }),
            Err(expected) => {
                self.wrong(line, key, &found, &expected);
                None
            }
        }
    }

    /// Reads one key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Located<T>> {
        self.must_have(key, example)?;
        self.take(key, parse)
    }

    /// Reads the path of a secret that must be there.
    pub(super) fn require_path_of_secret<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Located<T>> {
        self.must_have(key, example)?;
        self.take_path_of_secret(key, parse)
    }

    fn must_have(&mut self, key: &'static str, example: &str) -> Option<()> {
        if self.has(key) {
            return Some(());
        }
        self.known.push(key);
        self.error(self.line, key, format!("is missing; must be {example}"));
        None
    }

    /// Reads a table, or a list of tables, that stands for the value of a key, and the line of it. What is neither may be a
    /// secret in the wrong place, and is not repeated.
    pub(super) fn take_inline_tables(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Option<(usize, Vec<Self>)> {
        let (line, value) = self.entry(key)?;
        let elements = match value.into_inner() {
            DeValue::Array(elements) => elements.into_iter().collect(),
            single => vec![Spanned::new(0..0, single)],
        };
        let several = elements.len() > 1;
        let mut sections = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let DeValue::Table(table) = element.into_inner() else {
                self.wrong(line, key, "something else", &example.into());
                return None;
            };
            let label = match several {
                true => format!("{} {key} {}", self.label, index + 1),
                false => format!("{} {key}", self.label),
            };
            let first = table.keys().next().map(|key| key.span().start);
            let line = first.map_or(line, |at| self.lines.line(at));
            sections.push(Self::new(&label, line, table, self.lines, self.report));
        }
        Some((line, sections))
    }

    /// Reads one key that holds an array. Each wrong element is reported at its own line.
    pub(super) fn take_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Expected>,
    ) -> Option<Vec<Located<T>>> {
        let (line, value) = self.entry(key)?;
        let found = display(value.get_ref());
        let DeValue::Array(elements) = value.into_inner() else {
            self.wrong(line, key, &found, &"an array: [\"…\", \"…\"]".into());
            return None;
        };
        let mut list = Vec::new();
        for element in elements {
            let line = self.lines.line(element.span().start);
            let found = display(element.get_ref());
            match parse(element.get_ref()) {
                Ok(value) => list.push(Located { value, line, found }),
                Err(expected) => self.wrong(line, key, &found, &expected),
            }
        }
        Some(list)
    }

    /// Reads a table, `[key]`; an empty one when it is not there.
    pub(super) fn take_table(&mut self, key: &'static str) -> Self {
        let label = format!("[{key}]");
        match self.entry(key) {
            Some((line, value)) => match value.into_inner() {
                DeValue::Table(table) => Self::new(&label, line, table, self.lines, self.report),
                other => {
                    self.wrong(
                        line,
                        key,
                        &display(&other),
                        &format!("a table: {label}").into(),
                    );
                    Self::new(&label, line, DeTable::new(), self.lines, self.report)
                }
            },
            None => Self::new(&label, 1, DeTable::new(), self.lines, self.report),
        }
    }

    /// Reads an array of tables, `[[key]]`; each is named after the first of `names` that it has,
    /// or its number.
    pub(super) fn take_tables(&mut self, key: &'static str, names: &[&str]) -> Vec<Self> {
        let Some((line, value)) = self.entry(key) else {
            return Vec::new();
        };
        let expected: Expected = format!("an array of tables: [[{key}]]").into();
        let elements = match value.into_inner() {
            DeValue::Array(elements) => elements,
            other => {
                self.wrong(line, key, &display(&other), &expected);
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let line = self.lines.line(element.span().start);
            match element.into_inner() {
                DeValue::Table(table) => {
                    let mut section = Self::new("", line, table, self.lines, self.report);
                    let name = names.iter().find_map(|name| section.peek_str(name));
                    let name = match name {
                        Some(name) => quoted(name),
                        None => (index + 1).to_string(),
                    };
                    section.label = ["[[", key, "]] ", &name].concat().into();
                    sections.push(section);
                }
                other => self.wrong(line, key, &display(&other), &expected),
            }
        }
        sections
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&mut self) {
        for (key, _) in std::mem::take(&mut self.entries) {
            let line = self.lines.line(key.span().start);
            let key = key.into_inner();
            let text = if self.planned.contains(&key.as_ref()) {
                "this version of herald does not have this key; remove it".to_owned()
            } else {
                match nearest(&key, self.known.iter().copied()) {
                    Some(near) => {
                        // That it is missing is the same mistake once more.
                        self.report.forget_missing(&self.label, self.line, near);
                        self.misspelt.push(near);
                        format!("unknown key; the nearest known one is {near:?}")
                    }
                    None => format!("unknown key; must be one of {}", self.known.join(", ")),
                }
            };
            self.error(line, &key, text);
        }
    }

    /// Reports what is wrong with a value that can be read.
    pub(super) fn refuse<T>(&self, key: &str, value: &Located<T>, expected: &str) {
        self.wrong(value.line, key, &value.found, &expected.into());
    }

    /// Whether a wrong value of this key was reported.
    pub(super) fn has_error(&self, key: &str) -> bool {
        let errors = self.report.errors.borrow();
        errors
            .iter()
            .any(|problem| *problem.section == *self.label && problem.key == key)
    }

    pub(super) fn error(&self, line: usize, key: &str, text: String) {
        if self.misspelt.contains(&key) && text.starts_with(MISSING) {
            return;
        }
        self.report.error(self.problem(line, key, text));
    }

    pub(super) fn warning(&self, line: usize, key: &str, text: String) {
        self.report.warning(self.problem(line, key, text));
    }

    fn entry(&mut self, key: &'static str) -> Option<(usize, Spanned<DeValue<'d>>)> {
        self.known.push(key);
        let (key, value) = self.entries.remove_entry(key)?;
        Some((self.lines.line(key.span().start), value))
    }

    fn wrong(&self, line: usize, key: &str, found: &str, Expected(expected): &Expected) {
        self.error(line, key, format!("found {found}; must be {expected}"));
    }

    fn problem(&self, line: usize, key: &str, text: String) -> Problem {
        Problem {
            line: Some(line),
            section: self.label.to_string(),
            key: key.to_owned(),
            text,
        }
    }
}

/// The candidate that was probably meant.
pub(crate) fn nearest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // Typing mistakes in short words are few edits; in long ones, a common beginning says more.
    let likeness = |candidate: &str| {
        strsim::jaro_winkler(text, candidate)
            .max(1.0 - strsim::damerau_levenshtein(text, candidate) as f64 / 4.0)
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// How many characters of a text are repeated.
const LONG: usize = 80;

/// A text in quotes. Formatting would take most of the time of reading a file of very many sections, and almost no
/// text in one has anything to escape.
fn quoted(text: &str) -> String {
    let is_plain = |octet: u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\');
    match text.bytes().all(is_plain) {
        true => ["\"", text, "\""].concat(),
        false => format!("{text:?}"),
    }
}

/// A value as one would write it, cut where it gets long.
fn display(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= LONG => quoted(text),
        DeValue::String(text) => {
            let short: String = text.chars().take(LONG).collect();
            let rest = if short.len() < text.len() { "…" } else { "" };
            quoted(&short) + rest
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(elements) if elements.is_empty() => "an empty array".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
