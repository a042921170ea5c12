//! Routes: what one ServicePort means on this node, in one family.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{
    Balance, EndpointAddr, FrontendKey, IpFamily, NamespacedName, NoLocal, Service, ServiceEntry,
    ServicePort, ServicePortName, Store,
};
use rustc_hash::FxHashSet;

use crate::{Candidate, Choice, Drain, PolicyView, ProxyConfig, candidates, choose};

/// What happens to a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to one of these endpoints, each with the same probability, unless [`Route::balance`] has weights ([`crate::places`]).
    /// Never empty; sorted.
    Dnat(Arc<[EndpointAddr]>),
    /// It is refused: no usable endpoint exists anywhere.
    Reject,
    /// It is discarded: endpoints exist, but none that this traffic may use on this node.
    Drop,
    /// It is refused for the same reason, since the Service asks for that (`towpath.dev/no-local: reject`).
    RejectHere,
}

impl Decision {
    /// The endpoints, none if it is not [`Decision::Dnat`].
    pub fn endpoints(&self) -> &[EndpointAddr] {
        match self {
            Decision::Dnat(endpoints) => endpoints,
            _ => &[],
        }
    }

    /// Whether the sender is told that nobody serves it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Decision::Reject | Decision::RejectHere)
    }

    /// Whether endpoints exist, but none on this node, and the policy is Local.
    pub fn lacks_local(&self) -> bool {
        matches!(self, Decision::Drop | Decision::RejectHere)
    }
}

/// What kind of address a VIP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VipKind {
    /// The ClusterIP.
    ClusterIp,
    /// One of `externalIPs`.
    ExternalIp,
    /// A load balancer's address.
    LoadBalancer,
}

/// An address under which the port is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub ip: IpAddr,
    /// What it is.
    pub kind: VipKind,
    /// Only these sources may use it, if given; nobody, if empty. Aggregated: no two of them overlap.
    pub allowed_sources: Option<Vec<IpNet>>,
}

/// What one ServicePort means on this node, in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which ServicePort.
    pub name: ServicePortName,
    /// The family of its frontends and endpoints.
    pub family: IpFamily,
    /// The port on its VIPs.
    pub port: u16,
    /// Its VIPs; those that another Service won are left out.
    pub vips: Vec<Vip>,
    /// Its nodePort, unless another Service won it.
    pub node_port: Option<u16>,
    /// Only these sources may use the nodePort, if given. As [`Vip::allowed_sources`].
    pub node_port_sources: Option<Vec<IpNet>>,
    /// Addresses of the node at which a VIP has that port, so that it is not the NodePort's there.
    pub shadowed: Vec<IpAddr>,
    /// For traffic to the ClusterIP.
    pub internal: Decision,
    /// For traffic to every other frontend.
    pub external: Decision,
    /// Under `externalTrafficPolicy: Local`: what local pods and the node itself get in the place of `external`.
    pub short_circuit: Option<Decision>,
    /// ClientIP affinity: seconds after which a client's choice is forgotten.
    pub affinity_seconds: Option<u32>,
    /// Endpoints in any list that are on this node, or of which nobody says where they are: a connection from such an
    /// endpoint to itself is masqueraded. (That of another node's endpoint is that node's.)
    pub hairpin: Vec<EndpointAddr>,
    /// Every endpoint that still serves, whatever policy says: flows to these are never stale. Sorted.
    pub serving: Arc<[EndpointAddr]>,
    /// The Service's `healthCheckNodePort`, if load balancers ask this node for its health; the same in all its Routes.
    pub health_check_port: Option<u16>,
    /// How its connections are spread, as the Service asks for it (the scheduler in mode ipvs only); the same in all its Routes.
    pub balance: Balance,
    /// Its endpoints are chosen by rules in mode ipvs too; the same in all its Routes.
    pub by_rules: bool,
    /// Which of its endpoints are gone, where their connections end after a deadline.
    pub drain: Option<Drain>,
}

impl Route {
    /// Whether outside traffic loses its source address (policy Cluster).
    pub fn masquerades_external(&self) -> bool {
        self.short_circuit.is_none()
    }

