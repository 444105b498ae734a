//! Who the API's socket belongs to, and whom it lets in.

use std::fmt;

use nix::unistd::{Group, User};
use toml::de::DeValue;

use super::document::{Expected, nearest};
use super::value::Parsed;

/// A user or a group of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    id: u32,
    written: String,
}

impl Account {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }
}

/// As it was written: a name, or a number.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Permission bits of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The bits, at most 0777.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether others than owner and group may connect, which takes writing.
    pub(super) const fn lets_everybody_in(self) -> bool {
        self.0 & 0o002 != 0
    }
}

/// For owner and group.
impl Default for SocketMode {
    fn default() -> Self {
        Self(0o660)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A text, for a TOML number that begins with 0 is none, and one that does not would be decimal.
pub(super) fn socket_mode(value: &DeValue<'_>) -> Parsed<SocketMode> {
    const EXPECTED: &str = "three or four octal digits as a text, such as \"0660\"";
    value
        .as_str()
        .map(|text| text.strip_prefix("0o").unwrap_or(text))
        .filter(|text| (3..=4).contains(&text.len()))
        .and_then(|text| u32::from_str_radix(text, 8).ok())
        .filter(|bits| *bits <= 0o777)
        .map(SocketMode)
        .ok_or_else(|| EXPECTED.into())
}

pub(super) fn user(value: &DeValue<'_>) -> Parsed<Account> {
    account(value, "user", "/etc/passwd", |name| {
        let user = User::from_name(name).ok()??;
        Some(user.uid.as_raw())
    })
}

pub(super) fn group(value: &DeValue<'_>) -> Parsed<Account> {
    account(value, "group", "/etc/group", |name| {
        let group = Group::from_name(name).ok()??;
        Some(group.gid.as_raw())
    })
}

/// -1 stands for "as it is" where the kernel takes a number.
fn account(
    value: &DeValue<'_>,
    what: &str,
    list: &str,
    look_up: impl FnOnce(&str) -> Option<u32>,
) -> Parsed<Account> {
    let number = |text: &str| text.parse().ok().filter(|id| *id != u32::MAX);
    if let Some(text) = value.as_integer() {
        let id = number(text.as_str()).filter(|_| text.radix() == 10);
        let id = id.ok_or_else(|| expected(what, ""))?;
        return Ok(Account {
            id,
            written: id.to_string(),
        });
    }
    let named = value.as_str().filter(|text| !text.contains('\0'));
    let named = named.ok_or_else(|| expected(what, ""))?;
    let id = look_up(named).or_else(|| number(named));
    match id {
        Some(id) => Ok(Account {
            id,
            written: named.to_owned(),
        }),
        None => Err(expected(what, &hint(named, what, list))),
    }
}

fn expected(what: &str, hint: &str) -> Expected {
    format!("the name or the number of a {what} of this host{hint}").into()
}

fn hint(named: &str, what: &str, list: &str) -> String {
    let list = std::fs::read_to_string(list).unwrap_or_default();
    let names = list.lines().filter_map(|line| line.split(':').next());
    let names = names.filter(|name| !name.is_empty() && !name.starts_with('#'));
    match nearest(named, names) {
        Some(near) => format!("; the nearest {what} is {near:?}"),
        None => String::new(),
    }
}
