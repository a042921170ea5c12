//! Printing, guarding and removing.

use std::time::{Duration, Instant};

use dataplane::{ApplyError, Dataplane, Operate, Retired};
use model::IpFamily;
use netlink::route::LocalRoute;
use nftables::{Nftables, Style};
use rustc_hash::FxHashSet;

use crate::kernel::Kernel;
use crate::objects::{Key, Server, Value};
use crate::servers::Left;
use crate::{Ipvs, Settings, route, text};

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

    fn describe(&self, key: &Key, value: &Value) -> String {
        match (key, value) {
            (Key::Rule(key), Value::Rule(value)) => self.rules.describe(key, value),
            _ => text::line(key, value).unwrap_or_default(),
        }
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

    fn touched_by_others(&mut self) -> bool {
        let rules = self.rules.touched_by_others();
        let kernel = self.kernel.as_mut().is_some_and(Kernel::touched);
        rules || kernel
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
        self.forget_records(&gone)?;
        Ok(more)
    }

    fn retire(&mut self) -> Result<Retired, ApplyError> {
        let since = *self.retiring.get_or_insert_with(Instant::now);
        let left = self.empty_servers(since.elapsed() >= self.settings.drain)?;
        if left.servers == 0 {
            return self.remove_rest(left.gone).map(Retired::Gone);
        }
        Ok(Retired::Draining(format!(
            "{} connections of {} virtual servers end, or {} s are over",
            left.connections,
            left.servers,
            self.settings.drain.as_secs()
        )))
    }
}

impl Ipvs {
    fn own_routes(&mut self) -> Result<Vec<(Key, Value)>, ApplyError> {
        self.kernel()?.observe_routes().map_err(ApplyError::new("cannot read our routes"))
    }

    /// Empties the virtual servers that our table names.
    fn empty_servers(&mut self, at_once: bool) -> Result<Left, ApplyError> {
        let ours = self.recorded()?;
        let Some(servers) = self.kernel()?.servers_if_any() else { return Ok(Left::default()) };
        servers
            .retire(|server| ours.contains(server), at_once)
            .map_err(ApplyError::new("cannot take virtual servers away from IPVS"))
    }

    fn recorded(&mut self) -> Result<FxHashSet<Server>, ApplyError> {
        let rules = self.rules.observe()?;
        Ok(rules.into_keys().filter_map(|key| Key::Rule(key).recorded()).collect())
    }

    /// Removes what is no virtual server; `gone` are those that were.
    fn remove_rest(&mut self, gone: usize) -> Result<usize, ApplyError> {
        let routes = self.own_routes()?;
        let old: Vec<LocalRoute> = routes
            .iter()
            .filter_map(|(key, value)| match key {
                Key::Route(net) => Some(route::local_route(*net, value)),
                _ => None,
            })
            .collect();
        route::apply(&mut self.kernel()?.routes, &[], &old)
            .map_err(ApplyError::new("cannot delete the routes of VIPs"))?;
        self.retiring = None;
        Ok(gone + old.len() + self.rules.remove()?)
    }
}
