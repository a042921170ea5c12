//! What was opened and carried between two looks.
//!
//! ```text
//! conntrack   news of what ended since + what lives now - what lived before = what came
//! IPVS        what the kernel counted until now - until before              = what came
//! ```
//!
//! A connection may end after it was looked at and be told of after the look, or end before it and be told of after it: what
//! comes out too small at one look is owed at the next, and then forgotten. So connections that began before there was
//! anybody to tell, of whose end the kernel is silent, cost no more than one look.

use rustc_hash::FxHashMap;

use crate::{Connection, Pair};

/// Connections, bytes in, bytes out.
type Values = [i64; 3];

/// What one pair has, had or got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Connections that were opened since the last look.
    pub opened: u64,
    /// Connections that live.
    pub live: u64,
    /// Bytes to the endpoint since the last look.
    pub bytes_in: u64,
    /// Bytes from the endpoint since the last look.
    pub bytes_out: u64,
}

impl Delta {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.live += other.live;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }

    fn new([opened, bytes_in, bytes_out]: Values, live: i64) -> Self {
        let positive = |value: i64| u64::try_from(value).unwrap_or(0);
        Self {
            opened: positive(opened),
            live: positive(live),
            bytes_in: positive(bytes_in),
            bytes_out: positive(bytes_out),
        }
    }
}

/// Totals of a real server, as IPVS has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Since it was added.
    pub connections: u64,
    /// Now.
    pub live: u64,
    /// Bytes to it.
    pub bytes_in: u64,
    /// Bytes from it.
    pub bytes_out: u64,
}

/// Compares looks.
#[derive(Debug, Default)]
pub struct Meter {
    looked: bool,
    /// What lived at the last look, or was counted until then.
    last: FxHashMap<Pair, Values>,
    /// What is owed of the last look.
    owed: FxHashMap<Pair, Values>,
    live: FxHashMap<Pair, Values>,
    ended: FxHashMap<Pair, Values>,
    beyond: u64,
}

impl Meter {
    /// Pairs of which it knows at a time; connections of further ones are not counted. About 20 MiB.
    pub const PAIRS: usize = 131_072;

    /// A connection that lives.
    pub fn lives(&mut self, connection: &Connection) {
        let known = self.last.contains_key(&pair(connection));
        self.beyond += u64::from(!add(&mut self.live, connection, known));
    }

    /// A connection has ended.
    pub fn ended(&mut self, connection: &Connection) {
        let known = self.last.contains_key(&pair(connection));
        self.beyond += u64::from(!add(&mut self.ended, connection, known));
    }

    /// Connections that were not counted, since there were too many pairs.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// All that lives was told since the last call: what is new. The first look only says what lives. `lost`: some news
    /// of ends were lost, so what is missing is not owed.
    pub fn look(&mut self, lost: bool) -> Vec<(Pair, Delta)> {
        let (live, ended) = (std::mem::take(&mut self.live), std::mem::take(&mut self.ended));
        let mut last = std::mem::replace(&mut self.last, live.clone());
        let owed = std::mem::take(&mut self.owed);
        let first = !std::mem::replace(&mut self.looked, true);
        // A pair that is only in `last` has come to its end in silence.
        live.keys().chain(ended.keys()).for_each(|pair| _ = last.entry(*pair).or_default());
        let of = |map: &FxHashMap<Pair, Values>, pair: &Pair| map.get(pair).copied().unwrap_or_default();
        let mut news = Vec::with_capacity(last.len());
        for (pair, before) in last {
            let (now, gone, debt) = (of(&live, &pair), of(&ended, &pair), of(&owed, &pair));
            let raw: Values = std::array::from_fn(|i| if first { 0 } else { gone[i] + now[i] - before[i] });
            let missing = raw.map(|value| (-value).max(0));
            if !lost && missing != [0; 3] {
                self.owed.insert(pair, missing);
            }
            let delta = Delta::new(std::array::from_fn(|i| (raw[i] - debt[i]).max(0)), now[0]);
            if delta != Delta::default() {
                news.push((pair, delta));
            }
        }
        news
    }

    /// What real servers have counted until now: what is new. Counts that are smaller than before begin anew.
    pub fn compare(&mut self, now: impl IntoIterator<Item = (Pair, Counted)>) -> Vec<(Pair, Delta)> {
        let first = !std::mem::replace(&mut self.looked, true);
        let last = std::mem::take(&mut self.last);
        let mut news = Vec::new();
        for (pair, counted) in now.into_iter().take(Self::PAIRS) {
            let values = [counted.connections, counted.bytes_in, counted.bytes_out].map(|v| v as i64);
            let before = last.get(&pair).copied().unwrap_or(if first { values } else { [0; 3] });
            let since = |i: usize| if values[i] >= before[i] { values[i] - before[i] } else { values[i] };
            let delta = Delta::new(std::array::from_fn(since), counted.live as i64);
            self.last.insert(pair, values);
            if delta != Delta::default() {
                news.push((pair, delta));
            }
        }
        news
    }
}

