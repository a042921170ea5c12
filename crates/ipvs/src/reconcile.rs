//! Lowering, observing and applying.

use dataplane::{ApplyError, Dataplane, Ground, Plan, Refusal, Step};
use model::{FrontendKey, IpFamily};
use netlink::route::LocalRoute;
use resolve::Route;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::front::Front;
use crate::objects::{Key, Server, Value, kernel_key, record, rule_of, server_of};
use crate::work::{Refused, Rules, Work, sort};
use crate::{Ipvs, host, lower, route};

impl Dataplane for Ipvs {
    type Key = Key;
    type Value = Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Key, Value)> {
        let rules = self.rules.ground(ground);
        let fronts = IpFamily::ALL.map(|family| Front::new(ground, family)).to_vec();
        let before = std::mem::replace(&mut self.fronts, fronts);
        let same = before.iter().zip(&self.fronts).all(|(old, new)| old.lowers_as(new));
        self.relowers = self.rules.relowers() || !same;
        self.settle();
        let rules = rules.into_iter().map(|(key, value)| (Key::Rule(key), Value::Rule(value)));
        rules.chain(self.fronts.iter().flat_map(Front::routes)).collect()
    }

    fn relowers(&self) -> bool {
        self.relowers
    }

    fn lower(&self, route: &Route, now: &dyn Fn(&Key) -> Option<Value>) -> Vec<(Key, Value)> {
        let Some(front) = self.fronts.iter().find(|front| front.family == route.family) else {
            return Vec::new();
        };
        let rule_now = |key: &nftables::Key| match now(&Key::Rule(key.clone())) {
            Some(Value::Rule(value)) => Some(value),
            _ => None,
        };
        let rules = self.rules.lower(route, &rule_now).into_iter();
        let mut objects: Vec<_> = rules.map(|(key, value)| (Key::Rule(key), Value::Rule(value))).collect();
        let own = lower::lower(front, route);
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

    fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        self.retiring = None;
        let rules = self.rules.observe()?;
        let mut all: FxHashMap<Key, Value> =
            rules.into_iter().map(|(key, value)| (Key::Rule(key), Value::Rule(value))).collect();
        let ours = self.ours(&all);
        let kernel = self.kernel()?;
        all.extend(kernel.observe_routes().map_err(ApplyError::new("cannot read our routes"))?);
        let Some(servers) = kernel.servers_if_any() else { return Ok(all) };
        let found = servers.observe(|server| ours.contains(server));
        all.extend(found.map_err(ApplyError::new("cannot read virtual servers from IPVS"))?);
        // What drains is no object any more, nor is what says that it is ours.
        all.retain(|key, _| !key.recorded().is_some_and(|server| servers.is_closing(&server)));
        Ok(all)
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        let (mut rules, mut work, records) = sort(plan);
        let what = "cannot look for virtual servers of others";
        let taken = self.kernel()?.servers()?.taken(&work.servers).map_err(ApplyError::new(what))?;
        work.leave(&taken, &mut rules);
        self.record_adopted(&work, &mut rules);
        // Rules first: they say which virtual servers are ours before these are there.
        self.apply_rules(rules)?;
        let mut refused = self.make(&work)?;
        refused.extend(taken.into_iter().map(Refused::foreign));
        self.apply_routes(&work.routes, &[])?;
        let what = "cannot take virtual servers away from IPVS";
        let servers = self.kernel()?.servers()?;
        servers.clear(&work).map_err(ApplyError::new(what))?;
        let records: Vec<Server> = records.into_iter().filter(|server| !servers.is_closing(server)).collect();
        self.apply_routes(&[], &work.old_routes)?;
        self.forget_records(&records)?;
        work.ended.iter().for_each(|server| {
            self.names.borrow_mut().remove(server);
        });
        Ok(self.refusals(refused))
    }
}

impl Ipvs {
    /// The virtual servers that our table names, and those that are to be taken over.
    fn ours(&self, observed: &FxHashMap<Key, Value>) -> FxHashSet<Server> {
        let recorded = observed.keys().filter_map(Key::recorded);
        let excluded = |server: &Server| self.settings.exclude.iter().any(|net| net.contains(&server.ip));
        let adopted = self.settings.adopt.iter().filter_map(server_of).filter(|server| !excluded(server));
        recorded.chain(adopted).collect()
    }

    /// Adopted virtual servers that nobody wants drain like others: they have to be found again after a restart.
    fn record_adopted(&self, work: &Work, rules: &mut Rules) {
        let adopted = work.ended.iter().filter(|server| self.settings.adopt.contains(&kernel_key(**server)));
        let step = |server: &Server| Some((rule_of(record(*server))?, Step::Create(nftables::Value::Member)));
        rules.steps.extend(adopted.filter_map(step));
    }

    /// Brings the settings to the kernel, if they are not there.
    fn settle(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let Some(servers) = kernel.servers_if_any().filter(|_| self.unsettled && self.writes) else { return };
        servers.set_patience(self.settings.drain);
        host::prepare(self.settings.strict_arp);
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

    pub(crate) fn forget_records(&mut self, servers: &[Server]) -> Result<(), ApplyError> {
        let step = |server: &Server| Some((rule_of(record(*server))?, Step::Delete(nftables::Value::Member)));
        let steps = servers.iter().filter_map(step);
        self.apply_rules(Plan { steps: steps.collect() })
    }

    fn make(&mut self, work: &Work) -> Result<Vec<Refused>, ApplyError> {
        if work.servers.is_empty() && work.reals.is_empty() {
            return Ok(Vec::new());
        }
        let default = self.fronts.first().map(|front| front.scheduler).unwrap_or_default();
        let servers = self.kernel()?.servers()?;
        servers.make(work, default).map_err(ApplyError::new("cannot write virtual servers to IPVS"))
    }

    fn apply_routes(&mut self, add: &[LocalRoute], delete: &[LocalRoute]) -> Result<(), ApplyError> {
        if add.is_empty() && delete.is_empty() {
            return Ok(());
        }
        let kernel = self.kernel()?;
        route::apply(&mut kernel.routes, add, delete)
            .map_err(ApplyError::new("cannot write the routes of VIPs"))
    }

    /// By Service, each named once.
    fn refusals(&self, refused: Vec<Refused>) -> Vec<Refusal> {
        let names = self.names.borrow();
        let mut by_service = FxHashMap::default();
        for one in refused {
            let Some(service) = names.get(&one.server).cloned() else { continue };
            let refusal = Refusal { service: service.clone(), reason: one.reason, instead: one.instead };
            let known = by_service.entry(service).or_insert_with(|| refusal.clone());
            // That it is not served is worse than that it is served otherwise.
            if known.instead.is_some() && refusal.instead.is_none() {
                *known = refusal;
            }
        }
        by_service.into_values().collect()
    }
}
