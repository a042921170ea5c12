//! Moving from one mode to another while running: the other mode's engine, until its rules are complete.
//!
//! ```text
//! begin: a second engine with the same state; every change goes to both
//! advance: the second one loads; whatever fails is tried again, and the first goes on
//! done: the second one is the engine; the rules of the first go
//! ```

use std::time::{Duration, Instant};

use dataplane::{ApplyError, SyncReport};

use crate::driver::Driver;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// A move that is under way, or none.
#[derive(Default)]
pub(crate) struct Switch {
    next: Option<Next>,
}

struct Next {
    engine: Box<dyn Driver>,
    /// Not before this moment.
    at: Instant,
    wait: Duration,
}

/// The engine that is in force from now on, and what its first sync did.
pub(crate) type Arrival = (Box<dyn Driver>, SyncReport);

impl Switch {
    /// Begins a move; there must be none.
    pub(crate) fn begin(&mut self, engine: Box<dyn Driver>) {
        self.next = Some(Next { engine, at: Instant::now(), wait: RETRY_FIRST });
    }

    /// The engine that is to come.
    pub(crate) fn engine(&mut self) -> Option<&mut Box<dyn Driver>> {
        self.next.as_mut().map(|next| &mut next.engine)
    }

    /// Gives the move up; what may have been programmed for it has to be removed.
    pub(crate) fn abandon(&mut self) -> Option<Box<dyn Driver>> {
        self.next.take().map(|next| next.engine)
    }

    /// When it wants to go on.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next.as_ref().filter(|next| next.engine.has_work()).map(|next| next.at)
    }

    /// Goes on, if there is a move and it is time. Ends with the engine whose rules are complete.
    pub(crate) fn advance(&mut self) -> Option<Result<Arrival, ApplyError>> {
        let next = self.next.as_mut().filter(|next| next.engine.has_work() && next.at <= Instant::now())?;
        match next.engine.sync() {
            Ok(report) => self.next.take().map(|next| Ok((next.engine, report))),
            Err(error) => {
                next.at = Instant::now() + next.wait;
                next.wait = (next.wait * 2).min(RETRY_LAST);
                Some(Err(error))
            }
        }
    }
}
