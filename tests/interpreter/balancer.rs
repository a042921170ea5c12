//! IPVS: virtual servers, and the routes that bring packets to them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ipvs::Choice;
use model::{EndpointAddr, NodeFacts};
use nftables::VipKey;

use super::machine::Stop;
use super::skb::Skb;

/// Where IPVS chooses among real servers (`ip_vs_in_hook`), by hook.
pub const PRIORITIES: [(u32, i32); 2] = [(super::way::INPUT, 99), (super::way::OUTPUT, -98)];

/// All virtual servers of the node.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    servers: BTreeMap<VipKey, Choice>,
    reals: BTreeMap<VipKey, BTreeMap<EndpointAddr, u32>>,
    routes: Vec<IpNet>,
}

impl Balancer {
    /// Takes in a virtual server.
    pub fn add_server(&mut self, server: VipKey, choice: Choice) {
        self.servers.insert(server, choice);
    }

    /// Takes in a real server.
    pub fn add_real(&mut self, server: VipKey, endpoint: EndpointAddr, weight: u32) {
        self.reals.entry(server).or_default().insert(endpoint, weight);
    }

    /// Takes in a local route.
    pub fn add_route(&mut self, net: IpNet) {
        self.routes.push(net);
    }

    /// Whether an address is the node's by a route.
    pub fn routes(&self, address: IpAddr) -> bool {
        self.routes.iter().any(|net| net.contains(&address))
    }

    /// How a virtual server chooses.
    pub fn choice(&self, server: &VipKey) -> Option<&Choice> {
        self.servers.get(server)
    }

    /// The real servers of a virtual server, with their weights.
    pub fn reals(&self, server: &VipKey) -> impl Iterator<Item = (EndpointAddr, u32)> + '_ {
        self.reals.get(server).into_iter().flatten().map(|(endpoint, weight)| (*endpoint, *weight))
    }

    /// What the kernel would refuse, and what would do harm: a real server of nothing, a virtual server that refuses
    /// everybody, a route that takes the node's own addresses over.
    pub fn check(&self, facts: &NodeFacts) -> Result<(), String> {
        if !self.servers.keys().eq(self.reals.keys()) {
            return Err(format!("virtual servers {:?}, but real ones of {:?}", self.servers, self.reals));
        }
        let weights = || self.reals.iter().flat_map(|(server, all)| all.iter().map(move |one| (server, one)));
        if let Some(idle) = weights().find(|(_, (_, weight))| !(1..=65_535).contains(*weight)) {
            return Err(format!("{idle:?} gets no connection, or more than there are"));
        }
        let taken = |net: &&IpNet| facts.kernel_addresses.iter().any(|ip| net.contains(ip));
        match self.routes.iter().find(taken) {
            Some(net) => Err(format!("the route {net} holds an address of the node")),
            None => Ok(()),
        }
    }

    /// Translates the packet, if it is for a virtual server and the kernel has not seen it here yet. Which real server is
    /// the scheduler's to say: each is tried.
    pub fn schedule(&self, skb: &mut Skb) -> Result<bool, Stop> {
        let Some(server) = skb.vip().filter(|_| skb.server.is_none()) else { return Ok(false) };
        let Some(reals) = self.reals.get(&server) else { return Ok(false) };
        let drawn = skb.draw(reals.len() as u32)?;
        let endpoint = reals.keys().nth(drawn as usize).copied();
        skb.translate(endpoint.ok_or_else(|| format!("{server:?} has no real server"))?);
        skb.server = Some(server);
        Ok(true)
    }
}
