//! Standard output. Whoever closed it has seen enough; what it could not take for another reason,
//! such as a full disk, is told when the command ends.

use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Why something was not written.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Writes a line, or lines.
pub(crate) fn say(text: impl Display) {
    let _ = put(format!("{text}\n").as_bytes());
}

/// Writes this, at once. A break: there is no use in more.
pub(crate) fn put(octets: &[u8]) -> ControlFlow<()> {
    let mut out = io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                let _ = UNWRITTEN.set(error);
            }
            ControlFlow::Break(())
        }
    }
}

/// The exit code of a command that would end with this one: a failure where it could not say
/// everything.
pub(crate) fn checked(code: ExitCode) -> ExitCode {
    match UNWRITTEN.get() {
        Some(error) => {
            // Nothing is left to do about a standard error that is closed.
            let _ = writeln!(
                io::stderr(),
                "herald: cannot write to standard output: {error}"
            );
            ExitCode::FAILURE
        }
        None => code,
    }
}
