//! What the kernel would do with the objects of the nftables dataplane: a small nf_tables machine, as a value.
//!
//! ```text
//! objects --Layout::encoded, kernel_element--> Kernel: chains of expressions, sets of bytes
//! Packet --> prerouting | output --(is the destination local?)--> input | forward, postrouting --> Outcome
//! ```
//!
//! It runs the very expressions and bytes that go to the kernel, and knows nothing of Services, of Routes, or of how
//! they were lowered. Every random draw is tried with every number, so that probabilities are exact. What the kernel would refuse (a chain that is
//! not there, a register that nothing has stored, intervals that overlap) is an error.

mod machine;
mod registers;
mod skb;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use model::{EndpointAddr, IpFamily, NodeFacts};
use netlink::nft::{Element, ElementData, Expr, Hook};
use nftables::{Key, Layout, Nftables, Value, kernel_element};
use resolve::{Packet, PacketVerdict};

use machine::{End, Machine, Stop, holds};
pub use skb::Remembered;
use skb::Skb;

use crate::outcome::Outcome;

/// What the kernel knows of the node.
pub trait Host {
    /// Whether an address is the node's own.
    fn owns(&self, address: IpAddr) -> bool;
}

impl Host for NodeFacts {
    fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.kernel_addresses.contains(&address)
    }
}

/// The tables of both families, and the node.
#[derive(Clone, Debug)]
pub struct Kernel {
    tables: HashMap<IpFamily, Table>,
    facts: NodeFacts,
}

/// One table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    chains: BTreeMap<String, Chain>,
    sets: HashMap<String, Vec<Element>>,
}

#[derive(Clone, Debug)]
struct Chain {
    hook: Option<Hook>,
    rules: Vec<Vec<Expr>>,
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
    /// Its source was rewritten.
    pub masqueraded: bool,
    /// What rules wrote into maps.
    pub remembered: Vec<Remembered>,
}

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

impl Kernel {
    /// Takes the objects in.
    pub fn new<'a>(
        dataplane: &Nftables,
        objects: impl Iterator<Item = (&'a Key, &'a Value)>,
        facts: &NodeFacts,
    ) -> Result<Self, String> {
        let mut kernel = Self { tables: HashMap::new(), facts: facts.clone() };
        for (key, value) in objects {
            let layout = dataplane.layouts().iter().find(|layout| layout.family == key.family());
            kernel.table_mut(key.family()).add(layout.ok_or("no layout")?, key, value);
        }
        kernel.tables.iter().try_for_each(|(family, table)| table.check(*family))?;
        Ok(kernel)
    }

    /// What becomes of a packet, over all random draws. Endpoints that are not equally likely are an error.
    pub fn outcome(&self, packet: &Packet) -> Result<Outcome, String> {
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
        check_uniform(&chances)?;
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
        let table = self.table_mut(family);
        for Remembered { set, bytes, key_len, .. } in remembered {
            let (key, data) = bytes.split_at(*key_len);
            let element =
                Element { key: key.to_vec(), key_end: None, data: ElementData::Value(data.to_vec()) };
            table.sets.entry(set.clone()).or_default().push(element);
        }
    }

    fn table_mut(&mut self, family: IpFamily) -> &mut Table {
        self.tables.entry(family).or_default()
    }

    fn arrival(&self, packet: &Packet, draws: &[u32], probability: f64) -> Result<Arrival, Stop> {
        let mut skb = Skb::new(packet, draws);
        let end = if self.facts.owns(packet.from) { self.leave(&mut skb)? } else { self.enter(&mut skb)? };
        let Skb { translated, masqueraded, remembered, .. } = skb;
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
        Ok(Arrival { probability, verdict, endpoint, masqueraded, remembered })
    }

    /// A packet from elsewhere.
    fn enter(&self, skb: &mut Skb) -> Result<End, Stop> {
        let hooks = |skb: &Skb| {
            if self.facts.owns(skb.destination()) { &[INPUT][..] } else { &[FORWARD, POSTROUTING][..] }
        };
        match self.hook(skb, PREROUTING, true)? {
            End::Accept => self.hooks(skb, hooks(skb)),
            end => Ok(end),
        }
    }

    /// A packet of the node itself. To the node, it comes back by the loopback link; connections are translated once,
    /// so the nat chain of prerouting does not see it.
    fn leave(&self, skb: &mut Skb) -> Result<End, Stop> {
        let end = self.hooks(skb, &[OUTPUT, POSTROUTING])?;
        if end != End::Accept || !self.facts.owns(skb.destination()) {
            return Ok(end);
        }
        "lo".clone_into(&mut skb.interface);
        match self.hook(skb, PREROUTING, false)? {
            End::Accept => self.hook(skb, INPUT, true),
            end => Ok(end),
        }
    }

    fn hooks(&self, skb: &mut Skb, hooks: &[u32]) -> Result<End, Stop> {
        for hook in hooks {
            match self.hook(skb, *hook, true)? {
                End::Accept => {}
                end => return Ok(end),
            }
        }
        Ok(End::Accept)
    }

    /// The base chains of a hook in the order of their priorities.
    fn hook(&self, skb: &mut Skb, number: u32, with_nat: bool) -> Result<End, Stop> {
        let Some(table) = self.tables.get(&skb.family) else { return Ok(End::Accept) };
        let hooked = table.chains.iter().filter_map(|(name, chain)| Some((chain.hook.as_ref()?, name)));
        let mut bases: Vec<(i32, &str)> = hooked
            .filter(|(hook, _)| hook.number == number && (with_nat || hook.kind != "nat"))
            .map(|(hook, name)| (hook.priority, name.as_str()))
            .collect();
        bases.sort_unstable();
        for (_, chain) in bases {
            match (Machine { table, host: &self.facts, skb }).base(chain)? {
                End::Accept => {}
                end => return Ok(end),
            }
        }
        Ok(End::Accept)
    }
}

/// Whether all endpoints are equally likely, up to a thousandth.
fn check_uniform(chances: &BTreeMap<EndpointAddr, f64>) -> Result<(), String> {
    let fair = 1.0 / chances.len() as f64;
    let unfair = chances.values().any(|chance| (chance / fair - 1.0).abs() > 0.001);
    if unfair { Err(format!("the choice is not uniform: {chances:?}")) } else { Ok(()) }
}

impl Table {
    fn add(&mut self, layout: &Layout, key: &Key, value: &Value) {
        match key {
            Key::Set(_, id) => {
                self.sets.entry(id.to_string()).or_default();
            }
            Key::Chain(_, id) => {
                let chain = Chain { hook: Layout::hook(*id), rules: layout.encoded(*id) };
                self.chains.insert(id.to_string(), chain);
            }
            Key::Element(_, id, element) => {
                self.sets.entry(id.to_string()).or_default().push(kernel_element(*id, element, value));
            }
            Key::Stray(..) => {}
        }
    }

    /// What the kernel would refuse in its sets: keys of different lengths, keys that meet.
    fn check(&self, family: IpFamily) -> Result<(), String> {
        for (name, elements) in &self.sets {
            let length = elements.first().map_or(0, |element| element.key.len());
            for (i, element) in elements.iter().enumerate() {
                let meets = |other: &Element| {
                    holds(other, &element.key, family) || holds(element, &other.key, family)
                };
                if element.key.len() != length || elements[..i].iter().any(meets) {
                    return Err(format!("set {name} cannot take {element:?}"));
                }
            }
        }
        Ok(())
    }
}
