//! Ending connections to endpoints whose drain deadline is over.
//!
//! ```text
//! deadline   TCP: its client is answered with a reset (nftables::Resets), until KEEP is over
//!            UDP, SCTP: conntrack forgets the flow, so that its next packet gets another endpoint
//! + KEEP     TCP: conntrack forgets the connection
//! ```
//!
//! Until then conntrack translates what the endpoint still sends: the client's kernel acknowledges it, and meets the reset.
//!
//! All of it is done on the sync thread, in pieces: a look at conntrack takes a share of its time at most, and what is to be
//! forgotten is so a part at a time, with changes in between.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dataplane::{DrainCheck, DrainNews, Drains, Leaver};
use model::{EndpointAddr, FrontendKey, IpFamily, NodeFacts, Protocol, Store};
use netlink::conntrack::{self, Family, Filter, Flow, Tuple};
use netlink::{NetlinkError, Socket};
use nftables::{Connection, MOST_RESETS, Resets};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::flows;

/// How long conntrack keeps a connection that is answered with resets.
const KEEP: Duration = Duration::from_secs(60);
/// How soon conntrack is asked again after it refused.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);
/// Looks at conntrack take one in this many parts of the thread's time at most: after each, the next one waits.
const SHARE: u32 = 10;
/// Flows that conntrack forgets in one go.
const FORGET: usize = 4_096;
/// Frontends that are looked up one by one in the kernel; more are cheaper in one dump.
const ONE_BY_ONE: usize = 3;

type Reached = FxHashSet<(FrontendKey, EndpointAddr)>;

/// What came of ending connections.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// TCP connections whose clients are told.
    pub(crate) reset: usize,
    /// Flows of other protocols that move.
    pub(crate) moved: usize,
    /// Why clients are not told by resets of ours, though conntrack has forgotten their connections.
    pub(crate) untold: Option<NetlinkError>,
}

/// Ends connections.
#[derive(Debug)]
pub(crate) struct Cutter {
    resets: Resets,
    /// Connections that conntrack forgets at that time.
    kept: VecDeque<(Instant, Vec<Flow>)>,
    /// No look at conntrack before that.
    rested: Instant,
}

impl Cutter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { resets: Resets::adopt(now), kept: VecDeque::new(), rested: now }
    }

    /// When connections may be ended again.
    pub(crate) fn rested(&self) -> Instant {
        self.rested
    }

    /// A look took so long, until now.
    pub(crate) fn rest(&mut self, took: Duration, now: Instant) {
        self.rested = now + took * (SHARE - 1);
    }

    /// Ends the connections of these endpoints. Errors: conntrack cannot be asked; nothing has ended then, or not all.
    pub(crate) fn cut(
        &mut self,
        socket: &mut Socket,
        store: &Store,
        due: &[(Leaver, Drains)],
        now: Instant,
    ) -> Result<Cut, NetlinkError> {
        let mut cut = Cut::default();
        for ((family, protocol), reached) in groups(store, due) {
            let found = find(socket, store.facts(), (family, protocol), &reached)?;
            if protocol == Protocol::Tcp {
                cut.reset += found.len();
                self.reset(socket, found, now, &mut cut)?;
            } else {
                cut.moved += conntrack::delete_all(socket, &found)?;
            }
        }
        Ok(cut)
    }

    fn reset(
        &mut self,
        socket: &mut Socket,
        mut found: Vec<Flow>,
        now: Instant,
        cut: &mut Cut,
    ) -> Result<(), NetlinkError> {
        // Beyond what can be kept in mind, and of other zones, whose addresses may be anybody's.
        let room =
            (MOST_RESETS as usize).saturating_sub(self.kept.iter().map(|(_, flows)| flows.len()).sum());
        found.sort_by_key(|flow| flow.zone != 0);
        let own = found.iter().take_while(|flow| flow.zone == 0).count();
        let rest = found.split_off(own.min(room));
        let connections: Vec<Connection> = found.iter().map(connection).collect();
        if let Err(error) = self.resets.add(&connections, now) {
            cut.untold = Some(error);
            conntrack::delete_all(socket, &found)?;
        } else if !found.is_empty() {
            self.kept.push_back((now + KEEP, found));
        }
        conntrack::delete_all(socket, &rest).map(drop)
    }

    /// When [`Cutter::tend`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let kept = self.kept.front().map(|(at, _)| *at);
        [kept, self.resets.due()].into_iter().flatten().min()
    }

    /// Has conntrack forget what was kept long enough, and takes away resets that are over.
    pub(crate) fn tend(&mut self, socket: Option<&mut Socket>, now: Instant) -> Result<(), NetlinkError> {
        let over = self.part_of_what_is_over(now);
        if let Some(socket) = socket.filter(|_| !over.is_empty())
            && let Err(error) = conntrack::delete_all(socket, &over)
        {
            self.kept.push_front((now + AGAIN, over));
            return Err(error);
        }
        self.resets.tend(now)
    }

    /// Of what was kept long enough, as much as is forgotten in one go; the rest is due at once.
    fn part_of_what_is_over(&mut self, now: Instant) -> Vec<Flow> {
        if self.kept.front().is_none_or(|(at, _)| *at > now) {
            return Vec::new();
        }
        let Some((at, mut flows)) = self.kept.pop_front() else { return Vec::new() };
        if flows.len() > FORGET {
            let rest = flows.split_off(FORGET);
            self.kept.push_front((at, rest));
        }
        flows
    }
}

