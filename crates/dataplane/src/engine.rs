//! The reconcile loop's state: everything between a Change and a committed kernel.

use std::net::IpAddr;
use std::time::Duration;

use model::{Change, NamespacedName, Problem, Store, Touched};
use resolve::{Conflict, LocalView, ProxyConfig, resolve};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::refusals::refusal_problem;
use crate::{
    ApplyError, Dataplane, DrainCheck, DrainNews, DrainTracker, FlowCheck, FlowTracker, FullReport, Ground,
    Ledger, Operate, Plan, Refusal, Start, Summary, SyncReport, conflict_problem,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Ground,
    Service(NamespacedName),
}

/// Holds the store, the ledger and the dataplane together. Does no I/O but the dataplane's.
#[derive(Debug)]
pub struct Engine<D: Dataplane> {
    store: Store,
    config: ProxyConfig,
    dataplane: D,
    ledger: Ledger<Owner, D::Key, D::Value>,
    touched: Touched,
    flows: FlowTracker,
    drain: DrainTracker,
    /// What to report of it with the next sync that succeeds.
    drains: Vec<DrainNews>,
    drain_checks: Vec<DrainCheck>,
    conflicts: FxHashMap<NamespacedName, Vec<Problem>>,
    /// Services whose objects the kernel did not take. Tried again when they change, and with every full comparison.
    refused: FxHashMap<NamespacedName, Problem>,
    waiting_for: FxHashSet<&'static str>,
    /// Flows to look at once the kernel has the rules.
    due: Vec<FlowCheck>,
    /// Services to report with the next sync that succeeds.
    resolved: Vec<(NamespacedName, LocalView)>,
    /// Problems to report with the next sync that succeeds.
    news: Vec<Problem>,
    conflicts_changed: bool,
    node_changed: bool,
    open_batches: usize,
    full: bool,
    first: bool,
    /// The last plan did not reach the kernel, or not wholly: what differs now may be our own doing.
    failed: bool,
    /// What others had changed when the comparison was made whose plan did not reach the kernel: to be reported with the one that does.
    untold: Summary,
}

