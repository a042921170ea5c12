//! Many commands to a datagram, and their answers.

use super::{Command, Ipvs, wire};
use crate::attr::Buffer;
use crate::socket::refusal;
use crate::{NetlinkError, Reply};

/// Commands per datagram. Each can be answered by one refusal, which waits in the receive buffer while the kernel
/// goes on; see `conntrack`, where the same number has room to spare.
const CHUNK: usize = 128;

/// Carries out commands, in order, and returns what the kernel refused: each a [`NetlinkError::Refused`] whose
/// `index` is the command's. There is no transaction: a refusal stops nothing, and takes nothing back.
/// Errors: the socket failed; how far it came is unknown then.
pub fn apply(ipvs: &mut Ipvs, commands: &[Command]) -> Result<Vec<NetlinkError>, NetlinkError> {
    let (mut buffer, mut refused) = (Buffer::default(), Vec::new());
    for (number, chunk) in commands.chunks(CHUNK).enumerate() {
        refused.extend(apply_chunk(ipvs, &mut buffer, chunk, number * CHUNK)?);
    }
    Ok(refused)
}

fn apply_chunk(
    ipvs: &mut Ipvs,
    buffer: &mut Buffer,
    chunk: &[Command],
    offset: usize,
) -> Result<Vec<NetlinkError>, NetlinkError> {
    let first = ipvs.socket.sequences(chunk.len() as u32);
    buffer.clear();
    for (place, command) in chunk.iter().enumerate() {
        let last = place + 1 == chunk.len();
        wire::put_command(buffer, ipvs.family, command, last, first.wrapping_add(place as u32));
    }
    ipvs.socket.send(buffer.bytes())?;
    let mut tally = Tally { first, offset, chunk, refused: Vec::new(), done: false };
    while !tally.done {
        ipvs.socket.receive(|reply| tally.take(&reply))?;
    }
    Ok(tally.refused)
}

/// Collects the answers to one datagram: a refusal of any, an acknowledgement of the last.
struct Tally<'a> {
    first: u32,
    offset: usize,
    chunk: &'a [Command],
    refused: Vec<NetlinkError>,
    done: bool,
}

impl Tally<'_> {
    fn take(&mut self, reply: &Reply<'_>) {
        let place = reply.sequence.wrapping_sub(self.first) as usize;
        let Some(command) = self.chunk.get(place) else { return };
        if i32::from(reply.kind) != libc::NLMSG_ERROR {
            return;
        }
        self.done = place + 1 == self.chunk.len();
        self.refused.extend(refusal(reply, self.offset + place).map(|error| explained(error, command)));
    }
}

/// IPVS sends numbers without words.
fn explained(mut error: NetlinkError, command: &Command) -> NetlinkError {
    if let NetlinkError::Refused { errno, extended, .. } = &mut error
        && extended.is_empty()
    {
        *extended = explanation(*errno, command).to_owned();
    }
    error
}

fn explanation(errno: i32, command: &Command) -> &'static str {
    let of_service = matches!(command, Command::Add(_) | Command::Edit(_) | Command::Delete(_));
    match (errno, of_service) {
        (libc::ESRCH, _) => "there is no such virtual server",
        (libc::EEXIST, true) => "the virtual server is there already",
        (libc::EEXIST, false) => "the real server is there already",
        (libc::ENOENT, true) => "the kernel has no such scheduler",
        (libc::ENOENT, false) => "there is no such real server",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conntrack::Family;
    use crate::ipvs::Key;

    const DELETE: Command = Command::Delete(Key::Mark { mark: 1, family: Family::V4 });

    fn answer(tally: &mut Tally<'_>, sequence: u32, errno: i32) {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        let kind = libc::NLMSG_ERROR as u16;
        tally.take(&Reply { kind, flags: 0x100, sequence, port: 0, payload: &payload });
    }

    #[test]
    fn refusals_are_collected_and_the_last_answer_ends_it() {
        let chunk = [const { DELETE }; 4];
        let mut tally =
            Tally { first: u32::MAX, offset: 128, chunk: &chunk, refused: Vec::new(), done: false };
        answer(&mut tally, u32::MAX, libc::ESRCH);
        answer(&mut tally, 77, libc::EPERM);
        assert!(!tally.done);
        answer(&mut tally, 2, libc::EPERM);
        assert!(tally.done);
        let told: Vec<_> = tally.refused.iter().map(ToString::to_string).collect();
        let expected = [
            "the kernel refused message 128: No such process (os error 3): there is no such virtual server",
            "the kernel refused message 131: Operation not permitted (os error 1)",
        ];
        assert_eq!(told, expected);
    }
}
