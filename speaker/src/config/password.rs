//! The key of TCP MD5 (RFC 2385), from a file of its own: it is in no log, no dump and no page.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the kernel takes as a key (`TCP_MD5SIG_MAXKEYLEN`).
const MAX_KEY: usize = 80;

/// A key, and the file that it comes from. Whoever prints it prints the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    file: PathBuf,
    key: Arc<[u8]>,
}

impl Password {
    /// Reads a key: 1 to 80 octets on one line.
    ///
    /// # Errors
    /// In words, what is wrong with the file.
    pub fn load(file: &Path) -> Result<Self, String> {
        Ok(Self {
            file: file.to_owned(),
            key: read_key(file, MAX_KEY)?.into(),
        })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The key itself, for the kernel and nobody else.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// The key in a file: up to so many octets on one line, whose end does not count. The error tells, in words, what is wrong with
/// the file.
pub(super) fn read_key(file: &Path, longest: usize) -> Result<Vec<u8>, String> {
    let mut octets = super::read_bounded(file, 4096).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "; it must be readable by the user who runs herald",
            _ => "",
        };
        format!("{} cannot be read: {error}{hint}", file.display())
    })?;
    if octets.last() == Some(&b'\n') {
        octets.pop();
        if octets.last() == Some(&b'\r') {
            octets.pop();
        }
    }
    let wrong = |what: &str| {
        Err(format!(
            "{} holds {what}; must hold a key of 1 to {longest} octets on one line, and nothing else",
            file.display()
        ))
    };
    match octets.len() {
        0 => wrong("nothing"),
        length if length > longest => wrong(&format!("{length} octets")),
        _ if octets.contains(&b'\n') => wrong("more than one line"),
        _ if octets.contains(&0) => wrong("an octet of 0"),
        _ => Ok(octets),
    }
}

/// What to warn of: a file that everybody on this host may read, or that others may change the content of.
pub(super) fn exposure(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.mode() & 0o7777;
    let who = match mode {
        _ if mode & 0o006 != 0 => "everybody on this host may read or change",
        _ if mode & 0o020 != 0 => "its group may change",
        _ => return None,
    };
    Some(format!(
        "{who} {}, which has mode {mode:04o}; 0600 is better",
        file.display(),
    ))
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password({})", self.file.display())
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(content: &[u8]) -> Result<Password, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tor.key");
        std::fs::write(&file, content).unwrap();
        Password::load(&file)
    }

    #[test]
    fn a_key_is_one_line_without_its_end() {
        for content in [&b"s3cret"[..], b"s3cret\n", b"s3cret\r\n"] {
            assert_eq!(loaded(content).unwrap().key(), b"s3cret");
        }
        assert_eq!(loaded(&[b'x'; 80]).unwrap().key().len(), 80);
        for (content, what) in [
            (&b""[..], "holds nothing;"),
            (b"\n", "holds nothing;"),
            (b"one\ntwo\n", "holds more than one line;"),
            (b"a\0b", "holds an octet of 0;"),
            (&[b'x'; 81], "holds 81 octets;"),
        ] {
            let error = loaded(content).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let error = Password::load(Path::new("/nonexistent/key")).unwrap_err();
        assert!(
            error.starts_with("/nonexistent/key cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn a_key_is_never_shown() {
        let password = loaded(b"s3cret").unwrap();
        for shown in [format!("{password:?}"), password.to_string()] {
            assert!(
                shown.contains("tor.key") && !shown.contains("s3cret"),
                "{shown}"
            );
        }
    }
}
