//! Log lines, on standard error: a text for people or JSON for programs, a line for each thing that
//! happened.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as lines, reload};

use crate::config::{LogConfig, LogFormat, LogLevel};

/// The environment variable that overrides the level of the file, in the syntax of `tracing`'s
/// filters.
const OVERRIDE: &str = "RUST_LOG";

/// Changes the level while lines are written.
pub struct LevelSwitch(Box<dyn Fn(LogLevel) + Send>);

impl LevelSwitch {
    /// A switch without a lamp, for programs that have their own subscriber.
    #[must_use]
    pub fn disconnected() -> Self {
        Self(Box::new(|_| ()))
    }

    /// From now on.
    pub fn set(&self, level: LogLevel) {
        (self.0)(level);
    }
}

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LevelSwitch").finish_non_exhaustive()
    }
}

/// Starts writing lines for the whole process. A second call has no effect.
#[must_use]
pub fn start(config: LogConfig) -> LevelSwitch {
    let overridden = EnvFilter::try_from_env(OVERRIDE).ok();
    let fixed = overridden.is_some();
    let (chosen, handle) = reload::Layer::new(overridden.unwrap_or_else(|| filter(config.level)));
    let layer = match config.format {
        LogFormat::Text => lines::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && colors_are_welcome())
            .with_target(false)
            .boxed(),
        LogFormat::Json => lines::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(io::stderr)
            .with_target(false)
            .boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(chosen)
        .with(layer)
        .try_init();
    LevelSwitch(Box::new(move |level| {
        if !fixed {
            let _ = handle.reload(filter(level));
        }
    }))
}

/// Unless the user says otherwise: <https://no-color.org>.
pub(crate) fn colors_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Other crates speak up from `warn` on.
fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(format!("warn,herald={level}"))
}
