//! Connections and bytes by Service, counted by a thread of its own: for metrics all the time if they are wanted, for
//! `towpath top` while somebody looks.
//!
//! ```text
//! conntrack DESTROY --+                    +--> Book   --> /metrics (opt-in, bounded labels)
//! conntrack dump -----+--> Meter --names---+
//! IPVS counts --------+                    +--> TopRow --> /debug/top, towpath top
//! ```

mod looking;
mod table;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use config::ServiceMetricsConfiguration;
use flows::{Book, Limits, Order, TopRow, TopView, busiest_first};

use crate::ask::Asker;
use crate::board::Board;

/// The time between two looks for metrics, if they are cheap.
const SLOW: Duration = Duration::from_secs(10);
/// The same while somebody looks at `towpath top`.
const FAST: Duration = Duration::from_secs(2);
/// A look takes at most one in this many parts of a core's time.
const SHARE: u32 = 20;
/// How long somebody who has asked counts as looking.
const LEASE: Duration = Duration::from_secs(20);
/// How long a page waits for the second look.
const PATIENCE: Duration = Duration::from_secs(12);

/// What the thread shows. One for the process.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    shown: Mutex<Shown>,
    /// Somebody looks, or the thread has something new to show.
    news: Condvar,
}

/// What is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Counters, where they are wanted.
    pub(crate) book: Option<Book>,
    /// Times that the kernel had more news than could be held.
    pub(crate) lost: u64,
    /// Connections that were not counted, since there were too many endpoints.
    pub(crate) beyond: u64,
    top: Option<Top>,
    looked_at: Option<Instant>,
}

/// The last comparison of two looks.
#[derive(Clone, Debug)]
struct Top {
    at: Instant,
    interval: Duration,
    rows: Vec<TopRow>,
    notes: Vec<String>,
}

impl Traffic {
    /// Starts the thread.
    pub(crate) fn start(
        self: &Arc<Self>,
        wanted: &ServiceMetricsConfiguration,
        asker: Arc<Asker>,
        board: Arc<Board>,
    ) -> std::io::Result<()> {
        if wanted.enabled {
            let (services, endpoints) = (wanted.max_services as usize, wanted.max_endpoints as usize);
            self.shown().book = Some(Book::new(Limits { services, endpoints }));
        }
        let traffic = Arc::clone(self);
        thread::Builder::new()
            .name("traffic".into())
            .spawn(move || looking::run(&traffic, &asker, &board))?;
        Ok(())
    }

    /// What is shown, for a moment.
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The busiest Services; waits until two looks have been compared. `None`: that takes too long.
    pub(crate) fn top(&self, order: Order, limit: usize) -> Option<TopView> {
        let until = Instant::now() + PATIENCE;
        let mut shown = self.shown();
        shown.looked_at = Some(Instant::now());
        self.news.notify_all();
        while shown.top.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            shown = self.news.wait_timeout(shown, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let top = shown.top.clone();
        drop(shown);
        top.map(|top| top.view(order, limit))
    }

    /// Waits until somebody wants to know.
    fn wait_for_interest(&self) {
        let mut shown = self.shown();
        while shown.pace().is_none() {
            shown = self.news.wait(shown).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shown {
    /// The time between two looks; `None`: nobody wants to know.
    fn pace(&self) -> Option<Duration> {
        let watched = self.looked_at.is_some_and(|at| at.elapsed() < LEASE);
        if watched { Some(FAST) } else { self.book.is_some().then_some(SLOW) }
    }
}

impl Top {
    fn view(mut self, order: Order, limit: usize) -> TopView {
        let busy = self.rows.len() as u64;
        busiest_first(&mut self.rows, order, limit);
        TopView {
            node: String::new(),
            mode: String::new(),
            interval_ms: self.interval.as_millis() as u64,
            age_ms: self.at.elapsed().as_millis() as u64,
            notes: self.notes,
            busy,
            services: self.rows,
        }
    }
}
