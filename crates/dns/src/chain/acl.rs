//! `acl`: who may ask what.

use std::net::IpAddr;

use dns_config::{Acl, AclAction};
use dns_wire::{NameRef, Reply, rcode};

use crate::ede;
use crate::metrics::{Counters, add};

/// What the first rule that matches says; no rule: allowed.
pub(crate) fn decide(acls: &[Acl], name: NameRef<'_>, qtype: u16, from: IpAddr) -> AclAction {
    let from = from.to_canonical();
    let covering = acls.iter().filter(|acl| acl.zones.iter().any(|zone| name.ends_with(zone.as_ref())));
    let mut decisions = covering.filter_map(|acl| {
        let matching = acl.rules.iter().find(|rule| {
            (rule.types.is_empty() || rule.types.contains(&qtype))
                && (rule.nets.is_empty() || rule.nets.iter().any(|net| net.contains(&from)))
        });
        matching.map(|rule| rule.action)
    });
    // The `acl` blocks of a server block are one list, as in CoreDNS: an explicit allow ends it.
    decisions.next().unwrap_or(AclAction::Allow)
}

/// Counts a decision of a block that has rules.
pub(crate) fn count(action: AclAction, counters: &Counters) {
    match action {
        AclAction::Allow => add(&counters.acl_allowed),
        AclAction::Drop => add(&counters.acl_dropped),
        AclAction::Block => add(&counters.acl_blocked),
        AclAction::Filter => add(&counters.acl_filtered),
    }
}

/// Writes the reply to a question that is blocked or filtered. One that is dropped has none.
pub(crate) fn answer(action: AclAction, reply: &mut Reply<'_>) {
    if action == AclAction::Block {
        reply.set_rcode(rcode::REFUSED);
        ede::BLOCKED.add(reply);
    } else {
        ede::FILTERED.add(reply);
    }
}

#[cfg(test)]
mod tests {
    use dns_config::AclRule;
    use dns_wire::{Name, rtype};

    use super::*;

    fn acl(zone: &str, rules: &[(AclAction, &[u16], &[&str])]) -> Acl {
        let rules = rules.iter().map(|(action, types, nets)| AclRule {
            action: *action,
            types: types.to_vec(),
            nets: nets.iter().map(|net| net.parse().unwrap()).collect(),
        });
        Acl { zones: vec![zone.parse().unwrap()], rules: rules.collect() }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let acls = [
            acl(
                "example.org.",
                &[
                    (AclAction::Allow, &[], &["10.1.0.0/16"]),
                    (AclAction::Filter, &[rtype::AAAA], &["10.0.0.0/8"]),
                    (AclAction::Block, &[], &["10.0.0.0/8", "fd00::/8"]),
                ],
            ),
            acl(".", &[(AclAction::Drop, &[rtype::ANY], &[])]),
        ];
        for (name, qtype, from, wanted) in [
            ("a.example.org.", rtype::A, "10.1.2.3", AclAction::Allow),
            ("a.example.org.", rtype::A, "10.2.2.3", AclAction::Block),
            ("A.EXAMPLE.org.", rtype::AAAA, "10.2.2.3", AclAction::Filter),
            ("a.example.org.", rtype::A, "::ffff:10.2.2.3", AclAction::Block),
            ("a.example.org.", rtype::A, "fd00::1", AclAction::Block),
            ("a.example.org.", rtype::A, "192.0.2.1", AclAction::Allow),
            ("example.net.", rtype::A, "10.2.2.3", AclAction::Allow),
            ("a.example.org.", rtype::ANY, "10.1.2.3", AclAction::Allow),
            ("a.example.org.", rtype::ANY, "192.0.2.1", AclAction::Drop),
        ] {
            let name: Name = name.parse().unwrap();
            let action = decide(&acls, name.as_ref(), qtype, from.parse().unwrap());
            assert_eq!(action, wanted, "{name} {qtype} from {from}");
        }
    }
}
