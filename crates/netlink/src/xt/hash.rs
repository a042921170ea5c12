//! A number that stands for bytes.

/// Odd, with about as many ones as zeros.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Grows by bytes. Each step can be undone, so that two runs that differ in one word always end differently. Made to find
/// what somebody has changed, not to withstand who wants to be missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(FACTOR)
    }
}

impl Hash {
    /// Takes in bytes and how many there are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let words = bytes.chunks_exact(8);
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        for word in words {
            self.word(word.try_into().map_or(0, u64::from_le_bytes));
        }
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
        self
    }

    /// The number.
    pub(super) fn end(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(FACTOR).rotate_left(29);
    }
}
