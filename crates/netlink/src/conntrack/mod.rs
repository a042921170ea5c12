//! Connection tracking: dumps of flows, filtered in the kernel, their deletion, and the news that they are gone.
//!
//! ```text
//!   flow   Flow, Tuple, Account, Filter        (values)
//!   wire   values <-> ctnetlink messages       (pure)
//!   ended  news of flows that are gone         (I/O)
//!   here   dump, delete, delete_all            (I/O)
//! ```
//!
//! Invariants:
//! * what the kernel filters is checked again here, so that every kernel gives the same answer;
//! * a deletion names tuple, zone and id: it means the flow that was seen, not whatever has its tuple now.

mod ended;
mod flow;
mod wire;

pub use ended::{Ended, News};
pub use flow::{Account, Counters, DST_NAT, Family, Filter, Flow, SEEN_REPLY, SRC_NAT, Tuple};

use crate::attr::Buffer;
use crate::socket::refusal;
use crate::{NetlinkError, Reply, Socket};

/// Deletions per datagram. Each can be answered by one refusal, which waits in the receive buffer while the kernel
/// goes on. The default buffer (208 KiB) took 256 of them and not 320 (6.18), so this has room to spare.
const CHUNK: usize = 128;

/// Opens a socket for the functions of this module. Errors: the kernel gives none.
pub fn open() -> Result<Socket, NetlinkError> {
    Socket::open(libc::NETLINK_NETFILTER)
}

/// Hands every flow that the filter lets through to `each`. `socket` is one of [`open`].
///
/// The result says whether the dump was consistent. If it was not, what came is true but may be incomplete; ask
/// again. (No kernel up to 6.18 checks conntrack dumps, so the answer is `true` there.) A flow may come twice if
/// the table is resized meanwhile.
///
/// The kernel walks its whole table for every dump; the filter saves the copying. Of 50,000 flows, 1,000 of one VIP
/// took 25 ms and all of them 100 ms; an empty table of 262,144 buckets takes 12 ms. So for more than about four
/// frontends one dump by protocol alone is cheaper.
///
/// Kernels before 5.8 ignore the filter, others may refuse it; then all flows of the family are read and
/// filtered here. Errors: the socket failed, or the kernel refused even the unfiltered dump (`CAP_NET_ADMIN`).
pub fn dump(socket: &mut Socket, filter: &Filter, mut each: impl FnMut(Flow)) -> Result<bool, NetlinkError> {
    dump_read(socket, filter, |reply| {
        if let Some(flow) = wire::flow(reply).filter(|flow| filter.matches(flow)) {
            each(flow);
        }
    })
}

/// As [`dump`], with all that the kernel counts and knows of each flow.
pub fn dump_accounts(
    socket: &mut Socket,
    filter: &Filter,
    mut each: impl FnMut(Account),
) -> Result<bool, NetlinkError> {
    dump_read(socket, filter, |reply| {
        if let Some(account) = wire::account(reply).filter(|account| filter.matches(&account.flow)) {
            each(account);
        }
    })
}

