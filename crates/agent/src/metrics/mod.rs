//! Metrics: kube-proxy's names where the meaning is the same, ours under `towpath_`.
//!
//! Towpath programs both families in one transaction, so what kube-proxy measures for each is measured once and shown
//! under both values of `ip_family`.

mod api;
mod labels;
mod names;
mod plain;
mod process;
mod self_probe;
mod traffic;

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataplane::Summary;
use model::IpFamily;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use resolve::Mode;

pub(crate) use api::Api;
pub(crate) use labels::{
    BuildLabel, CodeLabel, ErrorLabel, FamilyLabel, PolicyLabel, RepairLabel, RepairedLabel, ResourceLabel,
};
pub(crate) use traffic::Counted;

/// Media type of OpenMetrics text.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of Prometheus' older text format.
pub(crate) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds since 1970, as Prometheus has times.
pub(crate) fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

type Seconds = Gauge<f64, AtomicU64>;
type ByFamily<M> = Family<FamilyLabel, M, fn() -> M>;

/// kube-proxy's buckets for syncs: 1 ms, doubling, 15 of them.
fn sync_buckets() -> Histogram {
    Histogram::new((0..15).map(|i| 0.001 * f64::from(1u32 << i)))
}

/// kube-proxy's buckets for network programming: 0.25 and 0.5 s, then whole seconds in growing steps to 300 s; before
/// them finer ones, since this program takes milliseconds.
fn programming_buckets() -> Histogram {
    let fine = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
    let whole = (1..60).map(f64::from).chain((60..120).step_by(5).map(f64::from));
    let slow = (120..=300).step_by(30).map(f64::from);
    Histogram::new(fine.into_iter().chain([0.25, 0.5]).chain(whole).chain(slow))
}

