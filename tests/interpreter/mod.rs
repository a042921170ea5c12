//! What the kernel would do with the objects of a dataplane: a small nf_tables machine and a small IPVS, as a value.
//!
//! ```text
//! objects --Layout::encoded, kernel_element--> Kernel: chains of expressions, sets of bytes, virtual servers, routes
//! Packet --> prerouting | output --(is the destination local?)--> input | forward, postrouting --> Outcome
//!                           \---------- IPVS, in the order of priorities ----------/
//! ```
//!
//! It runs the very expressions and bytes that go to the kernel, and knows nothing of Services, of Routes, or of how
//! they were lowered. Every random draw is tried with every number, so that probabilities are exact; of a virtual server,
//! every real server. What the kernel would refuse (a chain that is not there, a register that nothing has stored, intervals
//! that overlap) is an error.

mod balancer;
mod lowered;
mod machine;
mod registers;
mod skb;
mod table;
mod way;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use dataplane::{Dataplane, Engine, Ground};
use ipvs::Choice;
use model::{EndpointAddr, IpFamily, NodeFacts};
use nftables::{Key, Nftables, Value, VipKey};
use resolve::{Packet, PacketVerdict};

use balancer::Balancer;
pub use lowered::{Lowered, Part};
use machine::{End, Stop};
pub use skb::Remembered;
use skb::Skb;
use table::Table;

use crate::outcome::Outcome;

/// What the kernel knows of the node.
pub trait Host {
    /// Whether an address is the node's own, by an address or by a route.
    fn owns(&self, address: IpAddr) -> bool;
}

/// The tables of both families, IPVS, and the node.
#[derive(Clone, Debug)]
pub struct Kernel {
    tables: HashMap<IpFamily, Table>,
    balancer: Balancer,
    facts: NodeFacts,
}

impl Host for Kernel {
    fn owns(&self, address: IpAddr) -> bool {
        self.has(address) || self.balancer.routes(address)
    }
}

/// What became of a packet, with certain outcomes of the random draws on its way.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// How likely these are.
    pub probability: f64,
    /// The verdict.
    pub verdict: PacketVerdict,
    /// Where it was sent to.
    pub endpoint: Option<EndpointAddr>,
    /// The virtual server that chose it.
    pub server: Option<VipKey>,
    /// Its source was rewritten.
    pub masqueraded: bool,
    /// What rules wrote into maps.
    pub remembered: Vec<Remembered>,
}

impl Kernel {
    /// Takes in all that a program wants the kernel to have.
    pub fn of<D: Lowered>(
        engine: &Engine<impl Dataplane<Key = D::Key, Value = D::Value>>,
    ) -> Result<Self, String> {
        let service_cidrs = engine.store().service_cidrs();
        let facts = engine.store().facts();
        let ground = Ground { config: engine.config(), facts, service_cidrs: &service_cidrs };
        // What is in a chain follows from its name and the ground.
        let mut rules = Nftables::offline_as(D::STYLE);
        let constant = rules.ground(&ground);
        let mut kernel = Self { tables: HashMap::new(), balancer: Balancer::default(), facts: facts.clone() };
        let mut given: HashMap<&Key, &Value> = HashMap::new();
        for (key, value) in engine.objects() {
            match D::part(key, value) {
                Part::Rule(key, value) => {
                    given.insert(key, value);
                    kernel.add_rule(&rules, key, value)?;
                }
                Part::Server(server, choice) => kernel.balancer.add_server(server, choice),
                Part::Real(server, endpoint, weight) => kernel.balancer.add_real(server, endpoint, weight),
                Part::Route(net) => kernel.balancer.add_route(net),
            }
        }
        if let Some((key, _)) = constant.iter().find(|(key, value)| given.get(key) != Some(&value)) {
            return Err(format!("{key:?} is not there, or not what it should be"));
        }
        kernel.tables.iter().try_for_each(|(family, table)| table.check(*family))?;
        kernel.balancer.check(facts)?;
        Ok(kernel)
    }

    fn add_rule(&mut self, rules: &Nftables, key: &Key, value: &Value) -> Result<(), String> {
        let layout = rules.layouts().iter().find(|layout| layout.family == key.family());
        let layout = layout.ok_or("a family without a layout")?;
        self.tables.entry(key.family()).or_default().add(layout, key, value);
        Ok(())
    }

    /// Whether an address is configured on the node.
    fn has(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.facts.kernel_addresses.contains(&address)
    }

    /// Whether the kernel meets a packet like this, and lets it in. A pod's packet to itself does not leave the pod. What comes
    /// from elsewhere with a source that is routed to the node itself is discarded.
    pub fn lets_in(&self, packet: &Packet) -> bool {
        self.has(packet.from) || (packet.from != packet.to.ip && !self.owns(packet.from))
    }