    /// Its frontends.
    pub fn frontends(&self) -> impl Iterator<Item = FrontendKey> + '_ {
        let protocol = self.name.protocol;
        let vips =
            self.vips.iter().map(move |vip| FrontendKey::Vip { ip: vip.ip, protocol, port: self.port });
        let family = self.family;
        vips.chain(self.node_port.map(|port| FrontendKey::NodePort { family, protocol, port }))
    }
}

/// A frontend that a Service asked for and another has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The contested frontend.
    pub frontend: FrontendKey,
    /// Who serves it.
    pub winner: NamespacedName,
}

/// All that one Service means on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// One Route per port and family.
    pub routes: Vec<Route>,
    /// Frontends that it does not get.
    pub conflicts: Vec<Conflict>,
}

/// Resolves one Service. A Service that is gone, or not for this proxy, means nothing: no Routes.
pub fn resolve(store: &Store, config: &ProxyConfig, name: &NamespacedName) -> Resolved {
    let mut resolved = Resolved::default();
    let Some(entry) = store.entry(name) else { return resolved };
    let Some(service) = entry.service.as_deref() else { return resolved };
    let mut claims = Claims { store, service, taken: FxHashSet::default(), conflicts: Vec::new() };
    for family in service.families() {
        for port in &service.ports {
            resolved.routes.push(route(store, config, entry, port, family, &mut claims));
        }
    }
    resolved.conflicts = claims.conflicts;
    resolved
}

fn route(
    store: &Store,
    config: &ProxyConfig,
    entry: &ServiceEntry,
    port: &ServicePort,
    family: IpFamily,
    claims: &mut Claims<'_>,
) -> Route {
    let service = claims.service;
    let policy = policy_view(service, port, family);
    let found = candidates(entry, port, family, store.node_name());
    let choice = choose(&found, policy, store.node_name(), store.facts().zone(), config.node_hints);
    let cluster = || decision(&found, &choice, choice.cluster.as_deref(), service.no_local);
    let local = || decision(&found, &choice, choice.local.as_deref(), service.no_local);
    let internal = if policy.internal == model::TrafficPolicy::Local { local() } else { cluster() };
    let external_local = policy.external_local();
    let external = if external_local { local() } else { cluster() };
    Route {
        name: service.port_name(port),
        family,
        port: port.port,
        vips: vips(store, service, port, family, claims),
        node_port: node_port(port, family, claims),
        node_port_sources: service.strict_source_ranges.then(|| ranges(service, family)).and_then(merged),
        shadowed: shadowed(store, port, family),
        internal,
        external,
        short_circuit: external_local.then(cluster),
        affinity_seconds: service.affinity_seconds,
        hairpin: choice
            .all()
            .into_iter()
            .filter(|i| found[*i].may_be_local())
            .map(|i| found[i].addr)
            .collect(),
        serving: serving(&found),
        health_check_port: service.has_health_check().then_some(service.health_check_node_port),
        balance: service.balance.clone(),
        by_rules: config.by_rules.as_ref() == Some(&service.name),
        drain: Drain::of(service, &found),
    }
}

pub(crate) fn policy_view(service: &Service, port: &ServicePort, family: IpFamily) -> PolicyView {
    PolicyView {
        internal: service.internal_policy,
        external: service.external_policy,
        externally_accessible: service.externally_accessible(port, family),
        prefer_local: service.prefer_local,
    }
}

