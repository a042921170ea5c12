//! Which endpoint goes into which slot.

use model::EndpointAddr;
use rustc_hash::FxHashMap;

/// Puts `wanted` (sorted; an endpoint that is there n times is to have n slots) into slots 0 to n-1, so that as few slots as
/// possible change: an endpoint that has a slot below n keeps it, as far as it is to have so many, and the others fill the holes
/// in their order. With nothing placed before, the order is that of `wanted`.
pub fn place(before: impl Fn(usize) -> Option<EndpointAddr>, wanted: &[EndpointAddr]) -> Vec<EndpointAddr> {
    let mut left: FxHashMap<EndpointAddr, usize> = FxHashMap::default();
    wanted.iter().for_each(|endpoint| *left.entry(*endpoint).or_default() += 1);
    let mut take = |endpoint: &EndpointAddr| {
        let count = left.get_mut(endpoint).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    };
    let kept: Vec<Option<EndpointAddr>> =
        (0..wanted.len()).map(|slot| before(slot).filter(&mut take)).collect();
    let mut rest = wanted.iter().filter(|endpoint| take(endpoint));
    kept.into_iter().filter_map(|slot| slot.or_else(|| rest.next().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<EndpointAddr> {
        text.bytes().map(|b| EndpointAddr { ip: [10, 0, 0, b].into(), port: 80 }).collect()
    }

    #[test]
    fn table() {
        for (before, wanted, after) in [
            ("", "abc", "abc"),
            ("abc", "abcd", "abcd"),
            ("abcd", "acd", "adc"),
            ("abcd", "bcd", "dbc"),
            ("cab", "abc", "cab"),
            ("ab", "cd", "cd"),
            ("aab", "ab", "ab"),
            ("xyz", "", ""),
            ("", "aab", "aab"),
            ("ab", "aab", "aba"),
            ("aab", "abb", "abb"),
            ("aabb", "aab", "aab"),
            ("bbaa", "aab", "baa"),
        ] {
            let old = list(before);
            let got = place(|i| old.get(i).copied(), &list(wanted));
            assert_eq!(got, list(after), "{before} -> {wanted}");
        }
    }
}
