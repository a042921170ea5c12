//! The way of a packet through the hooks.

use super::machine::{End, Machine, Stop};
use super::skb::Skb;
use super::{Host, Kernel, balancer};

const PREROUTING: u32 = 0;
pub const INPUT: u32 = 1;
const FORWARD: u32 = 2;
pub const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// Where chains of nat are run, whatever priority they ask for, which orders them among themselves (`nf_nat_inet_fn`):
/// those that decide about destinations, and those that decide about sources.
const NAT: [i32; 2] = [-100, 100];

/// What is at a hook.
enum Station<'a> {
    Chain { name: &'a str, nat: bool },
    Ipvs,
}

impl Kernel {
    /// A packet from elsewhere.
    pub(super) fn enter(&self, skb: &mut Skb) -> Result<End, Stop> {
        match self.hook(skb, PREROUTING)? {
            End::Accept if self.owns(skb.destination()) => self.deliver(skb),
            End::Accept => self.hooks(skb, &[FORWARD, POSTROUTING]),
            end => Ok(end),
        }
    }

    /// A packet of the node itself. To the node, it comes back by the loopback link.
    pub(super) fn leave(&self, skb: &mut Skb) -> Result<End, Stop> {
        let end = self.hooks(skb, &[OUTPUT, POSTROUTING])?;
        if end != End::Accept || !self.owns(skb.destination()) {
            return Ok(end);
        }
        "lo".clone_into(&mut skb.interface);
        match self.hook(skb, PREROUTING)? {
            End::Accept => self.deliver(skb),
            end => Ok(end),
        }
    }

    /// To the node itself, unless IPVS sends it elsewhere: as if the node had sent it.
    fn deliver(&self, skb: &mut Skb) -> Result<End, Stop> {
        match self.hook(skb, INPUT)? {
            End::Accept if !self.owns(skb.destination()) => self.hooks(skb, &[OUTPUT, POSTROUTING]),
            end => Ok(end),
        }
    }

    fn hooks(&self, skb: &mut Skb, hooks: &[u32]) -> Result<End, Stop> {
        for hook in hooks {
            match self.hook(skb, *hook)? {
                End::Accept => {}
                end => return Ok(end),
            }
        }
        Ok(End::Accept)
    }

    /// All that is at a hook, in the order of priorities.
    fn hook(&self, skb: &mut Skb, number: u32) -> Result<End, Stop> {
        let manipulation = manipulation(number);
        let decided = skb.decided[manipulation];
        for station in self.stations(skb, number) {
            match station {
                Station::Chain { nat: true, .. } if decided => {}
                Station::Chain { name, nat } => match self.chain(skb, name)? {
                    End::Accept => skb.decided[manipulation] |= nat,
                    end => return Ok(end),
                },
                Station::Ipvs => {
                    let sent = self.balancer.schedule(skb)? && !self.owns(skb.destination());
                    if sent {
                        return self.sent(skb, number);
                    }
                }
            }
        }
        Ok(End::Accept)
    }

    /// IPVS takes a packet to another host out of the hook, and puts it into output from the beginning.
    fn sent(&self, skb: &mut Skb, number: u32) -> Result<End, Stop> {
        if number == OUTPUT { self.hook(skb, OUTPUT) } else { Ok(End::Accept) }
    }

    fn chain(&self, skb: &mut Skb, name: &str) -> Result<End, Stop> {
        let table = self.tables.get(&skb.family).ok_or_else(|| "no table".to_owned())?;
        Machine { table, host: self, skb }.base(name)
    }

    fn stations(&self, skb: &Skb, number: u32) -> Vec<Station<'_>> {
        let chains = self.tables.get(&skb.family).into_iter().flat_map(|table| &table.chains);
        let hooked = chains.filter_map(|(name, chain)| Some((name, chain.hook.as_ref()?)));
        let here = hooked.filter(|(_, hook)| hook.number == number).map(|(name, hook)| {
            let nat = hook.kind == "nat";
            let priority = if nat { NAT[manipulation(number)] } else { hook.priority };
            ((priority, hook.priority), Station::Chain { name, nat })
        });
        let ipvs = balancer::PRIORITIES.into_iter().filter(|(hook, _)| *hook == number);
        let ipvs = ipvs.map(|(_, priority)| ((priority, priority), Station::Ipvs));
        let mut all: Vec<_> = here.chain(ipvs).collect();
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, station)| station).collect()
    }
}

/// What chains of nat decide about at a hook: destinations (0) or sources (1).
fn manipulation(hook: u32) -> usize {
    usize::from(matches!(hook, INPUT | POSTROUTING))
}
