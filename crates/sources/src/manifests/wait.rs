//! Blocking until something happens.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The source is to stop.
    Stop,
    /// There are events to read.
    Events,
    /// Nothing happened in the given time.
    Quiet,
}

/// Waits for either of two descriptors, at most `timeout` milliseconds. To stop comes before all else.
pub(crate) fn wait(stop: BorrowedFd<'_>, events: BorrowedFd<'_>, timeout: Option<u16>) -> io::Result<Wake> {
    let timeout = timeout.map_or(PollTimeout::NONE, PollTimeout::from);
    let mut fds = [stop, events].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    loop {
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(Wake::Quiet),
            Ok(_) if fds[0].any() != Some(false) => return Ok(Wake::Stop),
            Ok(_) => return Ok(Wake::Events),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
