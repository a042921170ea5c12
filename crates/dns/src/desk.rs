//! Where one thread's queries are answered. What the node knows is answered at once; what it does not know
//! becomes a [`Job`].

use std::sync::Arc;
use std::time::Instant;

use dns_config::AclAction;
use dns_names::Ask;
use dns_wire::{Bad, Query, Relay, Reply, class, parse_query, rcode, refuse, rtype};

use crate::bucket::Buckets;
use crate::chain::{Block, Chain, acl, local, small};
use crate::dress::{asking, fail, limit, nsid, observed, plain_limit, wants_nsid};
use crate::ede;
use crate::job::Job;
use crate::log::Line;
use crate::look::{Look, look};
use crate::metrics::{Counters, Observed, Plugin, add};
use crate::origin::Origin;
use crate::rotate::rotate;
use crate::shared::Shared;

/// What became of a query.
pub(crate) enum Outcome {
    /// The reply is written.
    Reply,
    /// There is no reply.
    Nothing,
    /// The reply comes later.
    Later(Job),
}

/// One thread's own part.
pub(crate) struct Desk {
    shared: Arc<Shared>,
    chain: Arc<Chain>,
    generation: u64,
    counters: Arc<Counters>,
    buckets: Buckets,
    start: Instant,
    now: Instant,
    turn: u32,
    /// Of the batch: each is counted when the batch has ended.
    seen: Vec<Observed>,
}

