//! One Route as a set of objects. Pure.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::iter::repeat_n;
use std::net::IpAddr;

use dataplane::place;
use model::{Balance, EndpointAddr, Protocol};
use resolve::{Decision, Route, VipKind, places};
use rustc_hash::FxHasher;

use crate::ids::{AFFINITY_SHARDS, ChainId, PORT_SHARDS, Pick, SetId, VIP_SHARDS};
use crate::layout::fingerprint;
use crate::objects::{ElementKey, Key, PortKey, Target, Value, VipKey};
use crate::sets::set_spec;
use crate::slots;
use crate::style::Style;

/// What an object is at present.
pub type Now<'a> = &'a dyn Fn(&Key) -> Option<Value>;

/// A frontend as this dataplane sees it.
#[derive(Clone, Copy)]
enum Front {
    Vip(VipKey),
    Port(PortKey),
}

/// The maps that one kind of frontend uses.
struct Maps {
    main: SetId,
    pods: SetId,
    node: SetId,
    outside: SetId,
    idle: SetId,
    affinity: SetId,
    local_policy: ChainId,
}

const VIP_MAPS: Maps = Maps {
    main: SetId::Vips,
    pods: SetId::PodVips,
    node: SetId::NodeVips,
    outside: SetId::OutsideVips,
    idle: SetId::IdleVips,
    affinity: SetId::AffinityVips,
    local_policy: ChainId::LocalPolicyVips,
};

const PORT_MAPS: Maps = Maps {
    main: SetId::NodePorts,
    pods: SetId::PodNodePorts,
    node: SetId::NodeNodePorts,
    outside: SetId::OutsideNodePorts,
    idle: SetId::IdleNodePorts,
    affinity: SetId::AffinityNodePorts,
    local_policy: ChainId::LocalPolicyNodePorts,
};

/// Who chooses an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// A chain of ours, out of the frontend's n-th list.
    Us(u8),
    Ipvs,
}

/// The objects of one Route. `addresses` are the node's own; they matter in [`Style::Ipvs`] only.
pub fn lower(route: &Route, now: Now<'_>, style: Style, addresses: &[IpAddr]) -> Vec<(Key, Value)> {
    let mut lowering = Lowering { route, now, style, out: Vec::new() };
    for vip in &route.vips {
        let key = VipKey { ip: vip.ip, protocol: route.name.protocol, port: route.port };
        if vip.kind == VipKind::ClusterIp {
            lowering.element(SetId::ClusterIps, ElementKey::Addr(vip.ip), Value::Member);
            lowering.plain(Front::Vip(key), &route.internal, false);
        } else {
            lowering.external(Front::Vip(key));
            lowering.routed(vip.ip, addresses);
        }
        if let Some(sources) = &vip.allowed_sources {
            lowering.restrict(key, sources);
        }
    }
    if let Some(port) = route.node_port {
        let key = PortKey { protocol: route.name.protocol, port };
        lowering.external(Front::Port(key));
        if let Some(sources) = &route.node_port_sources {
            lowering.restrict_port(key, sources);
        }
    }
    lowering.health();
    for endpoint in &route.hairpin {
        let key = VipKey { ip: endpoint.ip, protocol: route.name.protocol, port: endpoint.port };
        lowering.element(SetId::Hairpin, ElementKey::Vip(key), Value::Member);
    }
    lowering.out
}

struct Lowering<'a> {
    route: &'a Route,
    now: Now<'a>,
    style: Style,
    out: Vec<(Key, Value)>,
}

