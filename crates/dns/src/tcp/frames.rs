//! Messages in a TCP stream: two octets of length, then the message (RFC 1035 4.2.2).

/// Octets of the longest query that is read: as over UDP, a query has one question and an OPT record.
/// A client that announces more is cut off before a buffer grows for it.
pub(crate) const LONGEST_QUERY: usize = 4_096;
/// Octets of a header; a shorter message is none.
const HEADER: usize = 12;

/// A client's stream breaks the protocol; the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("a message of {0} octets is announced: a header has 12")]
    TooShort(usize),
    #[error("a message of {0} octets is announced: a query has at most {LONGEST_QUERY}")]
    TooLong(usize),
}

/// What has been read of a stream and is not yet a whole message.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    octets: Vec<u8>,
    /// Octets at the start that have been handed out.
    used: usize,
}

impl Frames {
    /// Room for the next read; what has been handed out is forgotten.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.octets.drain(..self.used);
        self.used = 0;
        &mut self.octets
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, BadFrame> {
        let rest = self.octets.get(self.used..).unwrap_or_default();
        let Some(length) = announced(rest) else { return Ok(None) };
        check(length)?;
        let from = self.used + 2;
        if self.octets.len() < from + length {
            return Ok(None);
        }
        self.used = from + length;
        Ok(self.octets.get(from..from + length))
    }

    /// No message has begun.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.octets.len() == self.used
    }

    /// Gives memory back; for a connection that waits.
    pub(crate) fn shrink(&mut self) {
        if self.is_between_messages() {
            *self = Self::default();
        }
    }
}

fn announced(octets: &[u8]) -> Option<usize> {
    octets.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)))
}

fn check(length: usize) -> Result<(), BadFrame> {
    match length {
        0..HEADER => Err(BadFrame::TooShort(length)),
        HEADER..=LONGEST_QUERY => Ok(()),
        _ => Err(BadFrame::TooLong(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut octets = (length as u16).to_be_bytes().to_vec();
        octets.resize(2 + length, 7);
        octets
    }

    fn all(frames: &mut Frames) -> Result<Vec<usize>, BadFrame> {
        let mut lengths = Vec::new();
        while let Some(message) = frames.next()? {
            lengths.push(message.len());
        }
        Ok(lengths)
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let stream: Vec<u8> = [12, 40, 4_096, 13].into_iter().flat_map(frame).collect();
        for cut in [1, 2, 3, 7, 13, 14, 15, 1_000, stream.len()] {
            let mut frames = Frames::default();
            let mut lengths = Vec::new();
            for part in stream.chunks(cut) {
                frames.room().extend_from_slice(part);
                lengths.extend(all(&mut frames).unwrap());
            }
            assert_eq!(lengths, [12, 40, 4_096, 13], "cut every {cut} octets");
            assert!(frames.is_between_messages());
        }
    }

    #[test]
    fn lengths_that_no_query_has_end_the_stream_before_its_octets_come() {
        for (length, wanted) in [
            (0, BadFrame::TooShort(0)),
            (11, BadFrame::TooShort(11)),
            (4_097, BadFrame::TooLong(4_097)),
            (65_535, BadFrame::TooLong(65_535)),
        ] {
            let mut frames = Frames::default();
            frames.room().extend_from_slice(&(length as u16).to_be_bytes());
            assert_eq!(all(&mut frames), Err(wanted));
        }
    }
}
