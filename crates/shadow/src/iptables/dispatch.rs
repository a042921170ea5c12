//! From kube-proxy's entry chains to the dispatch of its frontends.

use std::collections::BTreeMap;

use model::{FrontendKey, IpFamily};
use xtables::{SavedRule, SavedTable};

use super::rule::Options;
use super::{NODE_PORTS, SERVICES};
use crate::Outcome;
use crate::assemble::{Dispatch, name_in_comment};

/// All frontends but ClusterIPs, in filter.
const EXTERNAL: &str = "KUBE-EXTERNAL-SERVICES";

/// Every frontend that a rule names. Of two rules for one frontend the first one counts, as in the kernel.
pub(super) fn dispatch(
    nat: &SavedTable,
    filter: &SavedTable,
    family: IpFamily,
) -> BTreeMap<FrontendKey, Dispatch> {
    let mut all: BTreeMap<FrontendKey, Dispatch> = BTreeMap::new();
    for options in rules(nat, &[SERVICES, NODE_PORTS]) {
        let Some((key, chain)) = frontend_key(&options, family).zip(options.target) else { continue };
        let entry = named(&mut all, key, &options);
        entry.chain.get_or_insert_with(|| chain.to_owned());
    }
    for options in rules(filter, &[SERVICES, EXTERNAL]) {
        let outcome = match options.target {
            Some("REJECT") => Outcome::Reject,
            Some("DROP") => Outcome::Drop,
            _ => continue,
        };
        if let Some(key) = frontend_key(&options, family) {
            named(&mut all, key, &options).idle.get_or_insert(outcome);
        }
    }
    all
}

fn rules<'a>(table: &'a SavedTable, chains: &'static [&str]) -> impl Iterator<Item = Options<'a>> {
    let found = chains.iter().filter_map(|name| table.chains.get(*name));
    found.flat_map(|chain| &chain.rules).map(|rule: &SavedRule| Options::read(rule))
}

fn named<'m>(
    all: &'m mut BTreeMap<FrontendKey, Dispatch>,
    key: FrontendKey,
    options: &Options<'_>,
) -> &'m mut Dispatch {
    let entry = all.entry(key).or_default();
    if entry.name.is_none() {
        entry.name = options.comment.and_then(|comment| name_in_comment(comment, key.protocol()));
    }
    entry
}

/// A rule with one destination is about a VIP; without any, or with all local ones, about a NodePort. The rule about
/// NodePorts on loopback addresses stands beside the one for all others.
fn frontend_key(options: &Options<'_>, family: IpFamily) -> Option<FrontendKey> {
    let (protocol, port) = (options.protocol?, options.port?);
    match options.destination {
        None => Some(FrontendKey::NodePort { family, protocol, port }),
        Some(net) if net.addr().is_loopback() || options.to_node => None,
        Some(net) if net.prefix_len() == family.bits() => {
            Some(FrontendKey::Vip { ip: net.addr(), protocol, port })
        }
        Some(_) => None,
    }
}