impl Lowering<'_> {
    /// A frontend that treats all sources alike.
    fn plain(&mut self, front: Front, decision: &Decision, masquerade: bool) {
        let maps = front.maps();
        let by = if self.leaves_to_ipvs() { By::Ipvs } else { By::Us(0) };
        match self.target(front, decision, by, masquerade) {
            Some(target) => self.verdict(maps.main, front, target),
            None => self.idle(front, decision),
        }
        self.affinity(front, decision, by);
    }

    fn external(&mut self, front: Front) {
        let route = self.route;
        let Some(all) = &route.short_circuit else {
            return self.plain(front, &route.external, true);
        };
        let maps = front.maps();
        let (by_for_outside, by) = self.who_chooses(all);
        let outside = self.target(front, &route.external, by_for_outside, false);
        let pods = self.target(front, all, by, false);
        let node = self.target(front, all, by, true);
        for (map, target) in [(maps.outside, outside), (maps.pods, pods), (maps.node, node)] {
            if let Some(target) = target {
                self.verdict(map, front, target);
            }
        }
        if outside.is_some() || pods.is_some() {
            self.verdict(maps.main, front, Target::Goto(maps.local_policy));
        }
        if outside.is_none() {
            self.idle(front, &route.external);
        }
        self.affinity(front, all, by);
    }

    /// Who chooses under `externalTrafficPolicy: Local`: for everybody else, and for local pods and the node. IPVS has one
    /// list for each frontend, that of everybody else.
    fn who_chooses(&self, all: &Decision) -> (By, By) {
        let same = all.endpoints() == self.route.external.endpoints();
        match self.leaves_to_ipvs() {
            false => (By::Us(0), By::Us(1)),
            true if same => (By::Ipvs, By::Ipvs),
            true => (By::Ipvs, By::Us(1)),
        }
    }

    fn leaves_to_ipvs(&self) -> bool {
        self.style == Style::Ipvs && !self.route.by_rules
    }

    /// The chain that chooses among the decision's endpoints, or leaves that to IPVS.
    fn target(&mut self, front: Front, decision: &Decision, by: By, masquerade: bool) -> Option<Target> {
        let chain = match by {
            By::Us(list) => ChainId::Pick(self.pick(front, decision, list, masquerade)?),
            By::Ipvs if decision.endpoints().is_empty() => return None,
            By::Ipvs => ChainId::Balance { masquerade },
        };
        Some(Target::Goto(chain))
    }

    /// The chain that chooses among the decision's endpoints, whose slots are filled. Two lists of one frontend go
    /// into neighbouring shards, so that their keys cannot meet.
    fn pick(&mut self, front: Front, decision: &Decision, list: u8, masquerade: bool) -> Option<Pick> {
        let endpoints = decision.endpoints();
        let endpoints = weighted(&endpoints[..endpoints.len().min(slots::MAX)], &self.route.balance);
        let size = slots::class_of(endpoints.len())?;
        let shard = front.shard(list);
        let affinity = self.route.affinity_seconds.map(|_| front.affinity_shard());
        let pick = Pick { ports: front.is_port(), shard, size, masquerade, affinity };
        self.chain(ChainId::Pick(pick));
        let already = list == 1 && masquerade;
        if !already {
            self.slots(front, shard, &endpoints);
        }
        Some(pick)
    }

    fn slots(&mut self, front: Front, shard: u8, endpoints: &[EndpointAddr]) {
        let key = |slot: usize| front.slot_key(shard, slot as u16, self.route.family);
        let before = |slot| match (self.now)(&key(slot)) {
            Some(Value::Endpoint(endpoint)) => Some(endpoint),
            _ => None,
        };
        let placed = place(before, endpoints);
        let slots = placed.into_iter().enumerate();
        let objects: Vec<_> = slots.map(|(slot, endpoint)| (key(slot), Value::Endpoint(endpoint))).collect();
        self.out.extend(objects);
    }

    fn idle(&mut self, front: Front, decision: &Decision) {
        let target = match decision {
            Decision::Reject | Decision::RejectHere => Target::Goto(ChainId::Reject),
            Decision::Drop | Decision::Dnat(_) => Target::Drop,
        };
        self.verdict(front.maps().idle, front, target);
    }

    /// A VIP that is the node's only by a route of ours answers for nothing but its frontends.
    fn routed(&mut self, vip: IpAddr, addresses: &[IpAddr]) {
        if self.style == Style::Ipvs && !vip.is_loopback() && !addresses.contains(&vip) {
            self.element(SetId::RoutedVips, ElementKey::Addr(vip), Value::Member);
        }
    }

    /// The server of the Service's health is this program, by TCP.
    fn health(&mut self) {
        if let Some(port) = self.route.health_check_port.filter(|_| self.style == Style::Ipvs) {
            let key = PortKey { protocol: Protocol::Tcp, port };
            self.element(SetId::HealthPorts, ElementKey::Port(key), Value::Member);
        }
    }

    fn restrict(&mut self, key: VipKey, sources: &[ipnet::IpNet]) {
        self.element(SetId::RestrictedVips, ElementKey::Vip(key), Value::Member);
        for net in sources {
            self.element(SetId::AllowedSources, ElementKey::Source(Box::new((key, *net))), Value::Member);
        }
        ChainId::FIREWALL.into_iter().for_each(|chain| self.chain(chain));
    }

    fn restrict_port(&mut self, key: PortKey, sources: &[ipnet::IpNet]) {
        let family = self.route.family;
        for set in SetId::NODE_PORT_FIREWALL {
            let definition = Value::Definition(fingerprint(set_spec(set, family)));
            self.out.push((Key::Set(family, set), definition));
        }
        self.element(SetId::RestrictedNodePorts, ElementKey::Port(key), Value::Member);
        for net in sources {
            let source = ElementKey::PortSource(Box::new((key, *net)));
            self.element(SetId::NodePortSources, source, Value::Member);
        }
        for ip in &self.route.shadowed {
            let vip = VipKey { ip: *ip, protocol: key.protocol, port: key.port };
            self.element(SetId::ShadowingVips, ElementKey::Vip(vip), Value::Member);
        }
        ChainId::NODE_PORT_FIREWALL.into_iter().for_each(|chain| self.chain(chain));
    }

    /// What remembers the choices of ours; IPVS remembers its own.
    fn affinity(&mut self, front: Front, decision: &Decision, by: By) {
        let needed = by != By::Ipvs && !decision.endpoints().is_empty();
        let Some(seconds) = self.route.affinity_seconds.filter(|_| needed) else { return };
        let (family, shard) = (self.route.family, front.affinity_shard());
        let record = ChainId::Record { shard, seconds };
        let set = SetId::Affinity(shard);
        let definition = Value::Definition(fingerprint(set_spec(set, family)));
        self.out.push((Key::Set(family, set), definition));
        ChainId::AFFINITY.into_iter().for_each(|chain| self.chain(chain));
        self.chain(record);
        self.verdict(front.maps().affinity, front, Target::Goto(record));
    }

    fn verdict(&mut self, map: SetId, front: Front, target: Target) {
        self.element(map, front.element_key(), Value::Verdict(target));
    }

    fn element(&mut self, set: SetId, key: ElementKey, value: Value) {
        self.out.push((Key::Element(self.route.family, set, key), value));
    }

    /// Chains are defined by their name and the layout; the value is filled in by the caller, who knows the layout.
    fn chain(&mut self, chain: ChainId) {
        self.out.push((Key::Chain(self.route.family, chain), Value::Definition(0)));
    }
}