fn dump_read(
    socket: &mut Socket,
    filter: &Filter,
    mut each: impl FnMut(&Reply<'_>),
) -> Result<bool, NetlinkError> {
    if filter.is_contradiction() {
        return Ok(true);
    }
    match dump_once(socket, filter, true, &mut each) {
        Err(error) if is_filter_refused(&error) => dump_once(socket, filter, false, &mut each),
        result => result,
    }
}

/// Deletes one flow. `false`: it was gone already, or a newer one has its tuple.
/// Errors: the socket failed, or the kernel refused for another reason than that.
///
/// The kernel makes the id from the address of its record, so a newer flow of equal tuple that happens to reuse the
/// record can't be told apart.
pub fn delete(socket: &mut Socket, flow: &Flow) -> Result<bool, NetlinkError> {
    Ok(delete_all(socket, std::slice::from_ref(flow))? == 1)
}

/// Deletes many flows, many to a datagram, and returns how many there still were.
/// An error names the index of the first flow that the kernel refused to delete; flows around it may be gone.
pub fn delete_all(socket: &mut Socket, flows: &[Flow]) -> Result<usize, NetlinkError> {
    let (mut buffer, mut deleted) = (Buffer::default(), 0);
    for (number, chunk) in flows.chunks(CHUNK).enumerate() {
        deleted += delete_chunk(socket, &mut buffer, chunk, number * CHUNK)?;
    }
    Ok(deleted)
}

fn dump_once(
    socket: &mut Socket,
    filter: &Filter,
    in_kernel: bool,
    each: &mut impl FnMut(&Reply<'_>),
) -> Result<bool, NetlinkError> {
    let sequence = socket.sequences(1);
    let mut request = Buffer::default();
    wire::put_dump(&mut request, filter, in_kernel, sequence);
    socket.dump(request.bytes(), sequence, |reply| each(&reply))
}

fn is_filter_refused(error: &NetlinkError) -> bool {
    matches!(error, NetlinkError::Refused { errno: libc::EINVAL | libc::EOPNOTSUPP, .. })
}

fn delete_chunk(
    socket: &mut Socket,
    buffer: &mut Buffer,
    chunk: &[Flow],
    offset: usize,
) -> Result<usize, NetlinkError> {
    let first = socket.sequences(chunk.len() as u32);
    buffer.clear();
    for (sequence, flow) in (0..).map(|i| first.wrapping_add(i)).zip(chunk) {
        let last = sequence == first.wrapping_add(chunk.len() as u32 - 1);
        wire::put_delete(buffer, flow, last, sequence);
    }
    socket.send(buffer.bytes())?;
    let mut tally = Tally { first, offset, length: chunk.len(), ..Tally::default() };
    while !tally.done {
        socket.receive(|reply| tally.take(&reply))?;
    }
    tally.failure.map_or(Ok(chunk.len() - tally.missing), Err)
}

/// Counts the answers to one datagram of deletions: a refusal of any, an acknowledgement of the last.
#[derive(Debug, Default)]
struct Tally {
    first: u32,
    offset: usize,
    length: usize,
    missing: usize,
    failure: Option<NetlinkError>,
    done: bool,
}

impl Tally {
    fn take(&mut self, reply: &Reply<'_>) {
        let place = reply.sequence.wrapping_sub(self.first) as usize;
        if place >= self.length || i32::from(reply.kind) != libc::NLMSG_ERROR {
            return;
        }
        self.done = place + 1 == self.length;
        match refusal(reply, self.offset + place) {
            Some(NetlinkError::Refused { errno: libc::ENOENT, .. }) => self.missing += 1,
            Some(error) => _ = self.failure.get_or_insert(error),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(tally: &mut Tally, sequence: u32, errno: i32) {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        let kind = libc::NLMSG_ERROR as u16;
        tally.take(&Reply { kind, flags: 0x100, sequence, port: 0, payload: &payload });
    }

    #[test]
    fn refusals_are_counted_and_the_last_answer_ends_it() {
        let mut tally = Tally { first: u32::MAX, offset: 128, length: 4, ..Tally::default() };
        answer(&mut tally, u32::MAX, libc::ENOENT);
        answer(&mut tally, 1, libc::EPERM);
        answer(&mut tally, 77, libc::EPERM);
        assert!(!tally.done);
        answer(&mut tally, 2, 0);
        assert!(tally.done);
        assert_eq!(tally.missing, 1);
        assert!(matches!(tally.failure, Some(NetlinkError::Refused { errno: libc::EPERM, index: 130, .. })));
    }

    #[test]
    fn only_a_refusal_of_the_filter_is_retried_without_it() {
        let refused = |errno| NetlinkError::Refused { errno, index: 0, extended: String::new() };
        assert!(is_filter_refused(&refused(libc::EINVAL)));
        assert!(is_filter_refused(&refused(libc::EOPNOTSUPP)));
        assert!(!is_filter_refused(&refused(libc::EPERM)));
    }
}
