//! Live connections, for pages: read from the kernel by the thread that asks, named by the sync thread.
//!
//! ```text
//! page --Question--> desk --(one at a time, bounded)--> conntrack, ip_vs_conn --> places
//!                                                  \-> sync thread: whose are these? --> FlowsView, kept for a while
//! ```

mod budget;
mod owners;
mod reading;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use flows::{FlowsView, Question};
use model::NamespacedName;

use crate::ask::{Asker, NoAnswer};
use crate::board::Board;
use budget::Budget;
pub(crate) use budget::{since, thread_time};
pub(crate) use owners::Owners;
pub(crate) use reading::ACCOUNTING;

/// The same question gets the same answer for so many times what it has cost.
const FRESH: u32 = 20;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// Who waits beyond these is sent away, so that pages always have a thread.
const WAITING: usize = 2;
/// How often somebody who waits looks whether it is their turn.
const LOOK: Duration = Duration::from_millis(10);
/// Answers that are kept.
const KEPT: usize = 8;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFlows {
    /// There is no such Service.
    #[error("there is no Service {0}")]
    NoService(NamespacedName),
    /// Others are waiting already.
    #[error("the list is being read for somebody else; ask again")]
    Busy,
    /// So much was read of late that the next list has to wait.
    #[error("connections were read often of late; ask again in {0} s")]
    Early(u64),
    /// The sync thread is busy.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The kernel's tables cannot be read.
    #[error("cannot read the kernel's connections: {0}")]
    Kernel(#[from] netlink::NetlinkError),
}

/// Answers questions about connections. One for the process.
pub(crate) struct FlowDesk {
    asker: Arc<Asker>,
    board: Arc<Board>,
    turn: Mutex<Shelf>,
    waiting: AtomicUsize,
}

/// What was answered, and what that has cost.
#[derive(Default)]
struct Shelf {
    kept: Vec<Kept>,
    budget: Budget,
}

struct Kept {
    question: Question,
    at: Instant,
    until: Instant,
    view: Arc<FlowsView>,
}

impl FlowDesk {
    /// A desk that asks the sync thread for names.
    pub(crate) fn new(asker: Arc<Asker>, board: Arc<Board>) -> Self {
        Self { asker, board, turn: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// The connections that are asked for, at most `limit` of them listed. The same question within twenty times what the
    /// answer cost gets the same answer, and its age. May take some seconds.
    pub(crate) fn ask(&self, question: &Question, limit: usize) -> Result<FlowsView, NoFlows> {
        self.ask_within(PATIENCE, question, limit)
    }

    /// The same for those who can do without: they wait so long for their turn.
    pub(crate) fn ask_within(
        &self,
        patience: Duration,
        question: &Question,
        limit: usize,
    ) -> Result<FlowsView, NoFlows> {
        let mut shelf = self.turn(patience)?;
        let now = Instant::now();
        shelf.kept.retain(|kept| kept.until > now);
        if let Some(kept) = shelf.kept.iter().find(|kept| kept.question == *question) {
            return Ok(
                FlowsView::clone(&kept.view).cut(limit, now.duration_since(kept.at).as_millis() as u64)
            );
        }
        let wait = shelf.budget.wait(now);
        if wait > patience {
            return Err(NoFlows::Early(wait.as_secs() + 1));
        }
        thread::sleep(wait);
        let started = (Instant::now(), thread_time());
        let view = reading::read(&self.asker, &self.board, question);
        let (now, cost) = (Instant::now(), since(started));
        shelf.budget.spend(now, cost);
        let view = Arc::new(view?);
        shelf.keep(question, started.0, now + cost * FRESH, &view);
        Ok(FlowsView::clone(&view).cut(limit, 0))
    }

    fn turn(&self, patience: Duration) -> Result<MutexGuard<'_, Shelf>, NoFlows> {
        let until = Instant::now() + patience;
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut turn = self.try_turn();
        while turn.is_none() && waiting < WAITING && Instant::now() < until {
            thread::sleep(LOOK);
            turn = self.try_turn();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        turn.ok_or(NoFlows::Busy)
    }

    fn try_turn(&self) -> Option<MutexGuard<'_, Shelf>> {
        match self.turn.try_lock() {
            Ok(shelf) => Some(shelf),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Shelf {
    fn keep(&mut self, question: &Question, at: Instant, until: Instant, view: &Arc<FlowsView>) {
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Kept { question: question.clone(), at, until, view: Arc::clone(view) });
    }
}
