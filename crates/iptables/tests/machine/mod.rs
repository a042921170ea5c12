//! Runs the rules of a rendered ruleset on one packet, as the kernel's xtables does: the subset that is emitted.
#![allow(dead_code, reason = "each test binary uses a part")]

mod rule;

use std::collections::{BTreeMap, BTreeSet};

use model::{EndpointAddr, IpFamily, NodeFacts};
use resolve::{Packet, PacketVerdict};
use xtables::SavedTable;

use rule::{Skb, Target, Then};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: PacketVerdict,
    /// Where it may go, each with the same probability; sorted.
    pub endpoints: Vec<EndpointAddr>,
    /// Those of them towards which the source is rewritten.
    pub masqueraded: Vec<EndpointAddr>,
}

/// The tables of a node.
pub struct Kernel {
    tables: BTreeMap<(IpFamily, String), SavedTable>,
    facts: NodeFacts,
}

/// How a packet ended.
#[derive(Clone, Debug)]
struct Arrival {
    probability: f64,
    verdict: PacketVerdict,
    endpoint: Option<EndpointAddr>,
    masqueraded: bool,
    /// Rules that were looked at.
    walked: usize,
}

/// Why a packet does not reach an end.
enum Stop {
    /// A draw with this probability has to be decided first.
    Draw(f64),
    Nonsense(String),
}

/// Deeper than any chain of ours.
const MOST_JUMPS: usize = 24;

impl Kernel {
    /// Reads what `Iptables::render` prints.
    pub fn new(text: &str, facts: &NodeFacts) -> Self {
        let mut tables = BTreeMap::new();
        let mut family = IpFamily::V4;
        for part in text.split_inclusive("COMMIT\n") {
            for line in part.lines() {
                match line {
                    "# IPv4" => family = IpFamily::V4,
                    "# IPv6" => family = IpFamily::V6,
                    _ => {}
                }
                if let Some(name) = line.strip_prefix('*') {
                    tables.insert((family, name.to_owned()), SavedTable::parse(part));
                }
            }
        }
        let kernel = Self { tables, facts: facts.clone() };
        kernel.check();
        kernel
    }

    /// Every jump leads to a chain that exists, and every chain of ours is reached; but nodePorts may answer nowhere.
    fn check(&self) {
        for ((family, table), saved) in &self.tables {
            let rules = saved.chains.values().flat_map(|chain| &chain.rules);
            let targets: BTreeSet<&str> = rules.filter_map(|rule| rule.target()).collect();
            for target in targets.iter().filter(|target| target.starts_with("TOWPATH-")) {
                assert!(saved.chains.contains_key(*target), "{family} {table}: no chain {target}");
            }
            for name in saved.chains.keys().filter(|name| name.starts_with("TOWPATH-")) {
                let nowhere = name.ends_with("NODEPORTS");
                assert!(
                    nowhere || targets.contains(name.as_str()),
                    "{family} {table}: nothing leads to {name}"
                );
            }
        }
    }

