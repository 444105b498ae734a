//! `herald demo`: the main job on one host, without root, a router or a file.
//!
//! A speaker and a small upstream router run in this process, on loopback and unprivileged ports,
//! with the same BGP and BFD engines that the daemon runs. Between the two stands a relay. When the
//! path is cut the relay swallows everything, so that only detection can notice.

mod node;
mod relay;
mod timeline;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use self::node::{Node, Role};
use self::relay::Relay;
use self::timeline::{Step, Timeline};

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two steps, so that a reader can follow.
const PAUSE: Duration = Duration::from_millis(300);

/// How the demonstration reports.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// One JSON object at the end instead of a line for each step.
    pub json: bool,
}

/// A step that did not come about.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0} did not come about within {PATIENCE:?}")]
    Overdue(&'static str),
    #[error("cannot set up the demonstration: {0}")]
    SetUp(#[from] std::io::Error),
    #[error("cannot set up the demonstration: {0}")]
    Listen(#[from] crate::bgp_thread::ListenError),
    #[error("cannot set up the demonstration: {0}")]
    Bfd(#[from] bfd::engine::EngineError),
    #[error("one of the engines has ended")]
    Ended,
}

/// Runs it. Fails if any step fails, and says which.
#[must_use]
pub fn run(options: DemoOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let mut timeline = Timeline::new(options.json);
    match runtime.block_on(perform(&mut timeline)) {
        Ok(()) => {
            timeline.finish();
            ExitCode::SUCCESS
        }
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // Nothing is left to do about a standard error that is closed.
    let _ = writeln!(std::io::stderr(), "herald demo: {failure}");
    ExitCode::FAILURE
}

async fn perform(timeline: &mut Timeline) -> Result<(), Failure> {
    let relay = Relay::open().await?;
    let mut router = Node::open(Role::Router, &relay).await?;
    let mut speaker = Node::open(Role::Speaker, &relay).await?;

    let (up, _) = tokio::try_join!(
        within("the BGP session", speaker.established()),
        within("the BGP session", router.established())
    )?;
    timeline.record(Step::Established, up);
    let (up, other_up) = tokio::try_join!(
        within("BFD Up", speaker.bfd(bfd::State::Up)),
        within("BFD Up", router.bfd(bfd::State::Up))
    )?;
    timeline.record(Step::BfdUp, up.max(other_up));
    tokio::time::sleep(PAUSE).await;

    timeline.record(Step::Announced, speaker.announce());
    let seen = within("the route at the router", router.route(true)).await?;
    timeline.record(Step::RouteSeen, seen);
    // Intervals are agreed upon by a poll sequence once the session is up (RFC 5880 §6.8.3).
    tokio::time::sleep(2 * PAUSE).await;

    timeline.record(Step::PathCut, relay.cut());
    timeline.record(
        Step::BfdDown,
        within("BFD Down", router.bfd(bfd::State::Down)).await?,
    );
    timeline.record(
        Step::RouteGone,
        within("the withdrawal", router.route(false)).await?,
    );
    tokio::time::sleep(PAUSE).await;

    timeline.record(Step::PathBack, relay.mend());
    timeline.record(
        Step::RouteBack,
        within("the route's return", router.route(true)).await?,
    );
    tokio::join!(speaker.close(), router.close());
    Ok(())
}

async fn within<T>(
    what: &'static str,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(PATIENCE, step)
        .await
        .map_err(|_| Failure::Overdue(what))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_step_succeeds_and_has_its_time() {
        let mut timeline = Timeline::new(true);
        perform(&mut timeline).await.unwrap();
        let json = timeline.to_json();
        let times = [
            "established_ms",
            "bfd_up_ms",
            "announced_ms",
            "route_seen_ms",
            "path_cut_ms",
            "bfd_down_ms",
            "route_gone_ms",
            "path_back_ms",
            "route_back_ms",
        ]
        .map(|key| json[key].as_f64().unwrap());
        assert_eq!(json.as_object().unwrap().len(), times.len());
        assert!(times[2..].is_sorted(), "{json}");
    }
}
