//! One probe: a query to our own server, and what came of it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::ends::ProbeEnd;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// Longest answer that is read.
const LONGEST: usize = 4096;
/// A DNS header.
const HEADER: usize = 12;

/// What came of one probe.
pub enum Answer {
    /// As it should be.
    Right,
    /// The server answers, but not as it should.
    Wrong(String),
    /// There was none.
    None(io::Error),
}

/// Asks over UDP.
pub fn ask_udp(end: &ProbeEnd, query: &[u8]) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    let mut reply = [0; LONGEST];
    // A refusal that an earlier query has brought, and late answers, are still in the socket.
    let mut talk = || -> io::Result<usize> {
        if let Some(error) = end.udp.take_error()? {
            tracing::trace!(%error, "an earlier probe was refused");
        }
        end.udp.send(query)?;
        loop {
            end.udp.set_read_timeout(Some(left(deadline)?))?;
            let length = end.udp.recv(&mut reply)?;
            if reply.get(..2) == query.get(..2) {
                return Ok(length);
            }
        }
    };
    talk().map_or_else(Answer::None, |length| judge(&reply[..length]))
}

/// A connection of its own, so that accepting is tried too. It ends with a reset: nothing of it stays.
pub fn ask_tcp(end: &ProbeEnd, query: &[u8]) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    let mut reply = Vec::new();
    let mut talk = || -> io::Result<()> {
        let socket = end.tcp()?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.connect_timeout(&end.server().into(), left(deadline)?)?;
        let mut stream = TcpStream::from(socket);
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), query].concat())?;
        let mut length = [0; 2];
        read(&mut stream, deadline, &mut length)?;
        reply.resize(usize::from(u16::from_be_bytes(length)).min(LONGEST), 0);
        read(&mut stream, deadline, &mut reply)
    };
    let talked = talk();
    match talked {
        Err(error) => Answer::None(error),
        Ok(()) if reply.get(..2) != query.get(..2) => Answer::Wrong("the answer has another ID".to_owned()),
        Ok(()) => judge(&reply),
    }
}

/// Reads all of it before the deadline, however small the pieces are.
fn read(stream: &mut TcpStream, deadline: Instant, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(into)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => into = &mut into[length..],
        }
    }
    Ok(())
}

/// What is left; a timeout of zero would mean none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// NOERROR or NXDOMAIN, and a reply at all.
fn judge(reply: &[u8]) -> Answer {
    match reply {
        [_, _, flags, more, ..] if reply.len() >= HEADER && flags & 0x80 != 0 => match more & 0x0f {
            0 | 3 => Answer::Right,
            rcode => Answer::Wrong(format!("the answer is an error: rcode {rcode}")),
        },
        _ => Answer::Wrong("the answer is no DNS reply".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_without_an_error_is_right() {
        let reply = |flags: u8, rcode: u8| [0, 1, flags, rcode, 0, 1, 0, 0, 0, 0, 0, 0];
        let cases: [(&[u8], bool); 8] = [
            (&reply(0x84, 0), true),
            (&reply(0x81, 0x80), true),
            (&reply(0x84, 3), true),
            (&reply(0x84, 2), false),
            (&reply(0x84, 5), false),
            (&reply(0x04, 0), false),
            (&reply(0x84, 0)[..11], false),
            (&[], false),
        ];
        for (reply, right) in cases {
            assert_eq!(matches!(judge(reply), Answer::Right), right, "{reply:?}");
        }
    }
}