    /// How a virtual server chooses, and the weights of its real servers.
    pub fn server(&self, server: &VipKey) -> Option<(Choice, Vec<(EndpointAddr, u32)>)> {
        Some((*self.balancer.choice(server)?, self.balancer.reals(server).collect()))
    }

    /// What becomes of a packet, over all random draws. Endpoints that are not equally likely are an error.
    pub fn outcome(&self, packet: &Packet) -> Result<Outcome, String> {
        self.weighted_outcome(packet, &[])
    }

    /// The same where endpoints are to have these weights, in their order; none: all alike.
    pub fn weighted_outcome(&self, packet: &Packet, weights: &[u16]) -> Result<Outcome, String> {
        let arrivals = self.arrivals(packet)?;
        let verdict = arrivals[0].verdict;
        if arrivals.iter().any(|arrival| arrival.verdict != verdict) {
            return Err(format!("the verdict depends on chance: {arrivals:?}"));
        }
        let mut chances: BTreeMap<EndpointAddr, f64> = BTreeMap::new();
        let mut masqueraded = BTreeSet::new();
        for arrival in &arrivals {
            let Some(endpoint) = arrival.endpoint else { continue };
            *chances.entry(endpoint).or_default() += arrival.probability;
            masqueraded.extend(arrival.masqueraded.then_some(endpoint));
        }
        check_shares(&chances, weights)?;
        let (endpoints, masqueraded) = (chances.into_keys().collect(), masqueraded.into_iter().collect());
        Ok(Outcome { verdict, endpoints, masqueraded })
    }

    /// One arrival for each way in which the random draws can come out.
    pub fn arrivals(&self, packet: &Packet) -> Result<Vec<Arrival>, String> {
        let (mut arrivals, mut draws, mut probability) = (Vec::new(), Vec::new(), 1.0);
        while let Some((last, misses)) = self.draw(packet, &draws, probability, &mut arrivals)? {
            draws = last;
            probability = misses;
        }
        Ok(arrivals)
    }

    /// Runs a packet up to its next draw and tries every number there. Numbers after which it has to draw again all
    /// leave it where it was, so that one of them stands for all; that one is returned, with their probability.
    fn draw(
        &self,
        packet: &Packet,
        draws: &[u32],
        probability: f64,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<Option<(Vec<u32>, f64)>, String> {
        let modulus = match self.arrival(packet, draws, probability) {
            Ok(arrival) => {
                arrivals.push(arrival);
                return Ok(None);
            }
            Err(Stop::Nonsense(message)) => return Err(message),
            Err(Stop::Draw(modulus)) => modulus,
        };
        let each = probability / f64::from(modulus);
        let (mut again, mut misses) = (None, 0.0);
        for number in 0..modulus {
            let draws = [draws, &[number]].concat();
            match self.arrival(packet, &draws, each) {
                Ok(arrival) => arrivals.push(arrival),
                Err(Stop::Nonsense(message)) => return Err(message),
                Err(Stop::Draw(_)) => {
                    misses += each;
                    again = Some(draws);
                }
            }
        }
        Ok(again.map(|draws| (draws, misses)))
    }

    /// Puts what a packet left behind into the maps.
    pub fn remember(&mut self, family: IpFamily, remembered: &[Remembered]) {
        self.tables.entry(family).or_default().remember(remembered);
    }

    fn arrival(&self, packet: &Packet, draws: &[u32], probability: f64) -> Result<Arrival, Stop> {
        let mut skb = Skb::new(packet, draws);
        let end = if self.has(packet.from) { self.leave(&mut skb)? } else { self.enter(&mut skb)? };
        let Skb { translated, server, masqueraded, remembered, .. } = skb;
        if end == End::Accept && masqueraded && translated.is_none() {
            return Err("masqueraded, though it was not translated".to_owned().into());
        }
        let verdict = match end {
            End::Drop => PacketVerdict::Drop,
            End::Reject => PacketVerdict::Reject,
            End::Accept if translated.is_some() => PacketVerdict::Dnat,
            End::Accept => PacketVerdict::None,
        };
        let endpoint = translated.filter(|_| end == End::Accept);
        Ok(Arrival { probability, verdict, endpoint, server, masqueraded, remembered })
    }
}

/// Whether all endpoints are as likely as their weights say, up to a thousandth.
fn check_shares(chances: &BTreeMap<EndpointAddr, f64>, weights: &[u16]) -> Result<(), String> {
    let all: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let fair =
        |n: usize| weights.get(n).map_or(1.0 / chances.len() as f64, |weight| f64::from(*weight) / all);
    let off = |(n, chance): (usize, &f64)| (chance / fair(n) - 1.0).abs() > 0.001;
    if chances.values().enumerate().any(off) {
        return Err(format!("the choice is not by weights {weights:?}: {chances:?}"));
    }
    Ok(())
}
