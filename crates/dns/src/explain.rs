//! Says how a name is answered: which search step, which block, which object, which rule.

use std::fmt::Write;
use std::net::IpAddr;

use dns_config::AclAction;
use dns_wire::{Name, NameRef, rtype};

use crate::chain::{Block, Chain, acl, local};
use crate::shared::Shared;

/// The way of one name through the chain, a line for each step.
pub(crate) fn explain(shared: &Shared, name: &str, qtype: &str, from: IpAddr) -> String {
    let Ok(parsed) = name.parse::<Name>() else {
        return format!("{name}: not a name: labels have 1 to 63 octets, all together 255\n");
    };
    let Some(qtype) = rtype::from_name(qtype) else {
        return format!("{qtype}: not a type: say A, AAAA, SRV, PTR, TXT or TYPE123\n");
    };
    let chain = shared.chain();
    let mut text = String::new();
    for (step, name) in names(shared, &chain, &parsed, from, !name.ends_with('.')).into_iter().enumerate() {
        let ends = explain_one(shared, &chain, step, name.as_ref(), qtype, from, &mut text);
        if ends {
            break;
        }
    }
    text
}

/// The names that the client's resolver tries: along the search list of the Pod with this address, if the name
/// has no dot at its end.
fn names(shared: &Shared, chain: &Chain, name: &Name, from: IpAddr, is_relative: bool) -> Vec<Name> {
    let views = chain.blocks.iter().filter_map(|block| block.view.as_ref());
    let zone = views.filter_map(|view| view.zones.first()).next();
    let (true, Some(zone)) = (is_relative, zone) else { return vec![name.clone()] };
    let known = shared.names();
    let Some(pod) = known.pod_at(from.to_canonical()) else { return vec![name.clone()] };
    let list = dns_names::SearchList::of(pod, zone.as_ref(), &[]);
    let joined = list.domains().iter().filter_map(|domain| {
        let text = format!("{}{}", name, domain);
        text.parse().ok()
    });
    joined.chain([name.clone()]).collect()
}

/// True: the search ends here.
fn explain_one(
    shared: &Shared,
    chain: &Chain,
    step: usize,
    name: NameRef<'_>,
    qtype: u16,
    from: IpAddr,
    text: &mut String,
) -> bool {
    let _ = writeln!(text, "step {}: {name}", step + 1);
    let Some(block) = chain.block(name).and_then(|place| chain.blocks.get(place)) else {
        let _ = writeln!(text, "  no server block has this zone: REFUSED");
        return true;
    };
    let zone = chain.zone(name).map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "  server block of zone {zone}");
    let rewritten = block.rewrite.as_ref().and_then(|rewriter| rewriter.apply(name, qtype));
    let qtype = rewritten.as_ref().and_then(|rewritten| rewritten.qtype).unwrap_or(qtype);
    let other = rewritten.and_then(|rewritten| rewritten.name);
    if let Some(other) = &other {
        let _ = writeln!(text, "  rewrite: becomes {other}");
    }
    let name = other.as_ref().map_or(name, Name::as_ref);
    let action = acl::decide(&block.acl, name, qtype, from);
    if action != AclAction::Allow {
        let _ = writeln!(text, "  acl: {action:?} for {from}");
        return true;
    }
    sources(shared, block, name, qtype, text)
}

fn sources(shared: &Shared, block: &Block, name: NameRef<'_>, qtype: u16, text: &mut String) -> bool {
    if block.local && local::special(name).is_some() {
        let _ = writeln!(text, "  local: {:?}", local::special(name));
        return true;
    }
    if let Some(view) = &block.view {
        let found = shared.names().explain(view, name, qtype);
        let _ = writeln!(text, "  kubernetes: {found}");
        if found.zone.is_some() {
            return found.object.is_some();
        }
    }
    if local::special(name).is_some() {
        let _ = writeln!(text, "  never forwarded: {:?}", local::special(name));
        return true;
    }
    match block.forward(name, 0) {
        Some((_, forward)) => {
            let _ = writeln!(text, "  forwarded: group {}", forward.group.name());
        }
        None => {
            let _ = writeln!(text, "  nothing in the block answers it: SERVFAIL");
        }
    }
    true
}
