//! One Route as virtual servers, real servers and routes. Pure. What else it is, the nftables crate says.

use model::EndpointAddr;
use resolve::{Decision, Route, VipKind};

use crate::front::Front;
use crate::objects::{Choice, Key, Server, Value, record};

/// The objects of one Route beside its rules. Of one that is balanced by rules there are none: its packets are translated
/// before they need a route.
pub fn lower(front: &Front, route: &Route) -> Vec<(Key, Value)> {
    if route.by_rules {
        return Vec::new();
    }
    let mut lowering = Lowering { front, route, out: Vec::new() };
    for vip in &route.vips {
        let decision = if vip.kind == VipKind::ClusterIp { &route.internal } else { &route.external };
        lowering.server(Server { ip: vip.ip, protocol: route.name.protocol, port: route.port }, decision);
        lowering.out.extend(front.route(vip.ip));
    }
    if let Some(port) = route.node_port {
        for ip in front.node_ports.iter().filter(|ip| !route.shadowed.contains(ip)) {
            let server = Server { ip: *ip, protocol: route.name.protocol, port };
            lowering.server(server, &route.external);
        }
    }
    lowering.out
}

struct Lowering<'a> {
    front: &'a Front,
    route: &'a Route,
    out: Vec<(Key, Value)>,
}

impl Lowering<'_> {
    /// Without endpoints there is no virtual server: the rules say what becomes of the packets.
    fn server(&mut self, server: Server, decision: &Decision) {
        let endpoints = decision.endpoints();
        if endpoints.is_empty() {
            return;
        }
        let scheduler = self.route.balance.scheduler.unwrap_or(self.front.scheduler);
        let choice = Choice::new(self.route.family, scheduler, self.route.affinity_seconds);
        self.out.push((record(server), Value::Rule(nftables::Value::Member)));
        self.out.push((Key::Server(server), Value::Server(choice)));
        let real = |endpoint: &EndpointAddr| {
            let weight = self.route.balance.weight(endpoint.ip);
            (Key::Real(server, *endpoint), Value::Real(weight.into()))
        };
        self.out.extend(endpoints.iter().map(real));
    }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