fn pair(connection: &Connection) -> Pair {
    Pair { place: connection.place, endpoint: connection.endpoint }
}

/// `false`: there was no room.
fn add(map: &mut FxHashMap<Pair, Values>, connection: &Connection, known: bool) -> bool {
    let pair = pair(connection);
    if map.len() >= Meter::PAIRS && !known && !map.contains_key(&pair) {
        return false;
    }
    let counters = connection.counters.unwrap_or_default();
    let values = map.entry(pair).or_default();
    values[0] += 1;
    values[1] = values[1].saturating_add_unsigned(counters.bytes_in);
    values[2] = values[2].saturating_add_unsigned(counters.bytes_out);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counters;
    use crate::testing::connection;

    fn carried(bytes_in: u64, bytes_out: u64) -> Connection {
        let counters = Some(Counters { bytes_in, bytes_out, ..Counters::default() });
        Connection { counters, ..connection("10.0.0.1:1", "10.96.0.1:80", "10.1.1.1:8080") }
    }

    fn look(meter: &mut Meter, live: &[Connection], ended: &[Connection]) -> Delta {
        ended.iter().for_each(|connection| meter.ended(connection));
        live.iter().for_each(|connection| meter.lives(connection));
        meter.look(false).first().map(|(_, delta)| *delta).unwrap_or_default()
    }

    fn delta(opened: u64, live: u64, bytes_in: u64, bytes_out: u64) -> Delta {
        Delta { opened, live, bytes_in, bytes_out }
    }

    #[test]
    fn what_came_between_two_looks() {
        let mut meter = Meter::default();
        assert_eq!(look(&mut meter, &[carried(100, 1)], &[]), delta(0, 1, 0, 0), "it was there before");
        assert_eq!(look(&mut meter, &[carried(150, 2)], &[]), delta(0, 1, 50, 1));
        assert_eq!(look(&mut meter, &[carried(150, 2), carried(7, 7)], &[]), delta(1, 2, 7, 7));
        // One ends after it has carried more, one comes and goes unseen.
        let ended = [carried(180, 3), carried(1000, 0)];
        assert_eq!(look(&mut meter, &[carried(7, 7)], &ended), delta(1, 1, 1030, 1));
        assert_eq!(look(&mut meter, &[], &[carried(9, 9)]), delta(0, 0, 2, 2));
        assert_eq!(look(&mut meter, &[], &[]), delta(0, 0, 0, 0));
    }

    #[test]
    fn an_end_that_is_told_of_late_is_counted_once() {
        let mut meter = Meter::default();
        look(&mut meter, &[carried(100, 100)], &[]);
        // It ended before the list was read; the news comes after.
        assert_eq!(look(&mut meter, &[], &[]), delta(0, 0, 0, 0));
        assert_eq!(look(&mut meter, &[], &[carried(120, 100)]), delta(0, 0, 20, 0));
        // It was in the list and ended before the next look.
        assert_eq!(look(&mut meter, &[carried(10, 0)], &[]), delta(1, 1, 10, 0));
        assert_eq!(look(&mut meter, &[], &[carried(10, 0)]), delta(0, 0, 0, 0));
    }

    #[test]
    fn what_ends_in_silence_is_not_owed_for_ever() {
        let mut meter = Meter::default();
        look(&mut meter, &[carried(100, 100); 5], &[]);
        assert_eq!(look(&mut meter, &[], &[]), delta(0, 0, 0, 0));
        assert_eq!(look(&mut meter, &[], &[]), delta(0, 0, 0, 0));
        assert_eq!(look(&mut meter, &[carried(3, 3)], &[]), delta(1, 1, 3, 3));
    }

    #[test]
    fn lost_news_are_not_owed() {
        let mut meter = Meter::default();
        look(&mut meter, &[carried(100, 100)], &[]);
        assert_eq!(meter.look(true), []);
        assert_eq!(look(&mut meter, &[carried(3, 3)], &[]), delta(1, 1, 3, 3));
    }

    #[test]
    fn counts_of_real_servers() {
        let pair = pair(&carried(0, 0));
        let mut meter = Meter::default();
        let mut compare = |connections, live, bytes_in| {
            let counted = Counted { connections, live, bytes_in, bytes_out: 0 };
            meter.compare([(pair, counted)]).first().map(|(_, delta)| *delta).unwrap_or_default()
        };
        assert_eq!(compare(10, 1, 500), delta(0, 1, 0, 0));
        assert_eq!(compare(13, 2, 700), delta(3, 2, 200, 0));
        assert_eq!(compare(2, 0, 50), delta(2, 0, 50, 0), "it was removed and added");
        assert_eq!(meter.compare([]), []);
        let counted = Counted { connections: 4, ..Counted::default() };
        assert_eq!(meter.compare([(pair, counted)])[0].1, delta(4, 0, 0, 0), "one that is new");
    }
}
