//! A row of the table: a fault, and what is to be seen of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Result;
use apiserver::Options;

use super::seen::Seen;
use crate::cluster::Cluster;
use crate::stage::Stage;

/// Anything but half-open connections is told within this time.
pub(super) const SOON: Duration = Duration::from_secs(15);

/// So many lines tell of a fault of the connection itself: one for each kind that is watched.
const PER_CONNECTION: usize = 1;

/// When it begins.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum When {
    Running,
    Restart,
    First,
}

/// What is done to the server, or to the network.
pub(super) type Act = fn(&Stage) -> Result<()>;

/// A row of the table.
pub(super) struct Fault {
    pub(super) when: When,
    pub(super) options: Options,
    pub(super) begin: Act,
    /// Without one, changes arrive while it lasts.
    pub(super) end: Option<Act>,
    /// Until the end, no change arrives; otherwise some do.
    pub(super) whole: bool,
    pub(super) says: &'static [&'static str],
    /// How many lines say that.
    pub(super) told: RangeInclusive<usize>,
    /// How many lines complain about the API.
    pub(super) lines: RangeInclusive<usize>,
    pub(super) counts: Option<(&'static str, &'static str, u64)>,
    pub(super) within: Duration,
    pub(super) check: fn(&Stage, &Seen) -> Result<()>,
}

impl Fault {
    fn new(begin: Act, end: Option<Act>) -> Self {
        Self {
            when: When::Running,
            options: Cluster::options(),
            begin,
            end,
            whole: true,
            says: &[],
            told: 1..=1,
            lines: 0..=0,
            counts: None,
            within: SOON,
            check: |_, _| Ok(()),
        }
    }

    /// Nothing arrives before the end.
    pub(super) fn lasting(begin: Act, end: Act) -> Self {
        Self::new(begin, Some(end))
    }

    /// It lasts, but not all that changes is kept from us.
    pub(super) fn partial(begin: Act, end: Act) -> Self {
        Self { whole: false, ..Self::new(begin, Some(end)) }
    }

    /// Changes arrive all the same.
    pub(super) fn passing(begin: Act) -> Self {
        Self::new(begin, None)
    }

    /// It is there when the program starts again; the rules of the process before serve.
    pub(super) fn at_restart(self) -> Self {
        Self { when: When::Restart, ..self }
    }

    /// It is there when the program starts, and the kernel has nothing.
    pub(super) fn at_first_start(self) -> Self {
        Self { when: When::First, ..self }
    }

    /// The server has other options.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// One line has all of these words, and this is the number of all lines that complain about the API.
    pub(super) fn says(self, lines: usize, words: &'static [&'static str]) -> Self {
        Self { says: words, lines: lines..=lines, ..self }
    }

    /// Nothing can be asked of the server: that is told as often as it is told of a connection, and nothing else is.
    pub(super) fn says_of_the_connection(self, words: &'static [&'static str]) -> Self {
        let once = PER_CONNECTION..=PER_CONNECTION;
        Self { says: words, told: once.clone(), lines: once, ..self }
    }

    /// At least one line has all of these words; no kind complains twice.
    pub(super) fn says_for_some(self, words: &'static [&'static str]) -> Self {
        Self { says: words, told: 1..=5, lines: 1..=5, ..self }
    }

    /// `towpath_api_errors_total` grows by so much at least: so often it was tried.
    pub(super) fn counts(self, resource: &'static str, reason: &'static str, times: u64) -> Self {
        Self { counts: Some((resource, reason, times)), ..self }
    }

    /// It is told within this time.
    pub(super) fn within(self, seconds: u64) -> Self {
        Self { within: Duration::from_secs(seconds), ..self }
    }

    /// Something more must be so, once it was told.
    pub(super) fn check(self, check: fn(&Stage, &Seen) -> Result<()>) -> Self {
        Self { check, ..self }
    }
}
