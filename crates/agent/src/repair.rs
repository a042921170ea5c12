//! What others had changed and was put right: what is told of it, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dataplane::Summary;

use crate::board::Board;
use crate::events::Events;

/// Lines of the difference in the log.
const LINES: usize = 10;
/// Events are not more frequent than this.
const EVENT_EVERY: Duration = Duration::from_secs(60);
/// Repairs in a row that the log tells in full.
const IN_FULL: u32 = 10;
/// After which time one more of them is.
const ONE_MORE: Duration = Duration::from_secs(30);
/// How often the log says how many it has left out.
const SUM_EVERY: Duration = Duration::from_secs(60);

/// A repair. The last one is on the board.
#[derive(Clone, Debug)]
pub(crate) struct Repair {
    /// When it was done.
    pub(crate) at: SystemTime,
    /// What it took from the comparison's begin until the kernel had everything again.
    pub(crate) took: Duration,
    /// Who had made it necessary, as "nft (pid 4711)"; `None` where the kernel does not tell.
    pub(crate) by: Option<String>,
    /// What repaired it: `created` had been deleted, `updated` changed, `deleted` added.
    pub(crate) difference: Summary,
}

impl Repair {
    /// The first lines of the difference, and how many there are beyond.
    pub(crate) fn lines(&self) -> Vec<String> {
        let shown = self.difference.lines.iter().take(LINES).cloned();
        let beyond = self.difference.total().saturating_sub(self.difference.lines.len().min(LINES));
        shown.chain((beyond > 0).then(|| format!("and {beyond} more"))).collect()
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.as_deref().unwrap_or("another program");
        let Summary { created, updated, deleted, .. } = self.difference;
        write!(
            f,
            "{by} had deleted {created} objects of towpath's rules, changed {updated} and added {deleted}; repaired in {:?}",
            self.took
        )
    }
}

/// What the log says of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// All of it.
    Full,
    /// Nothing, but that so many were left out.
    Sum(usize),
    /// Nothing.
    None,
}

/// How much the log says. Pure: times are handed in.
#[derive(Debug, Default)]
pub(crate) struct Logging {
    /// Repairs told in full that no time has paid for yet.
    level: Duration,
    last: Option<Instant>,
    summed: Option<Instant>,
    left_out: usize,
}

impl Logging {
    /// What it says of a repair at this moment.
    pub(crate) fn words(&mut self, now: Instant) -> Words {
        let since = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        (self.level, self.last) = (self.level.saturating_sub(since), Some(now));
        if self.level + ONE_MORE <= ONE_MORE * IN_FULL {
            (self.level, self.left_out) = (self.level + ONE_MORE, 0);
            return Words::Full;
        }
        self.left_out += 1;
        let recently = |at: Instant| now.saturating_duration_since(at) < SUM_EVERY;
        if self.summed.is_some_and(recently) {
            return Words::None;
        }
        self.summed = Some(now);
        Words::Sum(std::mem::take(&mut self.left_out))
    }
}

/// Which repairs get an Event. Pure: times are handed in.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    last: Option<Instant>,
    /// Repairs since then that got none.
    untold: usize,
}

impl Telling {
    /// The Event's message for this repair; `None`: too soon after the last one.
    pub(crate) fn message(&mut self, repair: &impl fmt::Display, now: Instant) -> Option<String> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < EVENT_EVERY) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        let untold = std::mem::take(&mut self.untold);
        let before =
            if untold == 0 { String::new() } else { format!("; {untold} repairs before it got no Event") };
        Some(format!("{repair}{before}"))
    }
}

/// Counts repairs beside those of the rules, and posts Events of them.
#[derive(Debug)]
pub(crate) struct Reporter {
    of: &'static str,
    board: Arc<Board>,
    events: Events,
    telling: Telling,
}

impl Reporter {
    /// `of`: as [`crate::metrics::RepairedLabel`] has it.
    pub(crate) fn new(of: &'static str, board: Arc<Board>, events: Events) -> Self {
        Self { of, board, events, telling: Telling::default() }
    }

    /// Others had changed this, and it is as it should be again.
    pub(crate) fn repaired(&mut self, what: &str, by: Option<&str>) {
        self.board.metrics.count_repair(self.of);
        let by = by.unwrap_or("another program");
        let message = format!("{by} had changed what towpath keeps on this node: {what}; repaired");
        if let Some(message) = self.telling.message(&message, Instant::now()) {
            self.events.repaired(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(total: usize, by: Option<&str>) -> Repair {
        let lines = (0..total.min(Summary::LINES)).map(|n| format!("+ {n}")).collect();
        let difference = Summary { created: total, updated: 0, deleted: 0, lines };
        let took = Duration::from_millis(3);
        Repair { at: SystemTime::UNIX_EPOCH, took, by: by.map(str::to_owned), difference }
    }

    #[test]
    fn the_first_lines_are_shown_and_the_rest_is_counted() {
        for (total, shown, last) in
            [(1, 1, "+ 0"), (10, 10, "+ 9"), (11, 11, "and 1 more"), (5000, 11, "and 4990 more")]
        {
            let lines = repair(total, None).lines();
            assert_eq!((lines.len(), lines.last().map(String::as_str)), (shown, Some(last)), "{total}");
        }
        assert!(repair(0, None).lines().is_empty());
    }

    #[test]
    fn the_log_tells_some_in_full_and_then_sums_up_once_a_minute() {
        let (start, mut logging) = (Instant::now(), Logging::default());
        let mut said = Vec::new();
        for quarter in 0..4 * 600 {
            let at = start + Duration::from_millis(250) * quarter;
            said.push((quarter / 4, logging.words(at)));
        }
        let full = said.iter().filter(|(_, words)| *words == Words::Full).count();
        assert_eq!(full, 10 + 600 / 30 - 1);
        assert!(said[..10].iter().all(|(_, words)| *words == Words::Full));
        let sums: Vec<u32> =
            said.iter().filter(|(_, w)| matches!(w, Words::Sum(_))).map(|(s, _)| *s).collect();
        assert_eq!(sums.len(), 10, "{sums:?}");
        assert_eq!(logging.words(start + Duration::from_secs(3600)), Words::Full);
    }

    #[test]
    fn who_it_was_is_named_where_it_is_known() {
        let text = repair(3, Some("nft (pid 7)")).to_string();
        assert_eq!(
            text,
            "nft (pid 7) had deleted 3 objects of towpath's rules, changed 0 and added 0; repaired in 3ms"
        );
        assert!(repair(3, None).to_string().starts_with("another program had deleted 3 "));
    }

    #[test]
    fn events_come_once_a_minute_and_count_what_was_left_out() {
        let (start, mut telling) = (Instant::now(), Telling::default());
        let mut tell = |second| telling.message(&repair(1, None), start + Duration::from_secs(second));
        assert!(tell(0).is_some_and(|message| message.ends_with("repaired in 3ms")));
        assert_eq!((tell(1), tell(59)), (None, None));
        assert!(tell(60).is_some_and(|message| message.ends_with("; 2 repairs before it got no Event")));
        assert!(tell(200).is_some_and(|message| message.ends_with("repaired in 3ms")));
    }
}
