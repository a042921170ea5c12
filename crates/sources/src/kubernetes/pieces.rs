//! Objects cut out of a body as it comes in: elements of a list, lines of a watch. Never the whole body.
//!
//! ```text
//! frames --> ListSplitter --+
//!                           +--> Capture --> Piece (one object, or the beginning of one that is too large)
//! frames --> Lines ---------+
//! ```

/// What is kept of an object that is too large: enough for its name.
const HEAD: usize = 64 << 10;

/// One object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It was too large and is lost, but for its beginning.
    TooLarge {
        /// The beginning.
        head: &'a [u8],
        /// How large it was.
        size: usize,
    },
}

/// Puts together what came in pieces. Nothing is copied when all of it came at once.
#[derive(Debug)]
pub(super) struct Capture {
    held: Vec<u8>,
    size: usize,
    limit: usize,
}

impl Capture {
    /// Objects above `limit` bytes are too large.
    pub(super) fn new(limit: usize) -> Self {
        Self { held: Vec::new(), size: 0, limit }
    }

    /// More bytes of the object.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        if self.size <= self.limit {
            self.held.extend_from_slice(bytes);
            return;
        }
        self.held.truncate(HEAD);
        let room = HEAD.min(self.limit).saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.held.shrink_to(HEAD);
    }

    /// Hands out what was added, with these bytes at its end, and begins anew.
    pub(super) fn finish<R>(&mut self, last: &[u8], take: impl FnOnce(Piece<'_>) -> R) -> R {
        if self.size == 0 && last.len() <= self.limit {
            return take(Piece::Whole(last));
        }
        self.add(last);
        let result = if self.size <= self.limit {
            take(Piece::Whole(&self.held))
        } else {
            take(Piece::TooLarge { head: &self.held, size: self.size })
        };
        self.held.clear();
        // One large object must not hold memory for ever.
        self.held.shrink_to(HEAD);
        self.size = 0;
        result
    }
}

/// Cuts the body of a watch into lines.
#[derive(Debug)]
pub(super) struct Lines {
    capture: Capture,
}

impl Lines {
    /// Lines above `limit` bytes are too large.
    pub(super) fn new(limit: usize) -> Self {
        Self { capture: Capture::new(limit) }
    }

    /// Takes bytes, hands out every line that is complete. An error of `each` ends it.
    pub(super) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            self.capture.finish(line, |piece| match piece {
                Piece::Whole(line) if line.trim_ascii().is_empty() => Ok(()),
                piece => each(piece),
            })?;
        }
        self.capture.add(bytes);
        Ok(())
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.capture.size > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_held() {
        let mut capture = Capture::new(1 << 20);
        (0..100).for_each(|_| capture.add(&[b'x'; 20_000]));
        assert_eq!((capture.held.len(), capture.size), (HEAD, 2_000_000));
    }

    #[test]
    fn lines_of_every_cut() {
        let bytes = b"{\"a\":1}\n\n{\"b\":\"\\n\"}\r\n{\"c\"";
        for cut in 0..=bytes.len() {
            let (mut lines, mut found) = (Lines::new(100), Vec::new());
            for chunk in [&bytes[..cut], &bytes[cut..]] {
                let each = |piece: Piece<'_>| -> Result<(), ()> {
                    found.push(format!("{piece:?}").len());
                    Ok(())
                };
                lines.feed(chunk, each).unwrap();
            }
            assert_eq!((found.len(), lines.is_inside()), (2, true), "cut at {cut}");
        }
    }
}
