//! How many misses each source may cause: a noisy pod cannot fill the table of queries in flight.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Sources that are told apart at a time, of each receiving thread. Two that fall together share, for as
/// long as both are busy.
const SOURCES: usize = 4_096;
/// Misses a second that one source may cause for long.
pub(crate) const RATE: u32 = 1_000;
/// Misses that one source may cause at once, after it was quiet.
pub(crate) const BURST: u32 = 2_000;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// A part of the source's hash; 0: free.
    tag: u32,
    /// Thousandths of a miss that are used up.
    used: u32,
    /// Milliseconds since the start.
    at: u32,
}

/// A token bucket for each source address. Bounded: a new source takes the place of one that is quiet.
pub(crate) struct Buckets {
    hasher: std::hash::RandomState,
    start: Instant,
    table: Box<[Bucket]>,
}

impl Buckets {
    pub(crate) fn new(start: Instant) -> Self {
        let table = vec![Bucket::default(); SOURCES].into_boxed_slice();
        Self { hasher: std::hash::RandomState::new(), start, table }
    }

    /// Whether this source may cause one more miss now.
    pub(crate) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let at = millis(now.saturating_duration_since(self.start));
        let hash = self.hasher.hash_one(source);
        let (place, tag) = (hash as usize % SOURCES, (hash >> 32) as u32 | 1);
        self.table.get_mut(place).is_none_or(|bucket| bucket.take(tag, at))
    }
}

impl Bucket {
    fn take(&mut self, tag: u32, at: u32) -> bool {
        let regained = at.wrapping_sub(self.at).saturating_mul(RATE);
        self.used = self.used.saturating_sub(regained);
        self.at = at;
        if self.used == 0 {
            self.tag = tag;
        }
        let fits = self.used.saturating_add(1_000) <= BURST * 1_000;
        if fits {
            self.used += 1_000;
        }
        fits || self.tag != tag
    }
}

fn millis(duration: Duration) -> u32 {
    duration.as_millis() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn taken(buckets: &mut Buckets, tries: u32, now: Instant) -> u32 {
        (0..tries).filter(|_| buckets.take(NOISY, now)).count() as u32
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut buckets = Buckets::new(start);
        assert_eq!(taken(&mut buckets, 50_000, start), BURST);
        let later = start + Duration::from_millis(500);
        assert_eq!(taken(&mut buckets, 50_000, later), RATE / 2);
        let quiet = start + Duration::from_secs(60);
        assert_eq!(taken(&mut buckets, 50_000, quiet), BURST);
    }

    #[test]
    fn other_sources_are_not_hurt_even_where_they_share_a_place() {
        let start = Instant::now();
        let mut buckets = Buckets::new(start);
        taken(&mut buckets, 50_000, start);
        let others = (0..20_000u32).map(|low| IpAddr::V4((0x0b00_0000 + low).into()));
        assert!(others.into_iter().all(|other| buckets.take(other, start)));
    }
}
