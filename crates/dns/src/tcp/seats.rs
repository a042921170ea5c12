//! Who is connected: a bounded number, the oldest idle one leaves for a new one.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::limits::TcpLimits;

/// Octets of replies that may wait for all clients of one thread together. Beyond it each connection has one reply at a time, so
/// that it still gets further.
const OWED: usize = 16 << 20;

#[derive(Debug)]
struct Taken {
    source: IpAddr,
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
    /// Octets that wait for clients.
    owed: usize,
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
    /// Octets that wait for its client.
    owed: Cell<usize>,
}

impl Seats {
    /// A place for a new connection. When all are taken, or all that its source may have, the one (of its source) that has been
    /// idle for longest is told to leave; when none is idle, the one that was active least lately.
    pub(crate) fn take(&self, limits: &TcpLimits, source: IpAddr, now: Instant) -> Seat {
        let mut table = self.0.borrow_mut();
        while table.count_of(source) >= limits.of_one_source() {
            table.dismiss(|taken| taken.source == source);
        }
        while table.taken.len() >= limits.connections.max(1) {
            table.dismiss(|_| true);
        }
        let (id, leave) = (table.next, Rc::new(Notify::new()));
        table.next += 1;
        table.taken.insert(id, Taken { source, last: now, busy: false, leave: Rc::clone(&leave) });
        Seat { seats: self.clone(), id, leave, owed: Cell::new(0) }
    }

    /// Tells the oldest idle one to leave: the process has no file descriptor left.
    pub(crate) fn dismiss_one(&self) {
        self.0.borrow_mut().dismiss(|_| true);
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().taken.len()
    }
}

impl Table {
    fn count_of(&self, source: IpAddr) -> usize {
        self.taken.values().filter(|taken| taken.source == source).count()
    }

    fn dismiss(&mut self, of: impl Fn(&Taken) -> bool) {
        let known = self.taken.iter().filter(|(_, taken)| of(taken));
        let oldest = known.min_by_key(|(_, taken)| (taken.busy, taken.last)).map(|(id, _)| *id);
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

    /// So many octets wait for the client now.
    pub(crate) fn owes(&self, octets: usize) {
        let before = self.owed.replace(octets);
        let mut table = self.seats.0.borrow_mut();
        table.owed = table.owed + octets - before;
    }

    /// Whether more waits for all clients together than there is room for.
    pub(crate) fn is_tight(&self) -> bool {
        self.seats.0.borrow().owed >= OWED
    }

    /// Waits until the place is wanted for another connection.
    pub(crate) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.owes(0);
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

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn limits(connections: usize) -> TcpLimits {
        TcpLimits { connections, ..TcpLimits::default() }
    }

    /// Each from a source of its own.
    fn take(seats: &Seats, most: usize, now: Instant) -> Seat {
        let low = u32::try_from(seats.0.borrow().next).unwrap();
        seats.take(&limits(most), IpAddr::V4((0x0a01_0000 + low).into()), now)
    }

    #[test]
    fn one_source_has_a_quarter_of_the_places() {
        let (seats, start) = (Seats::default(), Instant::now());
        let other = take(&seats, 8, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let own: Vec<Seat> = (1..=4).map(|second| seats.take(&limits(8), ONE, at(second))).collect();
        assert_eq!(seats.count(), 3);
        assert_eq!(own.iter().map(is_told).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(!is_told(&other), "an innocent one");
    }

    #[test]
    fn what_waits_for_all_is_summed() {
        let (seats, start) = (Seats::default(), Instant::now());
        let (a, b) = (take(&seats, 8, start), take(&seats, 8, start));
        a.owes(OWED - 1);
        assert!(!b.is_tight());
        b.owes(1);
        assert!(a.is_tight() && b.is_tight());
        drop(a);
        b.owes(0);
        assert_eq!((b.is_tight(), seats.0.borrow().owed), (false, 0));
    }

    #[test]
    fn the_oldest_idle_connection_leaves_for_a_new_one() {
        let (seats, start) = (Seats::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (a, b, c) = (take(&seats, 3, at(0)), take(&seats, 3, at(1)), take(&seats, 3, at(2)));
        a.touch(at(3), true);
        let d = take(&seats, 3, at(4));
        assert!(is_told(&b) && !is_told(&a) && !is_told(&c));
        c.touch(at(5), false);
        assert_eq!(seats.count(), 3);
        let _e = take(&seats, 3, at(6));
        assert!(is_told(&d), "idle since 4 s; c since 5 s; a is busy");
        drop(b);
        assert_eq!(seats.count(), 3, "b's place was already given away");
    }

    #[test]
    fn when_all_are_busy_the_least_lately_active_leaves() {
        let (seats, start) = (Seats::default(), Instant::now());
        let (a, b) = (take(&seats, 2, start), take(&seats, 2, start));
        a.touch(start + Duration::from_secs(2), true);
        b.touch(start + Duration::from_secs(1), true);
        let _c = take(&seats, 2, start + Duration::from_secs(3));
        assert!(is_told(&b) && !is_told(&a));
    }
}
