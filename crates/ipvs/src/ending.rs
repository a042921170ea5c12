//! What outlives a virtual server that drains: the record that it is ours, and its route.

use std::collections::BTreeSet;
use std::net::IpAddr;

use dataplane::{ApplyError, Plan, Step};
use ipnet::IpNet;
use model::IpFamily;
use netlink::route::LocalRoute;
use nftables::{ElementKey, SetId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::objects::{Key, Server, Value, record, rule_of, server_of};
use crate::route::{local_route, net_of};
use crate::work::{Rules, Work};
use crate::{Ipvs, route};

impl Ipvs {
    /// What drains must be found again after a restart: of adopted virtual servers our table may say nothing yet.
    pub(crate) fn record_closing(&self, work: &Work, records: &[Server], rules: &mut Rules) {
        let Some(kernel) = &self.kernel else { return };
        let there: FxHashSet<&Server> = records.iter().collect();
        let ended = work.ended.iter().copied();
        let ended = ended.filter(|server| !there.contains(server) && kernel.has(server));
        let adopted = self.settings.adopt.iter().filter_map(server_of);
        let adopted = adopted.filter(|server| kernel.is_closing(server));
        let step = |server: Server| Some((rule_of(record(server))?, Step::Create(nftables::Value::Member)));
        rules.steps.extend(ended.chain(adopted).filter_map(step));
    }

    pub(crate) fn forget_records(&mut self, servers: &[Server]) -> Result<(), ApplyError> {
        let step = |server: &Server| Some((rule_of(record(*server))?, Step::Delete(nftables::Value::Member)));
        let steps = servers.iter().filter_map(step);
        self.apply_rules(Plan { steps: steps.collect() })
    }

    /// The route of a virtual server that drains stays until that is gone.
    pub(crate) fn delete_routes(&mut self, work: &Work) -> Result<(), ApplyError> {
        for net in work.routes.iter().filter_map(net_of) {
            self.held.remove(&net);
        }
        let mut over = Vec::new();
        for route in &work.old_routes {
            let closing = self.kernel()?.servers()?.is_closing_at(route.address);
            match net_of(route).filter(|net| closing && net.prefix_len() == net.max_prefix_len()) {
                Some(net) => drop(self.held.insert(net)),
                None => over.push(*route),
            }
        }
        self.apply_routes(&[], &over)
    }

    /// Virtual servers are gone: so are their records and routes.
    pub(crate) fn let_go(&mut self, gone: &[Server]) -> Result<(), ApplyError> {
        self.forget_records(gone)?;
        let mut over = Vec::new();
        for net in gone.iter().map(|server| IpNet::from(server.ip)) {
            if !self.kernel()?.servers()?.is_closing_at(net.addr()) && self.held.remove(&net) {
                over.push(local_route(net, &Value::Route(None)));
            }
        }
        self.apply_routes(&[], &over)
    }

    /// Takes back the records of virtual servers that are gone; of others there is none, or they still drain.
    pub(crate) fn forget_ended(&mut self, records: Vec<Server>, gone: Vec<Server>) -> Result<(), ApplyError> {
        let mut over: Vec<Server> = records.into_iter().chain(gone).collect();
        over.sort_unstable();
        over.dedup();
        over.retain(|server| !self.refused.get(server).is_some_and(|refused| refused.foreign));
        let servers = self.kernel()?.servers()?;
        over.retain(|server| !servers.is_closing(server));
        self.forget_records(&over)
    }

    pub(crate) fn apply_routes(
        &mut self,
        add: &[LocalRoute],
        delete: &[LocalRoute],
    ) -> Result<(), ApplyError> {
        if add.is_empty() && delete.is_empty() {
            return Ok(());
        }
        let kernel = self.kernel()?;
        route::apply(&mut kernel.routes, add, delete)
            .map_err(ApplyError::new("cannot write the routes of VIPs"))
    }
}

/// Routes of single addresses at which something drains, and that no Service has any more. Told by what is there, so that
/// whoever looks finds the same.
pub(crate) fn held_routes(
    all: &FxHashMap<Key, Value>,
    is_closing_at: impl Fn(IpAddr) -> bool,
) -> BTreeSet<IpNet> {
    let has = |set, ip| {
        let key = nftables::Key::Element(IpFamily::of(ip), set, ElementKey::Addr(ip));
        all.contains_key(&Key::Rule(key))
    };
    let single = all.keys().filter_map(|key| match key {
        Key::Route(net) if net.prefix_len() == net.max_prefix_len() => Some(*net),
        _ => None,
    });
    let served = |ip| has(SetId::RoutedVips, ip) || has(SetId::ClusterIps, ip);
    single.filter(|net| is_closing_at(net.addr()) && !served(net.addr())).collect()
}
