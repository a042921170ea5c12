//! Counters that only grow, for a bounded number of Services and endpoints; the rest together. Times are handed in.

use std::time::{Duration, Instant};

use model::{EndpointAddr, NamespacedName};
use rustc_hash::FxHashMap;

use crate::Delta;

/// After so long without connection a Service or endpoint is forgotten.
const IDLE: Duration = Duration::from_secs(3600);

/// How many have counters of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Services.
    pub services: usize,
    /// Endpoints, of all Services together.
    pub endpoints: usize,
}

/// Counters since the start; `live` is now.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// Its counters.
    pub sum: Delta,
    /// When it last had connections, or carried something.
    busy: Option<Instant>,
}

impl Count {
    fn add(&mut self, delta: &Delta, now: Instant) {
        self.sum.add(delta);
        self.busy = Some(now);
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.busy.is_some_and(|busy| now.saturating_duration_since(busy) >= IDLE)
    }
}

/// Counters by Service and endpoint. Who comes first has counters; who comes when there is no room is counted with the others.
#[derive(Clone, Debug)]
pub struct Book {
    limits: Limits,
    services: FxHashMap<NamespacedName, Count>,
    endpoints: FxHashMap<(NamespacedName, EndpointAddr), Count>,
    other_services: Count,
    other_endpoints: Count,
}

impl Book {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            services: FxHashMap::default(),
            endpoints: FxHashMap::default(),
            other_services: Count::default(),
            other_endpoints: Count::default(),
        }
    }

    /// Takes in one look of that moment: what is new of each Service and endpoint, each once or several times.
    pub fn take<'a>(
        &mut self,
        now: Instant,
        look: impl IntoIterator<Item = (&'a NamespacedName, EndpointAddr, &'a Delta)>,
    ) {
        self.services.values_mut().chain([&mut self.other_services]).for_each(|c| c.sum.live = 0);
        self.endpoints.values_mut().chain([&mut self.other_endpoints]).for_each(|c| c.sum.live = 0);
        for (service, endpoint, delta) in look {
            let limit = self.limits.services;
            count(&mut self.services, service.clone(), limit, &mut self.other_services).add(delta, now);
            let (key, limit) = ((service.clone(), endpoint), self.limits.endpoints);
            count(&mut self.endpoints, key, limit, &mut self.other_endpoints).add(delta, now);
        }
        self.services.retain(|_, count| !count.is_idle(now));
        self.endpoints.retain(|_, count| !count.is_idle(now));
    }

    /// Services with counters of their own, and `None` for all others together.
    pub fn services(&self) -> impl Iterator<Item = (Option<&NamespacedName>, &Delta)> {
        let own = self.services.iter().map(|(name, count)| (Some(name), &count.sum));
        own.chain([(None, &self.other_services.sum)])
    }

    /// Endpoints with counters of their own, and `None` for all others together.
    pub fn endpoints(&self) -> impl Iterator<Item = (Option<&(NamespacedName, EndpointAddr)>, &Delta)> {
        let own = self.endpoints.iter().map(|(name, count)| (Some(name), &count.sum));
        own.chain([(None, &self.other_endpoints.sum)])
    }
}

fn count<'a, K: std::hash::Hash + Eq>(
    counts: &'a mut FxHashMap<K, Count>,
    key: K,
    limit: usize,
    other: &'a mut Count,
) -> &'a mut Count {
    if counts.len() < limit || counts.contains_key(&key) { counts.entry(key).or_default() } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::address;

    fn name(name: &str) -> NamespacedName {
        NamespacedName::new("ns", name)
    }

    fn delta(opened: u64, live: u64) -> Delta {
        Delta { opened, live, bytes_in: 10 * opened, bytes_out: 0 }
    }

    fn opened(book: &Book) -> Vec<(String, u64, u64)> {
        let shown = |name: Option<&NamespacedName>| name.map_or_else(|| "other".into(), ToString::to_string);
        let mut all: Vec<_> =
            book.services().map(|(name, count)| (shown(name), count.opened, count.live)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn who_comes_first_has_counters_and_the_rest_is_together() {
        let mut book = Book::new(Limits { services: 1, endpoints: 2 });
        let (web, api) = (name("web"), name("api"));
        let [first, second] = ["10.1.1.1:80", "10.1.1.2:80"].map(address);
        let now = Instant::now();
        book.take(
            now,
            [(&web, first, &delta(3, 2)), (&web, second, &delta(1, 1)), (&api, first, &delta(5, 5))],
        );
        assert_eq!(opened(&book), [("ns/web".into(), 4, 3), ("other".into(), 5, 5)]);
        book.take(now, [(&web, first, &delta(1, 1)), (&api, second, &delta(1, 1))]);
        assert_eq!(opened(&book), [("ns/web".into(), 5, 1), ("other".into(), 6, 1)]);
        let endpoints: Vec<_> =
            book.endpoints().filter_map(|(name, count)| name.is_none().then_some(count.opened)).collect();
        assert_eq!((book.endpoints().count(), endpoints), (3, vec![6]));
    }

    #[test]
    fn who_is_idle_for_long_makes_room() {
        let mut book = Book::new(Limits { services: 1, endpoints: 1 });
        let (web, api, at) = (name("web"), name("api"), address("10.1.1.1:80"));
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        book.take(start, [(&web, at, &delta(1, 0))]);
        // However often somebody looks meanwhile.
        (1..3_599).for_each(|second| book.take(start + Duration::from_secs(second), []));
        assert_eq!(opened(&book), [("ns/web".into(), 1, 0), ("other".into(), 0, 0)]);
        book.take(start + 60 * minute, []);
        book.take(start + 61 * minute, [(&api, at, &delta(1, 0))]);
        assert_eq!(opened(&book), [("ns/api".into(), 1, 0), ("other".into(), 0, 0)]);
    }
}
