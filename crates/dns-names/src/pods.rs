//! Pods by address.

use std::net::IpAddr;
use std::sync::Arc;

use model::{NamespacedName, Pod};
use rustc_hash::FxHashMap;

/// The pods that are watched: none, this node's, or all.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_name: FxHashMap<NamespacedName, Arc<Pod>>,
    by_ip: FxHashMap<IpAddr, Vec<Arc<Pod>>>,
}

impl Pods {
    /// Adds or replaces a pod; false if nothing changed.
    pub fn set(&mut self, pod: Arc<Pod>) -> bool {
        if self.by_name.get(&pod.name) == Some(&pod) {
            return false;
        }
        self.remove(&pod.name);
        for ip in &pod.ips {
            self.by_ip.entry(*ip).or_default().push(Arc::clone(&pod));
        }
        self.by_name.insert(pod.name.clone(), pod);
        true
    }

    /// Forgets a pod; false if it was not known.
    pub fn remove(&mut self, name: &NamespacedName) -> bool {
        let Some(pod) = self.by_name.remove(name) else { return false };
        for ip in &pod.ips {
            let Some(pods) = self.by_ip.get_mut(ip) else { continue };
            pods.retain(|other| other.name != *name);
            if pods.is_empty() {
                self.by_ip.remove(ip);
            }
        }
        true
    }

    /// Whether a pod of the namespace that is neither finished nor being deleted has the address.
    pub fn lives_in(&self, namespace: &str, ip: IpAddr) -> bool {
        let lives = |pod: &&Arc<Pod>| !pod.finished && !pod.terminating && *pod.name.namespace == *namespace;
        self.at(ip).iter().any(|pod| lives(&pod))
    }

    /// The one pod that asks from an address. A pod that is being deleted counts only where no other has the address; `None` where
    /// two pods could be meant, and for pods with the node's addresses.
    pub fn only(&self, ip: IpAddr) -> Option<&Pod> {
        let pods = self.at(ip);
        if pods.iter().any(|pod| pod.host_network && !pod.finished) {
            return None;
        }
        let one = |terminating: bool| {
            let mut fitting =
                pods.iter().filter(|pod| pod.holds_addresses() && pod.terminating == terminating);
            (fitting.next(), fitting.next())
        };
        match (one(false), one(true)) {
            ((Some(pod), None), _) | ((None, None), (Some(pod), None)) => Some(pod),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    fn at(&self, ip: IpAddr) -> &[Arc<Pod>] {
        self.by_ip.get(&ip).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, host_network: bool, terminating: bool, finished: bool) -> Arc<Pod> {
        let ips = vec!["10.0.0.1".parse().unwrap()];
        let name = NamespacedName::new("shop", name);
        Arc::new(Pod { name, ips, host_network, terminating, finished, ..Pod::default() })
    }

    #[test]
    fn an_address_leads_to_a_pod_only_without_doubt() {
        let table: [(&[Arc<Pod>], Option<&str>); 7] = [
            (&[], None),
            (&[pod("a", false, false, false)], Some("a")),
            (&[pod("a", false, false, false), pod("b", false, false, false)], None),
            (&[pod("old", false, true, false), pod("new", false, false, false)], Some("new")),
            (&[pod("old", false, true, false)], Some("old")),
            (&[pod("done", false, false, true), pod("new", false, false, false)], Some("new")),
            (&[pod("host", true, false, false)], None),
        ];
        for (pods, want) in table {
            let mut index = Pods::default();
            pods.iter().for_each(|pod| assert!(index.set(Arc::clone(pod))));
            let found = index.only("10.0.0.1".parse().unwrap());
            assert_eq!(found.map(|pod| &*pod.name.name), want);
            for pod in pods {
                assert!(!index.set(Arc::clone(pod)) && index.remove(&pod.name));
            }
            assert!(index.by_ip.is_empty() && index.len() == 0);
        }
    }
}
