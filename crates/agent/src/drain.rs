//! Ending connections to endpoints whose drain deadline is over.
//!
//! ```text
//! deadline   TCP: its client is answered with a reset (nftables::Resets), until KEEP is over
//!            UDP, SCTP: conntrack forgets the flow, so that its next packet gets another endpoint
//! + KEEP     TCP: conntrack forgets the connection; mode ipvs: the real server goes, and its connections with it
//! ```
//!
//! Until then conntrack translates what the endpoint still sends: the client's kernel acknowledges it, and meets the reset.
//!
//! All of it is done on the sync thread: a look at conntrack takes a share of its time at most, and what was found is ended in
//! pieces, with changes in between.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::{DrainCheck, DrainNews, Drains, Leaver};
use model::{EndpointAddr, FrontendKey, IpFamily, NodeFacts, Protocol, Store};
use netlink::conntrack::{self, Family, Filter, Flow, Tuple};
use netlink::{NetlinkError, Socket};
use nftables::{Connection, MOST_RESETS, Resets};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::stale_flows;

/// How long conntrack keeps a connection that is answered with resets.
const KEEP: Duration = Duration::from_secs(60);
/// How soon conntrack is asked again after it refused.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);
/// Looks at conntrack take one in this many parts of the thread's time at most: after each, the next one waits.
const SHARE: u32 = 10;
/// Flows that are reset, moved or forgotten in one go.
const PIECE: usize = 4_096;
/// Endpoints or frontends that are looked up one by one in the kernel; more are cheaper in one dump.
const ONE_BY_ONE: usize = 3;

type Reached = FxHashSet<(FrontendKey, EndpointAddr)>;

/// What was done to connections.
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
    /// TCP connections whose clients are to be told.
    telling: Vec<Flow>,
    /// Flows of other protocols that are to move.
    moving: Vec<Flow>,
    /// Connections that conntrack forgets at that time.
    kept: VecDeque<(Instant, Vec<Flow>)>,
    /// Endpoints whose connections were ended, each with when there may be nothing left of it, the first in front.
    parting: VecDeque<(Instant, Leaver, Arc<[FrontendKey]>)>,
    /// When there was something found last.
    found: Instant,
    /// No look at conntrack before that.
    rested: Instant,
}

impl Cutter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            resets: Resets::adopt(now),
            telling: Vec::new(),
            moving: Vec::new(),
            kept: VecDeque::new(),
            parting: VecDeque::new(),
            found: now,
            rested: now,
        }
    }

    /// When connections may be ended again.
    pub(crate) fn rested(&self) -> Instant {
        self.rested
    }

    /// A look took so long, until now.
    pub(crate) fn rest(&mut self, took: Duration, now: Instant) {
        self.rested = now + took * (SHARE - 1);
    }

    /// Looks for the connections of these endpoints, which [`Cutter::tend`] ends; how many there are, TCP and others. Errors:
    /// conntrack cannot be asked; not all were found then.
    pub(crate) fn find(
        &mut self,
        socket: &mut Socket,
        store: &Store,
        due: &[(Leaver, Drains)],
        now: Instant,
    ) -> Result<[usize; 2], NetlinkError> {
        self.found = now;
        let before = [self.telling.len(), self.moving.len()];
        for ((family, protocol), reached) in groups(store, due) {
            let found = find(socket, store.facts(), (family, protocol), &reached)?;
            let list = if protocol == Protocol::Tcp { &mut self.telling } else { &mut self.moving };
            list.extend(found);
        }
        Ok([self.telling.len() - before[0], self.moving.len() - before[1]])
    }

    /// Remembers endpoints whose connections end now until the dataplane is to let go of them, which is when nothing that they send
    /// needs translation any more; those without TCP at once.
    pub(crate) fn part(&mut self, due: &[(Leaver, Drains)], now: Instant) {
        for (who, drains) in due {
            let parting = (who.clone(), Arc::clone(&drains.frontends));
            match who.protocol {
                Protocol::Tcp => self.parting.push_back((now + KEEP, parting.0, parting.1)),
                _ => self.parting.push_front((now, parting.0, parting.1)),
            }
        }
    }

    /// Endpoints that the dataplane is to let go of now.
    pub(crate) fn parted(&mut self, now: Instant) -> Vec<(Leaver, Arc<[FrontendKey]>)> {
        let over = self.parting.iter().take_while(|(at, ..)| *at <= now).count();
        self.parting.drain(..over).map(|(_, who, frontends)| (who, frontends)).collect()
    }

    /// When [`Cutter::tend`] or [`Cutter::parted`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let found = !self.telling.is_empty() || !self.moving.is_empty();
        let kept = self.kept.front().map(|(at, _)| *at);
        let parting = self.parting.front().map(|(at, ..)| *at);
        [found.then_some(self.found), kept, parting, self.resets.due()].into_iter().flatten().min()
    }

    /// Ends a piece of what was found, has conntrack forget a piece of what was kept long enough, and takes away resets that are
    /// over.
    pub(crate) fn tend(&mut self, socket: Option<&mut Socket>, now: Instant) -> Result<Cut, NetlinkError> {
        let mut cut = Cut::default();
        if let Some(socket) = socket {
            self.tell(socket, now, &mut cut)?;
            let moving = piece(&mut self.moving);
            cut.moved = self.forget(socket, moving, now)?;
            let over = self.piece_of_what_is_over(now);
            self.forget(socket, over, now)?;
        }
        self.resets.tend(now)?;
        Ok(cut)
    }

    fn tell(&mut self, socket: &mut Socket, now: Instant, cut: &mut Cut) -> Result<(), NetlinkError> {
        let mut found = piece(&mut self.telling);
        cut.reset = found.len();
        // Beyond what can be kept in mind, and of other zones, whose addresses may be anybody's.
        let kept: usize = self.kept.iter().map(|(_, flows)| flows.len()).sum();
        let room = (MOST_RESETS as usize).saturating_sub(kept);
        found.sort_by_key(|flow| flow.zone != 0);
        let own = found.iter().take_while(|flow| flow.zone == 0).count();
        let mut rest = found.split_off(own.min(room));
        let connections: Vec<Connection> = found.iter().map(connection).collect();
        if let Err(error) = self.resets.add(&connections, now) {
            cut.untold = Some(error);
            self.parting.iter_mut().for_each(|(at, ..)| *at = now);
            rest.append(&mut found);
        } else if !found.is_empty() {
            self.kept.push_back((now + KEEP, found));
        }
        self.forget(socket, rest, now).map(drop)
    }

    /// Has conntrack forget these. After an error they are due again.
    fn forget(&mut self, socket: &mut Socket, flows: Vec<Flow>, now: Instant) -> Result<usize, NetlinkError> {
        if flows.is_empty() {
            return Ok(0);
        }
        conntrack::delete_all(socket, &flows).inspect_err(|_| self.kept.push_front((now + AGAIN, flows)))
    }

    /// Of what was kept long enough, a piece; the rest is due at once.
    fn piece_of_what_is_over(&mut self, now: Instant) -> Vec<Flow> {
        let Some((_, flows)) = self.kept.front_mut().filter(|(at, _)| *at <= now) else { return Vec::new() };
        let piece = piece(flows);
        if flows.is_empty() {
            self.kept.pop_front();
        }
        piece
    }
}

