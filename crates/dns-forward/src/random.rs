//! Unpredictable numbers, from the kernel.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use tokio_rustls::rustls::crypto::{SecureRandom, ring};

/// A number that nobody can foresee.
pub(crate) fn number() -> u64 {
    static SOURCE: OnceLock<&'static dyn SecureRandom> = OnceLock::new();
    let source = SOURCE.get_or_init(|| ring::default_provider().secure_random);
    let mut octets = [0; 8];
    match source.fill(&mut octets) {
        Ok(()) => u64::from_ne_bytes(octets),
        Err(_) => RandomState::new().hash_one(octets), // seeded by the system as well
    }
}

/// A number below `bound`, which is at least 1 and small.
pub(crate) fn below(bound: usize) -> usize {
    let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
    usize::try_from(number() % bound).unwrap_or(0)
}

/// A message's ID.
pub(crate) fn id() -> u16 {
    (number() >> 48) as u16
}
