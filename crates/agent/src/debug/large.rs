//! What whole rulesets may cost, however many ask for them: time of the sync thread, which copies them, and memory, while
//! somebody reads them slowly.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use admin::Page;

/// Copies take at most one in this many parts of the sync thread's time: after each, the next one waits.
const SHARE: u32 = 50;
/// A request waits this long for its copy; if that is not enough, it is told when to come again.
const WAIT: Duration = Duration::from_secs(1);
/// Answers in memory at a time: made, and not read to the end. Who does not read loses his connection after 30 s.
const BODIES: usize = 4;

/// One for the process.
#[derive(Debug)]
pub(crate) struct Large {
    /// No copy is asked for before this moment.
    next: Mutex<Instant>,
    /// Each answer in memory holds it.
    bodies: Arc<()>,
}

impl Default for Large {
    fn default() -> Self {
        Self { next: Mutex::new(Instant::now()), bodies: Arc::default() }
    }
}

/// As long as it lives, nobody else makes such a page.
#[derive(Debug)]
pub(super) struct Turn<'a>(MutexGuard<'a, Instant>);

impl Large {
    /// Waits until a copy may be made; otherwise the page that says when to come again.
    pub(super) fn turn(&self) -> Result<Turn<'_>, Page> {
        let Ok(next) = self.next.try_lock() else {
            return Err(later("this page is being made for somebody else", 1));
        };
        if Arc::strong_count(&self.bodies) > BODIES {
            return Err(later("others have asked for this page and do not read it", 5));
        }
        let wait = next.saturating_duration_since(Instant::now());
        if wait > WAIT {
            return Err(later(
                "this page was made a moment ago, and costs too much to be made all the time",
                wait.as_secs() + 1,
            ));
        }
        thread::sleep(wait);
        Ok(Turn(next))
    }

    /// To be held by an answer.
    pub(super) fn body(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.bodies) as _
    }
}

impl Turn<'_> {
    /// The copy took the sync thread this long.
    pub(super) fn took(&mut self, took: Duration) {
        *self.0 = Instant::now() + took * (SHARE - 1);
    }
}

fn later(why: &str, seconds: u64) -> Page {
    Page::text(503, format!("{why}; ask again in {seconds} s\n")).with("Retry-After", seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(large: &Large) -> Option<String> {
        large.turn().err().map(|page| page.body)
    }

    #[test]
    fn one_at_a_time_few_in_memory_and_seldom() {
        let large = Large::default();
        let turn = large.turn().ok();
        assert!(turn.is_some() && refused(&large).is_some_and(|why| why.contains("somebody else")));
        drop(turn);
        let bodies: Vec<_> = (0..BODIES).map(|_| large.body()).collect();
        assert!(refused(&large).is_some_and(|why| why.contains("do not read")));
        drop(bodies);
        large.turn().unwrap().took(Duration::from_millis(10));
        let started = Instant::now();
        large.turn().unwrap().took(Duration::from_secs(1));
        assert!(started.elapsed() > Duration::from_millis(400));
        assert!(refused(&large).is_some_and(|why| why.ends_with("ask again in 49 s\n")));
    }
}
