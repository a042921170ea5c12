//! What the node has for DNS, and what it should have.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::{IpFamily, Protocol};
use netlink::{NetlinkError, Socket, nft, route};

use crate::ends::ProbeEnd;
use crate::error::{NodeError, trying};
use crate::layout::{PORT, Set};
use crate::rule::TCP;
use crate::table::{self, Contents, Found};
use crate::watch::NodeWatch;
use crate::{link, routes};

/// What is wanted of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--dns-listen`: addresses for our server alone. One that the node has already is left where it is.
    pub listen: Vec<IpAddr>,
    /// VIPs of kube-dns whose port 53 our server is to answer. Empty: none is intercepted.
    pub intercept: Vec<IpAddr>,
    /// Addresses of pods that ask the VIPs in the ordinary way.
    pub opted_out: Vec<IpAddr>,
    /// The node's own addresses; the first of each family is the source of its own packets to a VIP.
    pub node: Vec<IpAddr>,
}

/// The node's network as far as DNS goes, in the network namespace it was opened in.
#[derive(Debug)]
pub struct DnsNode {
    nft: Socket,
    route: Socket,
    ends: Vec<Arc<ProbeEnd>>,
    /// Families whose tables the kernel was asked about, and whether it can look for sockets.
    sockets: Vec<(IpFamily, bool)>,
    watch: NodeWatch,
    written: Vec<&'static str>,
}

impl DnsNode {
    /// Opens the sockets; nothing is read or written yet. Errors: the kernel gives none.
    pub fn open() -> Result<Self, NodeError> {
        let nft = Socket::open(nft::NETLINK_NETFILTER).map_err(trying("opening a socket"))?;
        let route = route::open().map_err(trying("opening a socket"))?;
        let watch = NodeWatch::open(&route);
        Ok(Self { nft, route, ends: Vec::new(), sockets: Vec::new(), watch, written: Vec::new() })
    }

    /// Whether others may have changed something of ours since the last [`DnsNode::apply`]. Cheap: a few system calls.
    pub fn is_touched(&mut self) -> bool {
        self.watch.is_touched(&mut self.nft)
    }

    /// Who it was, where that is known.
    pub fn touched_by(&self) -> Option<String> {
        self.watch.by()
    }

    /// What the last [`DnsNode::apply`] has written, in words.
    pub fn written(&self) -> &[&'static str] {
        &self.written
    }

    /// Makes the node what is wanted, and says whether anything was written. All that is there is read first: what an
    /// earlier process left is taken over, what others changed is repaired. A new VIP is served by the proxy's rules until
    /// the first probe is answered; give [`DnsNode::ends`] to the prober. Errors: the kernel refused.
    pub fn apply(&mut self, wanted: &Wanted) -> Result<bool, NodeError> {
        check(wanted)?;
        self.written.clear();
        self.watch.know(&mut self.nft);
        let result = self.converge_all(wanted);
        self.watch.wrote(&mut self.nft);
        result.map(|()| !self.written.is_empty())
    }

    fn converge_all(&mut self, wanted: &Wanted) -> Result<(), NodeError> {
        if link::converge(&mut self.route, &wanted.listen)? {
            self.written.push("the link towpath-dns");
        }
        let plan = routes::plan(&mut self.route, &wanted.intercept, &wanted.node)?;
        let mut routes = plan.add(&mut self.route)?;
        let found = IpFamily::ALL.map(|family| self.observe(family));
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.hold_ends(&wanted.intercept, &found)?;
        for (family, found) in IpFamily::ALL.into_iter().zip(&found) {
            if self.converge(family, found, wanted)? {
                self.written.push(table::described(family));
            }
        }
        routes |= plan.delete(&mut self.route)?;
        if routes {
            self.written.push("local routes");
        }
        Ok(())
    }

    /// Where probes come from, one for each VIP.
    pub fn ends(&self) -> Vec<Arc<ProbeEnd>> {
        self.ends.clone()
    }

    /// Ends the interception at once; all else stays. Late answers to probes change nothing about it; the next
    /// [`DnsNode::apply`] allows it again. Errors: the kernel refused.
    pub fn flip_back(&mut self) -> Result<(), NodeError> {
        let nft = &mut self.nft;
        let each = IpFamily::ALL.map(|family| table::let_go(nft, family));
        each.into_iter().collect::<Result<(), _>>().map_err(trying("ending the interception of DNS"))
    }

    /// What is intercepted now. Errors: the socket failed.
    pub fn alive(&mut self) -> Result<BTreeSet<(IpAddr, Protocol)>, NodeError> {
        let mut all = BTreeSet::new();
        for family in IpFamily::ALL {
            let keys = table::alive(&mut self.nft, family).map_err(trying("reading the set alive"))?;
            all.extend(
                keys.iter().filter_map(|key| table::socket_of(key)).map(|(ip, protocol, _)| {
                    (ip, if protocol == TCP { Protocol::Tcp } else { Protocol::Udp })
                }),
            );
        }
        Ok(all)
    }

