//! The plugins that are honoured, and who reads them.

use crate::read::context::{Context, Outcome};
use crate::read::{
    acl, answers, autopath, cache, external, forward, hosts, kubernetes, logging, operation, rewrite,
};
use crate::syntax::Directive;
use crate::types::Block;

/// A plugin that is honoured.
pub struct Plugin {
    name: &'static str,
    /// Whether CoreDNS refuses a second one in a block.
    pub once: bool,
    /// Puts what a directive says into the block.
    pub read: fn(&mut Context<'_>, &mut Block, &Directive) -> Outcome,
}

const fn once(name: &'static str, read: fn(&mut Context<'_>, &mut Block, &Directive) -> Outcome) -> Plugin {
    Plugin { name, once: true, read }
}

const fn many(name: &'static str, read: fn(&mut Context<'_>, &mut Block, &Directive) -> Outcome) -> Plugin {
    Plugin { name, once: false, read }
}

static PLUGINS: &[Plugin] = &[
    many("acl", acl::read),
    many("any", answers::any),
    many("autopath", autopath::read),
    many("bind", operation::bind),
    many("bufsize", answers::bufsize),
    once("cache", cache::read),
    many("chaos", answers::chaos),
    many("dns64", answers::dns64),
    once("errors", logging::errors),
    many("forward", forward::read),
    many("health", operation::health),
    once("hosts", hosts::read),
    many("k8s_external", external::read),
    once("kubernetes", kubernetes::read),
    many("loadbalance", answers::loadbalance),
    many("local", answers::local),
    many("log", logging::log),
    once("loop", operation::loop_guard),
    many("minimal", answers::minimal),
    many("nsid", answers::nsid),
    once("prometheus", operation::prometheus),
    once("ready", operation::ready),
    once("reload", operation::reload),
    many("rewrite", rewrite::read),
];

/// The plugin of this name.
pub fn find(name: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.name == name)
}

/// Whether the block has this plugin already, and a second one would take its place.
pub fn has(block: &Block, name: &str) -> bool {
    match name {
        "any" => block.any,
        "autopath" => block.autopath.is_some(),
        "bufsize" => block.bufsize.is_some(),
        "cache" => block.cache.is_some(),
        "chaos" => block.chaos.is_some(),
        "dns64" => block.dns64.is_some(),
        "errors" => block.errors.is_some(),
        "health" => block.health.is_some(),
        "hosts" => block.hosts.is_some(),
        "kubernetes" => block.kubernetes.is_some(),
        "loadbalance" => block.loadbalance.is_some(),
        "local" => block.local,
        "loop" => block.loop_guard,
        "minimal" => block.minimal,
        "nsid" => block.nsid.is_some(),
        "prometheus" => block.prometheus.is_some(),
        "ready" => block.ready.is_some(),
        "reload" => block.reload.is_some(),
        _ => false,
    }
}
