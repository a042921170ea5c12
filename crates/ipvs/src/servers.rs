//! Our virtual servers in the kernel: what is there (`look`), and how it becomes what it should be (`make`, `clear`).

mod clear;
mod look;
mod make;

pub use clear::Left;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use model::{EndpointAddr, Scheduler};
use netlink::NetlinkError;
use netlink::ipvs::{self, Command, Ipvs};
use rustc_hash::FxHashMap;

use crate::digest::Digest;
use crate::drain::Drains;
use crate::objects::{Choice, Server, kernel_key};

/// A virtual server of ours that the kernel has.
#[derive(Clone, Copy, Debug)]
struct Present {
    choice: Choice,
    digest: Digest,
}

/// Our virtual servers.
#[derive(Debug)]
pub struct Servers {
    socket: Ipvs,
    present: FxHashMap<Server, Present>,
    drains: Drains,
    /// The order in which they are looked at.
    ring: VecDeque<Server>,
    /// How many were looked at in this round.
    turn: usize,
}

impl Servers {
    /// Nothing is known of the kernel yet.
    pub fn new(socket: Ipvs, patience: Duration) -> Self {
        let (present, ring) = Default::default();
        Self { socket, present, drains: Drains::new(patience), ring, turn: 0 }
    }

    /// Sets how long real servers may drain.
    pub fn set_patience(&mut self, patience: Duration) {
        self.drains.set_patience(patience);
    }

    /// As [`Drains::end_now`].
    pub fn end_now(&mut self, endpoint: &EndpointAddr, is_frontend: impl Fn(&Server) -> bool) {
        self.drains.end_now(endpoint, is_frontend);
    }

    /// Whether the virtual server is on its way out.
    pub fn is_closing(&self, server: &Server) -> bool {
        self.drains.is_closing(server)
    }

    /// Whether a virtual server at this address is on its way out.
    pub fn is_closing_at(&self, ip: IpAddr) -> bool {
        self.drains.is_closing_at(ip)
    }

    /// Whether the kernel has this one, and it is ours.
    pub fn has(&self, server: &Server) -> bool {
        self.present.contains_key(server)
    }

    /// Our virtual servers that the kernel has.
    pub fn keys(&self) -> impl Iterator<Item = Server> + '_ {
        self.present.keys().copied()
    }

    /// Sets how long idle connections are kept. Errors: the kernel refused.
    pub fn set_timeouts(&mut self, timeouts: &ipvs::Timeouts) -> Result<(), NetlinkError> {
        ipvs::set_timeouts(&mut self.socket, timeouts)
    }

    /// Whether the kernel has a scheduler; asking loads its module. Errors: the kernel refused for another reason.
    pub fn has_scheduler(&mut self, scheduler: Scheduler) -> Result<bool, NetlinkError> {
        let key = ipvs::Key::Mark { mark: PROBE, family: netlink::conntrack::Family::V4 };
        let name = scheduler.as_str().to_owned();
        let server = ipvs::VirtualServer { key, scheduler: name, flags: 0, timeout: 0, prefix: 32 };
        // One that a crash has left would tell nothing.
        ipvs::delete(&mut self.socket, &key)?;
        match ipvs::run(&mut self.socket, &Command::Add(server)) {
            Ok(()) => ipvs::delete(&mut self.socket, &key).map(|_| true),
            Err(error) if error.errno() == Some(ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, server: Server, present: Present) {
        if self.present.insert(server, present).is_none() {
            self.ring.push_back(server);
        }
        // One that went and came back before its turn is there twice.
        if self.ring.len() > 2 * self.present.len() + SLACK {
            self.ring = self.present.keys().copied().collect();
        }
    }

    fn count(&mut self, server: &Server, endpoint: EndpointAddr, old: Option<u32>, new: Option<u32>) {
        let Some(present) = self.present.get_mut(server) else { return };
        old.into_iter().for_each(|weight| present.digest.remove(endpoint, weight));
        new.into_iter().for_each(|weight| present.digest.add(endpoint, weight));
    }

    fn delete(&mut self, servers: &[Server]) -> Result<(), NetlinkError> {
        let commands: Vec<Command> =
            servers.iter().map(|server| Command::Delete(kernel_key(*server))).collect();
        ignore_absent(ipvs::apply(&mut self.socket, &commands)?)?;
        servers.iter().for_each(|server| self.forget(server));
        Ok(())
    }

    fn forget(&mut self, server: &Server) {
        self.present.remove(server);
        self.drains.forget(server);
    }

    /// Whether something drains.
    pub fn is_draining(&self) -> bool {
        !self.drains.is_empty()
    }
}

/// Places in the ring that may be out of date.
const SLACK: usize = 64;

/// A mark that no packet has, for a virtual server that only shows whether there is a scheduler.
const PROBE: u32 = 0x746f_7770;

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const EAFNOSUPPORT: i32 = 97;

fn numbered(refusals: Vec<NetlinkError>) -> FxHashMap<usize, NetlinkError> {
    let index = |error: &NetlinkError| match error {
        NetlinkError::Refused { index, .. } => *index,
        _ => usize::MAX,
    };
    refusals.into_iter().map(|error| (index(&error), error)).collect()
}

/// What was to go and is gone already is as it should be.
fn ignore_absent(refusals: Vec<NetlinkError>) -> Result<(), NetlinkError> {
    let real = refusals.into_iter().find(|error| !matches!(error.errno(), Some(ENOENT | ESRCH)));
    real.map_or(Ok(()), Err)
}
