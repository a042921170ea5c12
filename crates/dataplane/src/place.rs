//! Which endpoint goes into which slot.

use model::EndpointAddr;
use rustc_hash::FxHashSet;

/// Puts `wanted` (sorted, without repetition) into slots 0 to n-1, so that as few slots as possible change:
/// an endpoint that has a slot below n keeps it, the others fill the holes in their order. With nothing placed
/// before, the order is that of `wanted`.
pub fn place(before: impl Fn(usize) -> Option<EndpointAddr>, wanted: &[EndpointAddr]) -> Vec<EndpointAddr> {
    let mut slots: Vec<Option<EndpointAddr>> = vec![None; wanted.len()];
    let mut kept = FxHashSet::default();
    for (index, slot) in slots.iter_mut().enumerate() {
        let keep = before(index).filter(|e| wanted.binary_search(e).is_ok() && kept.insert(*e));
        *slot = keep;
    }
    let mut rest = wanted.iter().filter(|e| !kept.contains(e));
    slots.into_iter().filter_map(|slot| slot.or_else(|| rest.next().copied())).collect()
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
        ] {
            let old = list(before);
            let got = place(|i| old.get(i).copied(), &list(wanted));
            assert_eq!(got, list(after), "{before} -> {wanted}");
        }
    }
}
