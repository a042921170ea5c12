//! All that the sources have said, indexed for O(change) answers.

mod imports;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    Change, FrontendKey, ImportEntry, ImportSlice, IpFamily, Namespace, NamespacedName, NodeFacts, Pod,
    Problem, Service, Slice, Subject,
};
use imports::Imports;

/// A Service and the slices that belong to it. Either may be there without the other.
#[derive(Clone, Debug, Default)]
pub struct ServiceEntry {
    /// The Service, once it was seen.
    pub service: Option<Arc<Service>>,
    /// Its slices by name: the order in which duplicates are judged.
    pub slices: BTreeMap<Arc<str>, Arc<Slice>>,
}

/// What a change may have given another meaning.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Services to resolve again.
    pub services: FxHashSet<NamespacedName>,
    /// Node facts or ServiceCIDRs changed: what does not belong to a Service must be made again.
    pub node: bool,
    /// Node facts on which endpoint choice depends changed: every Service must be resolved again.
    pub all: bool,
}

impl Touched {
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && !self.node && !self.all
    }

    fn service(&mut self, name: &NamespacedName) {
        self.services.insert(name.clone());
    }
}

/// The current state of the world, as this node needs it.
#[derive(Clone, Debug)]
pub struct Store {
    node_name: Arc<str>,
    services: FxHashMap<NamespacedName, Arc<ServiceEntry>>,
    slice_owner: FxHashMap<NamespacedName, NamespacedName>,
    claims: FxHashMap<FrontendKey, Vec<NamespacedName>>,
    cluster_ips: FxHashMap<IpAddr, u32>,
    health_ports: FxHashMap<u16, Vec<NamespacedName>>,
    service_cidrs: BTreeMap<Arc<str>, Vec<IpNet>>,
    pods: FxHashMap<NamespacedName, Arc<Pod>>,
    namespaces: FxHashMap<Arc<str>, Arc<Namespace>>,
    imports: Imports,
    facts: NodeFacts,
    problems: BTreeMap<Subject, Problem>,
    number: u64,
}

impl Store {
    /// An empty store for the node of this name.
    pub fn new(node_name: impl Into<Arc<str>>) -> Self {
        Self {
            node_name: node_name.into(),
            services: FxHashMap::default(),
            slice_owner: FxHashMap::default(),
            claims: FxHashMap::default(),
            cluster_ips: FxHashMap::default(),
            health_ports: FxHashMap::default(),
            service_cidrs: BTreeMap::new(),
            pods: FxHashMap::default(),
            namespaces: FxHashMap::default(),
            imports: Imports::default(),
            facts: NodeFacts::default(),
            problems: BTreeMap::new(),
            number: 0,
        }
    }

    /// Sets the address that is this node's primary one of its family, whatever its Node object says; or takes it back.
    pub fn set_bind_address(&mut self, ip: Option<IpAddr>, touched: &mut Touched) {
        self.change_facts(touched, |facts| facts.bind_address = ip);
    }

    /// The name of this node.
    pub fn node_name(&self) -> &Arc<str> {
        &self.node_name
    }

    /// Number of changes applied so far: names a state of the store.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is known of this node.
    pub fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// One Service with its slices.
    pub fn entry(&self, name: &NamespacedName) -> Option<&Arc<ServiceEntry>> {
        self.services.get(name)
    }

