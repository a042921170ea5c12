//! What happens to one packet that opens a connection.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{
    EndpointAddr, FrontendKey, IpFamily, NamespacedName, Protocol, Scheduler, ServicePort, ServicePortName,
    Store,
};

use crate::elsewhere::elsewhere;
use crate::exclude::excluded;
use crate::route::policy_view;
use crate::scope::localhost_nodeports;
use crate::{
    Decision, Excluded, LocalSource, Mode, NodePortScope, ProxyConfig, Route, VipKind, candidates, choose,
    places, resolve,
};

/// The first packet of a connection, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its source address.
    pub from: IpAddr,
    /// The link that it arrived on, where that is known: interface-based detection asks for it.
    pub interface: Option<String>,
    /// Its destination address and port.
    pub to: EndpointAddr,
    /// Its protocol.
    pub protocol: Protocol,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketVerdict {
    /// Sent to an endpoint.
    Dnat,
    /// Answered with an ICMP error.
    Reject,
    /// Discarded.
    Drop,
    /// Accepted by a rule of ours.
    Accept,
    /// Not touched.
    None,
}

impl PacketVerdict {
    /// Its name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            PacketVerdict::Dnat => "dnat",
            PacketVerdict::Reject => "reject",
            PacketVerdict::Drop => "drop",
            PacketVerdict::Accept => "accept",
            PacketVerdict::None => "none",
        }
    }
}

/// Whether the endpoint sees the client's address or this node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masquerade {
    /// The client's.
    Never,
    /// This node's.
    Always,
    /// This node's, where one of these was chosen (hairpin).
    Towards(Vec<EndpointAddr>),
}

const NO_LOCAL: &str = "usable endpoints exist, but none on this node, and the policy is Local";

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What becomes of the packet.
    pub verdict: PacketVerdict,
    /// Why, in a sentence's words.
    pub reason: String,
    /// The endpoints that it may reach; sorted. Each has the same probability, but for `weights`, and for mode ipvs with
    /// another scheduler than `rr`, which `reason` names.
    pub endpoints: Vec<EndpointAddr>,
    /// In the order of `endpoints`: how often each is chosen, in proportion to the others. Empty where the Service's weights
    /// do not count.
    pub weights: Vec<u16>,
    /// Whether its source is rewritten.
    pub masquerade: Masquerade,
    /// The ServicePort that it addresses.
    pub service: Option<ServicePortName>,
    /// The frontend that it addresses.
    pub frontend: Option<FrontendKey>,
    /// Endpoints of the Service that it cannot reach.
    pub excluded: Vec<Excluded>,
}

impl Explanation {
    pub(crate) fn of(verdict: PacketVerdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            endpoints: Vec::new(),
            weights: Vec::new(),
            masquerade: Masquerade::Never,
            service: None,
            frontend: None,
            excluded: Vec::new(),
        }
    }
}

/// Explains one packet from the same decisions that a dataplane programs.
pub fn explain(store: &Store, config: &ProxyConfig, packet: &Packet) -> Explanation {
    let ask = Ask::new(store, config, packet);
    ask.vip().or_else(|| ask.node_port()).unwrap_or_else(|| elsewhere(store, config, packet))
}

struct Ask<'a> {
    store: &'a Store,
    config: &'a ProxyConfig,
    packet: &'a Packet,
    family: IpFamily,
    from_node: bool,
    detector: LocalSource,
    from_pod: bool,
}

impl<'a> Ask<'a> {
    fn new(store: &'a Store, config: &'a ProxyConfig, packet: &'a Packet) -> Self {
        let family = IpFamily::of(packet.to.ip);
        let detector = LocalSource::new(config, store.facts(), family);
        let from_pod = is_local_pod(store, &detector, packet);
        let from_node = store.facts().owns(packet.from);
        Self { store, config, packet, family, from_node, detector, from_pod }
    }

    fn vip(&self) -> Option<Explanation> {
        let Packet { to, protocol, .. } = *self.packet;
        let key = FrontendKey::Vip { ip: to.ip, protocol, port: to.port };
        let (service, route) = self.route(&key)?;
        let vip = route.vips.iter().find(|vip| vip.ip == to.ip)?;
        let blocked = self.is_kept_out(vip.allowed_sources.as_deref());
        let (decision, mut masquerade, local_only) = match vip.kind {
            VipKind::ClusterIp => self.internal(&route),
            _ => self.external(&route),
        };
        // nf_tables marks by address alone: the address may be the ClusterIP of another port's Service.
        if self.by_nf_tables() && self.store.is_cluster_ip(to.ip) {
            masquerade |= self.masquerades_cluster_ips();
        }
        if blocked {
            return Some(self.kept_out(&service, &route, key));
        }
        Some(self.answer(&service, &route, key, decision, masquerade, local_only))
    }

