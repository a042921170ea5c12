//! A configuration becomes a chain.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use dns_config::{AutopathSource, Config, Env, LogFormat, MAX_LAMEDUCK, ResolvConf, To};
use dns_forward::{Forwarder, GroupHandle};
use dns_wire::{Name, UDP_PAYLOAD};

use super::rewrite::Rewriter;
use super::{Autopath, Block, Chain, Forward, groups, hosts, view};

/// What a chain is made with.
pub(crate) struct Compiler<'a> {
    pub(crate) env: &'a dyn Env,
    pub(crate) forwarder: &'a Forwarder,
    /// Where the server listens: such an upstream would be a loop.
    pub(crate) listening: Vec<SocketAddr>,
    /// The addresses of this server in NS records.
    pub(crate) own: Vec<IpAddr>,
    /// The name of the node, for NSID.
    pub(crate) node: String,
    /// Where the search domains of the node are.
    pub(crate) resolv_conf: PathBuf,
}

/// A chain, and what the operator should know about it beyond what [`Config`] says itself, one line each.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) chain: Chain,
    pub(crate) notes: Vec<String>,
}

impl Compiler<'_> {
    /// Makes the chain; the forwarder has its groups from then on.
    pub(crate) fn compile(&self, config: &Config) -> Compiled {
        let mut notes = Vec::new();
        let blocks = served(config);
        let handles = self.configure_groups(&blocks, &mut notes);
        let compiled: Vec<Block> = blocks
            .iter()
            .zip(handles)
            .map(|(block, handles)| self.block(block, handles, &mut notes))
            .collect();
        let healths = config.blocks.iter().filter_map(|block| block.health);
        let lameduck = healths.map(|health| health.lameduck.min(MAX_LAMEDUCK)).max().unwrap_or_default();
        let zones = zones(&blocks);
        Compiled { chain: Chain { zones, blocks: compiled, own: self.own.clone(), lameduck }, notes }
    }

    fn configure_groups(
        &self,
        blocks: &[&dns_config::Block],
        notes: &mut Vec<String>,
    ) -> Vec<Vec<GroupHandle>> {
        let mut per_block = Vec::new();
        let mut all = Vec::new();
        for block in blocks {
            let groups = (0..block.forward.len()).filter_map(|at| groups::group(block, at, self.env, notes));
            let before = all.len();
            all.extend(groups);
            per_block.push(all.len() - before);
        }
        let configured = self.forwarder.configure(all, &self.listening);
        notes.extend(configured.problems.iter().map(ToString::to_string));
        let mut handles = configured.groups.into_iter();
        per_block.into_iter().map(|count| handles.by_ref().take(count).collect()).collect()
    }

    fn block(&self, block: &dns_config::Block, handles: Vec<GroupHandle>, notes: &mut Vec<String>) -> Block {
        let forwards = block.forward.iter().zip(handles).map(|(forward, group)| Forward {
            from: forward.from.clone(),
            except: forward.except.clone(),
            group,
            next: forward.next.clone(),
            next_on_nodata: forward.next_on_nodata,
        });
        if block.log.iter().any(|log| log.format != LogFormat::Common) {
            notes.push(format!("{}: log: lines are written as {{common}}", block.at));
        }
        let nsid = block.nsid.as_ref().map(|nsid| nsid.data.clone().unwrap_or_else(|| self.node.clone()));
        Block {
            label: block.zones.first().map(ToString::to_string).unwrap_or_default(),
            zone_label: 0,
            local: block.local,
            any: block.any,
            chaos: block.chaos.clone(),
            nsid: nsid.map(String::into_bytes),
            rewrite: Rewriter::new(&block.rewrite, notes),
            acl: block.acl.clone(),
            autopath: block.autopath.as_ref().map(|autopath| self.autopath(autopath)),
            hosts: block.hosts.as_ref().map(|settings| hosts::Table::read(settings, self.env)),
            externals: block.external.iter().map(view::external).collect(),
            view: self.view(block, notes),
            bare: dns_names::View::default(),
            forwards: forwards.collect(),
            dns64: block.dns64,
            bufsize: block.bufsize.unwrap_or(UDP_PAYLOAD).min(UDP_PAYLOAD),
            rotate: block.loadbalance.is_some(),
            minimal: block.minimal,
            logs: block.log.clone(),
            errors: block.errors.is_some(),
        }
    }

    fn view(&self, block: &dns_config::Block, notes: &mut Vec<String>) -> Option<dns_names::View> {
        match view::view(block.kubernetes.as_ref()?) {
            Ok(view) => Some(view),
            Err(why) => {
                notes.push(format!("{}: kubernetes: {why}", block.at));
                None
            }
        }
    }

    fn autopath(&self, autopath: &dns_config::Autopath) -> Autopath {
        let (path, is_fixed) = match &autopath.source {
            AutopathSource::Kubernetes => (&self.resolv_conf, false),
            AutopathSource::File(path) => (path, true),
        };
        let domains = ResolvConf::read(&self.env.file(path).unwrap_or_default()).search;
        Autopath { zones: autopath.zones.clone(), domains, is_fixed }
    }
}

/// The blocks of the port that is served: the first one's, and of the others those for zones it has not.
fn served(config: &Config) -> Vec<&dns_config::Block> {
    let mut seen = BTreeSet::new();
    config.blocks.iter().filter(|block| block.zones.iter().any(|zone| seen.insert(zone.lower()))).collect()
}

fn zones(blocks: &[&dns_config::Block]) -> Vec<(Name, usize)> {
    let mut zones: Vec<(Name, usize)> = Vec::new();
    for (place, block) in blocks.iter().enumerate() {
        for zone in &block.zones {
            if !zones.iter().any(|(one, _)| one.as_ref().eq_ignore_case(zone.as_ref())) {
                zones.push((zone.clone(), place));
            }
        }
    }
    zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.as_ref().label_count()));
    zones
}

/// The files that a configuration depends on besides the Corefile itself: hosts, `resolv.conf` and the like.
/// When one changes, [`crate::Server::reconfigure`] reads them anew.
pub fn files(config: &Config) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for block in &config.blocks {
        files.extend(block.hosts.iter().map(|hosts| hosts.file.clone()));
        files.extend(block.forward.iter().flat_map(|forward| &forward.to).filter_map(|to| match to {
            To::File(path) => Some(path.clone()),
            To::Server(_) => None,
        }));
        files.extend(block.autopath.iter().filter_map(|autopath| match &autopath.source {
            AutopathSource::File(path) => Some(path.clone()),
            AutopathSource::Kubernetes => None,
        }));
    }
    files.into_iter().collect()
}
