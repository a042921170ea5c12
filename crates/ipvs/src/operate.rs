//! Printing, guarding and removing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use dataplane::{ApplyError, Dataplane, Leaver, Operate, Retired};
use model::{FrontendKey, IpFamily};
use nftables::{Nftables, Style};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::kernel::Kernel;
use crate::objects::{Key, Server, Value, record, rule_of};
use crate::servers::Left;
use crate::{Ipvs, Settings, route, text};

/// Virtual servers that are asked for one by one; of more, everything is read.
const FEW: usize = 256;
/// Between looks at what drains.
const LOOK: Duration = Duration::from_secs(1);

impl Operate for Ipvs {
    fn offline() -> Self {
        Self::with_rules(Nftables::offline_as(Style::Ipvs), Settings::default())
    }

    fn reader(&self) -> Result<Self, ApplyError> {
        let opened = Self::look(self.settings.clone()).map_err(ApplyError::new("cannot open IPVS"))?;
        Ok(Self { writes: false, ..opened })
    }

    fn family(&self, key: &Key) -> IpFamily {
        key.family()
    }

    fn render(&self, objects: &[(Key, Value)]) -> String {
        let rule = |(key, value): &(Key, Value)| match (key, value) {
            (Key::Rule(key), Value::Rule(value)) => Some((key.clone(), *value)),
            _ => None,
        };
        let rules: Vec<_> = objects.iter().filter_map(rule).collect();
        let own = text::all(objects.iter().map(|(key, value)| (key, value)));
        let comment = own.lines().map(|line| format!("# {line}\n"));
        format!("{}\n{}", self.rules.render(&rules), comment.collect::<String>())
    }

    fn observe_some(&mut self, keys: &FxHashSet<Key>) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let servers: FxHashSet<Server> = keys.iter().filter_map(Key::server).collect();
        if servers.len() > FEW {
            let mut all = self.observe()?;
            all.retain(|key, _| keys.contains(key));
            return Ok(all);
        }
        let mut some = self.observe_some_rules(keys, &servers)?;
        // What our table does not name is somebody else's.
        let ours: Vec<Server> = servers.into_iter().filter(|s| some.contains_key(&record(*s))).collect();
        some.extend(self.peek(&ours)?);
        if keys.iter().any(|key| matches!(key, Key::Route(_))) {
            some.extend(self.own_routes()?);
        }
        some.retain(|key, _| keys.contains(key) || matches!(key, Key::Rule(nftables::Key::Stray(..))));
        Ok(some)
    }

    fn touched_by_others(&mut self) -> bool {
        if self.writes {
            self.host.keep();
        }
        let rules = self.rules.touched_by_others();
        let kernel = self.kernel.as_mut().is_some_and(Kernel::touched);
        rules || kernel
    }

    fn touched_by(&self) -> Option<String> {
        self.rules.touched_by()
    }

    fn settings_set_again(&mut self) -> Vec<String> {
        self.host.set_again()
    }

    fn is_installed(&mut self) -> Result<bool, ApplyError> {
        let rules = self.rules.is_installed()?;
        Ok(rules || !self.own_routes()?.is_empty())
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        let left = self.empty_servers(true)?;
        self.remove_rest(left.gone)
    }

    fn tend(&mut self) -> Result<Option<Duration>, ApplyError> {
        let Some(servers) = self.kernel.as_mut().and_then(Kernel::servers_if_any) else { return Ok(None) };
        if !servers.is_draining() {
            return Ok(None);
        }
        let gone = servers.tend().map_err(ApplyError::new("cannot take drained servers away from IPVS"))?;
        let more = servers.is_draining().then_some(LOOK);
        self.let_go(&gone)?;
        Ok(more)
    }

    fn end_drain(&mut self, who: &Leaver, frontends: &[FrontendKey]) {
        let fronts = &self.fronts;
        let is_node = |server: &Server| fronts.iter().any(|front| front.node_ports.contains(&server.ip));
        let is_frontend = |server: &Server| {
            let Server { ip, protocol, port } = *server;
            let node_port = FrontendKey::NodePort { family: IpFamily::of(ip), protocol, port };
            protocol == who.protocol
                && (frontends.contains(&FrontendKey::Vip { ip, protocol, port })
                    || (is_node(server) && frontends.contains(&node_port)))
        };
        let servers = self.kernel.as_mut().and_then(Kernel::servers_if_any);
        if let Some(servers) = servers {
            servers.end_now(&who.endpoint, is_frontend);
        }
    }

    fn retire(&mut self) -> Result<Retired, ApplyError> {
        if self.retiring.is_none() {
            // New connections are the other mode's by now, and its rules alone decide about them.
            self.rules.stand_back()?;
        }
        let since = *self.retiring.get_or_insert_with(Instant::now);
        let left = self.empty_servers(since.elapsed() >= self.settings.drain)?;
        if left.servers == 0 {
            return self.remove_rest(left.gone).map(Retired::Gone);
        }
        self.delete_routes_but(&left.addresses)?;
        Ok(Retired::Draining(format!(
            "{} connections of {} virtual servers end, or {} s are over",
            left.connections,
            left.servers,
            self.settings.drain.as_secs()
        )))
    }
}

impl Ipvs {
    /// The rules among these keys, and those that say whose these virtual servers are.
    fn observe_some_rules(
        &mut self,
        keys: &FxHashSet<Key>,
        servers: &FxHashSet<Server>,
    ) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let records = servers.iter().map(|server| record(*server));
        let rules = keys.iter().cloned().chain(records).filter_map(rule_of).collect();
        let found = self.rules.observe_some(&rules)?;
        Ok(found.into_iter().map(|(key, value)| (Key::Rule(key), Value::Rule(value))).collect())
    }

    fn peek(&mut self, ours: &[Server]) -> Result<Vec<(Key, Value)>, ApplyError> {
        let Some(servers) = self.kernel.as_mut().and_then(Kernel::servers_if_any) else {
            return Ok(Vec::new());
        };
        let found = ours.iter().map(|server| servers.peek(*server)).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(ApplyError::new("cannot read virtual servers from IPVS"))?;
        Ok(found.into_iter().flatten().collect())
    }

    fn own_routes(&mut self) -> Result<Vec<(Key, Value)>, ApplyError> {
        self.kernel()?.observe_routes().map_err(ApplyError::new("cannot read our routes"))
    }

    /// Empties our virtual servers.
    fn empty_servers(&mut self, at_once: bool) -> Result<Left, ApplyError> {
        let ours = self.ours()?;
        let Some(servers) = self.kernel()?.servers_if_any() else { return Ok(Left::default()) };
        servers
            .retire(|server| ours.contains(server), at_once)
            .map_err(ApplyError::new("cannot take virtual servers away from IPVS"))
    }

    /// Deletes our routes but those to these addresses; their number.
    fn delete_routes_but(&mut self, used: &BTreeSet<IpAddr>) -> Result<usize, ApplyError> {
        let mut old = Vec::new();
        for (key, value) in self.own_routes()? {
            if let Key::Route(net) = key
                && !used.iter().any(|ip| net.contains(ip))
            {
                old.push(route::local_route(net, &value));
            }
        }
        let what = "cannot delete the routes of VIPs";
        route::apply(&mut self.kernel()?.routes, &[], &old).map_err(ApplyError::new(what))?;
        Ok(old.len())
    }

    /// Removes what is no virtual server; `gone` are those that were.
    fn remove_rest(&mut self, gone: usize) -> Result<usize, ApplyError> {
        let routes = self.delete_routes_but(&BTreeSet::new())?;
        self.retiring = None;
        Ok(gone + routes + self.rules.remove()?)
    }
}
