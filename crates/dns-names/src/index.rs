//! The index: all names of the cluster, kept up to date change by change.

mod apply;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Namespace, Pod};
use rustc_hash::FxHashMap;

use crate::pods::Pods;
use crate::record::{Import, Record};
use crate::{Stats, Update};

/// Why an address belongs to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    ClusterIp,
    External,
    Endpoint,
}

/// What is in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub namespace: Option<Arc<Namespace>>,
    /// The namespace was there and is no more; what is in it will follow.
    gone: bool,
    services: FxHashMap<Arc<str>, u32>,
    imports: FxHashMap<Arc<str>, Import>,
}

impl Space {
    /// Whether names under the namespace can exist: it does; or something in it does, and namespaces are not told of.
    pub fn exists(&self) -> bool {
        !self.gone && !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.namespace.is_none() && self.services.is_empty() && self.imports.is_empty()
    }

    pub fn import(&self, name: &str) -> Option<&Import> {
        self.imports.get(name)
    }
}

/// The names of the cluster. One for the process, behind a lock: answers share it, updates are short.
#[derive(Debug)]
pub struct Names {
    spaces: FxHashMap<Arc<str>, Space>,
    records: Vec<Option<Box<Record>>>,
    free: Vec<u32>,
    reverse: BTreeSet<(IpAddr, Role, u32)>,
    pods: Pods,
    serial: u32,
    serial_seen: AtomicBool,
    synced: bool,
    stale: bool,
    work: u64,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// An empty index, not synced. Its serial is the time of now.
    pub fn new() -> Self {
        Self {
            spaces: FxHashMap::default(),
            records: Vec::new(),
            free: Vec::new(),
            reverse: BTreeSet::new(),
            pods: Pods::default(),
            serial: now(),
            serial_seen: AtomicBool::new(false),
            synced: false,
            stale: false,
            work: 0,
        }
    }

    /// Takes in one change. Costs what it touches: of a Service, its slices that are not the same any more.
    pub fn apply(&mut self, update: Update) {
        self.apply_at(update, now());
    }

    /// As [`Names::apply`], at a time given in seconds since 1970, modulo 2^32.
    pub fn apply_at(&mut self, update: Update, seconds: u32) {
        let changed = match update {
            Update::Service(name, entry) => self.service(&name, entry.as_deref()),
            Update::Import(name, entry) => self.import(&name, entry.as_deref()),
            Update::Namespace(name, namespace) => self.namespace(&name, namespace),
            Update::Pod(pod) => self.pods.set(pod),
            Update::PodGone(name) => self.pods.remove(&name),
            Update::Synced => {
                self.synced = true;
                false
            }
            Update::Stale(stale) => {
                self.stale = stale;
                false
            }
        };
        if changed {
            self.renew_serial(seconds);
        }
    }

    /// The serial of the zones: the time of the last change, but always greater (RFC 1982) than what was read before the change.
    pub fn serial(&self) -> u32 {
        self.serial_seen.store(true, Ordering::Relaxed);
        self.serial
    }

    /// Whether all sources have delivered their first lists.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Whether the answers come from a file of an earlier run.
    pub fn stale(&self) -> bool {
        self.stale
    }

    /// The one pod that asks from an address; `None` where that is not certain, and for pods with the node's addresses.
    pub fn pod_at(&self, ip: IpAddr) -> Option<&Pod> {
        self.pods.only(ip)
    }

    /// How much the index holds. Walks over all Services.
    pub fn stats(&self) -> Stats {
        let records = self.records.iter().flatten();
        let imports = self.spaces.values().flat_map(|space| space.imports.values());
        let endpoints = records.clone().map(|record| record.set.ready()).sum::<usize>();
        Stats {
            services: records.count(),
            imports: imports.clone().count(),
            namespaces: self.spaces.values().filter(|space| space.namespace.is_some()).count(),
            pods: self.pods.len(),
            endpoints: endpoints + imports.map(|import| import.set.ready()).sum::<usize>(),
            addresses: self.reverse.len(),
            endpoints_indexed: self.work,
        }
    }

    pub(crate) fn space(&self, namespace: &str) -> Option<&Space> {
        self.spaces.get(namespace)
    }

    pub(crate) fn record(&self, space: &Space, name: &str) -> Option<&Record> {
        self.by_id(*space.services.get(name)?)
    }

    /// The Services that an address belongs to.
    pub(crate) fn services_at(&self, ip: IpAddr, role: Role) -> impl Iterator<Item = &Record> {
        let found = self.reverse.range((ip, role, 0)..=(ip, role, u32::MAX));
        found.filter_map(|(_, _, id)| self.by_id(*id))
    }

    pub(crate) fn pods(&self) -> &Pods {
        &self.pods
    }

    fn by_id(&self, id: u32) -> Option<&Record> {
        self.records.get(id as usize)?.as_deref()
    }
}

/// Seconds since 1970, modulo 2^32.
#[expect(clippy::cast_possible_truncation, reason = "serials wrap around, RFC 1982")]
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as u32)
}
