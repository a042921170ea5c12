//! Questions of pages to the sync thread: each costs it little, and all of them together a bounded share of its time.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::Draining;

use crate::driver::Driver;
use crate::sync::Message;

/// How long a question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a question waits for a place in the queue, which a burst of changes may fill.
const QUEUED: Duration = Duration::from_secs(2);
/// How often it looks for one.
const LOOK: Duration = Duration::from_millis(10);
/// Questions take at most one in this many parts of the sync thread's time: after each, the next one waits.
const SHARE: u32 = 10;

/// What a question may look at, on the sync thread.
pub(crate) struct Seen<'a> {
    /// The engine whose rules are in force.
    pub(crate) engine: &'a dyn Driver,
    /// All that is known is programmed.
    pub(crate) synced: bool,
    /// Endpoints whose connections end at a time.
    pub(crate) draining: &'a Draining,
}

/// A question: it looks, and sends its answer where the asker waits. It does no I/O.
pub(crate) type Question = Box<dyn FnOnce(&Seen<'_>) + Send>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sync thread does not answer; see /livez and the log")]
pub(crate) struct NoAnswer;

/// Asks, one question at a time. One for the process.
pub(crate) struct Asker {
    sync: SyncSender<Message>,
    /// No question is sent before this moment.
    next: Mutex<Instant>,
}

impl Asker {
    /// Asks the thread behind this queue.
    pub(crate) fn new(sync: SyncSender<Message>) -> Self {
        Self { sync, next: Mutex::new(Instant::now()) }
    }

    /// Has the sync thread answer. What takes it long keeps it from its work: questions are about one Service, or a few
    /// numbers.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Seen<'_>) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let (reply, answer) = sync_channel(1);
        let question: Question = Box::new(move |seen| {
            let started = Instant::now();
            let answer = question(seen);
            let _ = reply.send((answer, started.elapsed()));
        });
        self.send(question)?;
        let (answer, took) = answer.recv_timeout(PATIENCE).map_err(|_| NoAnswer)?;
        *next = Instant::now() + took * (SHARE - 1);
        Ok(answer)
    }

    /// The sync thread may have much to do, and no place in its queue for a while.
    fn send(&self, question: Question) -> Result<(), NoAnswer> {
        let (asked, mut message) = (Instant::now(), Message::Ask(question));
        loop {
            message = match self.sync.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(message)) if asked.elapsed() < QUEUED => message,
                Err(_) => return Err(NoAnswer),
            };
            thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_waited_for() {
        let (sync, queue) = sync_channel(1);
        sync.send(Message::Stop).unwrap();
        let asker = Asker::new(sync);
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            drop(queue.recv());
            matches!(queue.recv(), Ok(Message::Ask(_)))
        });
        // The question is dropped with the queue: there is no answer, and it was asked nevertheless.
        assert_eq!(asker.ask(|_| ()), Err(NoAnswer));
        assert!(reader.join().unwrap(), "it was not asked");
        assert_eq!(asker.ask(|_| ()), Err(NoAnswer));
    }
}
