//! What of the cluster decides where DNS is answered: the VIPs of its DNS Service, and pods that want it as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dns_names::Update;
use model::{NamespacedName, Service};

/// DNS's port.
const PORT: u16 = 53;

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    service: NamespacedName,
    vips: BTreeSet<IpAddr>,
    opted_out: BTreeMap<NamespacedName, Vec<IpAddr>>,
}

impl Watched {
    /// Nothing is known yet.
    pub(super) fn new(service: NamespacedName) -> Self {
        Self { service, vips: BTreeSet::new(), opted_out: BTreeMap::new() }
    }

    /// Takes note of what is new; true: something here is other than before.
    pub(super) fn look(&mut self, update: &Update) -> bool {
        match update {
            Update::Service(name, entry) if *name == self.service => {
                let service = entry.as_ref().and_then(|entry| entry.service.as_deref());
                let vips = service.map(vips).unwrap_or_default();
                std::mem::replace(&mut self.vips, vips.clone()) != vips
            }
            Update::Pod(pod) if pod.dns_opt_out && pod.holds_addresses() => {
                self.opted_out.insert(pod.name.clone(), pod.ips.clone()).as_ref() != Some(&pod.ips)
            }
            Update::Pod(pod) => self.opted_out.remove(&pod.name).is_some(),
            Update::PodGone(name) => self.opted_out.remove(name).is_some(),
            _ => false,
        }
    }

    /// The addresses of the DNS Service.
    pub(super) fn vips(&self) -> Vec<IpAddr> {
        self.vips.iter().copied().collect()
    }

    /// Addresses of pods that are not to be intercepted.
    pub(super) fn opted_out(&self) -> Vec<IpAddr> {
        self.opted_out.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The ClusterIPs of a Service that has DNS's port and that this proxy serves.
fn vips(service: &Service) -> BTreeSet<IpAddr> {
    let has_port = service.ports.iter().any(|port| port.port == PORT);
    let served = has_port && service.is_proxied();
    service.cluster_ips.iter().copied().filter(|_| served).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Pod;

    use super::*;

    fn pod(name: &str, opts_out: bool, host_network: bool) -> Update {
        Update::Pod(Arc::new(Pod {
            name: NamespacedName::new("ns", name),
            ips: vec!["10.0.0.1".parse().unwrap()],
            dns_opt_out: opts_out,
            host_network,
            ..Pod::default()
        }))
    }

    #[test]
    fn pods_that_opt_out_come_and_go() {
        let mut watched = Watched::new(NamespacedName::new("kube-system", "kube-dns"));
        assert!(!watched.look(&pod("a", false, false)) && watched.opted_out().is_empty());
        assert!(watched.look(&pod("a", true, false)) && watched.opted_out().len() == 1);
        assert!(!watched.look(&pod("a", true, false)));
        assert!(!watched.look(&pod("h", true, true)), "its address is the node's");
        assert!(watched.look(&Update::PodGone(NamespacedName::new("ns", "a"))));
        assert!(watched.opted_out().is_empty());
    }
}