    /// Every entry that has a Service, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (&NamespacedName, &Arc<ServiceEntry>)> {
        self.services.iter().filter(|(_, entry)| entry.service.is_some())
    }

    /// Number of Services and of names that only slices speak of.
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// The Service that serves a frontend: of all that claim it, the oldest.
    pub fn winner(&self, key: &FrontendKey) -> Option<&NamespacedName> {
        self.claims.get(key)?.first()
    }

    /// Every Service that claims a frontend, the winner first.
    pub fn claimants(&self, key: &FrontendKey) -> &[NamespacedName] {
        self.claims.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether an address is the ClusterIP of a proxied Service.
    pub fn is_cluster_ip(&self, ip: IpAddr) -> bool {
        self.cluster_ips.contains_key(&ip)
    }

    /// A Service with this `healthCheckNodePort`.
    pub fn health_check_service(&self, port: u16) -> Option<&NamespacedName> {
        self.health_ports.get(&port)?.first()
    }

    /// Every ServiceCIDR, without repetition.
    pub fn service_cidrs(&self) -> Vec<IpNet> {
        let mut all: Vec<IpNet> = self.service_cidrs.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The Service that a slice belongs to, by the slice's own name.
    pub fn slice_owner(&self, slice: &NamespacedName) -> Option<&NamespacedName> {
        self.slice_owner.get(slice)
    }

    /// Pods that a source has reported: which ones is decided by what is watched.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// One of the pods that a source has reported.
    pub fn pod(&self, name: &NamespacedName) -> Option<&Arc<Pod>> {
        self.pods.get(name)
    }

    /// Every Namespace, in no order; none where they are not watched.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values()
    }

    /// One Namespace.
    pub fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.namespaces.get(name)
    }

    /// One ServiceImport with its slices.
    pub fn import(&self, name: &NamespacedName) -> Option<&Arc<ImportEntry>> {
        self.imports.get(name)
    }

    /// Every entry that has a ServiceImport, in no order.
    pub fn imports(&self) -> impl Iterator<Item = (&NamespacedName, &Arc<ImportEntry>)> {
        self.imports.iter()
    }

    /// The ServiceImport that a slice belongs to, by the slice's own name.
    pub fn import_slice_owner(&self, slice: &NamespacedName) -> Option<&NamespacedName> {
        self.imports.owner(slice)
    }

    /// Problems that sources have reported and not taken back.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.values()
    }

    /// The changes that would make an empty store this one, but for what sources say of themselves: Problems, and the
    /// addresses of the kernel. Sorted by nothing.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let entries = self.services.values();
        let services = entries.clone().filter_map(|e| Some(Change::Service(Arc::clone(e.service.as_ref()?))));
        // A slice that is a ServiceImport's too comes as that.
        let slices = entries.flat_map(|e| e.slices.values());
        let slices = slices.filter(|slice| self.imports.owner(&slice.name).is_none());
        let slices = slices.map(|slice| Change::Slice(Arc::clone(slice)));
        let node = self.facts.node.iter().map(|node| Change::Node(Box::new(node.clone())));
        let cidrs = self.service_cidrs.iter();
        let cidrs =
            cidrs.map(|(name, cidrs)| Change::ServiceCidr { name: Arc::clone(name), cidrs: cidrs.clone() });
        let namespaces = self.namespaces.values().map(|one| Change::Namespace(Arc::clone(one)));
        let pods = self.pods.values().map(|pod| Change::Pod(Arc::clone(pod)));
        let others = node.chain(cidrs).chain(namespaces).chain(pods);
        others.chain(services).chain(slices).chain(self.imports.changes())
    }

    /// Takes in one change and says what may mean something else now.
    pub fn apply(&mut self, change: Change, touched: &mut Touched) {
        self.number += 1;
        match change {
            Change::Service(service) => self.set_service(service, touched),
            Change::ServiceGone(name) => self.remove_service(&name, touched),
            Change::Slice(slice) => {
                self.imports.remove_slice(&slice.name);
                self.set_slice(slice, touched);
            }
            Change::ImportSlice(slice) => self.set_import_slice(slice, touched),
            Change::SliceGone(name) => {
                self.imports.remove_slice(&name);
                self.remove_slice(&name, touched);
            }
            Change::ServiceImport(import) => self.imports.set(import),
            Change::ServiceImportGone(name) => self.imports.remove(&name),
            Change::Node(node) if node.name == self.node_name => {
                self.change_facts(touched, |facts| facts.node = Some(*node));
            }
            Change::NodeGone(name) if name == self.node_name => {
                self.change_facts(touched, |facts| facts.node = None);
            }
            Change::KernelAddresses(addresses) => {
                self.change_facts(touched, |facts| facts.kernel_addresses = addresses);
            }
            Change::ServiceCidr { name, cidrs } => self.change_cidrs(touched, |all| {
                all.insert(name, cidrs);
            }),
            Change::ServiceCidrGone(name) => self.change_cidrs(touched, |all| {
                all.remove(&name);
            }),
            Change::Pod(pod) => {
                self.pods.insert(pod.name.clone(), pod);
            }
            Change::PodGone(name) => {
                self.pods.remove(&name);
            }
            Change::Namespace(namespace) => {
                self.namespaces.insert(Arc::clone(&namespace.name), namespace);
            }
            Change::NamespaceGone(name) => {
                self.namespaces.remove(&name);
            }
            Change::Problem(problem) => {
                self.problems.insert(problem.subject.clone(), problem);
            }
            Change::ProblemSolved(subject) => {
                self.problems.remove(&subject);
            }
            Change::Node(_) | Change::NodeGone(_) => {}
            Change::BatchBegins | Change::BatchEnds | Change::Synced(_) => {}
            Change::Trigger { .. } | Change::Cause(_) => {}
        }
    }

    fn set_service(&mut self, service: Arc<Service>, touched: &mut Touched) {
        let name = service.name.clone();
        let old = self.services.get(&name).and_then(|e| e.service.clone());
        if old.as_ref() == Some(&service) {
            return;
        }
        touched.service(&name);
        if let Some(old) = old {
            self.forget_claims(&old, touched);
        }
        Arc::make_mut(self.services.entry(name).or_default()).service = Some(Arc::clone(&service));
        self.add_claims(&service, touched);
    }

    fn remove_service(&mut self, name: &NamespacedName, touched: &mut Touched) {
        let Some(entry) = self.services.get_mut(name) else { return };
        let Some(old) = Arc::make_mut(entry).service.take() else { return };
        if entry.slices.is_empty() {
            self.services.remove(name);
        }
        touched.service(name);
        self.forget_claims(&old, touched);
    }

    fn add_claims(&mut self, service: &Service, touched: &mut Touched) {
        for key in service.frontend_keys() {
            let mut list = self.claims.remove(&key).unwrap_or_default();
            self.touch_shadowed(&key, touched);
            if list.contains(&service.name) {
                self.claims.insert(key, list);
                continue;
            }
            list.iter().for_each(|other| touched.service(other));
            list.push(service.name.clone());
            list.sort_by_cached_key(|name| self.seniority(name));
            self.claims.insert(key, list);
        }
        for family in service.families() {
            if let Some(ip) = service.cluster_ip(family) {
                *self.cluster_ips.entry(ip).or_default() += 1;
            }
        }
        if service.has_health_check() {
            let list = self.health_ports.entry(service.health_check_node_port).or_default();
            list.push(service.name.clone());
        }
    }

    fn forget_claims(&mut self, service: &Service, touched: &mut Touched) {
        for key in service.frontend_keys() {
            let Some(list) = self.claims.get_mut(&key) else { continue };
            list.retain(|name| *name != service.name);
            list.iter().for_each(|other| touched.service(other));
            if list.is_empty() {
                self.claims.remove(&key);
            }
            self.touch_shadowed(&key, touched);
        }
        for family in service.families() {
            let Some(ip) = service.cluster_ip(family) else { continue };
            if let Some(count) = self.cluster_ips.get_mut(&ip) {
                *count -= 1;
                if *count == 0 {
                    self.cluster_ips.remove(&ip);
                }
            }
        }
        if let Some(list) = self.health_ports.get_mut(&service.health_check_node_port) {
            list.retain(|name| *name != service.name);
            if list.is_empty() {
                self.health_ports.remove(&service.health_check_node_port);
            }
        }
    }

    /// A VIP that is an address of the node takes that address from a NodePort of the same number.
    fn touch_shadowed(&self, key: &FrontendKey, touched: &mut Touched) {
        let FrontendKey::Vip { ip, protocol, port } = *key else { return };
        if self.facts.owns(ip) {
            let below = FrontendKey::NodePort { family: IpFamily::of(ip), protocol, port };
            self.winner(&below).into_iter().for_each(|name| touched.service(name));
        }
    }

    /// Sort key of a claim: a Service of known age before one of unknown age, the older first, then by name.
    fn seniority(&self, name: &NamespacedName) -> (bool, i64, NamespacedName) {
        let created = self.services.get(name).and_then(|e| e.service.as_ref()?.created);
        (created.is_none(), created.unwrap_or(i64::MAX), name.clone())
    }

    fn set_slice(&mut self, slice: Arc<Slice>, touched: &mut Touched) {
        let moved = self.slice_owner.get(&slice.name).is_some_and(|owner| *owner != slice.service);
        if moved {
            self.remove_slice(&slice.name.clone(), touched);
        }
        let entry = self.services.entry(slice.service.clone()).or_default();
        if entry.slices.get(&slice.name.name) == Some(&slice) {
            return;
        }
        touched.service(&slice.service);
        self.slice_owner.insert(slice.name.clone(), slice.service.clone());
        Arc::make_mut(entry).slices.insert(Arc::clone(&slice.name.name), slice);
    }

    /// A slice of a ServiceImport, which may be a Service's as well.
    fn set_import_slice(&mut self, slice: Arc<ImportSlice>, touched: &mut Touched) {
        if slice.for_service {
            self.set_slice(Arc::clone(&slice.slice), touched);
        } else {
            self.remove_slice(&slice.slice.name, touched);
        }
        self.imports.set_slice(slice);
    }

    fn remove_slice(&mut self, name: &NamespacedName, touched: &mut Touched) {
        let Some(owner) = self.slice_owner.remove(name) else { return };
        let Some(entry) = self.services.get_mut(&owner) else { return };
        Arc::make_mut(entry).slices.remove(&name.name);
        if entry.slices.is_empty() && entry.service.is_none() {
            self.services.remove(&owner);
        }
        touched.service(&owner);
    }

    fn change_facts(&mut self, touched: &mut Touched, edit: impl FnOnce(&mut NodeFacts)) {
        let before = self.facts.clone();
        edit(&mut self.facts);
        if before == self.facts {
            return;
        }
        touched.node = true;
        let primary = |facts: &NodeFacts| crate::IpFamily::ALL.map(|family| facts.primary(family));
        touched.all |= before.zone() != self.facts.zone() || primary(&before) != primary(&self.facts);
    }

    fn change_cidrs(
        &mut self,
        touched: &mut Touched,
        edit: impl FnOnce(&mut BTreeMap<Arc<str>, Vec<IpNet>>),
    ) {
        let before = self.service_cidrs();
        edit(&mut self.service_cidrs);
        touched.node |= before != self.service_cidrs();
    }
}
