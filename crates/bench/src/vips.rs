//! Bringing VIPs to this node: addresses on a dummy link against local routes. Needs a kernel that has dummy links:
//! `cargo xtask vm 6.12 --bench -- vips --services 1000`. At 10,000 the addresses of IPv6 take many minutes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netlink::Socket;
use netlink::route::{
    LocalRoute, add_address, addresses_of, apply_local_routes, create_dummy, delete_address, delete_link,
    link, local_routes, open, set_up,
};
use testkit::netns::NetNs;

use crate::stats;

const LINK: &str = "vips0";

/// How VIPs are brought here.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// An address of a dummy link each; a message and its answer at a time, as kube-proxy does.
    Addresses,
    /// A route each; a message and its answer at a time.
    Routes,
    /// A route each; many messages to a datagram, as towpath does.
    BatchedRoutes,
}

/// How long it took to add all, to list them, to add and delete one more, to delete all.
#[derive(Debug)]
struct Times {
    add: Duration,
    list: Duration,
    one: Duration,
    delete: Duration,
}

/// Measures each way for so many VIPs; in turn, so that all see the same machine.
pub(crate) fn measure(count: u32, repetitions: u32) -> Result<()> {
    for version in [4, 6] {
        println!("## {count} VIPs, IPv{version}");
        let mut found: [Vec<Times>; 3] = Default::default();
        for _ in 0..repetitions {
            // The quick ones first: what a time limit cuts off is the slow one.
            for (way, times) in [Way::BatchedRoutes, Way::Routes, Way::Addresses].into_iter().zip(&mut found)
            {
                times.push(NetNs::new()?.run(|| timed(way, &vips(version, count + 1)))??);
                times.last().into_iter().for_each(|times| println!("{way:?}: {times:.1?}"));
            }
        }
        let names = ["routes batched", "routes one by one", "dummy addresses"];
        names.into_iter().zip(&found).for_each(|(name, times)| print(name, times));
    }
    Ok(())
}

fn print(name: &str, times: &[Times]) {
    let of = |pick: fn(&Times) -> Duration| times.iter().map(pick).collect();
    stats::print(&format!("{name}, add all"), of(|times| times.add));
    stats::print(&format!("{name}, list"), of(|times| times.list));
    stats::print(&format!("{name}, add and delete one more"), of(|times| times.one));
    stats::print(&format!("{name}, delete all"), of(|times| times.delete));
}

fn vips(version: u8, count: u32) -> Vec<IpAddr> {
    let vip = |i: u32| match version {
        4 => IpAddr::from(Ipv4Addr::from_bits(0x0a60_0000 + i)),
        _ => IpAddr::from(Ipv6Addr::from_bits((0xfd00_0096_u128 << 96) + u128::from(i))),
    };
    (0..count).map(vip).collect()
}

/// The last VIP is the one more.
fn timed(way: Way, vips: &[IpAddr]) -> Result<Times> {
    let (more, vips) = vips.split_last().context("there are VIPs")?;
    let mut socket = open()?;
    let mut carrier = Carrier::open(way, &mut socket)?;
    let add = time(|| carrier.add(&mut socket, vips))?;
    let list = time(|| {
        let found = carrier.count(&mut socket)?;
        ensure!(found == vips.len(), "{found} VIPs are there in the place of {}", vips.len());
        Ok(())
    })?;
    let one = time(|| {
        carrier.add(&mut socket, &[*more])?;
        carrier.delete(&mut socket, &[*more])
    })?;
    let delete = time(|| carrier.delete(&mut socket, vips))?;
    carrier.close(&mut socket)?;
    Ok(Times { add, list, one, delete })
}

fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// What carries VIPs in a namespace.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    /// The dummy link of this index.
    Dummy(u32),
    /// Routes; so many to a call.
    Routes(usize),
}

impl Carrier {
    fn open(way: Way, socket: &mut Socket) -> Result<Self> {
        match way {
            Way::Routes => Ok(Self::Routes(1)),
            Way::BatchedRoutes => Ok(Self::Routes(usize::MAX)),
            Way::Addresses => {
                create_dummy(socket, LINK)
                    .context("this kernel has no dummy links: cargo xtask vm 6.12 --bench -- vips")?;
                let dummy = link(socket, LINK)?.context("the dummy link is gone")?;
                set_up(socket, dummy.index)?;
                Ok(Self::Dummy(dummy.index))
            }
        }
    }

    fn add(&mut self, socket: &mut Socket, vips: &[IpAddr]) -> Result<()> {
        match *self {
            Self::Dummy(index) => vips.iter().try_for_each(|vip| {
                ensure!(add_address(socket, index, *vip, whole(*vip))?, "{vip} is there already");
                Ok(())
            }),
            Self::Routes(size) => {
                routes(socket, vips, size, |socket, some| apply_local_routes(socket, some, &[]))
            }
        }
    }

    fn delete(&mut self, socket: &mut Socket, vips: &[IpAddr]) -> Result<()> {
        match *self {
            Self::Dummy(index) => vips.iter().try_for_each(|vip| {
                ensure!(delete_address(socket, index, *vip, whole(*vip))?, "{vip} is gone already");
                Ok(())
            }),
            Self::Routes(size) => {
                routes(socket, vips, size, |socket, some| apply_local_routes(socket, &[], some))
            }
        }
    }

    fn count(&mut self, socket: &mut Socket) -> Result<usize> {
        match *self {
            // Without the link's own link-local address.
            Self::Dummy(index) => {
                let found = addresses_of(socket, index)?;
                Ok(found.iter().filter(|address| address.prefix == whole(address.ip)).count())
            }
            Self::Routes(_) => Ok(local_routes(socket)?.len()),
        }
    }

    fn close(self, socket: &mut Socket) -> Result<()> {
        if let Self::Dummy(index) = self {
            ensure!(delete_link(socket, index)?, "the dummy link is gone");
        }
        Ok(())
    }
}

type Refused = Vec<(LocalRoute, netlink::NetlinkError)>;

fn routes(
    socket: &mut Socket,
    vips: &[IpAddr],
    size: usize,
    apply: impl Fn(&mut Socket, &[LocalRoute]) -> Result<Refused, netlink::NetlinkError>,
) -> Result<()> {
    let routes: Vec<_> =
        vips.iter().map(|vip| LocalRoute { address: *vip, prefix: whole(*vip), source: None }).collect();
    for some in routes.chunks(size) {
        let refused = apply(socket, some)?;
        ensure!(refused.is_empty(), "refused: {refused:?}");
    }
    Ok(())
}

fn whole(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}