/// Everything that is counted. Cheap to update, shared by threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) sync_duration: ByFamily<Histogram>,
    pub(crate) full_sync_duration: ByFamily<Histogram>,
    pub(crate) partial_sync_duration: ByFamily<Histogram>,
    pub(crate) last_sync: Family<FamilyLabel, Seconds>,
    pub(crate) last_queued: Family<FamilyLabel, Seconds>,
    pub(crate) sync_failures: Family<FamilyLabel, Counter>,
    pub(crate) restore_failures: Family<FamilyLabel, Counter>,
    pub(crate) programming: ByFamily<Histogram>,
    /// Of headless Services, the only kind whose slices say when the cause happened and that wait for no rules.
    pub(crate) dns_programming: Histogram,
    pub(crate) no_local_endpoints: Family<PolicyLabel, Gauge>,
    pub(crate) endpoint_changes: Counter,
    pub(crate) endpoint_changes_pending: Gauge,
    pub(crate) service_changes: Counter,
    pub(crate) service_changes_pending: Gauge,
    pub(crate) flow_cleaning: ByFamily<Histogram>,
    pub(crate) flows_deleted: Family<FamilyLabel, Counter>,
    pub(crate) draining: Gauge,
    pub(crate) drain_ended: Counter,
    pub(crate) healthz: Family<CodeLabel, Counter>,
    pub(crate) livez: Family<CodeLabel, Counter>,
    pub(crate) build: Family<BuildLabel, Gauge>,
    pub(crate) changes: Counter,
    pub(crate) writes: Counter,
    pub(crate) drift: Counter,
    pub(crate) repairs: Family<RepairedLabel, Counter>,
    pub(crate) repaired: Family<RepairLabel, Counter>,
    pub(crate) problems: Gauge,
    pub(crate) objects: Gauge,
    pub(crate) services: Gauge,
    pub(crate) config_reloads: Counter,
    pub(crate) config_refused: Counter,
    pub(crate) snapshot_writes: Counter,
    pub(crate) snapshot_failures: Counter,
    pub(crate) snapshot_time: Seconds,
    pub(crate) shadow_differences: Gauge,
    pub(crate) self_probe: self_probe::SelfProbe,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let syncs = || Family::new_with_constructor(sync_buckets as fn() -> Histogram);
        let mut metrics = Self {
            registry: Registry::default(),
            sync_duration: syncs(),
            full_sync_duration: syncs(),
            partial_sync_duration: syncs(),
            last_sync: Family::default(),
            last_queued: Family::default(),
            sync_failures: Family::default(),
            restore_failures: Family::default(),
            programming: Family::new_with_constructor(programming_buckets),
            dns_programming: Histogram::new((0..20).map(|i| 0.001 * f64::from(1u32 << i))),
            no_local_endpoints: Family::default(),
            endpoint_changes: Counter::default(),
            endpoint_changes_pending: Gauge::default(),
            service_changes: Counter::default(),
            service_changes_pending: Gauge::default(),
            flow_cleaning: syncs(),
            flows_deleted: Family::default(),
            draining: Gauge::default(),
            drain_ended: Counter::default(),
            healthz: Family::default(),
            livez: Family::default(),
            build: Family::default(),
            changes: Counter::default(),
            writes: Counter::default(),
            drift: Counter::default(),
            repairs: Family::default(),
            repaired: Family::default(),
            problems: Gauge::default(),
            objects: Gauge::default(),
            services: Gauge::default(),
            config_reloads: Counter::default(),
            config_refused: Counter::default(),
            snapshot_writes: Counter::default(),
            snapshot_failures: Counter::default(),
            snapshot_time: Seconds::default(),
            shadow_differences: Gauge::default(),
            self_probe: self_probe::SelfProbe::new(),
        };
        metrics.register_kube_proxy();
        metrics.register_ours();
        metrics.show_zeros();
        metrics
    }

    /// Series that exist from the start, so that a rate over them does not miss the first event.
    fn show_zeros(&self) {
        self.count_repaired(&Summary::default());
        for of in RepairedLabel::ALL {
            drop(self.repairs.get_or_create(&RepairedLabel { of }));
        }
        for label in FamilyLabel::both() {
            drop(self.sync_duration.get_or_create(&label));
            drop(self.full_sync_duration.get_or_create(&label));
            drop(self.partial_sync_duration.get_or_create(&label));
            drop(self.flow_cleaning.get_or_create(&label));
            drop(self.programming.get_or_create(&label));
            drop(self.sync_failures.get_or_create(&label));
            drop(self.restore_failures.get_or_create(&label));
            drop(self.flows_deleted.get_or_create(&label));
            for traffic_policy in ["internal", "external"] {
                let label = PolicyLabel { ip_family: label.ip_family, traffic_policy };
                drop(self.no_local_endpoints.get_or_create(&label));
            }
        }
    }

    /// Something of ours was put right.
    pub(crate) fn repaired(&self, difference: &Summary) {
        self.drift.inc_by(difference.total() as u64);
        self.count_repair(RepairedLabel::RULES);
        self.count_repaired(difference);
    }

    /// So was this, once.
    pub(crate) fn count_repair(&self, of: &'static str) {
        self.repairs.get_or_create(&RepairedLabel { of }).inc();
    }

    fn count_repaired(&self, difference: &Summary) {
        let Summary { created, updated, deleted, .. } = *difference;
        for (done, count) in [("deleted", created), ("changed", updated), ("added", deleted)] {
            self.repaired.get_or_create(&RepairLabel { done }).inc_by(count as u64);
        }
    }

    /// Adds those of the DNS server.
    pub(crate) fn add_dns(&mut self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.register_dns();
        self.add(collector);
    }

    /// Adds metrics that are made when they are asked for.
    pub(crate) fn add(&mut self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.registry.register_collector(collector);
    }

    /// Says which program this is.
    pub(crate) fn build(&self, mode: Mode) {
        self.build.clear();
        let label = BuildLabel { version: env!("CARGO_PKG_VERSION"), mode: mode.as_str() };
        self.build.get_or_create(&label).set(1);
    }

    /// A sync that succeeded, of what changed or of everything.
    pub(crate) fn synced(&self, took: Duration, full: bool, now: f64) {
        let of_kind = if full { &self.full_sync_duration } else { &self.partial_sync_duration };
        for label in FamilyLabel::both() {
            self.sync_duration.get_or_create(&label).observe(took.as_secs_f64());
            of_kind.get_or_create(&label).observe(took.as_secs_f64());
            self.last_sync.get_or_create(&label).set(now);
        }
    }

    /// A change waits for its sync.
    pub(crate) fn queued(&self, now: f64) {
        FamilyLabel::both().iter().for_each(|label| {
            self.last_queued.get_or_create(label).set(now);
        });
    }

    /// A sync that failed in a mode.
    pub(crate) fn failed(&self, mode: Mode) {
        let of_mode = match mode {
            // As kube-proxy, which has no other for mode ipvs.
            Mode::Iptables | Mode::Ipvs => &self.restore_failures,
            Mode::Nftables => &self.sync_failures,
        };
        FamilyLabel::both().iter().for_each(|label| {
            of_mode.get_or_create(label).inc();
        });
    }

    /// How many ports have no local endpoint, by family.
    pub(crate) fn set_no_local(&self, traffic_policy: &'static str, ports: [usize; 2]) {
        for (family, count) in IpFamily::ALL.into_iter().zip(ports) {
            let label = PolicyLabel { ip_family: FamilyLabel::of(family).ip_family, traffic_policy };
            self.no_local_endpoints.get_or_create(&label).set(count as i64);
        }
    }

    /// All of them, as OpenMetrics text.
    pub(crate) fn openmetrics(&self) -> String {
        let mut out = String::new();
        let _ = encode(&mut out, &self.registry);
        out
    }

    /// All of them, in Prometheus' older text format.
    pub(crate) fn plain(&self) -> String {
        plain(&self.openmetrics())
    }
}

/// OpenMetrics text in Prometheus' older text format.
pub(crate) fn plain(openmetrics: &str) -> String {
    plain::from_openmetrics(openmetrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kube_proxy() {
        let metrics = Metrics::new();
        metrics.synced(Duration::from_millis(3), true, 1.0);
        metrics.queued(1.0);
        metrics.healthz.get_or_create(&CodeLabel { code: 200 }).inc();
        metrics.livez.get_or_create(&CodeLabel { code: 200 }).inc();
        let text = metrics.plain();
        for name in [
            "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.001\",ip_family=\"IPv4\"}",
            "kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv6\"} 1",
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"}",
            "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"}",
            "kubeproxy_sync_proxy_rules_endpoint_changes_total 0",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0",
            "kubeproxy_sync_proxy_rules_service_changes_total 0",
            "kubeproxy_sync_proxy_rules_service_changes_pending 0",
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"internal\"} 0",
            "kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=\"IPv4\"} 0",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"0.25\",ip_family=\"IPv4\"} 0",
            "kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family=\"IPv6\"} 0",
            "kubeproxy_proxy_healthz_total{code=\"200\"} 1",
            "kubeproxy_proxy_livez_total{code=\"200\"} 1",
            "process_resident_memory_bytes ",
            "process_start_time_seconds ",
            "towpath_kernel_writes_total 0",
        ] {
            assert!(text.contains(name), "{name} is not in:\n{text}");
        }
    }
}