fn decision(found: &[Candidate<'_>], choice: &Choice, list: Option<&[usize]>, no_local: NoLocal) -> Decision {
    match (list, no_local) {
        (Some(list), _) if !list.is_empty() => Decision::Dnat(list.iter().map(|i| found[*i].addr).collect()),
        _ if !choice.any => Decision::Reject,
        (_, NoLocal::Reject) => Decision::RejectHere,
        (_, NoLocal::Drop) => Decision::Drop,
    }
}

fn serving(found: &[Candidate<'_>]) -> Arc<[EndpointAddr]> {
    let serves = |c: &&Candidate<'_>| c.endpoint.conditions.serving || c.endpoint.conditions.ready;
    found.iter().filter(serves).map(|c| c.addr).collect()
}

fn vips(
    store: &Store,
    service: &Service,
    port: &ServicePort,
    family: IpFamily,
    claims: &mut Claims<'_>,
) -> Vec<Vip> {
    let kind_of = |ip: IpAddr| match ip {
        _ if Some(ip) == service.cluster_ip(family) => VipKind::ClusterIp,
        _ if service.load_balancer_ips.contains(&ip) => VipKind::LoadBalancer,
        _ => VipKind::ExternalIp,
    };
    let asked = service.cluster_ip(family).into_iter().chain(service.external_addresses(family));
    asked
        .filter(|ip| claims.take(FrontendKey::Vip { ip: *ip, protocol: port.protocol, port: port.port }))
        .map(|ip| {
            let kind = kind_of(ip);
            let limited = match kind {
                VipKind::ClusterIp => false,
                VipKind::ExternalIp => service.strict_source_ranges,
                VipKind::LoadBalancer => true,
            };
            let allowed_sources = limited.then(|| allowed_sources(store, service, ip)).flatten();
            Vip { ip, kind, allowed_sources }
        })
        .collect()
}

/// The sources that may use an external VIP. `None` = anybody: one of length 0 is among the ranges, or there is none of the
/// family and the Service does not ask for strictness.
/// Where the node itself is allowed, the VIP is too: a node that has the VIP as an address of its own loops back
/// with it as the source.
fn allowed_sources(store: &Store, service: &Service, vip: IpAddr) -> Option<Vec<IpNet>> {
    let family = IpFamily::of(vip);
    let mut ranges = ranges(service, family);
    if ranges.is_empty() && !service.strict_source_ranges {
        return None;
    }
    let node = store.facts().primary(family);
    if node.is_some_and(|node| ranges.iter().any(|net| net.contains(&node))) {
        ranges.push(IpNet::from(vip));
    }
    merged(ranges)
}

/// The Service's source ranges of a family.
fn ranges(service: &Service, family: IpFamily) -> Vec<IpNet> {
    service.source_ranges.iter().filter(|net| IpFamily::of(net.addr()) == family).copied().collect()
}

/// Ranges as few as can be, sorted; `None` if they hold every address.
fn merged(ranges: Vec<IpNet>) -> Option<Vec<IpNet>> {
    if ranges.iter().any(|net| net.prefix_len() == 0) {
        return None;
    }
    let mut merged = IpNet::aggregate(&ranges);
    merged.sort_unstable();
    Some(merged)
}

fn node_port(port: &ServicePort, family: IpFamily, claims: &mut Claims<'_>) -> Option<u16> {
    let key = FrontendKey::NodePort { family, protocol: port.protocol, port: port.node_port };
    (port.node_port != 0 && claims.take(key)).then_some(port.node_port)
}

/// The node's addresses that are a VIP with the number of the nodePort: who addresses these means the VIP.
fn shadowed(store: &Store, port: &ServicePort, family: IpFamily) -> Vec<IpAddr> {
    if port.node_port == 0 {
        return Vec::new();
    }
    let (facts, protocol) = (store.facts(), port.protocol);
    let own = facts.kernel_addresses.iter().chain(facts.node.iter().flat_map(|node| &node.addresses));
    let vip = |ip: &&IpAddr| {
        let key = FrontendKey::Vip { ip: **ip, protocol, port: port.node_port };
        IpFamily::of(**ip) == family && store.winner(&key).is_some()
    };
    let mut shadowed: Vec<IpAddr> = own.filter(vip).copied().collect();
    shadowed.sort_unstable();
    shadowed.dedup();
    shadowed
}

/// Hands each frontend to at most one port of one Service.
struct Claims<'a> {
    store: &'a Store,
    service: &'a Service,
    taken: FxHashSet<FrontendKey>,
    conflicts: Vec<Conflict>,
}

impl Claims<'_> {
    fn take(&mut self, frontend: FrontendKey) -> bool {
        let winner = self.store.winner(&frontend).unwrap_or(&self.service.name);
        let free = *winner == self.service.name && self.taken.insert(frontend);
        if !free {
            self.conflicts.push(Conflict { frontend, winner: winner.clone() });
        }
        free
    }
}
