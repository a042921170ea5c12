//! Connections, counted as they come.

use model::EndpointAddr;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Connection, Counters, Phase, Place};

/// What was counted of some connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All that the kernel remembers.
    pub connections: u64,
    /// Of these, not answered yet.
    pub opening: u64,
    /// Of these, in use.
    pub established: u64,
    /// Of these, ended or about to.
    pub closing: u64,
    /// Of these, those that the endpoint sees from another address than the client's.
    pub masqueraded: u64,
    /// Of these, those that carry counters.
    pub counted: u64,
    /// What they have carried.
    pub counters: Counters,
}

impl Totals {
    /// Counts one connection.
    pub fn count(&mut self, connection: &Connection) {
        self.connections += 1;
        *match connection.state.phase() {
            Phase::Opening => &mut self.opening,
            Phase::Established => &mut self.established,
            Phase::Closing => &mut self.closing,
        } += 1;
        self.masqueraded += u64::from(connection.masqueraded.is_some());
        if let Some(counters) = &connection.counters {
            self.counted += 1;
            self.counters.add(counters);
        }
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.opening += other.opening;
        self.established += other.established;
        self.closing += other.closing;
        self.masqueraded += other.masqueraded;
        self.counted += other.counted;
        self.counters.add(&other.counters);
    }
}

/// What clients addressed, and where it was led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// What was addressed.
    pub place: Place,
    /// Where it was led.
    pub endpoint: EndpointAddr,
}

/// Totals by pair, and some of the connections.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pairs: FxHashMap<Pair, Totals>,
    connections: Vec<Connection>,
    /// Connections of pairs beyond the bound.
    beyond: u64,
}

impl Tally {
    /// Pairs that are kept, about 20 MiB of them; connections of further ones are only counted.
    pub const PAIRS: usize = 131_072;
    /// Connections that are kept. More than are shown, since some turn out to belong to no Service.
    pub const CONNECTIONS: usize = 16_384;

    /// Takes in one connection.
    pub fn take(&mut self, connection: Connection) {
        let pair = Pair { place: connection.place, endpoint: connection.endpoint };
        if self.pairs.len() < Self::PAIRS || self.pairs.contains_key(&pair) {
            self.pairs.entry(pair).or_default().count(&connection);
        } else {
            self.beyond += 1;
        }
        if self.connections.len() < Self::CONNECTIONS {
            self.connections.push(connection);
        }
    }

    /// Totals by pair, in no order.
    pub fn pairs(&self) -> impl Iterator<Item = (&Pair, &Totals)> {
        self.pairs.iter()
    }

    /// Counts anew from the connections that were kept, since more is known of them by now; `false`: not all were kept, and
    /// the totals stay as they are.
    pub fn recount(&mut self) -> bool {
        let all = self.beyond + self.pairs.values().map(|totals| totals.connections).sum::<u64>();
        if all != self.connections.len() as u64 {
            return false;
        }
        let connections = std::mem::take(self).connections;
        connections.into_iter().for_each(|connection| self.take(connection));
        true
    }

    /// The connections that were kept: the first that came.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The same, to complete what is known of them.
    pub fn connections_mut(&mut self) -> &mut [Connection] {
        &mut self.connections
    }

    /// Connections whose pair was beyond the bound.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Every place that was addressed, once, sorted.
    pub fn places(&self) -> Vec<Place> {
        let places: FxHashSet<Place> = self.pairs.keys().map(|pair| pair.place).collect();
        let mut places: Vec<Place> = places.into_iter().collect();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;
    use crate::testing::{address, connection};

    #[test]
    fn connections_are_counted_by_pair() {
        let mut tally = Tally::default();
        let first = connection("10.0.0.1:1", "10.96.0.1:80", "10.1.1.1:8080");
        let counters = Counters { packets_in: 1, bytes_in: 60, packets_out: 2, bytes_out: 120 };
        tally.take(Connection { counters: Some(counters), ..first });
        tally.take(Connection { state: State::TimeWait, client: address("10.0.0.1:2"), ..first });
        let masqueraded = Some(address("10.9.9.9:7"));
        tally.take(Connection { state: State::SynSent, masqueraded, counters: Some(counters), ..first });
        tally.take(connection("10.0.0.1:1", "10.96.0.1:80", "10.1.1.2:8080"));
        tally.take(connection("10.0.0.1:1", "[fd00::1]:80", "[fd00::2]:80"));
        let pair = Pair { place: first.place, endpoint: first.endpoint };
        let totals = tally.pairs[&pair];
        let expected = Totals {
            connections: 3,
            opening: 1,
            established: 1,
            closing: 1,
            masqueraded: 1,
            counted: 2,
            counters: Counters { packets_in: 2, bytes_in: 120, packets_out: 4, bytes_out: 240 },
        };
        assert_eq!(totals, expected);
        assert_eq!((tally.pairs.len(), tally.places().len(), tally.connections().len()), (3, 2, 5));
        assert_eq!(tally.beyond(), 0);
    }

    #[test]
    fn what_becomes_known_later_counts() {
        let mut tally = Tally::default();
        tally.take(connection("10.0.0.1:1", "10.96.0.1:80", "10.1.1.1:8080"));
        tally.connections_mut()[0].masqueraded = Some(address("10.9.9.9:7"));
        assert!(tally.recount());
        assert_eq!(tally.pairs.values().map(|totals| totals.masqueraded).collect::<Vec<_>>(), [1]);
        tally.connections.clear();
        assert!(!tally.recount());
        assert_eq!(tally.pairs.len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut tally = Tally::default();
        let first = connection("10.0.0.1:1", "10.96.0.1:80", "10.1.1.1:8080");
        for number in 0..Tally::PAIRS as u32 + 100 {
            let ip = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into();
            tally.take(Connection { endpoint: EndpointAddr { ip, port: 80 }, ..first });
        }
        assert_eq!((tally.pairs.len(), tally.beyond()), (Tally::PAIRS, 100));
        assert_eq!(tally.connections().len(), Tally::CONNECTIONS);
    }
}
