//! The source "addresses": what this node's kernel answers for.
//!
//! ```text
//!   rtnetlink news --> list again --> usable addresses, by interface --> KernelAddresses, if the set differs
//! ```
//!
//! News are subscribed to before the first list, so that no change falls between the two.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use model::Change;
use netlink::route::{self, Address, AddressWatch, News};
use netlink::{NetlinkError, Socket};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::StopSignal;

/// How soon a list that changes kept interrupting is tried again, in milliseconds.
const RETRY: u16 = 1000;

/// Links whose addresses are none of the node's: kube-proxy's in mode ipvs, which has the VIPs of Services and may be there when
/// towpath takes over, and ours for DNS, whose addresses every node has.
pub const NOT_THE_NODES: [&str; 2] = ["kube-ipvs0", "towpath-dns"];

/// Why [`Addresses`] cannot start or go on. The addresses that were reported last stay in force.
#[derive(Debug, thiserror::Error)]
pub enum AddressesError {
    /// The kernel refused something, or a socket failed.
    #[error("node addresses: cannot {what}, the last known ones stay in force: {source}")]
    Netlink {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: NetlinkError,
    },
    /// Waiting for news failed.
    #[error("node addresses: cannot wait for news, the last known ones stay in force: {0}")]
    Wait(io::Error),
    /// Nobody takes the changes any more.
    #[error("the receiver of changes is gone")]
    ReceiverGone,
}

/// The addresses of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Addresses {
    watch: AddressWatch,
    query: Socket,
    /// What was reported last, sorted.
    reported: Vec<IpAddr>,
}

impl Addresses {
    /// The name under which [`Change::Synced`] is sent.
    pub const NAME: &'static str = "addresses";

    /// Subscribes to news. Nothing is listed yet.
    ///
    /// # Errors
    /// When the kernel gives no rtnetlink socket.
    pub fn open() -> Result<Self, AddressesError> {
        let watch = AddressWatch::open().map_err(failed("watch them"))?;
        let query = route::open().map_err(failed("open a socket to list them"))?;
        Ok(Self { watch, query, reported: Vec::new() })
    }

    /// Sends all addresses, loopback included but not those of [`NOT_THE_NODES`], then [`Change::Synced`]. Call it once, before [`Self::run`].
    /// Addresses that wait for duplicate address detection, or failed it, are left out.
    ///
    /// # Errors
    /// When the kernel refuses the list, when changes interrupted each of several tries, or `sink` returned `false`.
    pub fn load(&mut self, sink: &mut dyn FnMut(Change) -> bool) -> Result<(), AddressesError> {
        let listed = self.list().map_err(failed("list them"))?;
        self.reported = sorted(&listed);
        send(sink, Change::KernelAddresses(listed))?;
        send(sink, Change::Synced(Self::NAME))
    }

    /// Sends all addresses whenever the set of them differs from what was sent last, until told to stop. Blocks the
    /// thread.
    ///
    /// # Errors
    /// When the kernel refuses something, or `sink` returned `false`. A list that changes kept interrupting is no
    /// error, it is tried again a second later.
    pub fn run(
        &mut self,
        stop: &StopSignal,
        sink: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), AddressesError> {
        let mut stale = false;
        while !self.wait(stop, stale).map_err(AddressesError::Wait)? {
            let news = self.watch.next(Some(Duration::ZERO)).map_err(failed("hear of changes"))?;
            stale |= news != News::Nothing;
            if stale && let Some(listed) = self.list_if_quiet()? {
                stale = false;
                self.report(listed, sink)?;
            }
        }
        Ok(())
    }

