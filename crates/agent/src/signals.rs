//! SIGTERM and SIGINT from the first moment on: they wait until somebody hears them.
//!
//! Without that, one that comes while the program starts ends it without a word; and as the first process of a container
//! it is lost, since the kernel gives that process no signal for which it has no handler.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// Lets them wait, in this thread and those that it starts.
pub(crate) fn hold() -> io::Result<()> {
    both().thread_block().map_err(io::Error::from)
}

/// Delivers what has waited, to the handlers that are there now. For the thread that has called [`hold`].
pub(crate) fn release() -> io::Result<()> {
    both().thread_unblock().map_err(io::Error::from)
}

fn both() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}
