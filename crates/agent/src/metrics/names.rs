//! Under which name, with which help, each metric is shown.

use super::{Metrics, process};

impl Metrics {
    /// The suffix `_total` of counters comes from the text format.
    pub(super) fn register_kube_proxy(&mut self) {
        let r = self.registry.sub_registry_with_prefix("kubeproxy");
        let s = "sync_proxy_rules";
        r.register(format!("{s}_duration_seconds"), "Duration of a sync", self.sync_duration.clone());
        r.register(
            "sync_full_proxy_rules_duration_seconds",
            "Duration of a full sync",
            self.full_sync_duration.clone(),
        );
        r.register(
            "sync_partial_proxy_rules_duration_seconds",
            "Duration of a sync of what changed",
            self.partial_sync_duration.clone(),
        );
        r.register(
            format!("{s}_last_timestamp_seconds"),
            "When the last sync succeeded",
            self.last_sync.clone(),
        );
        r.register(
            format!("{s}_last_queued_timestamp_seconds"),
            "When the last sync was asked for",
            self.last_queued.clone(),
        );
        r.register(
            format!("{s}_nftables_sync_failures"),
            "Syncs that failed in mode nftables",
            self.sync_failures.clone(),
        );
        r.register(
            format!("{s}_iptables_restore_failures"),
            "Syncs that failed in modes iptables and ipvs",
            self.restore_failures.clone(),
        );
        r.register(
            "network_programming_duration_seconds",
            "From the cause of a change of endpoints to the kernel's commit",
            self.programming.clone(),
        );
        r.register(
            format!("{s}_no_local_endpoints_total"),
            "Service ports with policy Local and endpoints, none of them on this node",
            self.no_local_endpoints.clone(),
        );
        r.register(
            format!("{s}_endpoint_changes"),
            "Changes of EndpointSlices",
            self.endpoint_changes.clone(),
        );
        r.register(
            format!("{s}_endpoint_changes_pending"),
            "Changes of EndpointSlices that are not programmed yet",
            self.endpoint_changes_pending.clone(),
        );
        r.register(format!("{s}_service_changes"), "Changes of Services", self.service_changes.clone());
        r.register(
            format!("{s}_service_changes_pending"),
            "Changes of Services that are not programmed yet",
            self.service_changes_pending.clone(),
        );
        r.register(
            "conntrack_reconciler_sync_duration_seconds",
            "Duration of a cleaning of stale flows",
            self.flow_cleaning.clone(),
        );
        r.register(
            "conntrack_reconciler_deleted_entries",
            "Conntrack flows deleted because their endpoint was gone",
            self.flows_deleted.clone(),
        );
        r.register("proxy_healthz", "Answers of /healthz", self.healthz.clone());
        r.register("proxy_livez", "Answers of /livez", self.livez.clone());
    }

    /// CoreDNS's name for it; shown where DNS is served.
    pub(super) fn register_dns(&mut self) {
        let labels = [("service_kind".into(), "headless_with_selector".into())];
        let sub = self.registry.sub_registry_with_prefix("coredns_kubernetes");
        sub.sub_registry_with_labels(labels.into_iter()).register(
            "dns_programming_duration_seconds",
            "From the cause of a change of endpoints to the first answer that has it",
            self.dns_programming.clone(),
        );
    }

    pub(super) fn register_ours(&mut self) {
        let r = self.registry.sub_registry_with_prefix("towpath");
        r.register("build_info", "Which program this is", self.build.clone());
        r.register("changes", "Changes received from sources", self.changes.clone());
        r.register("kernel_writes", "Objects created, updated or deleted in the kernel", self.writes.clone());
        r.register(
            "draining_endpoints",
            "Endpoints that are gone and whose connections end at a time",
            self.draining.clone(),
        );
        let help = "Flows that ended since the drain deadline of their Service was over";
        r.register("drain_ended_flows", help, self.drain_ended.clone());
        let help = "The sum of towpath_repaired_objects_total, under its older name";
        r.register("drift_repaired", help, self.drift.clone());
        r.register(
            "repairs",
            "Times that another program's changes were repaired, by what they were changes of",
            self.repairs.clone(),
        );
        r.register(
            "repaired_objects",
            "Objects repaired, by what another program had done with them",
            self.repaired.clone(),
        );
        r.register("problems", "Objects that cannot be honoured", self.problems.clone());
        r.register("kernel_objects", "Objects that the kernel should have", self.objects.clone());
        r.register("services", "Services known", self.services.clone());
        r.register(
            "config_reloads",
            "Changes of the configuration file that were applied",
            self.config_reloads.clone(),
        );
        r.register(
            "config_refused",
            "Changes of the configuration file that were refused",
            self.config_refused.clone(),
        );
        r.register(
            "snapshot_writes",
            "Snapshots of the last known state written",
            self.snapshot_writes.clone(),
        );
        r.register(
            "snapshot_failures",
            "Snapshots that could not be written",
            self.snapshot_failures.clone(),
        );
        r.register(
            "snapshot_timestamp_seconds",
            "When the last snapshot was written, in seconds since 1970",
            self.snapshot_time.clone(),
        );
        r.register(
            "shadow_differences",
            "With --shadow: lasting differences between kube-proxy's rules and what towpath would do; -1: nothing was compared",
            self.shadow_differences.clone(),
        );
        self.self_probe.register(&mut self.registry);
        self.registry.register_collector(Box::new(process::Process::new()));
    }
}
