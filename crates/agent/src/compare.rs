//! The rules that the agent wants, compared with what the kernel has, for pages and `towpath diff`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::ApplyError;
use model::NamespacedName;
use rustc_hash::FxHashSet;

use crate::ask::{Asker, NoAnswer};
use crate::rules_view::{Difference, RulesView};

/// Comparisons that may wait for the one that is being made.
const WAITING: usize = 2;
/// Comparisons take at most one in this many parts of one processor's time: after each, the next one waits.
const SHARE: u32 = 4;
/// Copies of everything take at most one in this many parts of the sync thread's time, as those of other pages do.
const COPIES: u32 = 50;
/// What differs is looked at so often, all together: only what always differs is no change that was under way.
const LOOKS: usize = 3;
/// While changes come it is looked at so often at the most: two states that take turns may look the same thrice.
const MOST_LOOKS: usize = 8;

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    /// Number of objects that should be there.
    pub(crate) objects: usize,
    /// Each of them in a line, sorted, if Services were named.
    pub(crate) lines: Vec<String>,
    /// What the kernel has otherwise, sorted.
    pub(crate) differences: Vec<Difference>,
    /// The same of the rules that lead to those of all Services, if that was asked for.
    pub(crate) shared: Vec<Difference>,
    /// All that the agent knows is programmed.
    pub(crate) synced: bool,
    /// Nothing came while it was looked at, and nothing waited.
    pub(crate) calm: bool,
    /// How long the sync thread was asked.
    pub(crate) asked: Duration,
}

/// What is compared.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Everything.
    All,
    /// The objects of a Service.
    Service(NamespacedName),
    /// These, and what leads to those of all Services.
    Way(NamespacedName),
}

/// What is wanted at a moment.
struct Wanted {
    rules: Box<dyn RulesView>,
    /// All that is known is programmed.
    synced: bool,
    /// The state of the store.
    number: u64,
    /// How long the sync thread was asked.
    asked: Duration,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotCompare {
    /// The sync thread is busy or gone.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// Others ask for the same.
    #[error("the kernel is being read for others; ask again")]
    Busy,
    /// The kernel does not say.
    #[error("cannot read the kernel's rules: {0}")]
    Kernel(#[from] ApplyError),
}

/// Makes comparisons, one at a time. One for the process.
pub(crate) struct Comparer {
    asker: Arc<Asker>,
    waiting: AtomicUsize,
    /// Nothing is compared before this moment.
    next: Mutex<Instant>,
    /// Nothing is copied whole before this moment.
    next_whole: Mutex<Instant>,
}

impl Comparer {
    /// Of what this asker's thread wants.
    pub(crate) fn new(asker: Arc<Asker>) -> Self {
        let [next, next_whole] = [Instant::now(); 2].map(Mutex::new);
        Self { asker, waiting: AtomicUsize::new(0), next, next_whole }
    }

    /// Compares. The kernel is read by a socket of its own, on this thread.
    pub(crate) fn compare(&self, of: &Subject) -> Result<Compared, CannotCompare> {
        if self.waiting.fetch_add(1, Relaxed) > WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            return Err(CannotCompare::Busy);
        }
        let result = self.in_turn(of);
        self.waiting.fetch_sub(1, Relaxed);
        result
    }

    fn in_turn(&self, of: &Subject) -> Result<Compared, CannotCompare> {
        let mut whole = matches!(of, Subject::All).then(|| lock(&self.next_whole));
        if let Some(whole) = &whole {
            thread::sleep(whole.saturating_duration_since(Instant::now()));
        }
        let mut next = lock(&self.next);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let started = Instant::now();
        let result = self.looks(of);
        *next = Instant::now() + started.elapsed() * (SHARE - 1);
        if let (Some(whole), Ok(found)) = (&mut whole, &result) {
            **whole = Instant::now() + found.asked * (COPIES - 1);
        }
        result
    }

    /// The kernel is read after the rules were asked for: a change between the two looks like a difference, once.
    fn looks(&self, of: &Subject) -> Result<Compared, CannotCompare> {
        let mut found = self.look(of)?;
        for looked in 1..MOST_LOOKS {
            let nothing = found.differences.is_empty() && found.shared.is_empty();
            if nothing || (looked >= LOOKS && found.calm) {
                break;
            }
            let Compared { differences: own, shared, asked, .. } = found;
            found = self.look(of)?;
            found.asked += asked;
            found.differences.retain(|difference| own.binary_search(difference).is_ok());
            found.shared.retain(|difference| shared.binary_search(difference).is_ok());
        }
        Ok(found)
    }

    fn wanted(&self, of: Option<&NamespacedName>) -> Result<Wanted, NoAnswer> {
        let names = of.map(|name| vec![name.clone()]);
        self.asker.ask(move |seen| {
            let started = Instant::now();
            let rules = seen.engine.rules(names.as_deref());
            Wanted {
                rules,
                synced: seen.synced,
                number: seen.engine.store().number(),
                asked: started.elapsed(),
            }
        })
    }

    fn look(&self, of: &Subject) -> Result<Compared, CannotCompare> {
        let name = match of {
            Subject::All => None,
            Subject::Service(name) | Subject::Way(name) => Some(name.clone()),
        };
        let Wanted { mut rules, synced, number, mut asked } = self.wanted(name.as_ref())?;
        let (differences, shared) = match of {
            Subject::Way(_) => rules.differences_on_the_way()?,
            Subject::All | Subject::Service(_) => (rules.differences()?, Vec::new()),
        };
        let (mut differences, mut calm) = (differences, synced);
        if !differences.is_empty() {
            // What was wanted when the question was asked, and is not any more, was on its way.
            let now = self.wanted(name.as_ref())?;
            (calm, asked) = (synced && now.synced && now.number == number, asked + now.asked);
            let now: FxHashSet<String> = now.rules.lines().into_iter().collect();
            differences.retain(|difference| is_still(difference, &now));
        }
        let lines = if name.is_some() { rules.lines() } else { Vec::new() };
        let compared = Compared { objects: rules.len(), lines, differences, shared, synced, calm, asked };
        drop(rules);
        netlink::give_back_memory();
        Ok(compared)
    }
}

/// Whether it is a difference to these lines of wanted objects too.
fn is_still(difference: &Difference, wanted_now: &FxHashSet<String>) -> bool {
    match difference {
        Difference::Missing { wanted } | Difference::Changed { wanted, .. } => wanted_now.contains(wanted),
        Difference::Foreign { found } => !wanted_now.contains(found),
    }
}

fn lock(next: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    next.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_any_more_is_no_difference() {
        let now: FxHashSet<String> = ["a", "b"].map(str::to_owned).into_iter().collect();
        let [a, c] = ["a", "c"].map(str::to_owned);
        for (difference, still) in [
            (Difference::Missing { wanted: a.clone() }, true),
            (Difference::Missing { wanted: c.clone() }, false),
            (Difference::Changed { wanted: a.clone(), found: c.clone() }, true),
            (Difference::Changed { wanted: c.clone(), found: a.clone() }, false),
            (Difference::Foreign { found: a }, false),
            (Difference::Foreign { found: c }, true),
        ] {
            assert_eq!(is_still(&difference, &now), still, "{difference}");
        }
    }
}
