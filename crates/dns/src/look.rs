//! What the node knows itself: all sources of a block but its upstreams.

use dns_names::{Ask, Chase, Verdict};
use dns_wire::{NameRef, Reply, rcode};

use crate::chain::{Block, hosts, local};
use crate::ede;
use crate::metrics::Plugin;
use crate::shared::Shared;

/// A look at all sources of a block but its upstreams.
pub(crate) enum Look {
    Written(Plugin),
    Chase(Chase),
    Pass,
}

/// Asks hosts, external names, cluster names, in this order; then what must not leave the node.
pub(crate) fn look(shared: &Shared, block: &Block, ask: &Ask<'_>, reply: &mut Reply<'_>) -> Look {
    let qtype = ask.query.qtype;
    if let Some(table) = &block.hosts
        && table.answer(ask.name, qtype, reply) == hosts::Found::Answered
    {
        return Look::Written(Plugin::Hosts);
    }
    for external in &block.externals {
        let view = block.view.as_ref().unwrap_or(&block.bare);
        match shared.names().external(view, external, ask, reply) {
            Verdict::Answered => return Look::Written(Plugin::External),
            Verdict::Chase(chase) => return Look::Chase(chase),
            Verdict::Pass => {}
        }
    }
    if let Some(view) = &block.view {
        match shared.names().answer(view, ask, reply) {
            Verdict::Answered => {
                if reply.rcode() == rcode::SERVFAIL {
                    ede::NOT_READY.add(reply);
                }
                return Look::Written(Plugin::Kubernetes);
            }
            Verdict::Chase(chase) => return Look::Chase(chase),
            Verdict::Pass => {}
        }
    }
    never_leaves(ask.name, qtype, reply)
}

fn never_leaves(name: NameRef<'_>, qtype: u16, reply: &mut Reply<'_>) -> Look {
    let Some(special) = local::special(name) else { return Look::Pass };
    local::answer(special, name, qtype, reply);
    Look::Written(Plugin::Local)
}
