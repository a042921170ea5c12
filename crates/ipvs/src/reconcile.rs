//! Lowering, observing and applying.

use std::time::Duration;

use dataplane::{ApplyError, Dataplane, Ground, Plan, Refusal};
use model::{FrontendKey, IpFamily};
use resolve::Route;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::ending::held_routes;
use crate::front::Front;
use crate::kernel::Kernel;
use crate::objects::{Key, Server, Value, server_of};
use crate::work::{Refused, Rules, Work, sort};
use crate::{Ipvs, host, lower, text};

impl Dataplane for Ipvs {
    type Key = Key;
    type Value = Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Key, Value)> {
        let rules = self.rules.ground(ground);
        // Without IPv6 its rules are there, and nothing else of it.
        let usable = |family: &IpFamily| *family == IpFamily::V4 || self.kernel.is_none() || host::has_ipv6();
        let families = IpFamily::ALL.into_iter().filter(usable);
        let fronts: Vec<Front> = families.map(|family| Front::new(ground, family)).collect();
        let before = std::mem::replace(&mut self.fronts, fronts);
        self.relowers = self.rules.relowers() || (!before.is_empty() && before != self.fronts);
        self.settle();
        let rules = rules.into_iter().map(|(key, value)| (Key::Rule(key), Value::Rule(value)));
        rules.chain(self.fronts.iter().flat_map(Front::routes)).collect()
    }

    fn relowers(&self) -> bool {
        self.relowers
    }

    fn lower(&self, route: &Route, now: &dyn Fn(&Key) -> Option<Value>) -> Vec<(Key, Value)> {
        let rule_now = |key: &nftables::Key| match now(&Key::Rule(key.clone())) {
            Some(Value::Rule(value)) => Some(value),
            _ => None,
        };
        let rules = self.rules.lower(route, &rule_now).into_iter();
        let mut objects: Vec<_> = rules.map(|(key, value)| (Key::Rule(key), Value::Rule(value))).collect();
        let front = self.fronts.iter().find(|front| front.family == route.family);
        let own = front.map(|front| lower::lower(front, route)).unwrap_or_default();
        for (key, _) in &own {
            if let Key::Server(server) = key {
                self.note_name(route, *server);
            }
        }
        objects.extend(own);
        objects
    }

    fn frontend(&self, key: &Key) -> Option<FrontendKey> {
        match key {
            Key::Rule(rule) => self.rules.frontend(rule),
            _ => None,
        }
    }

    fn describe(&self, key: &Key, value: &Value) -> String {
        match (key, value) {
            (Key::Rule(key), Value::Rule(value)) => self.rules.describe(key, value),
            _ => text::line(key, value).unwrap_or_default(),
        }
    }

    fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        self.retiring = None;
        let rules = self.rules.observe()?;
        let mut all: FxHashMap<Key, Value> =
            rules.into_iter().map(|(key, value)| (Key::Rule(key), Value::Rule(value))).collect();
        let ours = self.ours()?;
        let kernel = self.kernel()?;
        kernel.know();
        all.extend(kernel.observe_routes().map_err(ApplyError::new("cannot read our routes"))?);
        let Some(servers) = kernel.servers_if_any() else { return Ok(all) };
        let found = servers.observe(|server| ours.contains(server));
        all.extend(found.map_err(ApplyError::new("cannot read virtual servers from IPVS"))?);
        // What drains is no object any more, nor is what says that it is ours.
        all.retain(|key, _| !key.recorded().is_some_and(|server| servers.is_closing(&server)));
        // Nor is a route that only what drains needs.
        self.held = held_routes(&all, |ip| servers.is_closing_at(ip));
        self.held.iter().for_each(|net| {
            all.remove(&Key::Route(*net));
        });
        Ok(all)
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        let (mut rules, mut work, records) = sort(plan);
        self.leave_taken(&mut work, &mut rules)?;
        self.record_closing(&work, &records, &mut rules);
        // Rules first: they say which virtual servers are ours before these are there.
        self.apply_rules(rules)?;
        self.make(&work)?;
        self.apply_routes(&work.routes, &[])?;
        let gone = self.clear(&work)?;
        self.delete_routes(&work)?;
        self.forget_ended(records, gone)?;
        work.ended.iter().for_each(|server| self.forget(server));
        // From now on our table says whose they are.
        self.settings.adopt.clear();
        Ok(self.refusals())
    }
}

