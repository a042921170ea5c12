//! A query that needs more than one look: an upstream, a rewritten name, a search list, a chain of CNAMEs.
//!
//! ```text
//! Job --rewrite--> search list --> walk (blocks, CNAMEs, upstreams) --> Found --dns64, rewrite back--> reply
//! ```
//! It runs in the receiving thread until it waits for an upstream, and goes on in the forwarder's.

mod compose;
mod dns64;
mod found;
mod search;
mod walk;

use std::sync::Arc;
use std::time::Instant;

use dns_wire::{Query, parse_query};

use self::found::Body;
use crate::chain::{Block, Chain};
use crate::dress::{fail, observed};
use crate::ede;
use crate::log::Line;
use crate::metrics::{Counters, Plugin, add};
use crate::origin::{Back, Origin};
use crate::pending::Pending;
use crate::shared::Shared;
use crate::task;

pub(crate) use dns64::wants as wants_dns64;

/// All that a query needs to be answered later.
pub(crate) struct Job {
    pub(crate) shared: Arc<Shared>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) counters: Arc<Counters>,
    /// The block of the name asked.
    pub(crate) place: usize,
    pub(crate) message: Box<[u8]>,
    pub(crate) origin: Origin,
    pub(crate) started: Instant,
    pub(crate) epoch: Instant,
    pub(crate) turn: u32,
    /// The node's own sources have been asked already: only the upstreams are left.
    pub(crate) is_miss: bool,
    /// The source has not used up its misses.
    pub(crate) may_ask: bool,
}

impl Job {
    /// Answers; the reply goes back when it is ready. Refused with SERVFAIL when too many wait.
    pub(crate) fn start(self, back: Back) {
        let Some(pending) = Pending::take(&self.shared, self.origin.from.ip()) else {
            add(&self.counters.overloaded);
            return back.send(self.refused());
        };
        task::start(async move {
            let reply = self.run().await;
            drop(pending);
            back.send(reply);
        });
    }

    fn refused(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Ok(query) = parse_query(&self.message) {
            fail(&query, self.origin, &ede::OVERLOADED, &mut out);
            self.note(&query, Plugin::Server, &out);
        }
        out
    }

    async fn run(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let (Ok(query), Some(block)) = (parse_query(&self.message), self.block()) {
            let plugin = self.answer(block, &query, &mut out).await;
            self.note(&query, plugin, &out);
        }
        out
    }

    fn block(&self) -> Option<&Block> {
        self.chain.blocks.get(self.place)
    }

    async fn answer(&self, block: &Block, query: &Query<'_>, out: &mut Vec<u8>) -> Plugin {
        let rewriter = block.rewrite.as_ref();
        let rewritten = rewriter.and_then(|rewriter| rewriter.apply(query.name, query.qtype));
        let is_rewritten = rewritten.is_some();
        let rewritten = rewritten.unwrap_or_default();
        let name = rewritten.name.clone().unwrap_or_else(|| query.name.to_owned());
        let qtype = rewritten.qtype.unwrap_or(query.qtype);
        let found = self.search(block, query, &name, qtype).await;
        let (found, translation) = self.dns64(block, query, found, &name, qtype).await;
        let plugin = found.plugin();
        // The receiving thread has counted what is not rewritten.
        if is_rewritten && !block.acl.is_empty() && !matches!(found.body, Body::Forbidden(_)) {
            add(&self.counters.acl_allowed);
        }
        if let (true, Body::Failed(_, why)) = (block.errors, &found.body) {
            self.shared.errors.error(query, why, self.epoch, Instant::now());
        }
        if !found.is_dropped() {
            self.compose(block, query, &rewritten, &found, translation, out);
        }
        plugin
    }

    fn note(&self, query: &Query<'_>, plugin: Plugin, out: &[u8]) {
        let Some(block) = self.block() else { return };
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        let mut seen = observed(block.zone_label, &self.message, query, self.origin, plugin, out);
        seen.took = took;
        self.counters.observe(&seen);
        if !block.logs.is_empty() {
            let asked_octets = self.message.len();
            let line = Line { query, origin: self.origin, asked_octets, reply: out, took };
            self.shared.log.write(&block.logs, &line, self.epoch, now);
        }
    }
}
