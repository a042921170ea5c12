//! How a blocking source is told to stop: the reading end of a pipe that it polls beside its own work.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Tells every holder of the matching [`StopSignal`] to stop, by being dropped.
#[derive(Debug)]
pub struct Stopper {
    _writer: io::PipeWriter,
}

impl Stopper {
    /// Stops the sources; the same as dropping it.
    pub fn stop(self) {}
}

/// Becomes readable (end of file) once the [`Stopper`] is gone. Copies are cheap.
#[derive(Clone, Debug)]
pub struct StopSignal {
    reader: Arc<io::PipeReader>,
}

impl StopSignal {
    /// Waits so long, or until told to stop; true: it is. Longer than 65 s is not waited.
    pub fn is_stopped(&self, within: std::time::Duration) -> bool {
        let millis = u16::try_from(within.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is a shorter one.
        matches!(poll(&mut fds, PollTimeout::from(millis)), Ok(1..))
    }
}

impl AsFd for StopSignal {
    /// The descriptor to poll; nothing is ever written to it, any event on it means: stop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// A new pair of the two.
///
/// # Errors
/// When the process has no file descriptors left.
pub fn stop_pair() -> io::Result<(Stopper, StopSignal)> {
    let (reader, writer) = io::pipe()?;
    Ok((Stopper { _writer: writer }, StopSignal { reader: Arc::new(reader) }))
}