/// The endpoints, each as often as it is to have slots.
fn weighted<'a>(endpoints: &'a [EndpointAddr], balance: &Balance) -> Cow<'a, [EndpointAddr]> {
    let Some(places) = places(endpoints, balance) else { return Cow::Borrowed(endpoints) };
    let repeated = endpoints.iter().zip(places).flat_map(|(e, n)| repeat_n(*e, n.into()));
    Cow::Owned(repeated.collect())
}

impl Front {
    fn is_port(self) -> bool {
        matches!(self, Front::Port(_))
    }

    fn maps(self) -> &'static Maps {
        if self.is_port() { &PORT_MAPS } else { &VIP_MAPS }
    }

    fn hash(self) -> u64 {
        let mut hasher = FxHasher::default();
        match self {
            Front::Vip(key) => {
                (crate::rule::octets(key.ip), key.protocol.number(), key.port).hash(&mut hasher)
            }
            Front::Port(key) => (key.protocol.number(), key.port).hash(&mut hasher),
        }
        hasher.finish() >> 32
    }

    /// The shard of the frontend's n-th list.
    fn shard(self, list: u8) -> u8 {
        let shards = if self.is_port() { PORT_SHARDS } else { VIP_SHARDS };
        ((self.hash() + u64::from(list)) % u64::from(shards)) as u8
    }

    fn affinity_shard(self) -> u8 {
        (self.hash() % u64::from(AFFINITY_SHARDS)) as u8
    }

    fn element_key(self) -> ElementKey {
        match self {
            Front::Vip(key) => ElementKey::Vip(key),
            Front::Port(key) => ElementKey::Port(key),
        }
    }

    fn slot_key(self, shard: u8, slot: u16, family: model::IpFamily) -> Key {
        match self {
            Front::Vip(key) => Key::Element(family, SetId::VipSlots(shard), ElementKey::VipSlot(key, slot)),
            Front::Port(key) => {
                Key::Element(family, SetId::PortSlots(shard), ElementKey::PortSlot(key, slot))
            }
        }
    }
}
