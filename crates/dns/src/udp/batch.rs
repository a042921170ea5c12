//! Datagrams in batches: one system call takes up to [`SLOTS`] queries, one sends their replies.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, sendmmsg,
};

use super::address::{self, Local};

/// Datagrams in one system call. More gain nothing (measured: 8 are as good as 32).
pub(crate) const SLOTS: usize = 16;
/// Octets of a query that are looked at. A query has one question and an OPT record: 1,232 suffice.
const RECEIVED: usize = 1_536;
/// Octets that a reply's buffer has from the start; a larger reply lets it grow once.
const SENT: usize = 1_536;

/// One query's place: its octets, where it came from, what goes back.
pub(crate) struct Slot {
    received: Box<[u8]>,
    length: usize,
    /// Who asked.
    pub(crate) from: SocketAddr,
    peer: Option<SockaddrStorage>,
    /// The address that was asked, on a socket for all addresses.
    pub(crate) local: Local,
    /// The reply; empty: none.
    pub(crate) reply: Vec<u8>,
}

impl Slot {
    fn new() -> Self {
        Self {
            received: vec![0; RECEIVED].into_boxed_slice(),
            length: 0,
            from: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
            peer: None,
            local: Local::Bound,
            reply: Vec::with_capacity(SENT),
        }
    }

    /// The query as it came, and the buffer for its reply.
    pub(crate) fn split(&mut self) -> (&[u8], &mut Vec<u8>) {
        (self.received.get(..self.length).unwrap_or_default(), &mut self.reply)
    }

    fn forget(&mut self) {
        self.length = 0;
        self.peer = None;
        self.local = Local::Bound;
        self.reply.clear();
    }
}

/// What one socket's thread receives into and sends from. Nothing is allocated after the start.
pub(crate) struct Batch {
    slots: Box<[Slot]>,
    incoming: MultiHeaders<SockaddrStorage>,
    outgoing: MultiHeaders<SockaddrStorage>,
}

impl Batch {
    /// `space`: for the control message with the address that was asked (see [`address::space`]).
    pub(crate) fn new(space: Option<fn() -> Vec<u8>>) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::new()).collect(),
            incoming: MultiHeaders::preallocate(SLOTS, space.map(|make| make())),
            outgoing: MultiHeaders::preallocate(SLOTS, space.map(|make| make())),
        }
    }

    /// Waits for a query, then takes what else is there. 0: the socket was shut down.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, flags: MsgFlags) -> Result<usize, Errno> {
        self.slots.iter_mut().for_each(Slot::forget);
        let mut met: [Option<Met>; SLOTS] = [const { None }; SLOTS];
        let count = {
            let mut buffers = self.slots.iter_mut().map(|slot| [IoSliceMut::new(&mut slot.received)]);
            let mut buffers: [[IoSliceMut<'_>; 1]; SLOTS] =
                std::array::from_fn(|_| buffers.next().unwrap_or_else(|| [IoSliceMut::new(&mut [])]));
            let got = recvmmsg(
                socket.as_raw_fd(),
                &mut self.incoming,
                buffers.iter_mut(),
                flags | MsgFlags::MSG_WAITFORONE,
                None,
            )?;
            got.zip(&mut met).map(|(message, place)| *place = Met::of(&message)).count()
        };
        self.slots.iter_mut().zip(met).for_each(|(slot, met)| {
            if let Some(met) = met {
                met.fill(slot);
            }
        });
        Ok(count)
    }

    /// The first `count` places.
    pub(crate) fn filled(&mut self, count: usize) -> &mut [Slot] {
        let count = count.min(self.slots.len());
        self.slots.get_mut(..count).unwrap_or_default()
    }

    /// Sends the replies of the first `count` places. One that the kernel refuses is dropped: the client
    /// asks again. Never waits.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>, count: usize) {
        let mut done = 0;
        while let Some(local) = self.next_local(&mut done, count) {
            let run = self.run_of(done, count, local);
            done += self.send_run(socket, done, run, local).max(1);
        }
    }

    /// Skips places without a reply; the address that the next reply leaves from.
    fn next_local(&self, done: &mut usize, count: usize) -> Option<Local> {
        let rest = self.slots.get(*done..count)?;
        let skip = rest.iter().position(|slot| !slot.reply.is_empty())?;
        *done += skip;
        rest.get(skip).map(|slot| slot.local)
    }

    /// How many places in a row have a reply that leaves from the same address.
    fn run_of(&self, from: usize, count: usize, local: Local) -> usize {
        let rest = self.slots.get(from..count).unwrap_or_default();
        rest.iter().take_while(|slot| !slot.reply.is_empty() && slot.local == local).count()
    }

    fn send_run(&mut self, socket: BorrowedFd<'_>, from: usize, run: usize, local: Local) -> usize {
        let slots = self.slots.get(from..from + run).unwrap_or_default();
        let replies: [[IoSlice<'_>; 1]; SLOTS] = std::array::from_fn(|place| {
            [IoSlice::new(slots.get(place).map(|slot| slot.reply.as_slice()).unwrap_or_default())]
        });
        let peers: [Option<SockaddrStorage>; SLOTS] =
            std::array::from_fn(|place| slots.get(place).and_then(|slot| slot.peer));
        let (four, six) = (local.four(), local.six());
        let control = match (&four, &six) {
            (Some(info), _) => Some(ControlMessage::Ipv4PacketInfo(info)),
            (_, Some(info)) => Some(ControlMessage::Ipv6PacketInfo(info)),
            _ => None,
        };
        let peers = peers.get(..run).unwrap_or_default();
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut self.outgoing,
            replies.iter(),
            peers,
            control.as_slice(),
            MsgFlags::MSG_DONTWAIT,
        );
        sent.map(Iterator::count).unwrap_or(0)
    }
}

/// What is kept of one received message.
struct Met {
    length: usize,
    from: SocketAddr,
    peer: SockaddrStorage,
    local: Local,
}

impl Met {
    fn of(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Self> {
        let peer = message.address?;
        let from = address::of(&peer)?;
        let controls = message.cmsgs().into_iter().flatten();
        let local = controls.filter_map(address_asked).next().unwrap_or(Local::Bound);
        Some(Self { length: message.bytes, from, peer, local })
    }

    fn fill(self, slot: &mut Slot) {
        slot.length = self.length;
        slot.from = self.from;
        slot.peer = Some(self.peer);
        slot.local = self.local;
    }
}

fn address_asked(control: ControlMessageOwned) -> Option<Local> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::from_four(&info)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::from_six(&info)),
        _ => None,
    }
}
