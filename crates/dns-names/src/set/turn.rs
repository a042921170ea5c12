//! Where a walk over addresses begins: at another of them with each query, at each as often as at any other.

use model::IpFamily;

/// A query's place in the order of queries, and the family whose addresses it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub number: u32,
    /// `None`: both.
    pub family: Option<IpFamily>,
}

impl Turn {
    /// A number below `count` (0 if that is 0). Numbers of queries for one name come in steps: of two where A and AAAA are asked in
    /// pairs, of more behind a search path. So they are mixed (the last steps of MurmurHash3): no step prefers any address.
    pub fn among(self, count: usize) -> usize {
        let mut mixed = self.number;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^= mixed >> 16;
        // The high half of the product: 0 to count - 1.
        usize::try_from((u64::from(mixed) * count as u64) >> 32).unwrap_or(0)
    }
}

/// The items of a walk, of which those that count for the turn take turns in coming first. Walks twice.
pub(crate) fn turned<I: Iterator>(
    turn: Option<Turn>,
    walk: impl Fn() -> I,
    counts: impl Fn(&I::Item) -> bool,
) -> impl Iterator<Item = I::Item> {
    let begin = turn.and_then(|turn| {
        let places = || walk().enumerate().filter(|(_, item)| counts(item)).map(|(at, _)| at);
        places().nth(turn.among(places().count()))
    });
    let begin = begin.unwrap_or(0);
    walk().skip(begin).chain(walk().take(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_first_equally_often_whatever_the_step() {
        for (step, count) in [(1, 2), (2, 2), (2, 3), (3, 3), (4, 2), (8, 4), (10, 5), (64, 2), (1024, 7)] {
            let mut firsts = vec![0; count];
            for query in 0..4000 {
                let turn = Turn { number: query * step, family: None };
                firsts[turn.among(count)] += 1;
            }
            let share = 4000 / count;
            let even = firsts.iter().all(|times| (share * 85 / 100..=share * 115 / 100).contains(times));
            assert!(even, "step {step}: {firsts:?}");
        }
        assert_eq!(Turn { number: 9, family: None }.among(0), 0);
    }

    #[test]
    fn only_what_counts_comes_first_and_nothing_is_lost() {
        let first = |number| {
            let turn = Some(Turn { number, family: None });
            let items: Vec<_> = turned(turn, || 0..6, |item| item % 2 == 0).collect();
            assert!(items.windows(2).all(|pair| (pair[0] + 1) % 6 == pair[1]) && items.len() == 6);
            items[0]
        };
        let firsts: std::collections::BTreeSet<_> = (0..100).map(first).collect();
        assert_eq!(firsts, [0, 2, 4].into());
        assert_eq!(turned(None, || 0..3, |_| true).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
