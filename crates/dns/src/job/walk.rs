//! From a name to its records, through blocks, CNAMEs of ExternalName Services, and upstreams.

use std::sync::Arc;

use dns_config::AclAction;
use dns_forward::{Asking, Resolved};
use dns_names::{Ask, MAX_CHAIN};
use dns_wire::{Asked, Kind, Name, NameRef, Query, Reply, class, parse_query, store};

use super::Job;
use super::found::{Body, Found, Link};
use crate::chain::{Block, acl};
use crate::ede;
use crate::look::{Look, look};
use crate::metrics::add;
use crate::pending::Flight;
use crate::task::promise;

/// What the node's own sources said.
enum Local {
    Found(Body),
    Chase(dns_names::Chase),
    Pass,
}

impl Job {
    /// Looks a name up: own sources first, then the upstreams; follows CNAMEs of ours.
    pub(crate) async fn walk(&self, query: &Query<'_>, name: &Name, qtype: u16) -> Found {
        let mut links: Vec<Link> = Vec::new();
        let mut name = name.clone();
        loop {
            let block = self.block_for(name.as_ref(), links.is_empty());
            let Some(block) = block else {
                return Found { links, body: failed(&ede::NOT_AUTHORITATIVE) };
            };
            if let Some(action) = self.forbidden(block, name.as_ref(), qtype) {
                return Found { links, body: Body::Forbidden(action) };
            }
            match self.local(block, query, name.as_ref(), qtype, links.len()) {
                Local::Found(body) => return Found { links, body },
                Local::Pass => {
                    let body = self.upstreams(block, query, name.as_ref(), qtype).await;
                    return Found { links, body };
                }
                Local::Chase(chase) => {
                    let ttl = chase.ttl;
                    let more = chase.links.into_iter();
                    links.extend(more.map(|link| Link {
                        owner: link.owner,
                        target: link.target,
                        ttl,
                        of_search: false,
                    }));
                    match links.last() {
                        Some(last) if links.len() <= MAX_CHAIN => name = last.target.clone(),
                        _ => return Found { links, body: failed(&ede::NO_SOURCE) },
                    }
                }
            }
        }
    }

    /// The name asked has its block already; others may be in another.
    fn block_for(&self, name: NameRef<'_>, is_first: bool) -> Option<&Block> {
        let own = if is_first { self.block() } else { None };
        own.or_else(|| self.chain.block(name).and_then(|place| self.chain.blocks.get(place)))
    }

    /// What `acl` does with a name, unless it allows it. The receiving thread has asked already for what is a plain miss.
    fn forbidden(&self, block: &Block, name: NameRef<'_>, qtype: u16) -> Option<AclAction> {
        if self.is_miss {
            return None;
        }
        let action = acl::decide(&block.acl, name, qtype, self.origin.from.ip());
        let action = Some(action).filter(|action| *action != AclAction::Allow)?;
        acl::count(action, &self.counters);
        Some(action)
    }

    fn local(&self, block: &Block, query: &Query<'_>, name: NameRef<'_>, qtype: u16, hops: usize) -> Local {
        if self.is_miss && hops == 0 {
            return Local::Pass;
        }
        let mut asked = Vec::new();
        dns_wire::ask(
            &mut asked,
            0,
            name,
            qtype,
            class::IN,
            query.dnssec_ok(),
            false,
            false,
            dns_wire::UDP_PAYLOAD,
        );
        let Ok(inner) = parse_query(&asked) else { return Local::Pass };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, &inner, usize::from(u16::MAX));
        let turn = block.rotate.then_some(self.turn);
        let ask = Ask { query: &inner, name: inner.name, own: &self.chain.own, turn, hops };
        let plugin = match look(&self.shared, block, &ask, &mut reply) {
            Look::Pass => return Local::Pass,
            Look::Chase(chase) => return Local::Chase(chase),
            Look::Written(plugin) => plugin,
        };
        reply.finish();
        let kept = store(&out, &Asked { id: 0, question: inner.question });
        Local::Found(kept.map_or_else(
            |error| Body::Failed(0, error.to_string()),
            |stored| Body::Own(Arc::new(stored), plugin),
        ))
    }

    async fn upstreams(&self, block: &Block, query: &Query<'_>, name: NameRef<'_>, qtype: u16) -> Body {
        let mut last = failed(&ede::NO_SOURCE);
        let mut from = 0;
        while let Some((place, forward)) = block.forward(name, from) {
            let asking = Asking {
                name,
                qtype,
                qclass: query.qclass,
                dnssec_ok: query.dnssec_ok(),
                checking_disabled: query.checking_disabled(),
            };
            last = self.resolve(forward, &asking).await;
            let goes_on = match &last {
                Body::Foreign(hit) => {
                    forward.next.contains(&hit.stored.rcode())
                        || (forward.next_on_nodata && hit.stored.kind() == Kind::NoData)
                }
                _ => false,
            };
            if !goes_on {
                break;
            }
            from = place + 1;
        }
        last
    }

    async fn resolve(&self, forward: &crate::chain::Forward, asking: &Asking<'_>) -> Body {
        if let Some(hit) = self.shared.forwarder.cached(&forward.group, asking, self.started) {
            return Body::Foreign(hit);
        }
        if !self.may_ask {
            add(&self.counters.throttled);
            return failed(&ede::TOO_MANY);
        }
        let Ok(_flight) = self.flight(forward, asking) else {
            add(&self.counters.overloaded);
            return failed(&ede::OVERLOADED);
        };
        let (give, promise) = promise();
        let done = Box::new(move |resolved: Resolved| give.give(resolved));
        if let Err(refusal) = self.shared.forwarder.resolve(&forward.group, asking, done) {
            return match refusal.stale {
                Some(hit) => Body::Foreign(hit),
                None => Body::Failed(refusal.why.ede(), refusal.why.to_string()),
            };
        }
        match promise.await {
            Some(Resolved::Answer(hit)) => Body::Foreign(hit),
            Some(Resolved::Failed(why)) => Body::Failed(why.ede(), why.to_string()),
            None => Body::Failed(ede::NOT_READY.code, "the forwarder stops".to_owned()),
        }
    }
}

/// The source has as many questions under way as it may.
struct TooMany;

impl Job {
    /// A question that nobody has asked yet counts for this source. Who comes second waits, and is not counted.
    fn flight(
        &self,
        forward: &crate::chain::Forward,
        asking: &Asking<'_>,
    ) -> Result<Option<Flight<'_>>, TooMany> {
        if self.shared.forwarder.is_under_way(&forward.group, asking) {
            return Ok(None);
        }
        Flight::start(&self.shared.waiting, self.origin.from.ip()).map(Some).ok_or(TooMany)
    }
}

fn failed(why: &ede::Ede) -> Body {
    Body::Failed(why.code, why.text.to_owned())
}