    fn node_port(&self) -> Option<Explanation> {
        let Packet { to, protocol, .. } = *self.packet;
        let scope = NodePortScope::new(self.config, self.store.facts(), self.family);
        let on_loopback = localhost_nodeports(self.config, to.ip);
        if !on_loopback && !scope.accepts(self.store.facts(), to.ip) {
            return None;
        }
        let key = FrontendKey::NodePort { family: self.family, protocol, port: to.port };
        let (service, route) = self.route(&key)?;
        if self.is_kept_out(route.node_port_sources.as_deref()) {
            return Some(self.kept_out(&service, &route, key));
        }
        let (decision, masquerade, local_only) = self.external(&route);
        Some(self.answer(&service, &route, key, decision, masquerade, local_only))
    }

    fn is_kept_out(&self, allowed: Option<&[IpNet]>) -> bool {
        allowed.is_some_and(|nets| !nets.iter().any(|net| net.contains(&self.packet.from)))
    }

    /// nf_tables drops it before anything else. In mode iptables it meets the rule for what is not served.
    fn kept_out(&self, service: &NamespacedName, route: &Route, key: FrontendKey) -> Explanation {
        if !self.by_nf_tables() && route.external.is_refusal() {
            return self.answer(service, route, key, &route.external, false, true);
        }
        let reason = format!("{} is in no range of loadBalancerSourceRanges", self.packet.from);
        let mut answer = Explanation::of(PacketVerdict::Drop, reason);
        answer.service = Some(route.name.clone());
        answer.frontend = Some(key);
        answer
    }

    fn route(&self, key: &FrontendKey) -> Option<(NamespacedName, Route)> {
        let service = self.store.winner(key)?.clone();
        let routes = resolve(self.store, self.config, &service).routes;
        routes.into_iter().find(|route| route.frontends().any(|f| f == *key)).map(|route| (service, route))
    }