/// Endpoints that conntrack has connections to, and that no slice of their Service has: they went before this process was
/// there to see it, so that their time begins now. Errors: conntrack cannot be asked.
pub(crate) fn strays(
    socket: &mut Socket,
    facts: &NodeFacts,
    checks: &[DrainCheck],
) -> Result<Vec<DrainNews>, NetlinkError> {
    let mut by_frontend = FxHashMap::default();
    for check in checks {
        by_frontend.extend(check.frontends.iter().map(|frontend| (*frontend, check)));
    }
    let (mut seen, mut news) = (BTreeSet::new(), Vec::new());
    for family in if checks.is_empty() { &[][..] } else { &[Family::V4, Family::V6] } {
        conntrack::dump(socket, &Filter::all(*family), |flow| {
            let found = frontends_of(facts, &flow).into_iter().flatten();
            let Some(check) = found.filter_map(|key| by_frontend.get(&key)).next() else { return };
            let Some(protocol) = Protocol::from_number(flow.protocol).filter(|_| flow.is_dnat()) else {
                return;
            };
            let endpoint = endpoint_of(&flow);
            let who = Leaver { service: check.service.clone(), protocol, endpoint };
            if !check.known.contains(&(protocol, endpoint)) && seen.insert(who.clone()) {
                let (deadline, frontends) = (check.deadline, check.frontends.clone());
                news.push(DrainNews::Left { who, deadline, frontends, before: false });
            }
        })?;
    }
    Ok(news)
}

fn groups(store: &Store, due: &[(Leaver, Drains)]) -> FxHashMap<(IpFamily, Protocol), Reached> {
    let mut groups: FxHashMap<(IpFamily, Protocol), Reached> = FxHashMap::default();
    for (who, drains) in due {
        let family = IpFamily::of(who.endpoint.ip);
        let own = drains.frontends.iter().filter(|f| f.family() == family && f.protocol() == who.protocol);
        let reached = own
            .filter(|frontend| !is_anothers(store, who, frontend))
            .map(|frontend| (*frontend, who.endpoint));
        groups.entry((family, who.protocol)).or_default().extend(reached);
    }
    groups
}

/// Whether another Service has the frontend by now, and the endpoint too: the connections are as good as its own.
fn is_anothers(store: &Store, who: &Leaver, frontend: &FrontendKey) -> bool {
    let winner = store.winner(frontend).filter(|name| **name != who.service);
    let Some(entry) = winner.and_then(|name| store.entry(name)) else { return false };
    entry.slices.values().any(|slice| {
        slice.ports.iter().any(|port| port.protocol == who.protocol && port.port == who.endpoint.port)
            && slice.endpoints.iter().any(|endpoint| endpoint.ip == who.endpoint.ip)
    })
}

fn find(
    socket: &mut Socket,
    facts: &NodeFacts,
    (family, protocol): (IpFamily, Protocol),
    reached: &Reached,
) -> Result<Vec<Flow>, NetlinkError> {
    let kernel_family = if family == IpFamily::V4 { Family::V4 } else { Family::V6 };
    let base = Filter { protocol: Some(protocol.number()), ..Filter::all(kernel_family) };
    let frontends: BTreeSet<FrontendKey> = reached.iter().map(|(frontend, _)| *frontend).collect();
    let filters: Vec<Filter> = if frontends.len() > ONE_BY_ONE {
        vec![base]
    } else {
        frontends.iter().map(|frontend| flows::narrow(&base, frontend)).collect()
    };
    // A flow may come twice. The kernel's ids alone are no keys: of 50,000 flows two have the same at times.
    let mut found: FxHashMap<(u32, Tuple), Flow> = FxHashMap::default();
    for filter in &filters {
        conntrack::dump(socket, filter, |flow| {
            let endpoint = endpoint_of(&flow);
            let mut frontends = frontends_of(facts, &flow).into_iter().flatten();
            if frontends.any(|frontend| reached.contains(&(frontend, endpoint))) {
                found.insert((flow.id, flow.original), flow);
            }
        })?;
    }
    Ok(found.into_values().collect())
}

/// The frontends that a flow may be to: a VIP, or a NodePort if the address is one of this node's.
fn frontends_of(facts: &NodeFacts, flow: &Flow) -> [Option<FrontendKey>; 2] {
    let (ip, port) = (flow.original.dst, flow.original.dport);
    let protocol = Protocol::from_number(flow.protocol);
    let vip = protocol.map(|protocol| FrontendKey::Vip { ip, protocol, port });
    let family = IpFamily::of(ip);
    let own = facts.owns(ip) || ip.is_loopback();
    let node_port = protocol.filter(|_| own).map(|protocol| FrontendKey::NodePort { family, protocol, port });
    [vip, node_port]
}

fn endpoint_of(flow: &Flow) -> EndpointAddr {
    EndpointAddr { ip: flow.reply.src, port: flow.reply.sport }
}

fn connection(flow: &Flow) -> Connection {
    let original = &flow.original;
    Connection {
        client: SocketAddr::new(original.src, original.sport),
        frontend: SocketAddr::new(original.dst, original.dport),
    }
}