fn piece(flows: &mut Vec<Flow>) -> Vec<Flow> {
    flows.split_off(flows.len().saturating_sub(PIECE))
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
    let filters = filters(family, protocol, reached);
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

/// What to ask conntrack for: the flows of each endpoint, or of each frontend, where there are few; it compares in the kernel, but
/// for IPv6 addresses.
fn filters(family: IpFamily, protocol: Protocol, reached: &Reached) -> Vec<Filter> {
    let kernel_family = if family == IpFamily::V4 { Family::V4 } else { Family::V6 };
    let base = Filter { protocol: Some(protocol.number()), ..Filter::all(kernel_family) };
    let endpoints: BTreeSet<EndpointAddr> = reached.iter().map(|(_, endpoint)| *endpoint).collect();
    let frontends: BTreeSet<FrontendKey> = reached.iter().map(|(frontend, _)| *frontend).collect();
    if endpoints.len() <= ONE_BY_ONE {
        let of = |e: &EndpointAddr| Filter { reply_src: Some(e.ip), reply_sport: Some(e.port), ..base };
        endpoints.iter().map(of).collect()
    } else if frontends.len() <= ONE_BY_ONE {
        frontends.iter().map(|frontend| stale_flows::narrow(&base, frontend)).collect()
    } else {
        vec![base]
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_for_few_endpoints_or_few_frontends() {
        let at = |n: u16| EndpointAddr { ip: [10, 0, (n >> 8) as u8, n as u8].into(), port: 80 };
        let vip = |port| FrontendKey::Vip { ip: [10, 96, 0, 1].into(), protocol: Protocol::Tcp, port };
        let of = |ends: u16, fronts: u16| {
            let reached = (0..ends).flat_map(|e| (0..fronts).map(move |f| (vip(f), at(e)))).collect();
            filters(IpFamily::V4, Protocol::Tcp, &reached)
        };
        for (ends, fronts, count) in [(0, 0, 0), (1, 9, 1), (3, 1, 3), (4, 3, 3), (4, 4, 1)] {
            assert_eq!(of(ends, fronts).len(), count, "{ends} endpoints, {fronts} frontends");
        }
        assert_eq!((of(1, 9)[0].reply_src, of(1, 9)[0].reply_sport), (Some(at(0).ip), Some(80)));
        assert_eq!((of(9, 1)[0].original_dport, of(9, 1)[0].reply_src), (Some(0), None));
    }

    #[test]
    fn flows_are_ended_in_pieces() {
        let tuple = Tuple { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into(), sport: 1, dport: 2 };
        let flow = Flow { protocol: 6, original: tuple, reply: tuple, zone: 0, id: 0, status: 0 };
        let now = Instant::now();
        let mut cutter = Cutter::new(now);
        cutter.kept.push_back((now + KEEP, vec![flow; 2 * PIECE + 1]));
        assert!(cutter.piece_of_what_is_over(now).is_empty());
        let pieces = std::iter::from_fn(|| Some(cutter.piece_of_what_is_over(now + KEEP).len()));
        assert_eq!(pieces.take(4).collect::<Vec<_>>(), [PIECE, PIECE, 1, 0]);
        assert!(cutter.kept.is_empty());
        // What was found is due at once.
        assert!(cutter.due().is_some_and(|at| at > now));
        cutter.telling.push(flow);
        assert_eq!(cutter.due(), Some(now));
    }
}
