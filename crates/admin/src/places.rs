//! A bounded number of connections that never keeps a new one out: the one that has asked nothing for longest gives up its
//! place.
//!
//! Whoever holds connections open and says nothing, by design or by accident, loses them; who asks at once is answered,
//! however many others there are. The same holds for memory: who does not read what he has asked for loses it to those who
//! ask after him.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Bytes of answers that are made and not read to the end, of all places together; the last one comes on top.
const UNSENT: usize = 32 << 20;

/// The places of one listener, or of several together. Clones are the same places.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    limit: usize,
    next: u64,
    /// Those first that have asked nothing for longest.
    places: VecDeque<(u64, Arc<Doing>, Option<AbortHandle>)>,
}

/// What one connection does.
#[derive(Debug, Default)]
struct Doing {
    /// An answer is being made.
    answering: AtomicBool,
    /// Bytes of answers that were not read to the end.
    unsent: AtomicUsize,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Places,
    number: u64,
    doing: Arc<Doing>,
}

/// As long as this lives, an answer is being made: the place is not taken away while others are idle.
#[derive(Debug)]
pub(crate) struct Busy {
    of: Places,
    number: u64,
    doing: Arc<Doing>,
}

/// As long as this lives, an answer of so many bytes is in memory.
#[derive(Debug)]
pub(crate) struct Unsent {
    doing: Arc<Doing>,
    bytes: usize,
}

impl Places {
    /// So many places, 1 or more.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { limit: limit.max(1), next: 0, places: VecDeque::new() })))
    }

    /// A place for a new connection. If there is none, the connection ends that has asked nothing for longest, or
    /// else, where all are being answered, the first of them.
    pub(crate) fn take(&self) -> Place {
        let mut taken = self.lock();
        if taken.places.len() >= taken.limit {
            let idle = taken.places.iter().position(|(_, doing, _)| !doing.answering.load(Ordering::Relaxed));
            if let Some((_, _, Some(task))) = taken.places.remove(idle.unwrap_or(0)) {
                task.abort();
            }
        }
        let (number, doing) = (taken.next, Arc::<Doing>::default());
        taken.next += 1;
        taken.places.push_back((number, Arc::clone(&doing), None));
        Place { of: self.clone(), number, doing }
    }

    /// Ends connections that hold answers, those first that have asked nothing for longest, until what is left is within the bound
    /// or belongs to `but`.
    fn shed(&self, but: u64) {
        let mut taken = self.lock();
        let unsent = |place: &(u64, Arc<Doing>, _)| place.1.unsent.load(Ordering::Relaxed);
        let mut all: usize = taken.places.iter().map(unsent).sum();
        while all > UNSENT {
            let holds = |place: &(u64, Arc<Doing>, _)| place.0 != but && unsent(place) > 0;
            let Some(place) = taken.places.iter().position(holds).and_then(|at| taken.places.remove(at))
            else {
                return;
            };
            all -= unsent(&place);
            place.2.iter().for_each(AbortHandle::abort);
        }
    }

    /// Says which task the connection of a place is.
    pub(crate) fn belongs_to(&self, number: u64, task: AbortHandle) {
        if let Some((_, _, owner)) = self.lock().places.iter_mut().find(|(known, _, _)| *known == number) {
            *owner = Some(task);
        }
    }

    /// How many are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.lock().places.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Names the place, for [`Places::belongs_to`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// An answer is being made, until what is returned is dropped.
    pub(crate) fn answering(&self) -> Busy {
        self.doing.answering.store(true, Ordering::Relaxed);
        Busy { of: self.of.clone(), number: self.number, doing: Arc::clone(&self.doing) }
    }
}

impl Busy {
    /// The answer is made, and has so many bytes: they count until what is returned is dropped.
    pub(crate) fn holds(&self, bytes: usize) -> Unsent {
        self.doing.unsent.fetch_add(bytes, Ordering::Relaxed);
        self.of.shed(self.number);
        Unsent { doing: Arc::clone(&self.doing), bytes }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.doing.unsent.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().places.retain(|(number, _, _)| *number != self.number);
    }
}

impl Drop for Busy {
    /// Who has just asked is the last to go.
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(at) = taken.places.iter().position(|(number, _, _)| *number == self.number)
            && let Some(place) = taken.places.remove(at)
        {
            place.1.answering.store(false, Ordering::Relaxed);
            taken.places.push_back(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(places: &Places) -> Vec<u64> {
        places.lock().places.iter().map(|(number, _, _)| *number).collect()
    }

    #[test]
    fn the_oldest_idle_place_goes() {
        let places = Places::new(3);
        let [first, second, _third] = [places.take(), places.take(), places.take()];
        let busy = first.answering();
        let fourth = places.take();
        assert_eq!(numbers(&places), [0, 2, 3]);
        drop(busy);
        assert_eq!(numbers(&places), [2, 3, 0]);
        let _fifth = places.take();
        assert_eq!(numbers(&places), [3, 0, 4]);
        drop((first, second, fourth));
        assert_eq!(numbers(&places), [4]);
    }

    #[test]
    fn who_reads_least_loses_first() {
        let places = Places::new(10);
        let [first, second, third] = [places.take(), places.take(), places.take()];
        let held = first.answering().holds(UNSENT / 2);
        let _small = second.answering().holds(1);
        // Those who hold nothing keep their places, and who has just asked does.
        let _half = third.answering().holds(UNSENT / 2);
        assert_eq!(numbers(&places), [1, 2]);
        drop(held);
        let fourth = places.take();
        let _all = fourth.answering().holds(UNSENT * 2);
        assert_eq!(numbers(&places), [3]);
    }

    #[test]
    fn when_all_are_busy_the_oldest_goes() {
        let places = Places::new(2);
        let taken = [places.take(), places.take()];
        let _busy = [taken[0].answering(), taken[1].answering()];
        let _new = places.take();
        assert_eq!(numbers(&places), [1, 2]);
    }
}
