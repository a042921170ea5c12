//! `dns`: names answered on the node.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::problem::Problems;

/// The embedded DNS server. It runs if it is given an address or told to intercept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DnsConfiguration {
    /// Addresses that are given to the node on a link of ours, and answered on port 53, as in 169.254.20.10. None of them may be
    /// one that another program serves. Default none.
    pub listen: Vec<IpAddr>,
    /// Whether the node answers port 53 of the ClusterIPs of `service` itself. Default false.
    pub intercept: bool,
    /// The cluster's DNS Service, `namespace/name`. Default `kube-system/kube-dns`.
    pub service: String,
    /// A Corefile of CoreDNS, followed; empty (default) = as kubeadm's, for `clusterDomain`.
    pub corefile: PathBuf,
    /// A directory with the files `stubDomains` and `upstreamNameservers` of the ConfigMap kube-dns, followed; it may be
    /// empty or missing. Default none.
    pub stub_domains: PathBuf,
    /// The domain of the cluster where no Corefile names it. Default `cluster.local`.
    pub cluster_domain: String,
}

impl Default for DnsConfiguration {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            intercept: false,
            service: "kube-system/kube-dns".into(),
            corefile: PathBuf::new(),
            stub_domains: PathBuf::new(),
            cluster_domain: "cluster.local".into(),
        }
    }
}

impl DnsConfiguration {
    /// Whether the server runs.
    pub fn is_on(&self) -> bool {
        self.intercept || !self.listen.is_empty()
    }

    /// Namespace and name of the cluster's DNS Service.
    pub fn service_name(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.service.split_once('/')?;
        (!namespace.is_empty() && !name.is_empty() && !name.contains('/')).then_some((namespace, name))
    }

    pub(crate) fn validate(&self, problems: &mut Problems) {
        for ip in &self.listen {
            if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
                let message = "is not an address for a link: write a link-local one as in 169.254.20.10";
                problems.add("dns.listen", ip, message);
            }
        }
        if self.service_name().is_none() {
            let message = "is not namespace/name: write it as in kube-system/kube-dns";
            problems.add("dns.service", &self.service, message);
        }
        if !is_domain(&self.cluster_domain) {
            let message = "is not a domain: write it as in cluster.local";
            problems.add("dns.clusterDomain", &self.cluster_domain, message);
        }
    }
}

/// Labels of 1 to 63 letters, digits and hyphens, 253 octets at most; a final dot is allowed.
fn is_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
