//! towpath's own flags. They beat its document.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::Args;

use super::values::{boolean, duration};
use crate::duration::GoDuration;
use crate::towpath::{IptablesVariant, Source, TowpathConfiguration};

/// A flag for each field of [`TowpathConfiguration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct TowpathFlags {
    /// Where Services come from. Default: kubernetes.
    #[arg(long, value_enum)]
    pub source: Option<Source>,
    /// A directory (*.yaml, *.yml, *.json) or a file, followed. Means --source manifests.
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub manifests: Option<PathBuf>,
    /// Keep the last known good state on disk, and start with it when the API server does not answer.
    /// Default: true.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub snapshot: Option<bool>,
    /// The file of that state. Default: /var/lib/towpath/snapshot.
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub snapshot_path: Option<PathBuf>,
    /// How long the API server may take to answer before that state is used. Default: 5s.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub snapshot_after: Option<GoDuration>,
    /// The key of a taint that is taken off this Node after the first sync.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub startup_taint: Option<String>,
    /// Send Events to the API server. Default: true.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub events: Option<bool>,
    /// Remove what kube-proxy has left in the kernel, once our rules are in place. Default: true.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub takeover: Option<bool>,
    /// Which iptables mode iptables uses; auto = the kubelet's. Default: auto.
    #[arg(long, value_enum)]
    pub iptables_variant: Option<IptablesVariant>,
    /// How long connections to a removed endpoint may go on in mode ipvs; 0 = they end at once. Default: 15m.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub ipvs_drain_timeout: Option<GoDuration>,
    /// How many changes the audit trail keeps, 0 to 10000; 0 = none are noted. Default: 1000.
    #[arg(long, value_name = "NUMBER")]
    pub audit_entries: Option<u32>,
    /// Be healthy only while the agent can connect to itself through a frontend of its own. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub self_probe: Option<bool>,
    /// The IPv4 address of that frontend, which nothing else may have. Default: 198.18.102.49.
    #[arg(long, value_name = "ADDRESS")]
    pub self_probe_address: Option<Ipv4Addr>,
    /// The IPv6 address of that frontend, which nothing else may have. Default: 2001:2::10:249.
    #[arg(long, value_name = "ADDRESS")]
    pub self_probe_address_v6: Option<Ipv6Addr>,
    /// The port of that frontend, and of the agent's server behind it on the node's own address. Default: 10253.
    #[arg(long, value_name = "PORT")]
    pub self_probe_port: Option<u16>,
    /// The pause between two tries. Default: 5s.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub self_probe_interval: Option<GoDuration>,
    /// Count connections and bytes of each Service and endpoint as metrics. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub service_metrics: Option<bool>,
    /// Services with metrics of their own; the rest together. Default: 100.
    #[arg(long, value_name = "N")]
    pub service_metrics_max_services: Option<u32>,
    /// Endpoints with metrics of their own; the rest together. Default: 1000.
    #[arg(long, value_name = "N")]
    pub service_metrics_max_endpoints: Option<u32>,
    /// Give the node these addresses, and answer DNS there on port 53, as in 169.254.20.10. Comma-separated. Default: none.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub dns_listen: Option<Vec<IpAddr>>,
    /// Answer port 53 of the cluster's DNS Service on this node, while that works. Default: false.
    #[arg(
        long, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub dns_intercept: Option<bool>,
    /// The cluster's DNS Service. Default: kube-system/kube-dns.
    #[arg(long, value_name = "NAMESPACE/NAME", allow_hyphen_values = true)]
    pub dns_service: Option<String>,
    /// A Corefile of CoreDNS, followed. Default: as kubeadm's.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub dns_corefile: Option<PathBuf>,
    /// A directory with stubDomains and upstreamNameservers of the ConfigMap kube-dns, followed. Default: none.
    #[arg(long, value_name = "DIRECTORY", allow_hyphen_values = true)]
    pub dns_stub_domains: Option<PathBuf>,
    /// The cluster's domain, where no Corefile names it. Default: cluster.local.
    #[arg(long, value_name = "DOMAIN", allow_hyphen_values = true)]
    pub dns_cluster_domain: Option<String>,
}

impl TowpathFlags {
    /// Puts the given flags over the document's values.
    pub fn override_document(&self, config: &mut TowpathConfiguration) {
        let snapshot = &mut config.snapshot;
        if self.manifests.is_some() {
            config.source = Source::Manifests;
        }
        set(&self.source, &mut config.source);
        set(&self.manifests, &mut config.manifests);
        set(&self.snapshot, &mut snapshot.enabled);
        set(&self.snapshot_path, &mut snapshot.path);
        set(&self.snapshot_after, &mut snapshot.after);
        set(&self.startup_taint, &mut config.startup_taint);
        set(&self.events, &mut config.events);
        set(&self.takeover, &mut config.takeover);
        set(&self.iptables_variant, &mut config.iptables_variant);
        set(&self.ipvs_drain_timeout, &mut config.ipvs_drain_timeout);
        set(&self.audit_entries, &mut config.audit_entries);
        let probe = &mut config.self_probe;
        set(&self.self_probe, &mut probe.enabled);
        set(&self.self_probe_address, &mut probe.address);
        set(&self.self_probe_address_v6, &mut probe.address_v6);
        set(&self.self_probe_port, &mut probe.port);
        set(&self.self_probe_interval, &mut probe.interval);
        let counted = &mut config.service_metrics;
        set(&self.service_metrics, &mut counted.enabled);
        set(&self.service_metrics_max_services, &mut counted.max_services);
        set(&self.service_metrics_max_endpoints, &mut counted.max_endpoints);
        let dns = &mut config.dns;
        set(&self.dns_listen, &mut dns.listen);
        set(&self.dns_intercept, &mut dns.intercept);
        set(&self.dns_service, &mut dns.service);
        set(&self.dns_corefile, &mut dns.corefile);
        set(&self.dns_stub_domains, &mut dns.stub_domains);
        set(&self.dns_cluster_domain, &mut dns.cluster_domain);
    }
}

/// Replaces a field by the flag's value, if the flag is given.
pub(super) fn set<T: Clone>(given: &Option<T>, field: &mut T) {
    if let Some(value) = given {
        field.clone_from(value);
    }
}