    fn internal<'r>(&self, route: &'r Route) -> (&'r Decision, bool, bool) {
        let local_only = self
            .store
            .entry(&route.name.service)
            .and_then(|e| e.service.as_ref())
            .is_some_and(|s| s.internal_policy == model::TrafficPolicy::Local);
        (&route.internal, self.masquerades_cluster_ips(), local_only)
    }

    /// Modes nftables and ipvs have the same nf_tables objects for all that is not load balancing.
    fn by_nf_tables(&self) -> bool {
        self.config.mode != Mode::Iptables
    }

    /// Traffic to a ClusterIP is masqueraded unless it is known to come from a pod of this node.
    fn masquerades_cluster_ips(&self) -> bool {
        self.config.masquerade_all || (self.detector != LocalSource::Unknown && !self.from_pod)
    }

    fn external<'r>(&self, route: &'r Route) -> (&'r Decision, bool, bool) {
        match &route.short_circuit {
            None => (&route.external, true, false),
            Some(all) if self.from_pod => (all, false, false),
            Some(all) if self.from_node => (all, true, false),
            Some(_) => (&route.external, false, true),
        }
    }

    fn answer(
        &self,
        service: &NamespacedName,
        route: &Route,
        key: FrontendKey,
        decision: &Decision,
        masquerade: bool,
        local_only: bool,
    ) -> Explanation {
        let (verdict, reason) = match decision {
            Decision::Dnat(list) => (PacketVerdict::Dnat, self.chosen(route, key, list)),
            Decision::Reject => (PacketVerdict::Reject, "the Service has no usable endpoint".into()),
            Decision::Drop => (PacketVerdict::Drop, NO_LOCAL.into()),
            Decision::RejectHere => {
                (PacketVerdict::Reject, format!("{NO_LOCAL}; the Service asks to refuse in that case"))
            }
        };
        let endpoints = decision.endpoints().to_vec();
        Explanation {
            weights: self.weights(route, key, &endpoints),
            masquerade: self.masquerade(route, &endpoints, masquerade),
            excluded: self.excluded(service, route, &endpoints, local_only),
            verdict,
            reason,
            endpoints,
            service: Some(route.name.clone()),
            frontend: Some(key),
        }
    }

    /// In mode ipvs, the scheduler chooses; for local pods and the node itself, that is so under `externalTrafficPolicy: Local`
    /// only where they get the same endpoints as everybody. Where they do not, nf_tables chooses at random before IPVS.
    fn chosen(&self, route: &Route, key: FrontendKey, list: &[EndpointAddr]) -> String {
        let count = format!("one of {} endpoints", list.len());
        match self.scheduler(route, key, list) {
            Some(scheduler) => format!("{count}, by scheduler {scheduler}"),
            None if self.weights(route, key, list).is_empty() => count,
            None => format!("{count}, by weight"),
        }
    }

    /// The scheduler that chooses, if IPVS does.
    fn scheduler(&self, route: &Route, key: FrontendKey, list: &[EndpointAddr]) -> Option<Scheduler> {
        let is_cluster_ip = |ip| route.vips.iter().any(|vip| vip.ip == ip && vip.kind == VipKind::ClusterIp);
        let internal = matches!(key, FrontendKey::Vip { ip, .. } if is_cluster_ip(ip));
        let same = internal || route.external.endpoints() == list;
        let by_ipvs = self.config.mode == Mode::Ipvs && !route.by_rules && same;
        by_ipvs.then(|| route.balance.scheduler.unwrap_or(self.config.scheduler))
    }

    /// How often each endpoint is chosen: by nf_tables and iptables in places, by IPVS in weights.
    fn weights(&self, route: &Route, key: FrontendKey, list: &[EndpointAddr]) -> Vec<u16> {
        let balance = &route.balance;
        match self.scheduler(route, key, list) {
            None => places(list, balance).unwrap_or_default(),
            Some(scheduler) if !scheduler.counts_weights() || balance.weights.is_empty() => Vec::new(),
            Some(_) => list.iter().map(|endpoint| balance.weight(endpoint.ip)).collect(),
        }
    }

    /// A packet from elsewhere to an endpoint on this node's own address (a pod on the host's network) never passes
    /// postrouting, where sources are rewritten.
    fn masquerade(&self, route: &Route, endpoints: &[EndpointAddr], always: bool) -> Masquerade {
        let hairpins = |e: &EndpointAddr| e.ip == self.packet.from && route.hairpin.contains(e);
        let leaves = |e: &EndpointAddr| self.from_node || !self.store.facts().owns(e.ip);
        let rewritten = |e: &&EndpointAddr| (always || hairpins(e)) && leaves(e);
        let some: Vec<EndpointAddr> = endpoints.iter().filter(rewritten).copied().collect();
        match some.len() {
            0 => Masquerade::Never,
            n if n == endpoints.len() => Masquerade::Always,
            _ => Masquerade::Towards(some),
        }
    }

    fn excluded(
        &self,
        service: &NamespacedName,
        route: &Route,
        reachable: &[EndpointAddr],
        local_only: bool,
    ) -> Vec<Excluded> {
        let Some(entry) = self.store.entry(service) else { return Vec::new() };
        let Some(found) = entry.service.as_deref() else { return Vec::new() };
        let matches = |p: &&ServicePort| p.name == route.name.port && p.protocol == route.name.protocol;
        let Some(port) = found.ports.iter().find(matches) else { return Vec::new() };
        let (name, zone) = (self.store.node_name(), self.store.facts().zone());
        let list = candidates(entry, port, self.family, name);
        let choice = choose(&list, policy_view(found, port, self.family), name, zone, self.config.node_hints);
        excluded(entry, port, self.family, &list, &choice, reachable, local_only)
    }
}

/// Whether the packet comes from a pod of this node, as the configured detection sees it. By interface, that is
/// the link if it is given, or else whether a Pod or an endpoint is known on this node with the source address.
fn is_local_pod(store: &Store, detector: &LocalSource, packet: &Packet) -> bool {
    let guess = || {
        let here = |node: &Option<std::sync::Arc<str>>| node.as_ref() == Some(store.node_name());
        let pods = store.pods().filter(|pod| here(&pod.node) && !pod.host_network);
        let by_pod = pods.flat_map(|pod| &pod.ips).any(|ip| *ip == packet.from);
        let slices = || store.entries().flat_map(|(_, entry)| entry.slices.values());
        let by_cidr = || {
            let node = store.facts().node.as_ref();
            node.is_some_and(|node| node.pod_cidrs.iter().any(|net| net.contains(&packet.from)))
        };
        let by_slice = || slices().flat_map(|s| &s.endpoints).any(|e| e.ip == packet.from && here(&e.node));
        !store.facts().owns(packet.from) && (by_pod || by_cidr() || by_slice())
    };
    match (detector, &packet.interface) {
        (LocalSource::Unknown, _) => false,
        (LocalSource::Net(net), _) => net.contains(&packet.from),
        (LocalSource::Interface(name), Some(interface)) => name == interface,
        (LocalSource::InterfacePrefix(prefix), Some(interface)) => interface.starts_with(prefix.as_str()),
        (_, None) => guess(),
    }
}
