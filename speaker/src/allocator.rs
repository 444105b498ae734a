//! What the allocator holds of what was freed. Reading a file of many services takes several times what is kept of it, and a few
//! small values that stay keep glibc from giving back all the rest.
#![allow(unsafe_code)] // rustix and nix have no words for it

use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::program_text;

/// Until what was worked out is done with, on whichever thread.
const REST: Duration = Duration::from_secs(3);
/// However often there is a reason, for it is paid for with faults of pages in all threads.
const PAUSE: Duration = Duration::from_secs(60);
/// An answer of so many octets takes much to work out.
const LARGE: usize = 1024 * 1024;

static REASON: Notify = Notify::const_new();

/// Something was done that takes much memory for a moment. In a program that embeds the speaker nothing comes of it: memory
/// and text are the program's own.
pub(crate) fn much_was_used() {
    REASON.notify_one();
}

/// An answer of so many octets was given.
pub(crate) fn was_answered(octets: usize) {
    if octets > LARGE {
        much_was_used();
    }
}

/// Gives back to the system, some seconds after each reason to and once a minute at most, what is not in use then, of the
/// program's text as well.
pub(crate) async fn keep_small() {
    give_back_after(&REASON, sleep, || async {
        // It takes a millisecond or so, in which others wait who allocate: only those. Without a thread nothing is given back.
        let _ = spawn_blocking(give_back).await;
    })
    .await;
}

async fn give_back_after(
    reason: &Notify,
    pause: impl AsyncFn(Duration),
    give_back: impl AsyncFn(),
) {
    loop {
        reason.notified().await;
        pause(REST).await;
        // What came meanwhile is given back with the rest.
        let _ = timeout(Duration::ZERO, reason.notified()).await;
        give_back().await;
        pause(PAUSE).await;
    }
}

fn give_back() {
    program_text::give_back();
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, and is called like `malloc` by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn many_reasons_give_back_once_a_minute() {
        let reason = Notify::new();
        let done = RefCell::new(Vec::new());
        let pause = async |time: Duration| {
            done.borrow_mut().push(format!("wait {time:?}"));
            yield_now().await;
        };
        let give_back = async || done.borrow_mut().push("give back".to_owned());
        let ten_reasons = async || {
            for _ in 0..10 {
                reason.notify_one();
            }
            for _ in 0..100 {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = give_back_after(&reason, pause, give_back) => {}
            () = async {
                yield_now().await;
                assert!(done.take().is_empty(), "without a reason");
                ten_reasons().await;
            } => {}
        }
        assert_eq!(done.take(), ["wait 3s", "give back", "wait 60s"]);
    }
}
