//! kube-proxy in iptables mode: the chains `KUBE-…` of the tables nat and filter, as `iptables-save` prints them.
//!
//! ```text
//! nat     KUBE-SERVICES   -d VIP --dport   -> KUBE-SVC-… | KUBE-SVL-… | KUBE-EXT-… | KUBE-FW-…
//!         KUBE-NODEPORTS         --dport   -> KUBE-EXT-…
//! filter  KUBE-SERVICES, KUBE-EXTERNAL-SERVICES     REJECT | DROP where no chain translates
//! ```
//!
//! Chains are followed by their jumps; only the tables' entry chains, and those that mark, are known by name.

mod dispatch;
mod rule;

use std::collections::BTreeMap;

use model::{FrontendKey, IpFamily};
use resolve::Mode;
use xtables::{SavedTable, ToolError, Tools, Variant};

use crate::assemble::frontends;
use crate::{Frontend, Programmed};

/// The chain where kube-proxy's dispatch begins, in nat and in filter.
pub(crate) const SERVICES: &str = "KUBE-SERVICES";
/// The chain of NodePorts, in nat.
const NODE_PORTS: &str = "KUBE-NODEPORTS";
/// How the names of chains begin that belong to one Service, in kube-proxy 1.20 to 1.37.
const OF_SERVICES: [&str; 5] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-"];
/// Built-in chains from which it is reached.
const ENTRIES: [&str; 2] = ["PREROUTING", "OUTPUT"];

/// Reads what a kube-proxy in iptables mode has programmed with one variant's tools; `None` if no built-in chain of
/// nat leads to its chains. Errors: the tools of IPv4 are missing, or fail.
pub fn read(variant: Variant) -> Result<Option<Programmed>, ToolError> {
    let tools = Tools::find(variant)?;
    let mut frontends = BTreeMap::new();
    let mut found = Vec::new();
    for family in IpFamily::ALL.into_iter().filter(|family| tools.has(*family)) {
        let nat = tools.save(family, "nat")?;
        if is_in_force(&nat) {
            frontends.append(&mut parse(&nat, &tools.save(family, "filter")?, family));
            found.push(family.as_str());
        }
    }
    let place = format!("chain {SERVICES} of iptables ({variant}), {}", found.join(" and "));
    let programmed = Programmed { mode: Mode::Iptables, found: place, consistent: true, frontends };
    Ok((!found.is_empty()).then_some(programmed))
}

/// Whether kube-proxy's chains are in force in one of the families.
pub(crate) fn is_there(tools: &Tools) -> Result<bool, ToolError> {
    for family in IpFamily::ALL.into_iter().filter(|family| tools.has(*family)) {
        if is_in_force(&tools.save(family, "nat")?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether packets get to the chains of mode iptables. Leftovers of a kube-proxy that has gone are not in force, and in
/// mode ipvs `KUBE-SERVICES` leads to no Service.
pub fn is_in_force(nat: &SavedTable) -> bool {
    let leads = |chain: &str, test: &dyn Fn(&str) -> bool| {
        let rules = nat.chains.get(chain).into_iter().flat_map(|chain| &chain.rules);
        rules.into_iter().any(|rule| rule.target().is_some_and(test))
    };
    let of_a_service =
        |target: &str| target == NODE_PORTS || OF_SERVICES.iter().any(|p| target.starts_with(p));
    ENTRIES.iter().any(|entry| leads(entry, &|target| target == SERVICES)) && leads(SERVICES, &of_a_service)
}

/// The frontends in the tables nat and filter of one family. Pure.
pub fn parse(nat: &SavedTable, filter: &SavedTable, family: IpFamily) -> BTreeMap<FrontendKey, Frontend> {
    frontends(dispatch::dispatch(nat, filter, family), &rule::chains(nat))
}
