//! Deleting conntrack flows that a change has made stale.

use dataplane::FlowCheck;
use model::{EndpointAddr, FrontendKey, IpFamily, NodeFacts, Protocol};
use netlink::conntrack::{self, Family, Filter, Flow};
use netlink::{NetlinkError, Socket};
use resolve::{NodePortScope, ProxyConfig};
use rustc_hash::FxHashMap;

/// Frontends of one family and protocol that are looked up one by one in the kernel; more are cheaper in one dump.
/// (A filtered dump walks the whole table too: 25 ms at 50,000 flows, against 100 ms for a plain one.)
const ONE_BY_ONE: usize = 3;

/// What belongs to this node, for flows to NodePorts.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) config: &'a ProxyConfig,
    pub(crate) facts: &'a NodeFacts,
}

/// What came of a cleaning.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    /// Flows that were deleted, by family.
    pub(crate) deleted: [usize; 2],
    /// Frontends that have to be looked at again, and why.
    pub(crate) failed: Vec<FlowCheck>,
    pub(crate) error: Option<NetlinkError>,
}

/// Deletes the stale flows of these frontends. A family and protocol that fails does not hinder the others.
pub(crate) fn clean(socket: &mut Socket, ground: Ground<'_>, checks: &[FlowCheck]) -> Cleaned {
    let mut groups: FxHashMap<(IpFamily, Protocol), Vec<&FlowCheck>> = FxHashMap::default();
    for check in checks {
        groups.entry((check.frontend.family(), check.frontend.protocol())).or_default().push(check);
    }
    let mut cleaned = Cleaned::default();
    for ((family, protocol), group) in groups {
        let stale = find(socket, ground, family, protocol, &group);
        match stale.and_then(|stale| conntrack::delete_all(socket, &stale)) {
            Ok(deleted) => cleaned.deleted[usize::from(family == IpFamily::V6)] += deleted,
            Err(error) => {
                cleaned.failed.extend(group.into_iter().cloned());
                cleaned.error = Some(error);
            }
        }
    }
    cleaned
}

fn find(
    socket: &mut Socket,
    ground: Ground<'_>,
    family: IpFamily,
    protocol: Protocol,
    checks: &[&FlowCheck],
) -> Result<Vec<Flow>, NetlinkError> {
    let kernel_family = if family == IpFamily::V4 { Family::V4 } else { Family::V6 };
    let base = Filter { protocol: Some(protocol.number()), ..Filter::all(kernel_family) };
    let filters: Vec<Filter> = if checks.len() > ONE_BY_ONE {
        vec![base]
    } else {
        checks.iter().map(|check| narrow(&base, &check.frontend)).collect()
    };
    let judge = Judge::new(ground, family, checks);
    let mut stale = Vec::new();
    for filter in &filters {
        conntrack::dump(socket, filter, |flow| {
            if judge.is_stale(&flow) {
                stale.push(flow);
            }
        })?;
    }
    Ok(stale)
}

pub(crate) fn narrow(base: &Filter, frontend: &FrontendKey) -> Filter {
    let original_dst = match frontend {
        FrontendKey::Vip { ip, .. } => Some(*ip),
        FrontendKey::NodePort { .. } => None,
    };
    Filter { original_dst, original_dport: Some(frontend.port()), ..*base }
}

struct Judge<'a> {
    facts: &'a NodeFacts,
    scope: NodePortScope,
    family: IpFamily,
    checks: FxHashMap<FrontendKey, &'a FlowCheck>,
}

impl<'a> Judge<'a> {
    fn new(ground: Ground<'a>, family: IpFamily, checks: &[&'a FlowCheck]) -> Self {
        let scope = NodePortScope::new(ground.config, ground.facts, family);
        let mut by_frontend: FxHashMap<FrontendKey, &FlowCheck> = FxHashMap::default();
        for check in checks {
            // A frontend that passed from one Service to another is both gone and served: it is served.
            let known = by_frontend.entry(check.frontend).or_insert(check);
            if check.serving.is_some() {
                *known = check;
            }
        }
        Self { facts: ground.facts, scope, family, checks: by_frontend }
    }

    fn is_stale(&self, flow: &Flow) -> bool {
        let Some(protocol) = Protocol::from_number(flow.protocol) else { return false };
        let endpoint = EndpointAddr { ip: flow.reply.src, port: flow.reply.sport };
        let (ip, port) = (flow.original.dst, flow.original.dport);
        let vip = self.checks.get(&FrontendKey::Vip { ip, protocol, port });
        let node_port = || {
            let check = self.checks.get(&FrontendKey::NodePort { family: self.family, protocol, port })?;
            self.is_node_port_flow(check, flow).then_some(check)
        };
        vip.or_else(node_port).is_some_and(|check| check.is_stale(endpoint, flow.is_dnat()))
    }

    /// A port number alone proves nothing: the flow must be to an address on which NodePorts answer, or, for a
    /// NodePort that is gone, to one of this node's.
    fn is_node_port_flow(&self, check: &FlowCheck, flow: &Flow) -> bool {
        let dst = flow.original.dst;
        if check.serving.is_some() { self.scope.accepts(self.facts, dst) } else { self.facts.owns(dst) }
    }
}
