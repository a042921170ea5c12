//! `TowpathConfiguration` of `towpath.dev/v1alpha1`: what kube-proxy has no field for.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::dns::DnsConfiguration;
use crate::duration::GoDuration;
use crate::problem::Problems;
use crate::self_probe::SelfProbeConfiguration;
use crate::service_metrics::ServiceMetricsConfiguration;
use crate::validate::not_negative;

/// towpath's own settings. Read strictly: an unknown field is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TowpathConfiguration {
    /// Where Services come from. Default `kubernetes`.
    pub source: Source,
    /// A directory or file of manifests, for source `manifests`. Default empty.
    pub manifests: PathBuf,
    /// The last known good state on disk.
    pub snapshot: SnapshotConfiguration,
    /// The key of a taint that is taken off this Node after the first sync; empty (default) = none.
    pub startup_taint: String,
    /// Whether Events are sent to the API server. Default true.
    pub events: bool,
    /// Whether what kube-proxy has left in the kernel is removed once towpath's rules are in place. Default true.
    pub takeover: bool,
    /// Which iptables is used in mode iptables. Default `auto`.
    pub iptables_variant: IptablesVariant,
    /// How long, in mode ipvs, connections to an endpoint that was removed may go on before they end; not negative.
    /// Default 15m; 0 = they end at once. kube-proxy waits without a limit.
    pub ipvs_drain_timeout: GoDuration,
    /// How many changes the audit trail keeps, 0 to [`AUDIT_ENTRIES_LIMIT`]; 0 = none are noted. Default 1000.
    pub audit_entries: u32,
    /// The agent connects to itself through a frontend of its own.
    pub self_probe: SelfProbeConfiguration,
    /// Connections and bytes of each Service as metrics.
    pub service_metrics: ServiceMetricsConfiguration,
    /// Names answered on the node.
    pub dns: DnsConfiguration,
}

/// The most changes that can be kept.
pub const AUDIT_ENTRIES_LIMIT: u32 = 10_000;

/// The variant of iptables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum IptablesVariant {
    /// The one that the kubelet uses, as its hint chains show.
    #[default]
    Auto,
    /// `iptables-legacy`: the kernel's x_tables.
    Legacy,
    /// `iptables-nft`: rules of nf_tables.
    Nft,
}

/// Where Services come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The API server.
    #[default]
    Kubernetes,
    /// Files.
    Manifests,
}

/// `snapshot`: the last known good state, used at start when the API server does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotConfiguration {
    /// Whether it is written and used. Default true.
    pub enabled: bool,
    /// The file, an absolute path; its directory must be writable. Default `/var/lib/towpath/snapshot`.
    pub path: PathBuf,
    /// How long the API server may take to answer before the snapshot is used; not negative. Default 5s.
    pub after: GoDuration,
}

impl Default for TowpathConfiguration {
    fn default() -> Self {
        Self {
            source: Source::Kubernetes,
            manifests: PathBuf::new(),
            snapshot: SnapshotConfiguration::default(),
            startup_taint: String::new(),
            events: true,
            takeover: true,
            iptables_variant: IptablesVariant::Auto,
            ipvs_drain_timeout: GoDuration::from_secs(15 * 60),
            audit_entries: 1000,
            self_probe: SelfProbeConfiguration::default(),
            service_metrics: ServiceMetricsConfiguration::default(),
            dns: DnsConfiguration::default(),
        }
    }
}

impl Default for SnapshotConfiguration {
    fn default() -> Self {
        Self { enabled: true, path: "/var/lib/towpath/snapshot".into(), after: GoDuration::from_secs(5) }
    }
}

impl TowpathConfiguration {
    /// All that is wrong with these settings; empty = nothing.
    pub fn validate(&self) -> Problems {
        let mut problems = Problems::default();
        if self.source == Source::Manifests && self.manifests.as_os_str().is_empty() {
            let message = "is missing: source manifests needs the path of a directory or file";
            problems.add("manifests", "", message);
        }
        let snapshot = &self.snapshot;
        if snapshot.enabled && !snapshot.path.is_absolute() {
            let message = "is not an absolute path: write one as in /var/lib/towpath/snapshot";
            problems.add("snapshot.path", snapshot.path.display(), message);
        }
        not_negative("snapshot.after", snapshot.after, &mut problems);
        not_negative("ipvsDrainTimeout", self.ipvs_drain_timeout, &mut problems);
        if !self.startup_taint.is_empty() && !is_taint_key(&self.startup_taint) {
            let message =
                "is not the key of a taint: write one as in example.com/not-ready, without value and effect";
            problems.add("startupTaint", &self.startup_taint, message);
        }
        if self.audit_entries > AUDIT_ENTRIES_LIMIT {
            let message = format!("are too many: write 0 to {AUDIT_ENTRIES_LIMIT}");
            problems.add("auditEntries", self.audit_entries, message);
        }
        self.self_probe.validate(&mut problems);
        self.service_metrics.validate(&mut problems);
        self.dns.validate(&mut problems);
        problems
    }

    /// Sentences about settings that are allowed and rarely meant.
    pub(crate) fn advice(&self) -> Vec<String> {
        let unused = self.source == Source::Kubernetes && !self.manifests.as_os_str().is_empty();
        let text = "manifests is given, and not read: source is kubernetes";
        if unused { vec![text.into()] } else { Vec::new() }
    }
}

/// A qualified name: an optional DNS prefix and `/`, then 1 to 63 letters, digits, `-`, `_` and `.`.
fn is_taint_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let ends = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(text.chars().next()) && edge(text.chars().last())
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let good_prefix = prefix.is_none_or(|p| p.len() <= 253 && ends(p) && p.chars().all(is_dns));
    good_prefix && name.len() <= 63 && ends(name) && name.chars().all(is_name)
}
