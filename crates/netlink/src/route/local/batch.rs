//! Many routes to a datagram, and their answers.

use super::{LocalRoute, RouteOwner, wire};
use crate::attr::Buffer;
use crate::socket::refusal;
use crate::{NetlinkError, Reply, Socket};

/// Routes per datagram. Each can be answered by one refusal, which waits in the receive buffer while the kernel
/// goes on; see `conntrack`, where the same number has room to spare.
const CHUNK: usize = 128;

/// Sends one message of a kind for each route, and returns what the kernel refused.
/// Errors: the socket failed; how far it came is unknown then.
pub(super) fn carry_out(
    socket: &mut Socket,
    owner: RouteOwner,
    kind: u16,
    flags: i32,
    routes: &[LocalRoute],
) -> Result<Vec<(LocalRoute, NetlinkError)>, NetlinkError> {
    let (mut buffer, mut refused) = (Buffer::default(), Vec::new());
    for chunk in routes.chunks(CHUNK) {
        let first = socket.sequences(chunk.len() as u32);
        buffer.clear();
        put(&mut buffer, owner, (kind, flags), chunk, first);
        socket.send(buffer.bytes())?;
        let mut tally = Tally { first, chunk, refused: Vec::new(), done: false };
        while !tally.done {
            socket.receive(|reply| tally.take(&reply))?;
        }
        refused.extend(tally.refused);
    }
    Ok(refused)
}

/// The last message asks for an acknowledgement, which ends the answers.
fn put(buffer: &mut Buffer, owner: RouteOwner, (kind, flags): (u16, i32), chunk: &[LocalRoute], first: u32) {
    for (place, route) in chunk.iter().enumerate() {
        let ack = if place + 1 == chunk.len() { libc::NLM_F_ACK } else { 0 };
        let flags = (libc::NLM_F_REQUEST | ack | flags) as u16;
        let mark = buffer.begin_message(kind, flags, first.wrapping_add(place as u32));
        wire::put_route(buffer, owner, kind, route);
        buffer.end_message(mark);
    }
}

/// Collects the answers to one datagram: a refusal of any, an acknowledgement of the last.
struct Tally<'a> {
    first: u32,
    chunk: &'a [LocalRoute],
    refused: Vec<(LocalRoute, NetlinkError)>,
    done: bool,
}

impl Tally<'_> {
    fn take(&mut self, reply: &Reply<'_>) {
        let place = reply.sequence.wrapping_sub(self.first) as usize;
        let Some(route) = self.chunk.get(place) else { return };
        if i32::from(reply.kind) != libc::NLMSG_ERROR {
            return;
        }
        self.done = place + 1 == self.chunk.len();
        self.refused.extend(refusal(reply, place).map(|error| (*route, error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(tally: &mut Tally<'_>, kind: i32, sequence: u32, errno: i32) {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        tally.take(&Reply { kind: kind as u16, flags: 0x100, sequence, port: 0, payload: &payload });
    }

    #[test]
    fn refusals_name_their_route_and_the_last_answer_ends_it() {
        let chunk =
            [1, 2, 3].map(|last| LocalRoute { address: [192, 0, 2, last].into(), prefix: 32, source: None });
        let mut tally = Tally { first: u32::MAX, chunk: &chunk, refused: Vec::new(), done: false };
        answer(&mut tally, libc::NLMSG_ERROR, u32::MAX, libc::EEXIST);
        answer(&mut tally, libc::NLMSG_ERROR, 7, libc::EPERM);
        answer(&mut tally, libc::NLMSG_DONE, 1, libc::EPERM);
        assert!(!tally.done);
        answer(&mut tally, libc::NLMSG_ERROR, 1, 0);
        assert!(tally.done);
        let refused: Vec<_> = tally.refused.iter().map(|(route, error)| (*route, error.errno())).collect();
        assert_eq!(refused, [(chunk[0], Some(libc::EEXIST))]);
    }

    #[test]
    fn only_the_last_message_asks_for_an_answer() {
        let route = LocalRoute { address: [192, 0, 2, 1].into(), prefix: 32, source: None };
        let mut buffer = Buffer::default();
        put(&mut buffer, RouteOwner::Services, (libc::RTM_NEWROUTE, libc::NLM_F_CREATE), &[route; 2], 9);
        let (one, two) = buffer.bytes().split_at(buffer.len() / 2);
        let flags = |message: &[u8]| i32::from(u16::from_ne_bytes([message[6], message[7]]));
        let create = libc::NLM_F_REQUEST | libc::NLM_F_CREATE;
        assert_eq!((flags(one), flags(two)), (create, create | libc::NLM_F_ACK));
        assert_eq!((one[8], two[8]), (9, 10));
    }
}
