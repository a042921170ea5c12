//! iptables mode and the chains of ipvs mode: both variants, both families.

mod legacy;
mod nft;

use model::IpFamily;
use xtables::Variant;

use crate::nftables::is_nothing;
use crate::plan::TablePlan;
use crate::{Leftovers, Report, count};
use legacy::Blind;

/// The tables in which kube-proxy makes chains. It leaves `raw` alone.
const TABLES: [&str; 3] = ["nat", "filter", "mangle"];

/// Tries of a removal: somebody may change a table between the look and the removal.
const TRIES: usize = 3;

/// One variant and family.
#[derive(Clone, Copy)]
struct Place {
    variant: Variant,
    family: IpFamily,
}

pub(crate) fn find(leftovers: &mut Leftovers) {
    for place in places() {
        match place.look() {
            Ok(plans) => leftovers.found.extend(place.describe(&plans)),
            Err(Blind::NoTool(why) | Blind::Failed(why)) => leftovers.unread.push(place.blind(&why)),
        }
    }
}

pub(crate) fn remove(report: &mut Report) {
    for place in places() {
        match place.remove() {
            Ok(plans) => {
                report.removed.extend(place.describe(&plans));
                plans.iter().for_each(|plan| report.kept.extend(place.kept(plan)));
            }
            Err(Blind::NoTool(why)) => report.kept.push(place.blind(&why)),
            Err(Blind::Failed(why)) => report.failed.push(place.blind(&why)),
        }
    }
}

fn places() -> impl Iterator<Item = Place> {
    Variant::ALL.into_iter().flat_map(|variant| IpFamily::ALL.map(|family| Place { variant, family }))
}

impl Place {
    /// What each table has of kube-proxy.
    fn look(self) -> Result<Vec<TablePlan>, Blind> {
        match self.variant {
            Variant::Legacy => legacy::look(self.family),
            Variant::Nft => match nft::look(self.family) {
                Err(error) if is_nothing(&error) => Ok(Vec::new()),
                looked => looked.map_err(|error| Blind::Failed(error.to_string())),
            },
        }
    }

    /// Removes what is there, and says what that was.
    fn remove(self) -> Result<Vec<TablePlan>, Blind> {
        let mut failure = String::new();
        for _ in 0..TRIES {
            let plans = self.look()?;
            match self.carry_out(&plans) {
                Ok(()) => return Ok(plans),
                Err(why) => failure = why,
            }
        }
        Err(Blind::Failed(failure))
    }

    fn carry_out(self, plans: &[TablePlan]) -> Result<(), String> {
        match self.variant {
            Variant::Legacy => legacy::remove(self.family, plans).map_err(|error| error.to_string()),
            Variant::Nft => nft::remove(self.family, plans).map_err(|error| error.to_string()),
        }
    }

    /// `412 chains KUBE-* and 12 jumps in iptables nat, filter (nft variant, IPv4)`; nothing if there is nothing to
    /// remove.
    fn describe(self, plans: &[TablePlan]) -> Option<String> {
        let plans: Vec<&TablePlan> = plans.iter().filter(|plan| !plan.is_empty()).collect();
        let chains = plans.iter().map(|plan| plan.chains.len()).sum();
        let jumps = plans.iter().map(|plan| plan.jumps.len()).sum();
        let tables: Vec<&str> = plans.iter().map(|plan| plan.table).collect();
        (!plans.is_empty()).then(|| {
            format!(
                "{} KUBE-* and {} in {}",
                count(chains, "chain"),
                count(jumps, "jump"),
                self.names(&tables)
            )
        })
    }

    /// A line for each chain that a foreign rule uses, and one for all that those need.
    fn kept(self, plan: &TablePlan) -> Vec<String> {
        let place = self.names(&[plan.table]);
        let used = plan.used.iter().map(|(chain, why)| format!("chain {chain} in {place}: {why}"));
        let needed = plan.needed.iter().next().map(|(chain, why)| match plan.needed.len() {
            1 => format!("chain {chain} in {place}: {why}"),
            more => format!("{more} more chains KUBE-* in {place}: those need them"),
        });
        used.chain(needed).collect()
    }

    fn blind(self, why: &str) -> String {
        format!("kube-proxy's chains in {}: {why}", self.names(&TABLES))
    }

    /// `iptables nat, filter (legacy variant, IPv4)`.
    fn names(self, tables: &[&str]) -> String {
        format!("iptables {} ({} variant, {})", tables.join(", "), self.variant, self.family)
    }
}
