//! Who is connected: a bounded number, the oldest idle one leaves for a new one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

#[derive(Debug)]
struct Taken {
    /// When it last asked or was answered.
    last: Instant,
    /// It waits for a reply.
    busy: bool,
    leave: Rc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    taken: FxHashMap<u64, Taken>,
}

/// All connections of one thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seats(Rc<RefCell<Table>>);

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    id: u64,
    leave: Rc<Notify>,
}

impl Seats {
    /// A place for a new connection. When all are taken, the one that has been idle for longest is told to
    /// leave; when none is idle, the one that was active least lately.
    pub(crate) fn take(&self, most: usize, now: Instant) -> Seat {
        let mut table = self.0.borrow_mut();
        while table.taken.len() >= most.max(1) {
            table.dismiss();
        }
        let (id, leave) = (table.next, Rc::new(Notify::new()));
        table.next += 1;
        table.taken.insert(id, Taken { last: now, busy: false, leave: Rc::clone(&leave) });
        Seat { seats: self.clone(), id, leave }
    }

    /// Tells the oldest idle one to leave: the process has no file descriptor left.
    pub(crate) fn dismiss_one(&self) {
        self.0.borrow_mut().dismiss();
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().taken.len()
    }
}

impl Table {
    fn dismiss(&mut self) {
        let oldest = self.taken.iter().min_by_key(|(_, taken)| (taken.busy, taken.last)).map(|(id, _)| *id);
        if let Some(leaving) = oldest.and_then(|id| self.taken.remove(&id)) {
            leaving.leave.notify_one();
        }
    }
}

impl Seat {
    /// Something happened on this connection.
    pub(crate) fn touch(&self, now: Instant, busy: bool) {
        if let Some(taken) = self.seats.0.borrow_mut().taken.get_mut(&self.id) {
            taken.last = now;
            taken.busy = busy;
        }
    }

    /// Waits until the place is wanted for another connection.
    pub(crate) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.0.borrow_mut().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_told(seat: &Seat) -> bool {
        let mut wait = Box::pin(seat.told_to_leave());
        wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_idle_connection_leaves_for_a_new_one() {
        let (seats, start) = (Seats::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (a, b, c) = (seats.take(3, at(0)), seats.take(3, at(1)), seats.take(3, at(2)));
        a.touch(at(3), true);
        let d = seats.take(3, at(4));
        assert!(is_told(&b) && !is_told(&a) && !is_told(&c));
        c.touch(at(5), false);
        assert_eq!(seats.count(), 3);
        let _e = seats.take(3, at(6));
        assert!(is_told(&d), "idle since 4 s; c since 5 s; a is busy");
        drop(b);
        assert_eq!(seats.count(), 3, "b's place was already given away");
    }

    #[test]
    fn when_all_are_busy_the_least_lately_active_leaves() {
        let (seats, start) = (Seats::default(), Instant::now());
        let (a, b) = (seats.take(2, start), seats.take(2, start));
        a.touch(start + Duration::from_secs(2), true);
        b.touch(start + Duration::from_secs(1), true);
        let _c = seats.take(2, start + Duration::from_secs(3));
        assert!(is_told(&b) && !is_told(&a));
    }
}
