//! Metrics: kube-proxy's names where the meaning is the same, ours under `towpath_`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Media type of the text format that [`Metrics::text`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabel {
    pub(crate) code: u16,
}

/// Everything that is counted. Cheap to update, shared by threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) sync_duration: Histogram,
    pub(crate) full_sync_duration: Histogram,
    pub(crate) partial_sync_duration: Histogram,
    pub(crate) last_sync: Gauge<f64, AtomicU64>,
    pub(crate) last_queued: Gauge<f64, AtomicU64>,
    pub(crate) sync_failures: Counter,
    pub(crate) healthz: Family<CodeLabel, Counter>,
    pub(crate) livez: Family<CodeLabel, Counter>,
    pub(crate) changes: Counter,
    pub(crate) writes: Counter,
    pub(crate) drift: Counter,
    pub(crate) flows_deleted: Counter,
    pub(crate) problems: Gauge,
    pub(crate) objects: Gauge,
    pub(crate) services: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // kube-proxy's buckets: 1 ms, doubling, 15 of them.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::default(),
            sync_duration: histogram(),
            full_sync_duration: histogram(),
            partial_sync_duration: histogram(),
            last_sync: Gauge::default(),
            last_queued: Gauge::default(),
            sync_failures: Counter::default(),
            healthz: Family::default(),
            livez: Family::default(),
            changes: Counter::default(),
            writes: Counter::default(),
            drift: Counter::default(),
            flows_deleted: Counter::default(),
            problems: Gauge::default(),
            objects: Gauge::default(),
            services: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    /// The suffixes `_total` and the unit words of names come from the text format.
    fn register(&mut self) {
        let mut r = std::mem::take(&mut self.registry);
        let p = "kubeproxy_";
        let n = |name: &str| format!("{p}{name}");
        r.register(n("sync_proxy_rules_duration_seconds"), "Duration of a sync", self.sync_duration.clone());
        r.register(
            n("sync_full_proxy_rules_duration_seconds"),
            "Duration of a full sync",
            self.full_sync_duration.clone(),
        );
        r.register(
            n("sync_partial_proxy_rules_duration_seconds"),
            "Duration of a sync of what changed",
            self.partial_sync_duration.clone(),
        );
        r.register(
            n("sync_proxy_rules_last_timestamp_seconds"),
            "When the last sync succeeded",
            self.last_sync.clone(),
        );
        r.register(
            n("sync_proxy_rules_last_queued_timestamp_seconds"),
            "When the last sync was asked for",
            self.last_queued.clone(),
        );
        r.register(
            n("sync_proxy_rules_nftables_sync_failures"),
            "Syncs that failed",
            self.sync_failures.clone(),
        );
        r.register(n("proxy_healthz"), "Answers of /healthz", self.healthz.clone());
        r.register(n("proxy_livez"), "Answers of /livez", self.livez.clone());
        r.register("towpath_changes", "Changes received from sources", self.changes.clone());
        r.register(
            "towpath_kernel_writes",
            "Objects created, updated or deleted in the kernel",
            self.writes.clone(),
        );
        r.register("towpath_drift_repaired", "Objects that another program had changed", self.drift.clone());
        r.register(
            "towpath_stale_flows_deleted",
            "Conntrack flows deleted because their endpoint was gone",
            self.flows_deleted.clone(),
        );
        r.register("towpath_problems", "Objects that cannot be honoured", self.problems.clone());
        r.register("towpath_kernel_objects", "Objects that the kernel should have", self.objects.clone());
        r.register("towpath_services", "Services known", self.services.clone());
        self.registry = r;
    }

    /// All of them, as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let _ = encode(&mut out, &self.registry);
        out
    }
}
