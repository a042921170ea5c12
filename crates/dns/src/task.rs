//! Work that waits for an upstream goes on in the thread that brings the answer: no further wake-up.
//!
//! ```text
//! the receiving thread:  start --poll--> waits for an upstream
//! the forwarder's:       done(answer) --wake--> poll --> composed and sent
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    /// Nothing when it has ended.
    work: Mutex<Option<Work>>,
    /// Woken while it ran: it has to run again.
    again: AtomicBool,
}

/// Runs some work in this thread until it waits; whoever wakes it runs the rest.
pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) {
    let task = Task { work: Mutex::new(Some(Box::pin(work))), again: AtomicBool::new(false) };
    Arc::new(task).run();
}

impl Task {
    fn run(self: Arc<Self>) {
        self.again.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        while self.again.load(Ordering::SeqCst) {
            let mut work = match self.work.try_lock() {
                Ok(work) => work,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Somebody runs it: they look at `again` when they have let go.
                Err(TryLockError::WouldBlock) => return,
            };
            self.again.store(false, Ordering::SeqCst);
            let Some(running) = work.as_mut() else { return };
            if running.as_mut().poll(&mut context) == Poll::Ready(()) {
                *work = None;
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

/// One value that another thread brings. Given up: `None`.
pub(crate) struct Promise<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
    ended: bool,
}

/// The giving end of a [`Promise`]. Dropped without a value, it ends the wait as well.
pub(crate) struct Give<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// A value to come, and who gives it.
pub(crate) fn promise<T>() -> (Give<T>, Promise<T>) {
    let shared = Arc::new(Mutex::new(Shared { value: None, waker: None, ended: false }));
    (Give { shared: Arc::clone(&shared) }, Promise { shared })
}

impl<T> Give<T> {
    pub(crate) fn give(self, value: T) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl<T> Drop for Give<T> {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.ended = true;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Promise<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.ended {
            return Poll::Ready(shared.value.take());
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn the_rest_runs_in_the_thread_that_gives() {
        let (give, promise) = promise();
        let (told, heard) = mpsc::channel();
        start(async move {
            let value: Option<u8> = promise.await;
            let _ = told.send((value, thread::current().id()));
        });
        let giver = thread::spawn(move || give.give(7));
        let id = giver.thread().id();
        giver.join().unwrap();
        assert_eq!(heard.recv().unwrap(), (Some(7), id));
    }

    #[test]
    fn a_value_that_is_there_at_once_and_one_that_never_comes_are_no_trouble() {
        let (told, heard) = mpsc::channel();
        start(async move {
            let (give, first) = promise();
            give.give(1u8);
            let (never, second) = promise::<u8>();
            drop(never);
            let _ = told.send((first.await, second.await));
        });
        assert_eq!(heard.recv().unwrap(), (Some(1), None));
    }

    #[test]
    fn gives_from_many_threads_lose_nothing() {
        for _ in 0..500 {
            let (gives, promises): (Vec<_>, Vec<_>) = (0..4).map(|_| promise::<u8>()).unzip();
            let (told, heard) = mpsc::channel();
            start(async move {
                let mut sum = 0;
                for promise in promises {
                    sum += promise.await.unwrap();
                }
                let _ = told.send(sum);
            });
            thread::scope(|scope| gives.into_iter().for_each(|give| drop(scope.spawn(|| give.give(2)))));
            assert_eq!(heard.recv().unwrap(), 8);
        }
    }
}
