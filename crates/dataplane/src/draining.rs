//! What drains until when: a bounded schedule. Times are handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{FrontendKey, NamespacedName};

use crate::{DrainNews, Leaver};

/// Most endpoints that drain at a time. Connections to further ones are left alone, and counted.
pub const MOST_DRAINING: usize = 16_384;

/// How one endpoint drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drains {
    /// Since when it is gone.
    pub since: Instant,
    /// When its connections end.
    pub until: Instant,
    /// Frontends through which they may have come.
    pub frontends: Arc<[FrontendKey]>,
}

/// All that drains.
#[derive(Debug, Default)]
pub struct Draining {
    all: BTreeMap<Leaver, Drains>,
    due: BTreeSet<(Instant, Leaver)>,
    left_out: u64,
}

impl Draining {
    /// Takes in what has happened by now. An endpoint that drains already keeps its time.
    pub fn take(&mut self, news: DrainNews, now: Instant) {
        match news {
            DrainNews::Left { who, deadline, frontends, before } => {
                if self.all.contains_key(&who) {
                    return;
                }
                // One whose time was over while it terminated has had it.
                let until = if before { now } else { now + deadline };
                self.put(who, Drains { since: now, until, frontends });
            }
            DrainNews::Back(who) => drop(self.end(&who)),
            DrainNews::Deadline(service, deadline) => self.set(&service, deadline),
        }
    }

    /// Takes out what is due.
    pub fn due(&mut self, now: Instant) -> Vec<(Leaver, Drains)> {
        let mut due = Vec::new();
        while let Some((at, who)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, who));
                break;
            }
            if let Some(drains) = self.all.remove(&who) {
                due.push((who, drains));
            }
        }
        due
    }

    /// Puts back what could not be ended, to be due again at that moment.
    pub fn again(&mut self, who: Leaver, drains: Drains, at: Instant) {
        self.put(who, Drains { until: at, ..drains });
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What drains of one Service, in order.
    pub fn of<'a>(
        &'a self,
        service: &'a NamespacedName,
    ) -> impl Iterator<Item = (&'a Leaver, &'a Drains)> + 'a {
        // The first protocol and the unspecified address come before all others.
        let endpoint = model::EndpointAddr { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let first = Leaver { service: service.clone(), protocol: model::Protocol::Tcp, endpoint };
        self.all.range(first..).take_while(move |(who, _)| who.service == *service)
    }

    /// Whether an endpoint drains.
    pub fn has(&self, who: &Leaver) -> bool {
        self.all.contains_key(who)
    }

    /// How many endpoints drain.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing drains.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many endpoints were left alone since too many were draining.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn put(&mut self, who: Leaver, drains: Drains) {
        if self.all.len() >= MOST_DRAINING {
            self.left_out += 1;
            return;
        }
        self.due.insert((drains.until, who.clone()));
        self.all.insert(who, drains);
    }

    fn end(&mut self, who: &Leaver) -> Option<Drains> {
        let drains = self.all.remove(who)?;
        self.due.remove(&(drains.until, who.clone()));
        Some(drains)
    }

    fn set(&mut self, service: &NamespacedName, deadline: Option<Duration>) {
        let of_service: Vec<Leaver> = self.of(service).map(|(who, _)| who.clone()).collect();
        for who in of_service {
            let Some(drains) = self.end(&who) else { continue };
            if let Some(deadline) = deadline {
                self.put(who, Drains { until: drains.since + deadline, ..drains });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{EndpointAddr, Protocol};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn who(service: &str, last: u8) -> Leaver {
        let endpoint = EndpointAddr { ip: [10, 0, 0, last].into(), port: 80 };
        Leaver { service: NamespacedName::new("ns", service), protocol: Protocol::Tcp, endpoint }
    }

    fn left(who: Leaver, seconds: u32, before: bool) -> DrainNews {
        DrainNews::Left { who, deadline: SECOND * seconds, frontends: Arc::new([]), before }
    }

    fn due(draining: &mut Draining, at: Instant) -> Vec<Leaver> {
        draining.due(at).into_iter().map(|(who, _)| who).collect()
    }

    #[test]
    fn each_is_due_after_its_own_time_and_once() {
        let (now, mut draining) = (Instant::now(), Draining::default());
        draining.take(left(who("a", 1), 9, false), now);
        draining.take(left(who("a", 2), 0, false), now);
        draining.take(left(who("b", 1), 3, false), now);
        assert!(draining.has(&who("a", 2)) && !draining.has(&who("b", 2)));
        // That it leaves a slice too does not begin its time anew.
        draining.take(left(who("b", 1), 3, true), now + SECOND);
        assert_eq!(draining.next(), Some(now));
        assert_eq!(due(&mut draining, now), [who("a", 2)]);
        assert_eq!(draining.next(), Some(now + 3 * SECOND));
        assert_eq!(due(&mut draining, now + 2 * SECOND), []);
        assert_eq!(draining.next(), Some(now + 3 * SECOND));
        assert_eq!(due(&mut draining, now + 20 * SECOND), [who("b", 1), who("a", 1)]);
        assert!(draining.is_empty() && draining.next().is_none());
    }

    #[test]
    fn one_that_terminated_for_its_whole_time_has_none_left_when_it_goes() {
        let (now, mut draining) = (Instant::now(), Draining::default());
        draining.take(left(who("a", 1), 5, true), now);
        assert_eq!(due(&mut draining, now), [who("a", 1)]);
    }

    #[test]
    fn one_that_comes_back_is_never_due() {
        let (now, mut draining) = (Instant::now(), Draining::default());
        draining.take(left(who("a", 1), 5, false), now);
        draining.take(DrainNews::Back(who("a", 1)), now + SECOND);
        draining.take(DrainNews::Back(who("a", 9)), now + SECOND);
        assert!(draining.is_empty() && due(&mut draining, now + 9 * SECOND).is_empty());
    }

    #[test]
    fn another_deadline_counts_from_the_same_moment() {
        let (now, mut draining) = (Instant::now(), Draining::default());
        for one in [who("a", 1), who("a", 2), who("b", 1)] {
            draining.take(left(one, 50, false), now);
        }
        let name = |name| NamespacedName::new("ns", name);
        draining.take(DrainNews::Deadline(name("a"), Some(2 * SECOND)), now + SECOND);
        assert_eq!(draining.of(&name("a")).count(), 2);
        assert!(draining.of(&name("a")).all(|(_, drains)| drains.until == now + 2 * SECOND));
        draining.take(DrainNews::Deadline(name("a"), None), now + SECOND);
        assert_eq!((draining.of(&name("a")).count(), draining.of(&name("b")).count()), (0, 1));
        assert_eq!(draining.next(), Some(now + 50 * SECOND));
    }

    #[test]
    fn what_failed_is_due_again_and_the_list_has_an_end() {
        let (now, mut draining) = (Instant::now(), Draining::default());
        draining.take(left(who("a", 1), 0, false), now);
        let (leaver, drains) = draining.due(now).pop().unwrap();
        draining.again(leaver, drains, now + 5 * SECOND);
        assert_eq!(draining.next(), Some(now + 5 * SECOND));
        for port in 0..MOST_DRAINING as u16 {
            let mut one = who("many", 1);
            one.endpoint.port = port;
            draining.take(left(one, 9, false), now);
        }
        assert_eq!((draining.len(), draining.left_out()), (MOST_DRAINING, 1));
    }
}