    /// Waits for news, or a while if there is something to try again; `true` means stop.
    fn wait(&self, stop: &StopSignal, stale: bool) -> io::Result<bool> {
        let timeout = if stale { PollTimeout::from(RETRY) } else { PollTimeout::NONE };
        let mut fds = [stop.as_fd(), self.watch.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        loop {
            match poll(&mut fds, timeout) {
                Ok(_) => return Ok(fds[0].any() != Some(false)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn list_if_quiet(&mut self) -> Result<Option<Vec<IpAddr>>, AddressesError> {
        match self.list() {
            Err(NetlinkError::Interrupted(tries)) => {
                tracing::debug!(tries, "node addresses keep changing, listed again later");
                Ok(None)
            }
            listed => listed.map(Some).map_err(failed("list them")),
        }
    }

    fn list(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut others = Vec::new();
        for name in NOT_THE_NODES {
            others.extend(route::link(&mut self.query, name)?.map(|link| link.index));
        }
        let mut listed = route::addresses(&mut self.query)?;
        listed.retain(|address| !others.contains(&address.index));
        Ok(usable(listed))
    }

    fn report(
        &mut self,
        listed: Vec<IpAddr>,
        sink: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), AddressesError> {
        let set = sorted(&listed);
        if set == self.reported {
            return Ok(());
        }
        self.reported = set;
        send(sink, Change::KernelAddresses(listed))
    }
}

/// The usable addresses, grouped by interface in the order of the indexes, otherwise in the kernel's order; each once.
fn usable(mut listed: Vec<Address>) -> Vec<IpAddr> {
    listed.retain(Address::is_usable);
    listed.sort_by_key(|address| address.index);
    let mut seen = rustc_hash::FxHashSet::default();
    listed.iter().map(|address| address.ip).filter(|ip| seen.insert(*ip)).collect()
}

fn sorted(listed: &[IpAddr]) -> Vec<IpAddr> {
    let mut set = listed.to_vec();
    set.sort_unstable();
    set
}

fn send(sink: &mut dyn FnMut(Change) -> bool, change: Change) -> Result<(), AddressesError> {
    if sink(change) { Ok(()) } else { Err(AddressesError::ReceiverGone) }
}

fn failed(what: &'static str) -> impl FnOnce(NetlinkError) -> AddressesError {
    move |source| AddressesError::Netlink { what, source }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;
    use crate::stop_pair;

    const INSIDE: &str = "TOWPATH_TEST_IN_NETNS";

    fn address(ip: &str, index: u32, flags: u32) -> Address {
        Address { ip: ip.parse().unwrap(), index, scope: 0, prefix: 32, flags }
    }

    #[test]
    fn addresses_are_grouped_by_interface_and_usable_and_named_once() {
        let (optimistic, tentative, duplicate) = (0x44, 0x40, 0x08);
        let listed = vec![
            address("127.0.0.1", 1, 0x80),
            address("192.0.2.9", 3, 0x80),
            address("192.0.2.1", 2, 0x80),
            address("::1", 1, 0x80),
            address("fd00::3", 2, optimistic),
            address("fd00::4", 2, tentative),
            address("fd00::5", 2, duplicate),
            address("192.0.2.1", 4, 0x80),
        ];
        let expected = ["127.0.0.1", "::1", "192.0.2.1", "fd00::3", "192.0.2.9"];
        assert_eq!(usable(listed), expected.map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    /// Runs the named test again in a network namespace of its own; `true` there. Needs root.
    fn in_netns(name: &str) -> bool {
        if std::env::var_os(INSIDE).is_some() {
            return true;
        }
        let this = std::env::current_exe().unwrap();
        let mut again = Command::new("unshare");
        again.arg("--net").arg(this).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
        assert!(again.status().unwrap().success(), "the test failed in its namespace, or this is not root");
        false
    }

    fn ip(arguments: &str) {
        assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
    }

    fn next(changes: &Receiver<Change>) -> Vec<IpAddr> {
        match changes.recv_timeout(Duration::from_secs(10)).unwrap() {
            Change::KernelAddresses(addresses) => addresses,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_list_and_each_change_of_the_set_are_reported() {
        if !in_netns("addresses::tests::the_first_list_and_each_change_of_the_set_are_reported") {
            return;
        }
        ip("link set lo up");
        let (mut source, (stopper, stop)) = (Addresses::open().unwrap(), stop_pair().unwrap());
        let (sender, changes) = channel();
        let mut sink = move |change| sender.send(change).is_ok();
        ip("addr add 192.0.2.1/24 dev lo");
        source.load(&mut sink).unwrap();
        let first = next(&changes);
        assert_eq!(first, ["127.0.0.1", "192.0.2.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!(changes.recv().unwrap(), Change::Synced(Addresses::NAME));
        thread::scope(|scope| {
            let running = scope.spawn(|| source.run(&stop, &mut sink));
            ip("addr add fd00::1/64 dev lo nodad");
            assert!(next(&changes).contains(&"fd00::1".parse().unwrap()));
            ip("addr change 192.0.2.1/24 dev lo valid_lft 1000 preferred_lft 1000");
            ip("addr del fd00::1/64 dev lo");
            assert_eq!(next(&changes), first);
            stopper.stop();
            running.join().unwrap().unwrap();
        });
        assert!(changes.try_recv().is_err(), "a change that leaves the set as it was is not reported");
    }

    #[test]
    fn a_sink_that_wants_no_more_ends_it() {
        let mut source = Addresses::open().unwrap();
        assert!(matches!(source.load(&mut |_| false), Err(AddressesError::ReceiverGone)));
    }
}
