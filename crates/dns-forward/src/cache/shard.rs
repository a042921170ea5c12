//! A part of the cache: entries by hash, and S3-FIFO to choose who makes room.
//!
//! ```text
//! new --> small (a tenth) --hit again--> main --not hit since it was last in front--> out
//!             \--no hit--> out, its hash is remembered: when it comes again, it goes to main
//! ```
//! A flood of names that are asked once passes through `small` and leaves `main` as it is.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::entry::Entry;
use super::life::Kind;
use crate::metrics::CacheMetrics;

/// Hashes remembered of those who made room.
const GHOSTS: usize = 256;
/// An entry may take this part of a shard.
const LARGEST: usize = 4;
/// Hits that count.
const MAX_FREQUENCY: u8 = 3;

pub(super) struct Shard {
    table: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: Box<[u64; GHOSTS]>,
    bytes: usize,
    small_bytes: usize,
    max_bytes: usize,
    evictions: u64,
}

struct Slot {
    entry: Entry,
    hash: u64,
    frequency: u8,
    in_main: bool,
}

impl Shard {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            table: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: Box::new([0; GHOSTS]),
            bytes: 0,
            small_bytes: 0,
            max_bytes,
            evictions: 0,
        }
    }

    pub(super) fn get(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        let at = *self.table.get(&hash)?;
        let slot = self.slots[at as usize].as_mut().filter(|slot| slot.entry.is_of(key))?;
        slot.frequency = (slot.frequency + 1).min(MAX_FREQUENCY);
        Some(&mut slot.entry)
    }

    /// Takes an entry in the place of the one with the same hash; false if it is too large.
    pub(super) fn put(&mut self, hash: u64, entry: Entry) -> bool {
        if entry.cost() > self.max_bytes / LARGEST {
            return false;
        }
        match self.table.get(&hash) {
            Some(&at) => self.replace(at, entry),
            None => self.insert(hash, entry),
        }
        while self.bytes > self.max_bytes && self.evict() {}
        true
    }

    fn replace(&mut self, at: u32, entry: Entry) {
        let Some(slot) = self.slots[at as usize].as_mut() else { return };
        let (old, new) = (slot.entry.cost(), entry.cost());
        slot.entry = entry;
        let in_main = slot.in_main;
        self.bytes = self.bytes - old + new;
        if !in_main {
            self.small_bytes = self.small_bytes - old + new;
        }
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        let cost = entry.cost();
        let in_main = std::mem::take(&mut self.ghosts[ghost(hash)]) == hash;
        let slot = Some(Slot { entry, hash, frequency: 0, in_main });
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.slots[at as usize] = slot;
        self.table.insert(hash, at);
        self.bytes += cost;
        self.small_bytes += if in_main { 0 } else { cost };
        if in_main { &mut self.main } else { &mut self.small }.push_back(at);
    }

    /// One step towards room: false if there is nothing left.
    fn evict(&mut self) -> bool {
        let small = self.small_bytes > self.max_bytes / 10 || self.main.is_empty();
        let queue = if small { &mut self.small } else { &mut self.main };
        let Some(at) = queue.pop_front() else { return false };
        let Some(slot) = self.slots[at as usize].as_mut() else { return true };
        if slot.frequency == 0 {
            self.remove(at);
            return true;
        }
        slot.frequency = if small { 0 } else { slot.frequency - 1 };
        if small {
            slot.in_main = true;
            self.small_bytes -= slot.entry.cost();
        }
        self.main.push_back(at);
        true
    }

    fn remove(&mut self, at: u32) {
        let Some(slot) = self.slots[at as usize].take() else { return };
        let cost = slot.entry.cost();
        self.bytes -= cost;
        if !slot.in_main {
            self.small_bytes -= cost;
            self.ghosts[ghost(slot.hash)] = slot.hash;
        }
        self.table.remove(&slot.hash);
        self.free.push(at);
        self.evictions += 1;
    }

    pub(super) fn add_to(&self, metrics: &mut CacheMetrics) {
        metrics.bytes += self.bytes;
        metrics.evictions += self.evictions;
        for slot in self.slots.iter().flatten() {
            match slot.entry.kind {
                Kind::Success => metrics.success_entries += 1,
                Kind::Denial | Kind::Failure => metrics.denial_entries += 1,
            }
        }
    }
}

