//! What the allocator holds of what was freed. Reading a file of many services takes several times what is kept of it, and a few
//! small values that stay keep glibc from giving back all the rest.
#![allow(unsafe_code)] // rustix and nix have no words for it

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::program_text;

/// Until what was worked out is done with, on whichever thread.
const REST: Duration = Duration::from_secs(1);

/// Somebody has asked for it, and it was not done yet.
static IS_DUE: AtomicBool = AtomicBool::new(false);

/// Gives back to the system, in a moment, what is not in use then, of the program's text as well. It takes a millisecond or
/// so, in which others wait who allocate.
pub(crate) fn give_back_soon() {
    if IS_DUE.swap(true, Ordering::Relaxed) {
        return;
    }
    tokio::spawn(async {
        tokio::time::sleep(REST).await;
        IS_DUE.store(false, Ordering::Relaxed);
        program_text::give_back();
        #[cfg(target_env = "gnu")]
        // SAFETY: it takes no pointer, and is called like `malloc` by any thread at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    });
}
