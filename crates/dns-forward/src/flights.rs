//! Which questions are under way in a group, and who waits for them. The same question is there once.

use std::collections::HashMap;

use crate::Done;
use crate::asking::Key;

/// Those who may wait for one question. All together there may be four times [`crate::Group::max_concurrent`].
pub const MAX_WAITERS: usize = 2048;

/// What became of one who asks.
pub(crate) enum Joined {
    /// Nobody has asked this: it is to be asked now.
    First,
    /// It is under way.
    Waits,
    /// There is no room.
    Full,
}

/// The table.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: HashMap<Key, Vec<Done>>,
    waiting: usize,
}

impl Flights {
    /// Takes one who asks; a refresh has nobody who waits. `bound`: questions under way at a time.
    pub(crate) fn join(&mut self, key: &Key, done: Option<Done>, bound: usize) -> Joined {
        if done.is_some() && self.waiting >= bound.saturating_mul(4) {
            return Joined::Full;
        }
        let count = usize::from(done.is_some());
        let room = self.under_way.len() < bound;
        let joined = match self.under_way.get_mut(key) {
            Some(waiters) if waiters.len() >= MAX_WAITERS => Joined::Full,
            Some(waiters) => {
                waiters.extend(done);
                Joined::Waits
            }
            None if !room => Joined::Full,
            None => {
                self.under_way.insert(key.clone(), done.into_iter().collect());
                Joined::First
            }
        };
        self.waiting += if matches!(joined, Joined::Full) { 0 } else { count };
        joined
    }

    /// Whether the question is under way.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.under_way.contains_key(key)
    }

    /// Those who wait; the question stays under way.
    pub(crate) fn take_waiters(&mut self, key: &Key) -> Vec<Done> {
        let waiters = self.under_way.get_mut(key).map(std::mem::take).unwrap_or_default();
        self.waiting -= waiters.len();
        waiters
    }

    /// The question has come to its end.
    pub(crate) fn end(&mut self, key: &Key) -> Vec<Done> {
        let waiters = self.under_way.remove(key).unwrap_or_default();
        self.waiting -= waiters.len();
        waiters
    }

    /// Questions under way and those who wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.under_way.len(), self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use dns_wire::NameRef;

    use super::*;
    use crate::{Asking, Resolved, Why};

    fn key(qtype: u16) -> Key {
        Key::of(&Asking { name: NameRef::ROOT, qtype, qclass: 1, dnssec_ok: false, checking_disabled: false })
    }

    fn done(count: &Arc<AtomicUsize>) -> Option<Done> {
        let count = count.clone();
        Some(Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }))
    }

    #[test]
    fn one_question_many_who_wait() {
        let (mut flights, called) = (Flights::default(), Arc::default());
        assert!(matches!(flights.join(&key(1), done(&called), 2), Joined::First));
        for _ in 0..3 {
            assert!(matches!(flights.join(&key(1), done(&called), 2), Joined::Waits));
        }
        assert_eq!(flights.counts(), (1, 4));
        flights.end(&key(1)).into_iter().for_each(|done| done(Resolved::Failed(Why::Timeout)));
        assert_eq!((called.load(Ordering::Relaxed), flights.counts()), (4, (0, 0)));
    }

    #[test]
    fn bounds() {
        let (mut flights, called) = (Flights::default(), Arc::default());
        assert!(matches!(flights.join(&key(1), None, 2), Joined::First));
        assert!(matches!(flights.join(&key(2), done(&called), 2), Joined::First));
        assert!(matches!(flights.join(&key(3), done(&called), 2), Joined::Full), "a third question");
        for _ in 0..7 {
            assert!(matches!(flights.join(&key(1), done(&called), 2), Joined::Waits));
        }
        assert!(matches!(flights.join(&key(1), done(&called), 2), Joined::Full), "a ninth who waits");
        assert_eq!(flights.take_waiters(&key(1)).len(), 7);
        assert_eq!(flights.counts(), (2, 1), "taken, still under way");
        for _ in 0..MAX_WAITERS {
            assert!(matches!(flights.join(&key(1), done(&called), 100_000), Joined::Waits));
        }
        assert!(matches!(flights.join(&key(1), done(&called), 100_000), Joined::Full));
    }
}