impl Ipvs {
    /// Our virtual servers: those that our table names, those that are known to be there, also when the table is lost, and
    /// those that are to be taken over.
    pub(crate) fn ours(&mut self) -> Result<FxHashSet<Server>, ApplyError> {
        let excluded = |server: &Server| self.settings.exclude.iter().any(|net| net.contains(&server.ip));
        let adopted = self.settings.adopt.iter().filter_map(server_of).filter(|server| !excluded(server));
        let mut ours: FxHashSet<Server> = adopted.collect();
        ours.extend(self.kernel.iter().flat_map(Kernel::keys));
        ours.extend(self.rules.virtual_servers()?);
        Ok(ours)
    }

    /// Brings the settings to the kernel, if they are not there.
    fn settle(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let Some(servers) = kernel.servers_if_any().filter(|_| self.unsettled && self.writes) else { return };
        servers.set_patience(self.settings.drain);
        self.host.prepare(self.settings.strict_arp);
        let timeouts = &self.settings.timeouts;
        if *timeouts != netlink::ipvs::Timeouts::default()
            && let Err(error) = servers.set_timeouts(timeouts)
        {
            tracing::warn!(%error, "cannot set the timeouts of IPVS; check --ipvs-tcp-timeout, --ipvs-tcpfin-timeout and --ipvs-udp-timeout");
        }
        self.unsettled = false;
    }

    pub(crate) fn apply_rules(&mut self, rules: Rules) -> Result<(), ApplyError> {
        if !rules.is_empty() {
            self.rules.apply(rules)?;
        }
        Ok(())
    }

    /// Leaves virtual servers of others alone.
    fn leave_taken(&mut self, work: &mut Work, rules: &mut Rules) -> Result<(), ApplyError> {
        let what = "cannot look for virtual servers of others";
        let taken = self.kernel()?.servers()?.taken(&work.servers).map_err(ApplyError::new(what))?;
        work.servers.iter().for_each(|(server, _)| {
            self.refused.remove(server);
        });
        work.leave(&taken, rules);
        self.refused.extend(taken.into_iter().map(|server| (server, Refused::foreign(server))));
        Ok(())
    }

    fn make(&mut self, work: &Work) -> Result<(), ApplyError> {
        if work.servers.is_empty() && work.reals.is_empty() {
            return Ok(());
        }
        let default = self.fronts.first().map(|front| front.scheduler).unwrap_or_default();
        let servers = self.kernel()?.servers()?;
        let refused =
            servers.make(work, default).map_err(ApplyError::new("cannot write virtual servers to IPVS"))?;
        // Somebody was faster: what says that it is ours is wrong.
        let foreign: Vec<Server> = refused.iter().filter(|r| r.foreign).map(|r| r.server).collect();
        self.refused.extend(refused.into_iter().map(|refused| (refused.server, refused)));
        self.forget_records(&foreign)
    }

    fn clear(&mut self, work: &Work) -> Result<Vec<Server>, ApplyError> {
        let deadlines = self.deadlines.borrow();
        let of = |(server, ..): &(Server, _, _)| Some((*server, *deadlines.get(server)?));
        let least: FxHashMap<Server, Duration> = work.lost.iter().filter_map(of).collect();
        drop(deadlines);
        let servers = self.kernel()?.servers()?;
        let least = |server: &Server| least.get(server).copied().unwrap_or_default();
        servers.clear(work, least).map_err(ApplyError::new("cannot take virtual servers away from IPVS"))
    }

    fn forget(&mut self, server: &Server) {
        self.names.borrow_mut().remove(server);
        self.deadlines.borrow_mut().remove(server);
        self.refused.remove(server);
    }

    /// All that is refused by now, by Service, each named once.
    fn refusals(&self) -> Vec<Refusal> {
        let names = self.names.borrow();
        let mut by_service: FxHashMap<_, Refusal> = FxHashMap::default();
        let mut servers: Vec<_> = self.refused.iter().collect();
        servers.sort_unstable_by_key(|(server, _)| **server);
        for (server, one) in servers {
            let Some(service) = names.get(server).cloned() else { continue };
            let (reason, instead) = (one.reason.clone(), one.instead.clone());
            let refusal = Refusal { service: service.clone(), reason, instead };
            let known = by_service.entry(service).or_insert_with(|| refusal.clone());
            // That it is not served is worse than that it is served otherwise.
            if known.instead.is_some() && refusal.instead.is_none() {
                *known = refusal;
            }
        }
        by_service.into_values().collect()
    }
}