#[cfg(test)]
impl Shard {
    /// Counts everything anew.
    fn check(&self) {
        let slots: Vec<(usize, &Slot)> =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?))).collect();
        let bytes = |slots: &mut dyn Iterator<Item = &(usize, &Slot)>| {
            slots.map(|(_, slot)| slot.entry.cost()).sum::<usize>()
        };
        assert_eq!(bytes(&mut slots.iter()), self.bytes);
        assert_eq!(bytes(&mut slots.iter().filter(|(_, slot)| !slot.in_main)), self.small_bytes);
        assert_eq!((slots.len(), slots.len()), (self.table.len(), self.small.len() + self.main.len()));
        assert_eq!(self.slots.len(), slots.len() + self.free.len());
        for (at, slot) in slots {
            assert_eq!(self.table[&slot.hash] as usize, at);
        }
        assert!(self.bytes <= self.max_bytes);
    }
}

fn ghost(hash: u64) -> usize {
    hash as usize % GHOSTS
}

/// The keys of the table are hashes already, seeded ones.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _octets: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dns_wire::Asked;

    use super::*;

    /// A name of one label, with type and class.
    fn question(key: u64) -> Vec<u8> {
        [&[8][..], &key.to_be_bytes(), &[0, 0, 1, 0, 1]].concat()
    }

    /// The same with the bits.
    fn key(key: u64) -> Vec<u8> {
        [question(key), vec![0]].concat()
    }

    /// A name in other letters is the same; type, class and bits in other "letters" are not.
    #[test]
    fn letter_case_is_the_names_only() {
        let mut shard = Shard::new(20_000);
        let letter = u64::from(b'A');
        assert!(shard.put(5, entry(letter, 1)));
        assert!(shard.get(5, &key(letter | 0x20)).is_some());
        for place in [11, 13, 14] {
            let mut other = key(letter);
            other[place] ^= 0x20;
            assert!(shard.get(5, &other).is_none(), "octet {place}");
        }
    }

    /// A message with so many addresses.
    fn entry(key: u64, addresses: u8) -> Entry {
        let question = question(key);
        let mut out = vec![0, 7, 0x81, 0x80, 0, 1, 0, addresses, 0, 0, 0, 0];
        out.extend(&question);
        (0..addresses).for_each(|last| out.extend([192, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, last]));
        let stored = dns_wire::store(&out, &Asked { id: 7, question: &question }).unwrap();
        Entry::new(0, Kind::Success, Arc::new(stored), 0, Duration::from_secs(60))
    }

    /// Any order of puts and gets leaves the books right and the bytes below the bound.
    #[test]
    fn books_are_right() {
        let mut shard = Shard::new(20_000);
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (random >> 40) % 97 * ((random >> 33) % 5 + 1);
            if random >> 63 == 0 {
                assert!(shard.put(number, entry(number, (random >> 20) as u8 % 60)));
            } else {
                let found = shard.get(number, &key(number)).is_some();
                assert_eq!(found, shard.table.contains_key(&number));
            }
            if step % 64 == 0 {
                shard.check();
            }
        }
        shard.check();
        assert!(shard.evictions > 1000, "{}", shard.evictions);
    }

    /// Another key with the same hash is not the answer; it takes the place.
    #[test]
    fn equal_hashes() {
        let mut shard = Shard::new(20_000);
        assert!(shard.put(5, entry(1, 1)));
        assert!(shard.get(5, &key(2)).is_none());
        assert!(shard.put(5, entry(2, 1)));
        assert!(shard.get(5, &key(2)).is_some() && shard.get(5, &key(1)).is_none());
        shard.check();
    }
}
