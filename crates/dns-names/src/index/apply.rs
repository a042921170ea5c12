//! How one change gets into the index.

use std::net::IpAddr;
use std::sync::Arc;

use model::{ImportEntry, Namespace, NamespacedName, Service, ServiceEntry};

use crate::Names;
use crate::record::{Import, Record};
use crate::set::Difference;

use super::{Role, Space};

impl Names {
    pub(super) fn renew_serial(&mut self, seconds: u32) {
        let seen = std::mem::take(self.serial_seen.get_mut());
        if seconds.wrapping_sub(self.serial).wrapping_sub(1) < (1 << 31) {
            self.serial = seconds;
        } else if seen {
            self.serial = self.serial.wrapping_add(1);
        }
    }

    pub(super) fn service(&mut self, name: &NamespacedName, entry: Option<&ServiceEntry>) -> bool {
        let Some((entry, service)) = entry.and_then(|entry| Some((entry, entry.service.as_ref()?))) else {
            return self.remove_service(name);
        };
        let id = self.id_of(name, service);
        let Some(record) = self.records.get_mut(id as usize).and_then(Option::as_mut) else { return false };
        let difference = record.set_slices(entry);
        let old = (!Arc::ptr_eq(&record.service, service)).then(|| own_addresses(record));
        if old.is_some() {
            record.set_service(service);
        }
        let new = own_addresses(record);
        self.point_back(id, old.unwrap_or_default(), new);
        self.follow(id, &difference)
    }

    /// Where the Service is held; it is added if it is new.
    fn id_of(&mut self, name: &NamespacedName, service: &Arc<Service>) -> u32 {
        let space = self.spaces.entry(Arc::clone(&name.namespace)).or_default();
        if let Some(id) = space.services.get(&name.name) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.records.push(None);
            u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX)
        });
        space.services.insert(Arc::clone(&name.name), id);
        if let Some(place) = self.records.get_mut(id as usize) {
            *place = Some(Box::new(Record::new(service)));
        }
        id
    }

    fn remove_service(&mut self, name: &NamespacedName) -> bool {
        let Some(space) = self.spaces.get_mut(&name.namespace) else { return false };
        let Some(id) = space.services.remove(&name.name) else { return false };
        self.sweep(&name.namespace);
        let Some(mut record) = self.records.get_mut(id as usize).and_then(Option::take) else { return false };
        let difference = record.set_slices(&ServiceEntry::default());
        self.point_back(id, own_addresses(&record), Vec::new());
        self.follow(id, &difference);
        self.free.push(id);
        true
    }

    pub(super) fn import(&mut self, name: &NamespacedName, entry: Option<&ImportEntry>) -> bool {
        let Some((entry, import)) = entry.and_then(|entry| Some((entry, entry.import.as_ref()?))) else {
            let space = self.spaces.get_mut(&name.namespace);
            let gone = space.is_some_and(|space| space.imports.remove(&name.name).is_some());
            self.sweep(&name.namespace);
            return gone;
        };
        let space = self.spaces.entry(Arc::clone(&name.namespace)).or_default();
        let held = space.imports.entry(Arc::clone(&name.name)).or_insert_with(|| Import::new(import));
        held.import = Arc::clone(import);
        self.work += held.set_slices(entry).work;
        true
    }

    pub(super) fn namespace(&mut self, name: &Arc<str>, namespace: Option<Arc<Namespace>>) -> bool {
        let space = self.spaces.entry(Arc::clone(name)).or_default();
        let changed = space.namespace != namespace;
        space.gone = namespace.is_none() && (space.gone || space.namespace.is_some());
        space.namespace = namespace;
        self.sweep(name);
        changed
    }

    /// Forgets a namespace of which nothing is left.
    fn sweep(&mut self, namespace: &str) {
        if self.spaces.get(namespace).is_some_and(Space::is_empty) {
            self.spaces.remove(namespace);
        }
    }

    /// Addresses of a Service itself: `old` lead to it no more, `new` do.
    fn point_back(&mut self, id: u32, old: Vec<(IpAddr, Role)>, new: Vec<(IpAddr, Role)>) {
        for (ip, role) in old {
            self.reverse.remove(&(ip, role, id));
        }
        self.reverse.extend(new.into_iter().map(|(ip, role)| (ip, role, id)));
    }

    /// The same for its endpoints. Always true: the Service was touched.
    fn follow(&mut self, id: u32, difference: &Difference) -> bool {
        for ip in &difference.gone {
            self.reverse.remove(&(*ip, Role::Endpoint, id));
        }
        self.reverse.extend(difference.come.iter().map(|ip| (*ip, Role::Endpoint, id)));
        self.work += difference.work;
        true
    }
}

fn own_addresses(record: &Record) -> Vec<(IpAddr, Role)> {
    let cluster = record.cluster_ips().iter().map(|ip| (*ip, Role::ClusterIp));
    cluster.chain(record.external_ips().map(|ip| (ip, Role::External))).collect()
}