    /// Removes all of ours, and nothing else; says whether there was anything. It goes on after an error, and returns the
    /// first.
    pub fn cleanup(&mut self) -> Result<bool, NodeError> {
        self.ends.clear();
        let nft = &mut self.nft;
        let tables = IpFamily::ALL
            .map(|family| table::remove(nft, family).map_err(trying("deleting the table towpath-dns")));
        let others = [routes::remove(&mut self.route), link::remove(&mut self.route)];
        tables.into_iter().chain(others).reduce(both).unwrap_or(Ok(false))
    }

    /// Whether the kernel can look for a packet's socket, for one family; asked once.
    fn sockets(&mut self, family: IpFamily) -> Result<bool, NodeError> {
        if let Some((_, able)) = self.sockets.iter().find(|(known, _)| *known == family) {
            return Ok(*able);
        }
        let able = match table::rehearse(&mut self.nft, family, true) {
            Ok(()) => true,
            Err(NetlinkError::Refused { .. }) => {
                table::rehearse(&mut self.nft, family, false)
                    .map_err(trying("nf_tables (CONFIG_NF_TABLES, CONFIG_NFT_CT, CONFIG_NFT_REJECT)"))?;
                tracing::debug!(
                    ?family,
                    "no CONFIG_NFT_SOCKET: after a kill DNS is refused for up to a second"
                );
                false
            }
            Err(error) => return Err(trying("asking what nf_tables can do")(error)),
        };
        self.sockets.push((family, able));
        Ok(able)
    }

    fn observe(&mut self, family: IpFamily) -> Result<Found, NodeError> {
        let nft = &mut self.nft;
        let there = !nft::chains(nft, table::kernel(family), table::TABLE)
            .map_err(trying("reading the table towpath-dns"))?
            .is_empty();
        if !there {
            return Ok(Found::default());
        }
        let able = self.sockets(family)?;
        table::observe(&mut self.nft, family, able).map_err(trying("reading the table towpath-dns"))
    }

    fn converge(&mut self, family: IpFamily, found: &Found, wanted: &Wanted) -> Result<bool, NodeError> {
        let of_family = |ip: &&IpAddr| IpFamily::of(**ip) == family;
        let needed = wanted.listen.iter().chain(&wanted.intercept).any(|ip| of_family(&ip));
        if !needed {
            let removed = if found.exists { table::remove(&mut self.nft, family) } else { Ok(false) };
            return removed.map_err(trying("deleting the table towpath-dns"));
        }
        let able = self.sockets(family)?;
        let contents = contents(family, wanted, &self.ends);
        table::converge(&mut self.nft, family, able, found, &contents)
            .map_err(trying("writing the table towpath-dns"))
    }

    /// Keeps the ends of VIPs that stay; those of an earlier process are taken over by their ports.
    fn hold_ends(&mut self, vips: &[IpAddr], found: &[Found]) -> Result<(), NodeError> {
        self.ends.retain(|end| vips.contains(&end.own().ip()));
        for vip in vips {
            if !self.ends.iter().any(|end| end.own().ip() == *vip) {
                let earlier = found.iter().find_map(|found| port_of(found, *vip));
                match ProbeEnd::open(*vip, earlier) {
                    Ok(end) => self.ends.push(Arc::new(end)),
                    Err(error) if error.is_of_no_ipv6() => tracing::warn!(%vip, "not intercepted: {error}"),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn port_of(found: &Found, vip: IpAddr) -> Option<u16> {
    let keys = found.contents.get(&Set::Probes)?;
    keys.iter().filter_map(|key| table::socket_of(key)).find(|(ip, ..)| *ip == vip).map(|(.., port)| port)
}

fn contents(family: IpFamily, wanted: &Wanted, ends: &[Arc<ProbeEnd>]) -> Contents {
    let of_family = |ip: &&IpAddr| IpFamily::of(**ip) == family;
    let keys = |ips: &[IpAddr]| {
        let ours = ips.iter().filter(of_family);
        ours.flat_map(|ip| table::socket_keys(SocketAddr::new(*ip, PORT))).collect()
    };
    let addresses = |ips: &[IpAddr]| ips.iter().filter(of_family).map(|ip| table::address_key(*ip)).collect();
    let ends = ends.iter().map(|end| end.own()).filter(|own| of_family(&&own.ip()));
    [
        (Set::Listen, keys(&wanted.listen)),
        (Set::Frontends, keys(&wanted.intercept)),
        (Set::Probes, ends.flat_map(table::socket_keys).collect()),
        (Set::Vips, addresses(&wanted.intercept)),
        (Set::OptedOut, addresses(&wanted.opted_out)),
    ]
    .into()
}

/// Only addresses that can be one node's.
fn check(wanted: &Wanted) -> Result<(), NodeError> {
    let unusable = |ip: &&IpAddr| {
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        ip.is_unspecified() || ip.is_multicast() || broadcast
    };
    let vips = wanted.intercept.iter();
    let bad = wanted
        .listen
        .iter()
        .find(unusable)
        .or_else(|| vips.clone().find(|ip| unusable(ip) || ip.is_loopback()));
    bad.map_or(Ok(()), |ip| Err(NodeError::Address(*ip)))
}

/// The first error, or whether either did anything.
fn both(one: Result<bool, NodeError>, other: Result<bool, NodeError>) -> Result<bool, NodeError> {
    let one = one?;
    other.map(|other| one || other)
}
