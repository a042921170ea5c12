//! How many slots a list of endpoints gets, and how one is drawn.
//!
//! A verdict element names the chain, and so the number of slots to draw from. If that were the exact number of
//! endpoints, each endpoint that comes or goes would change a verdict, and the kernel walks every verdict of the table
//! again for each such change (about 1 ms at 10,000 Services). So the number is a class, 1, 2, 4, 6, 8, 12, 16, 24 and
//! so on; the endpoints fill the first slots of their class, and most changes touch slots only (20 us).
//!
//! A draw that meets an empty slot is repeated: over the filled slots the choice stays uniform (rejection sampling).
//! Fewer than a third of a class's slots are empty. After [`DRAWS`] misses the last draw is among those slots that are
//! filled at any list of the class, which favours them by less than one part in 5,000.

/// Draws among all slots of a class before the last one.
const DRAWS: usize = 8;
/// Most endpoints of one list; those beyond are not used. A slot's number has 16 bits.
pub const MAX: usize = 49_152;

/// The smallest class that holds a list of this length; `None` for an empty one.
pub fn class_of(length: usize) -> Option<u16> {
    let length = length.min(MAX);
    classes().find(|class| usize::from(*class) >= length).filter(|_| length > 0)
}

/// Whether a number is a class.
pub fn is_class(size: u16) -> bool {
    classes().any(|class| class == size)
}

/// The moduli of the draws of a class, one after the other until one meets a filled slot. The last always does.
pub fn draws(class: u16) -> Vec<u16> {
    let sure = classes().take_while(|smaller| *smaller < class).last().unwrap_or(0) + 1;
    if sure == class {
        return vec![class];
    }
    let mut all = vec![class; DRAWS];
    all.push(sure);
    all
}

/// 1, 2, then by turns three halves and four thirds of the one before, up to [`MAX`].
fn classes() -> impl Iterator<Item = u16> {
    [1, 2]
        .into_iter()
        .chain((2..=15u32).flat_map(|n| [1u32 << n, 3 << (n - 1)]))
        .filter_map(|class| u16::try_from(class).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_lists() {
        let lengths = [(1, 1), (2, 2), (3, 4), (4, 4), (5, 6), (7, 8), (9, 12), (12, 12), (13, 16), (17, 24)];
        for (length, class) in lengths {
            assert_eq!(class_of(length), Some(class), "{length}");
        }
        assert_eq!(class_of(0), None);
        assert_eq!(class_of(MAX), Some(49_152));
        assert_eq!(class_of(1_000_000), Some(49_152));
    }

    #[test]
    fn less_than_a_third_is_empty_and_the_last_draw_is_sure() {
        for length in 1..=5000usize {
            let class = class_of(length).unwrap();
            assert!(3 * (usize::from(class) - length) < usize::from(class), "{length}");
            let draws = draws(class);
            assert!(usize::from(*draws.last().unwrap()) <= length, "{length}");
            assert!(draws.iter().all(|modulus| *modulus <= class));
        }
    }

    /// The exact probability of each slot, for every length: the largest deviation from 1/length, relatively.
    #[test]
    fn the_choice_is_uniform() {
        for length in 1..=2000usize {
            let mut chance = vec![0.0; length];
            let mut reached = 1.0;
            for modulus in draws(class_of(length).unwrap()).into_iter().map(usize::from) {
                chance[..length.min(modulus)].iter_mut().for_each(|p| *p += reached / modulus as f64);
                reached *= modulus.saturating_sub(length) as f64 / modulus as f64;
            }
            assert!(reached < 1e-12, "{length}: a packet could miss");
            let worst = chance.iter().map(|p| (p * length as f64 - 1.0).abs()).fold(0.0, f64::max);
            assert!(worst < 0.0002, "{length}: {worst}");
        }
    }
}