    /// What becomes of a packet, over all draws. Endpoints that are not equally likely are an error.
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
        let all: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let fair =
            |n: usize| weights.get(n).map_or(1.0 / chances.len() as f64, |weight| f64::from(*weight) / all);
        if chances.values().enumerate().any(|(n, chance)| (chance / fair(n) - 1.0).abs() > 0.001) {
            return Err(format!("the choice is not by weights {weights:?}: {chances:?}"));
        }
        let endpoints = chances.into_keys().collect();
        Ok(Outcome { verdict, endpoints, masqueraded: masqueraded.into_iter().collect() })
    }

    /// Most rules that a packet looks at, whatever is drawn.
    pub fn walked(&self, packet: &Packet) -> Result<usize, String> {
        Ok(self.arrivals(packet)?.iter().map(|arrival| arrival.walked).max().unwrap_or_default())
    }

    fn arrivals(&self, packet: &Packet) -> Result<Vec<Arrival>, String> {
        let mut arrivals = Vec::new();
        let mut open = vec![(Vec::new(), 1.0)];
        while let Some((draws, probability)) = open.pop() {
            match self.arrival(packet, &draws, probability) {
                Ok(arrival) => arrivals.push(arrival),
                Err(Stop::Nonsense(message)) => return Err(message),
                Err(Stop::Draw(p)) => {
                    open.push(([&draws[..], &[true]].concat(), probability * p));
                    open.push(([&draws[..], &[false]].concat(), probability * (1.0 - p)));
                }
            }
        }
        Ok(arrivals)
    }

    fn arrival(&self, packet: &Packet, draws: &[bool], probability: f64) -> Result<Arrival, Stop> {
        let mut skb = Skb::new(packet, draws);
        let end = self.travel(&mut skb)?;
        let translated = skb.translated;
        if skb.masqueraded && translated.is_none() {
            return Err(Stop::Nonsense("masqueraded, though it was not translated".to_owned()));
        }
        let verdict = match end {
            Target::Drop => PacketVerdict::Drop,
            Target::Reject => PacketVerdict::Reject,
            _ if translated.is_some() => PacketVerdict::Dnat,
            Target::Accept if skb.accepted => PacketVerdict::Accept,
            _ => PacketVerdict::None,
        };
        let endpoint = translated.filter(|_| verdict == PacketVerdict::Dnat);
        Ok(Arrival { probability, verdict, endpoint, masqueraded: skb.masqueraded, walked: skb.walked })
    }

    fn travel(&self, skb: &mut Skb) -> Result<Target, Stop> {
        let from_node = self.facts.owns(skb.source);
        let first = if from_node { "OUTPUT" } else { "PREROUTING" };
        self.hook(skb, "nat", first)?;
        let here = self.facts.owns(skb.destination.ip);
        let hooks: &[(&str, &str)] = match (from_node, here) {
            (true, true) => &[("filter", "OUTPUT"), ("nat", "POSTROUTING"), ("filter", "INPUT")],
            (true, false) => &[("filter", "OUTPUT"), ("nat", "POSTROUTING")],
            (false, true) => &[("filter", "INPUT")],
            (false, false) => &[("filter", "FORWARD"), ("nat", "POSTROUTING")],
        };
        for (table, chain) in hooks {
            let end = self.hook(skb, table, chain)?;
            if matches!(end, Target::Drop | Target::Reject) {
                return Ok(end);
            }
        }
        Ok(Target::Accept)
    }

    fn hook(&self, skb: &mut Skb, table: &str, chain: &str) -> Result<Target, Stop> {
        let Some(saved) = self.tables.get(&(skb.family, table.to_owned())) else {
            return Ok(Target::Accept);
        };
        let end = self.chain(skb, saved, chain, 0)?;
        let accepted = table == "filter" && end == Some(Target::Accept);
        skb.accepted |= accepted;
        Ok(end.unwrap_or(Target::Accept))
    }

    fn chain(
        &self,
        skb: &mut Skb,
        table: &SavedTable,
        name: &str,
        depth: usize,
    ) -> Result<Option<Target>, Stop> {
        if depth > MOST_JUMPS {
            return Err(Stop::Nonsense(format!("too many jumps, in {name}")));
        }
        let rules = table.chains.get(name).map_or(&[][..], |chain| &chain.rules);
        for rule in rules {
            skb.walked += 1;
            let then = rule::run(rule, skb, &self.facts).map_err(|stop| match stop {
                Stop::Nonsense(message) => Stop::Nonsense(format!("{name}: {}: {message}", rule.text())),
                draw => draw,
            })?;
            let end = match then {
                Then::Next => None,
                Then::Return => return Ok(None),
                Then::End(target) => Some(target),
                Then::Jump(chain) => self.chain(skb, table, &chain, depth + 1)?,
            };
            if end.is_some() {
                return Ok(end);
            }
        }
        Ok(None)
    }
}