impl<D: Dataplane> Engine<D> {
    /// An engine that programs nothing before every source in `sources` has said [`Change::Synced`].
    pub fn new(store: Store, config: ProxyConfig, dataplane: D, sources: &[&'static str]) -> Self {
        Self::begin(Start::new(store, sources), config, dataplane)
    }

    /// An engine that begins where `start` says.
    pub fn begin(start: Start, config: ProxyConfig, dataplane: D) -> Self {
        let services = start.owed.into_iter().collect();
        Self {
            store: start.store,
            config,
            dataplane,
            ledger: Ledger::default(),
            touched: Touched { node: true, services, ..Touched::default() },
            flows: FlowTracker::default(),
            drain: DrainTracker::default(),
            drains: Vec::new(),
            drain_checks: Vec::new(),
            conflicts: start.conflicts,
            refused: FxHashMap::default(),
            waiting_for: start.waiting_for,
            due: start.due,
            resolved: Vec::new(),
            news: Vec::new(),
            conflicts_changed: false,
            node_changed: false,
            open_batches: start.open_batches,
            full: true,
            first: true,
            failed: false,
            untold: Summary::default(),
        }
    }

    /// What an engine for another dataplane begins with, to go on where this one is: with the same store, waiting for the
    /// same sources, in the middle of the same batch, owing the same reports. Both may go on side by side.
    pub fn handover(&self) -> Start {
        // What went while this one could not sync is in no store any more.
        let owed = self.resolved.iter().map(|(name, _)| name).chain(&self.touched.services);
        Start {
            store: self.store.clone(),
            waiting_for: self.waiting_for.clone(),
            open_batches: self.open_batches,
            owed: owed.cloned().collect(),
            due: self.due.clone(),
            conflicts: self.conflicts.clone(),
        }
    }

    /// Has the next sync make the ground objects anew: something outside of the settings changed that they depend on.
    pub fn touch_ground(&mut self) {
        self.touched.node = true;
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The configuration.
    pub fn config(&self) -> &ProxyConfig {
        &self.config
    }

    /// Changes the settings; the next sync resolves every Service again. The mode stays what it was.
    pub fn set_config(&mut self, config: ProxyConfig) {
        let config = ProxyConfig { mode: self.config.mode, ..config };
        if self.config != config {
            self.config = config;
            (self.touched.node, self.touched.all) = (true, true);
        }
    }

    /// Sets or takes back the address that is the node's primary one of its family.
    pub fn set_bind_address(&mut self, ip: Option<IpAddr>) {
        self.store.set_bind_address(ip, &mut self.touched);
    }

    /// The dataplane.
    pub fn dataplane(&self) -> &D {
        &self.dataplane
    }

    /// The dataplane, for questions to its kernel.
    pub fn dataplane_mut(&mut self) -> &mut D {
        &mut self.dataplane
    }

    /// The dataplane alone: the kernel keeps what it has.
    pub fn into_dataplane(self) -> D {
        self.dataplane
    }

    /// Number of desired objects.
    pub fn object_count(&self) -> usize {
        self.ledger.len()
    }

    /// Every desired object, in no order.
    pub fn objects(&self) -> impl Iterator<Item = (&D::Key, &D::Value)> {
        self.ledger.iter()
    }

    /// The desired objects of one Service.
    pub fn objects_of(&self, service: &NamespacedName) -> Vec<(D::Key, D::Value)> {
        self.owned(&Owner::Service(service.clone()))
    }

    /// The desired objects that belong to no Service: what leads to those of all.
    pub fn ground_objects(&self) -> Vec<(D::Key, D::Value)> {
        self.owned(&Owner::Ground)
    }

    fn owned(&self, owner: &Owner) -> Vec<(D::Key, D::Value)> {
        let keys = self.ledger.owned(owner);
        keys.iter().filter_map(|key| Some((key.clone(), self.ledger.get(key)?.clone()))).collect()
    }

    /// Problems of the sources, contested frontends, and what the kernel did not take.
    pub fn problems(&self) -> Vec<Problem> {
        self.each_problem().cloned().collect()
    }

    /// The same, not copied.
    pub fn each_problem(&self) -> impl Iterator<Item = &Problem> {
        let contested = self.conflicts.values().flatten();
        self.store.problems().chain(contested).chain(self.refused.values())
    }

    /// Whether the kernel did not take the objects of some Service.
    pub fn has_refusals(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Number of [`Engine::problems`].
    pub fn problem_count(&self) -> usize {
        self.store.problems().count() + self.conflicts.len() + self.refused.len()
    }

    /// Takes in one change.
    pub fn handle(&mut self, change: Change) {
        match change {
            Change::Synced(source) => {
                self.waiting_for.remove(source);
            }
            Change::BatchBegins => self.open_batches += 1,
            Change::BatchEnds => self.open_batches = self.open_batches.saturating_sub(1),
            _ => {}
        }
        self.store.apply(change, &mut self.touched);
    }

    /// Whether every source has delivered its first list.
    pub fn is_ready(&self) -> bool {
        self.waiting_for.is_empty()
    }

    /// Whether a sync has something to do. Not in the middle of a batch.
    pub fn has_work(&self) -> bool {
        self.is_ready() && self.open_batches == 0 && (self.full || !self.touched.is_empty())
    }

    /// Asks for a comparison with the kernel at the next sync.
    pub fn request_full(&mut self) {
        self.full = true;
    }

    /// Brings the kernel up to date. After an error the kernel is as it was, and the next sync compares everything.
    pub fn sync(&mut self) -> Result<SyncReport, ApplyError> {
        let mut report = SyncReport::default();
        if !self.has_work() {
            return Ok(report);
        }
        let full = std::mem::replace(&mut self.full, true);
        let result = if full { self.sync_full(&mut report) } else { self.sync_touched(&mut report) };
        self.full = result.is_err();
        self.failed &= result.is_err();
        result?;
        report.flows = std::mem::take(&mut self.due);
        report.drains = std::mem::take(&mut self.drains);
        report.drain_checks = std::mem::take(&mut self.drain_checks);
        report.services = std::mem::take(&mut self.resolved);
        report.problems = std::mem::take(&mut self.news);
        report.conflicts_changed = std::mem::take(&mut self.conflicts_changed);
        report.node_changed = std::mem::take(&mut self.node_changed);
        Ok(report)
    }

    /// What the kernel has against what it should have, without writing.
    pub fn diff(&mut self) -> Result<Plan<D::Key, D::Value>, ApplyError> {
        let observed = self.dataplane.observe()?;
        Ok(self.ledger.diff(&observed))
    }

    /// Computes the desired state without asking or touching the kernel.
    pub fn settle(&mut self) -> SyncReport {
        let mut report = SyncReport::default();
        self.touched.all |= self.first;
        self.refresh(&FxHashMap::default());
        report.services = std::mem::take(&mut self.resolved);
        report
    }

    /// Computes the desired state as the first sync of a restart does, which takes over what it finds in the kernel where there
    /// is a choice. Writes nothing.
    pub fn settle_as_found(&mut self) -> Result<(), ApplyError> {
        let observed = self.dataplane.observe()?;
        self.touched.all = true;
        self.refresh(&observed);
        Ok(())
    }

    fn sync_full(&mut self, report: &mut SyncReport) -> Result<(), ApplyError> {
        let observed = self.dataplane.observe()?;
        self.ledger.set_tracking(false);
        let seed = if self.first { &observed } else { &FxHashMap::default() };
        self.touched.all |= self.first;
        // Before news of ours are taken in: what differs now, somebody else has done.
        if !self.first && !self.failed {
            self.untold = self.drift(&observed);
        }
        let before = std::mem::take(&mut self.refused);
        self.refresh(seed);
        self.ledger.set_tracking(true);
        if self.first {
            self.due.extend(self.flows.all());
            let abandoned = self.abandoned(&observed);
            self.due.extend(abandoned);
            self.drain_checks = self.drain.all();
        }
        let plan = self.ledger.diff(&observed);
        let found = observed.len();
        report.writes = plan.len();
        report.plan = self.summary(&plan);
        drop(observed);
        self.failed |= !plan.is_empty();
        let refusals = if plan.is_empty() { Vec::new() } else { self.dataplane.apply(plan)? };
        self.note_refusals(refusals, &before);
        report.full = Some(FullReport { observed: found, drift: std::mem::take(&mut self.untold) });
        self.first = false;
        Ok(())
    }

    fn sync_touched(&mut self, report: &mut SyncReport) -> Result<(), ApplyError> {
        let before = self.refused.clone();
        self.refresh(&FxHashMap::default());
        let plan = self.ledger.take_plan();
        report.writes = plan.len();
        report.plan = self.summary(&plan);
        self.keep_untried(&before, &plan);
        if !plan.is_empty() {
            self.failed = true;
            let refusals = self.dataplane.apply(plan)?;
            self.note_refusals(refusals, &before);
        }
        Ok(())
    }

    /// A Service that was resolved again and has nothing new for the kernel is as refused as it was.
    fn keep_untried(&mut self, before: &FxHashMap<NamespacedName, Problem>, plan: &Plan<D::Key, D::Value>) {
        let gone = before.iter().filter(|(name, _)| !self.refused.contains_key(*name));
        let gone: Vec<_> = gone.map(|(name, problem)| (name.clone(), problem.clone())).collect();
        if gone.is_empty() {
            return;
        }
        let planned: FxHashSet<&D::Key> = plan.steps.iter().map(|(key, _)| key).collect();
        for (name, problem) in gone {
            let own = self.ledger.owned(&Owner::Service(name.clone()));
            if !own.is_empty() && !own.iter().any(|key| planned.contains(key)) {
                self.refused.insert(name, problem);
            }
        }
    }

    fn summary(&self, plan: &Plan<D::Key, D::Value>) -> Summary {
        Summary::new(&plan.steps, |key, value| self.dataplane.describe(key, value))
    }

    /// What somebody else has changed. Objects that the kernel never took are not among it.
    fn drift(&self, observed: &FxHashMap<D::Key, D::Value>) -> Summary {
        let owners = self.refused.keys().map(|name| Owner::Service(name.clone()));
        let untaken: FxHashSet<&D::Key> = owners.flat_map(|owner| self.ledger.owned(&owner)).collect();
        let plan = self.ledger.diff(observed);
        let changed = plan.steps.iter().filter(|(key, _)| !untaken.contains(key));
        Summary::new(changed, |key, value| self.dataplane.describe(key, value))
    }

    /// Keeps what the kernel did not take as Problems; those that were not there before are news.
    fn note_refusals(&mut self, refusals: Vec<Refusal>, before: &FxHashMap<NamespacedName, Problem>) {
        self.conflicts_changed |= !refusals.is_empty() || !before.is_empty();
        for refusal in refusals {
            let problem = refusal_problem(&refusal);
            if before.get(&refusal.service) != Some(&problem) {
                self.news.push(problem.clone());
            }
            self.refused.insert(refusal.service, problem);
        }
    }

    /// Resolves and lowers what was touched. `seed` tells the present state of objects that the ledger has not.
    fn refresh(&mut self, seed: &FxHashMap<D::Key, D::Value>) {
        let mut touched = std::mem::take(&mut self.touched);
        if touched.node || touched.all {
            self.node_changed = true;
            self.refresh_ground();
            touched.all |= self.dataplane.relowers();
        }
        let mut names: Vec<NamespacedName> = touched.services.into_iter().collect();
        if touched.all {
            names.extend(self.store.entries().map(|(name, _)| name.clone()));
        }
        names.sort_unstable();
        names.dedup();
        self.resolved.reserve(names.len());
        for name in names {
            self.refresh_service(name, seed);
        }
    }

    /// Frontends that the kernel served before this process started, and that nobody asks for now.
    fn abandoned(&self, observed: &FxHashMap<D::Key, D::Value>) -> Vec<FlowCheck> {
        let wanted: FxHashSet<_> = self.due.iter().map(|check| check.frontend).collect();
        let served = observed.keys().filter_map(|key| self.dataplane.frontend(key));
        let gone = served.filter(|f| f.protocol().needs_flow_cleanup() && !wanted.contains(f));
        gone.map(|frontend| FlowCheck { frontend, serving: None }).collect()
    }

    fn refresh_ground(&mut self) {
        let service_cidrs = self.store.service_cidrs();
        let ground =
            Ground { config: &self.config, facts: self.store.facts(), service_cidrs: &service_cidrs };
        let objects = self.dataplane.ground(&ground);
        self.ledger.replace(Owner::Ground, objects);
    }

    fn refresh_service(&mut self, name: NamespacedName, seed: &FxHashMap<D::Key, D::Value>) {
        self.conflicts_changed |= self.refused.remove(&name).is_some();
        let resolved = resolve(&self.store, &self.config, &name);
        let now = |key: &D::Key| self.ledger.get(key).or_else(|| seed.get(key)).cloned();
        let objects = resolved.routes.iter().flat_map(|route| self.dataplane.lower(route, &now)).collect();
        let entry = self.store.entry(&name).map(|entry| &**entry);
        self.resolved.push((name.clone(), LocalView::new(&self.store, entry, &resolved)));
        self.due.extend(self.flows.update(&name, &resolved.routes));
        self.drains.extend(self.drain.update(&name, &resolved.routes));
        self.note_conflicts(&name, &resolved.conflicts);
        self.ledger.replace(Owner::Service(name), objects);
    }

    fn note_conflicts(&mut self, name: &NamespacedName, conflicts: &[Conflict]) {
        let problems: Vec<Problem> = conflict_problem(name, conflicts).into_iter().collect();
        let old = if problems.is_empty() {
            self.conflicts.remove(name)
        } else {
            self.conflicts.insert(name.clone(), problems.clone())
        };
        if old.unwrap_or_default() != problems {
            self.conflicts_changed = true;
            self.news.extend(problems);
        }
    }
}

impl<D: Operate> Engine<D> {
    /// Has the dataplane do the work that only time brings; after how long it is to be called again at the latest, if at
    /// all. A sync may bring that forward, so it is called after each one too. After an error the next sync compares
    /// everything.
    pub fn tend(&mut self) -> Result<Option<Duration>, ApplyError> {
        self.dataplane.tend().inspect_err(|_| self.full = true)
    }
}
