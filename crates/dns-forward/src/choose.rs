//! In which order upstreams are asked, and when the next one is. Pure.

use std::time::Duration;

use crate::Policy;
use crate::health::Standing;

/// The next upstream is asked when a reply should be there, within these bounds.
const HEDGE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// ... and after this as long as nothing is known; the least before an upstream is asked once more.
const HEDGE_UNKNOWN: Duration = Duration::from_millis(200);
/// The longest wait before an upstream is asked once more, however slow it is known to be: a packet may be lost, and
/// [`crate::DEADLINE`] ends it all.
const HEDGE_AGAIN: Duration = Duration::from_millis(2_500);
/// The longest wait between two messages for one question.
const HEDGE_LAST: Duration = Duration::from_secs(1);

/// The upstreams to ask, as places in `standings`: better ones first, equal ones by policy, looping ones never. If all are down
/// they are asked all the same, unless `fail_fast`. `turn` counts up for [`Policy::RoundRobin`] and is random for
/// [`Policy::Random`].
pub(crate) fn order(standings: &[Standing], policy: Policy, turn: usize, fail_fast: bool) -> Vec<usize> {
    let count = standings.len();
    let start = if policy == Policy::Sequential || count == 0 { 0 } else { turn % count };
    let mut order: Vec<usize> = (0..count).map(|at| (start + at) % count).collect();
    order.retain(|at| standings[*at] != Standing::Looping);
    order.sort_by_key(|at| standings[*at]);
    let all_down = order.first().is_some_and(|at| standings[*at] == Standing::Down);
    if all_down && fail_fast { Vec::new() } else { order }
}

/// How long to wait after the message number `sent` (from 0) for one question, before the next. `usual`: the time by which the
/// upstream's reply is there, as a rule. The second wait is four times the first, and so on up to a second. `again`: the next
/// message is for an upstream that was asked already; that is not done in a hurry, for it may only have much to do: never before
/// its reply is due.
pub(crate) fn hedge_delay(usual: Option<Duration>, sent: usize, again: bool) -> Duration {
    let (least, most) = if again { (HEDGE_UNKNOWN, HEDGE_AGAIN) } else { HEDGE };
    let first = usual.map_or(HEDGE_UNKNOWN, |usual| usual.clamp(least, most));
    let factor = 4_u32.saturating_pow(u32::try_from(sent).unwrap_or(u32::MAX));
    first.saturating_mul(factor).min(HEDGE_LAST.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Down, Good, Looping, Suspect};

    #[test]
    fn order_of_upstreams() {
        type Row<'a> = (&'a [Standing], Policy, usize, bool, &'a [usize]);
        let table: [Row<'_>; 9] = [
            (&[], Policy::Random, 3, false, &[]),
            (&[Good, Good, Good], Policy::Sequential, 2, false, &[0, 1, 2]),
            (&[Good, Good, Good], Policy::RoundRobin, 4, false, &[1, 2, 0]),
            (&[Suspect, Good, Good], Policy::Sequential, 0, false, &[1, 2, 0]),
            (&[Down, Suspect, Good], Policy::RoundRobin, 0, false, &[2, 1, 0]),
            (&[Good, Looping], Policy::Random, 1, false, &[0]),
            (&[Down, Down], Policy::Sequential, 0, false, &[0, 1]),
            (&[Down, Down], Policy::Sequential, 0, true, &[]),
            (&[Looping, Looping], Policy::Sequential, 0, false, &[]),
        ];
        for (standings, policy, turn, fail_fast, want) in table {
            assert_eq!(order(standings, policy, turn, fail_fast), want, "{standings:?} {policy:?} {turn}");
        }
    }

    #[test]
    fn delay_before_the_next() {
        let table = [
            (None, 0, false, 200),
            (None, 1, false, 800),
            (Some(1), 0, false, 20),
            (Some(1), 1, false, 80),
            (Some(1), 2, false, 320),
            (Some(1), 9, false, 1000),
            (Some(90), 0, false, 90),
            (Some(1000), 0, false, 500),
            (Some(1000), 1, false, 1000),
            (Some(1), 0, true, 200),
            (Some(1), 1, true, 800),
            (Some(300), 0, true, 300),
            (Some(2_100), 0, true, 2_100),
            (Some(2_100), 1, true, 2_100),
            (Some(9_000), 0, true, 2_500),
        ];
        for (usual, sent, again, want) in table {
            let delay = hedge_delay(usual.map(Duration::from_millis), sent, again);
            assert_eq!(delay, Duration::from_millis(want), "{usual:?} {sent} {again}");
        }
    }
}
