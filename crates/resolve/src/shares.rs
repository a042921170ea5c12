//! How often each endpoint of a list is chosen, where the Service gives weights (`towpath.dev/weights`).
//!
//! A dataplane that chooses at random gives each endpoint a number of *places* in its list. All of them take the numbers
//! from here, so that the shares are the same in every mode but ipvs, where the kernel takes weights as they are.

use model::{Balance, EndpointAddr};

/// Most places of a short list; a longer one has up to [`PLACES_EACH`] for each endpoint.
const PLACES: u64 = 1_024;
/// Most places of an endpoint of a long list, on average.
const PLACES_EACH: u64 = 4;
/// Lists of more endpoints than this have no weights.
const MOST_ENDPOINTS: usize = 16_384;
/// Most places of any list, but for those that are rounded up to one.
const MOST_PLACES: u64 = 32_768;

/// The places of each endpoint, in the order of the list, each at least 1; `None` where all are alike. In all at most 1,024
/// and one more for each endpoint, for lists of up to 256 endpoints; at most 49,152 for any. Weights whose sum is beyond the first
/// number, once their common factor is taken out, are rounded.
pub fn places(endpoints: &[EndpointAddr], balance: &Balance) -> Option<Vec<u16>> {
    if balance.weights.is_empty() || endpoints.len() > MOST_ENDPOINTS {
        return None;
    }
    let weights: Vec<u64> = endpoints.iter().map(|e| balance.weight(e.ip).into()).collect();
    let most = (PLACES_EACH * endpoints.len() as u64).clamp(PLACES, MOST_PLACES);
    let places = reduced(rounded(reduced(weights), most));
    let unequal = places.iter().any(|count| *count != 1);
    unequal.then(|| places.into_iter().map(|count| u16::try_from(count).unwrap_or(u16::MAX)).collect())
}

/// Without the common factor.
fn reduced(mut counts: Vec<u64>) -> Vec<u64> {
    let factor = counts.iter().copied().fold(0, gcd).max(1);
    counts.iter_mut().for_each(|count| *count /= factor);
    counts
}

/// Made smaller in proportion, where there are too many in all.
fn rounded(mut counts: Vec<u64>, most: u64) -> Vec<u64> {
    let all: u64 = counts.iter().sum();
    if all > most {
        counts.iter_mut().for_each(|count| *count = ((*count * most + all / 2) / all).max(1));
    }
    counts
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    fn list(length: usize) -> Vec<EndpointAddr> {
        let ip = |n| std::net::Ipv4Addr::from(0x0a00_0001 + n as u32).into();
        (0..length).map(|n| EndpointAddr { ip: ip(n), port: 80 }).collect()
    }

    fn of(weights: &[u16]) -> Option<Vec<u16>> {
        let list = list(weights.len());
        let entries = list.iter().zip(weights).map(|(e, weight)| (IpNet::from(e.ip), *weight));
        places(&list, &Balance { scheduler: None, weights: entries.collect() })
    }

    #[test]
    fn table() {
        for (weights, want) in [
            (&[][..], None),
            (&[5], None),
            (&[1, 1, 1], None),
            (&[7, 7], None),
            (&[1, 3], Some(vec![1, 3])),
            (&[10, 20, 30], Some(vec![1, 2, 3])),
            (&[100, 200, 150], Some(vec![2, 4, 3])),
            (&[1, 1023], Some(vec![1, 1023])),
            (&[1000, 3001], Some(vec![1, 3])),
            (&[1, u16::MAX], Some(vec![1, 1024])),
            (&[u16::MAX - 1, u16::MAX], None),
        ] {
            assert_eq!(of(weights), want, "{weights:?}");
        }
    }

    #[test]
    fn places_are_bounded_and_shares_hold() {
        for length in [2, 3, 10, 100, 256, 1_000, 16_384] {
            let weights: Vec<u16> = (0..length).map(|n| 1 + (n * 7919 % 4_999) as u16).collect();
            let places = of(&weights[..length.min(1_000)]).unwrap();
            let n = places.len() as u64;
            let (all, sum): (u64, u64) = (
                places.iter().map(|c| u64::from(*c)).sum(),
                weights[..places.len()].iter().map(|w| u64::from(*w)).sum(),
            );
            assert!(all <= PLACES.max(4 * n) + n && places.iter().all(|count| *count > 0), "{length}: {all}");
            for (count, weight) in places.iter().zip(&weights) {
                let (got, want) = (f64::from(*count) / all as f64, f64::from(*weight) / sum as f64);
                assert!((got - want).abs() < 2.0 / all as f64, "{length}: {got} for {want}");
            }
        }
    }

    #[test]
    fn the_longest_lists_fit_into_the_slots_of_a_frontend() {
        let balance =
            |weight| Balance { scheduler: None, weights: [("10.0.0.0/27".parse().unwrap(), weight)].into() };
        let most: u64 =
            places(&list(MOST_ENDPOINTS), &balance(u16::MAX)).unwrap().iter().map(|c| u64::from(*c)).sum();
        assert!(most <= 49_152, "{most}");
        assert_eq!(places(&list(MOST_ENDPOINTS + 1), &balance(2)), None);
    }
}