/// How far the answer got at once.
enum Step {
    Done(Plugin),
    Drop(Plugin),
    /// Needs more than one look; from the beginning.
    Again,
    /// The upstreams are to be asked.
    Miss,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (chain, counters, start) = (shared.chain(), shared.new_counters(), Instant::now());
        let generation = u64::MAX;
        let seen = Vec::with_capacity(crate::udp::SLOTS);
        Self {
            shared,
            chain,
            generation,
            counters,
            buckets: Buckets::new(start),
            start,
            now: start,
            turn: 0,
            seen,
        }
    }

    /// Before a batch: one look at the clock, and at the settings.
    pub(crate) fn begin(&mut self) {
        self.now = Instant::now();
        let generation = self.shared.generation();
        if generation != self.generation {
            self.chain = self.shared.chain();
            self.generation = generation;
        }
    }

    /// After a batch: what it took is counted.
    pub(crate) fn end(&mut self) {
        let took = self.now.elapsed();
        for mut seen in self.seen.drain(..) {
            seen.took = took;
            self.counters.observe(&seen);
        }
    }

    /// Answers one query into `out`, which is empty.
    pub(crate) fn serve(&mut self, message: &[u8], origin: Origin, out: &mut Vec<u8>) -> Outcome {
        let query = match parse_query(message) {
            Ok(query) => query,
            Err(bad) => return self.malformed(bad, out),
        };
        self.turn = self.turn.wrapping_add(1);
        let place = self.chain.block(query.name);
        let step = match place.and_then(|place| self.chain.blocks.get(place)) {
            None => refuse_zone(&query, origin, out),
            Some(block) => self.fast(block, &query, origin, out),
        };
        match step {
            Step::Done(plugin) => {
                self.note(place, message, &query, origin, plugin, out);
                Outcome::Reply
            }
            Step::Drop(plugin) => {
                out.clear();
                self.note(place, message, &query, origin, plugin, out);
                Outcome::Nothing
            }
            step => self.later(place, message, &query, origin, matches!(step, Step::Miss), out),
        }
    }

    fn malformed(&self, bad: Bad<'_>, out: &mut Vec<u8>) -> Outcome {
        add(&self.counters.malformed);
        match bad {
            Bad::Drop => Outcome::Nothing,
            Bad::Refuse(refusal) => {
                refuse(&refusal, out);
                Outcome::Reply
            }
        }
    }

    fn later(
        &mut self,
        place: Option<usize>,
        message: &[u8],
        query: &Query<'_>,
        origin: Origin,
        is_miss: bool,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let may_ask = self.buckets.take(origin.from.ip(), self.now);
        if is_miss && !may_ask {
            add(&self.counters.throttled);
            fail(query, origin, &ede::TOO_MANY, out);
            self.note(place, message, query, origin, Plugin::Server, out);
            return Outcome::Reply;
        }
        Outcome::Later(Job {
            shared: Arc::clone(&self.shared),
            chain: Arc::clone(&self.chain),
            counters: Arc::clone(&self.counters),
            place: place.unwrap_or(0),
            message: message.into(),
            origin,
            started: self.now,
            epoch: self.start,
            turn: self.turn,
            is_miss,
            may_ask,
        })
    }

    fn fast(&self, block: &Block, query: &Query<'_>, origin: Origin, out: &mut Vec<u8>) -> Step {
        let mut reply = Reply::new(out, query, limit(block, query, origin));
        nsid(block, query, &mut reply);
        if let Some(step) = self.before(block, query, origin, &mut reply) {
            if matches!(step, Step::Done(_)) {
                reply.finish();
            }
            return step;
        }
        let step = self.sources(block, query, origin, &mut reply);
        match step {
            Step::Done(_) => reply.finish(),
            Step::Miss => {
                drop(reply);
                out.clear();
                return self.upstreams(block, query, origin, out);
            }
            _ => {}
        }
        step
    }

    /// Plugins that decide before any name is looked up.
    fn before(
        &self,
        block: &Block,
        query: &Query<'_>,
        origin: Origin,
        reply: &mut Reply<'_>,
    ) -> Option<Step> {
        if query.qclass != class::IN {
            let node = block.nsid.as_deref();
            let told = block.chaos.as_ref().is_some_and(|chaos| small::chaos(chaos, node, query, reply));
            if !told {
                reply.set_rcode(rcode::REFUSED);
            }
            return Some(Step::Done(if told { Plugin::Chaos } else { Plugin::Server }));
        }
        if matches!(query.qtype, rtype::AXFR | rtype::IXFR) {
            reply.set_rcode(rcode::REFUSED);
            return Some(Step::Done(Plugin::Server));
        }
        let special = if block.local { local::special(query.name) } else { None };
        if let Some(special) = special {
            local::answer(special, query.name, query.qtype, reply);
            return Some(Step::Done(Plugin::Local));
        }
        if block.any && query.qtype == rtype::ANY {
            small::any(query, reply);
            return Some(Step::Done(Plugin::Any));
        }
        // The rules of `acl` are about what the question becomes.
        let rewriter = block.rewrite.as_ref();
        if rewriter.is_some_and(|rewriter| rewriter.apply(query.name, query.qtype).is_some()) {
            return Some(Step::Again);
        }
        self.acl(block, query, origin, reply)
    }

    fn acl(&self, block: &Block, query: &Query<'_>, origin: Origin, reply: &mut Reply<'_>) -> Option<Step> {
        if block.acl.is_empty() {
            return None;
        }
        let action = acl::decide(&block.acl, query.name, query.qtype, origin.from.ip());
        acl::count(action, &self.counters);
        match action {
            AclAction::Allow => None,
            AclAction::Drop => Some(Step::Drop(Plugin::Acl)),
            AclAction::Block | AclAction::Filter => {
                acl::answer(action, reply);
                Some(Step::Done(Plugin::Acl))
            }
        }
    }

    /// What the node knows itself.
    fn sources(&self, block: &Block, query: &Query<'_>, origin: Origin, reply: &mut Reply<'_>) -> Step {
        let ask = Ask {
            query,
            name: query.name,
            own: &self.chain.own,
            turn: block.rotate.then_some(self.turn),
            hops: 0,
        };
        match look(&self.shared, block, &ask, reply) {
            Look::Written(_) if goes_on(block, query, origin, reply) => Step::Again,
            Look::Written(plugin) => {
                self.count_wrong_search(block, query, reply);
                Step::Done(plugin)
            }
            Look::Chase(_) => Step::Again,
            Look::Pass => Step::Miss,
        }
    }

    /// `localhost` completed by a search list: worth a counter, as it shows a mistake in a pod.
    fn count_wrong_search(&self, block: &Block, query: &Query<'_>, reply: &Reply<'_>) {
        let is_localhost = |label: &[u8]| label.eq_ignore_ascii_case(b"localhost");
        if block.local
            && reply.rcode() == rcode::NXDOMAIN
            && query.name.first_label().is_some_and(is_localhost)
        {
            add(&self.counters.localhost);
        }
    }

    fn upstreams(&self, block: &Block, query: &Query<'_>, origin: Origin, out: &mut Vec<u8>) -> Step {
        let Some((_, forward)) = block.forward(query.name, 0) else {
            fail(query, origin, &ede::NO_SOURCE, out);
            if block.errors {
                self.shared.errors.error(query, ede::NO_SOURCE.text, self.start, self.now);
            }
            return Step::Done(Plugin::Server);
        };
        let has_next = !forward.next.is_empty() || forward.next_on_nodata;
        let is_changed =
            crate::job::wants_dns64(block, query, origin) || block.autopath(query.name).is_some();
        let wants_name = block.nsid.is_some() && wants_nsid(query);
        if has_next || is_changed || wants_name || block.minimal {
            return Step::Again;
        }
        let Some(hit) = self.shared.forwarder.cached(&forward.group, &asking(query), self.now) else {
            return Step::Miss;
        };
        let codes = ede::of_hit(&hit);
        let options = ede::options(&codes);
        let options = options.as_slice();
        let how = Relay { ttls: hit.ttls, limit: limit(block, query, origin), prefix: &[], options };
        hit.stored.write(query, &how, out);
        if block.rotate {
            rotate(out, self.turn);
        }
        Step::Done(if hit.cached { Plugin::Cache } else { Plugin::Forward })
    }

    fn note(
        &mut self,
        place: Option<usize>,
        message: &[u8],
        query: &Query<'_>,
        origin: Origin,
        plugin: Plugin,
        out: &[u8],
    ) {
        let block = place.and_then(|place| self.chain.blocks.get(place));
        let zone = block.map_or(0, |block| block.zone_label);
        self.seen.push(observed(zone, message, query, origin, plugin, out));
        if let Some(block) = block.filter(|block| !block.logs.is_empty()) {
            let line =
                Line { query, origin, asked_octets: message.len(), reply: out, took: self.now.elapsed() };
            self.shared.log.write(&block.logs, &line, self.start, self.now);
        }
    }
}

fn has_extras(reply: &Reply<'_>) -> bool {
    let [answers, authority, additional] = reply.counts();
    answers > 0 && authority + additional > 0
}

/// Whether the answer at hand is only the beginning: a search list goes on, addresses are to be made.
fn goes_on(block: &Block, query: &Query<'_>, origin: Origin, reply: &Reply<'_>) -> bool {
    let is_missing = reply.rcode() == rcode::NXDOMAIN;
    let may_be_made = !is_missing && crate::job::wants_dns64(block, query, origin);
    let translates = block.dns64.is_some_and(|dns64| dns64.translate_all);
    (is_missing && block.autopath(query.name).is_some())
        || (may_be_made && (reply.counts()[0] == 0 || translates))
        || (block.minimal && has_extras(reply))
}

fn refuse_zone(query: &Query<'_>, origin: Origin, out: &mut Vec<u8>) -> Step {
    let mut reply = Reply::new(out, query, plain_limit(query, origin));
    reply.set_rcode(rcode::REFUSED);
    ede::NOT_AUTHORITATIVE.add(&mut reply);
    reply.finish();
    Step::Done(Plugin::Server)
}
