//! Addresses of Services: which are served, and what the others answer.

use model::{IpFamily, Service};

use super::{ANY, IPTABLES, IPTABLES_AND_IPVS, IPVS_AND_NFTABLES, Rule};
use crate::report::Severity::{Breaks, Differs, Note};
use crate::view::{View, always, some};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "external-ips-gate-off",
        severity: Breaks,
        from: ANY,
        to: ANY,
        title: "externalIPs would be served again",
        why: "The gate AllowServiceExternalIPs is off, so kube-proxy serves none. towpath always serves them.",
        remedy: "Remove spec.externalIPs from these Services, and forbid it by an admission policy.",
        subjects: |view| view.services_if(gate(view) == Some(false), has_external_ip),
    },
    Rule {
        id: "external-ips",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "externalIPs stay served, with later versions too",
        why: "kube-proxy will serve them only with the gate AllowServiceExternalIPs from 1.40 on (KEP-5707). Whoever may \
              write a Service can take traffic to any address with them (CVE-2020-8554).",
        remedy: "Forbid spec.externalIPs by an admission policy where nobody needs it.",
        subjects: |view| view.services_if(gate(view) != Some(false), has_external_ip),
    },
    Rule {
        id: "cluster-ip-other-ports",
        severity: Differs,
        from: IPTABLES,
        to: IPVS_AND_NFTABLES,
        title: "other ports of a ClusterIP are refused",
        why: "kube-proxy's mode iptables leaves such packets alone: they follow the routes of the node.",
        remedy: "Look for programs that use a ClusterIP with a port that its Service does not have.",
        subjects: always,
    },
    Rule {
        id: "cluster-ip-unused",
        severity: Differs,
        from: IPTABLES_AND_IPVS,
        to: IPVS_AND_NFTABLES,
        title: "packets to addresses of these ServiceCIDRs that no Service has are dropped",
        why: "kube-proxy's modes iptables and ipvs leave them alone: they follow the routes of the node.",
        remedy: "See that no host outside of the cluster has an address in them.",
        subjects: |view| some(view.store.service_cidrs().iter().map(ToString::to_string).collect()),
    },
    Rule {
        id: "cluster-ip-not-refused",
        severity: Differs,
        from: IPVS_AND_NFTABLES,
        to: IPTABLES,
        title: "other ports of a ClusterIP are not refused: packets follow the node's routes",
        why: "Mode iptables leaves such packets alone, and those to ClusterIPs that no Service has. kube-proxy's modes \
              ipvs and nftables refuse the former, its mode nftables drops the latter.",
        remedy: "Have a route or a firewall refuse the rest of the ServiceCIDRs where they must not leave the node.",
        subjects: always,
    },
    Rule {
        id: "competing-services",
        severity: Differs,
        from: ANY,
        to: ANY,
        title: "of Services with one address and port, only the oldest is served there",
        why: "kube-proxy has no rule for this. towpath serves the older one until it goes, and reports the others.",
        remedy: "Give each its own port, or delete the one that is not meant.",
        subjects: |view| view.services(|service| view.competes(service)),
    },
    Rule {
        id: "source-ranges-one-family",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "loadBalancerSourceRanges leaves one family open",
        why: "As in kube-proxy, no range of a family is no limit in that family.",
        remedy: "Add ranges of the other family.",
        subjects: |view| view.services(has_open_family),
    },
    Rule {
        id: "unreadable-objects",
        severity: Differs,
        from: ANY,
        to: ANY,
        title: "objects that towpath cannot honour, wholly or in part",
        why: "A value in them cannot be read. Of loadBalancerSourceRanges, a range that cannot be read never opens the \
              address; if none of a family can be read, its load balancer addresses are not served.",
        remedy: "Mend the fields that are named.",
        subjects: |view| some(view.store.problems().map(ToString::to_string).collect()),
    },
];

fn gate(view: &View<'_>) -> Option<bool> {
    view.config.gate("AllowServiceExternalIPs")
}

fn has_external_ip(service: &Service) -> bool {
    service.external_ips.iter().any(|ip| service.cluster_ip(IpFamily::of(*ip)).is_some())
}

/// It has ranges, and a load balancer address of a family without any.
fn has_open_family(service: &Service) -> bool {
    let ranges = &service.source_ranges;
    let is_open = |family| ranges.iter().all(|net| IpFamily::of(net.addr()) != family);
    !ranges.is_empty() && service.load_balancer_ips.iter().any(|ip| is_open(IpFamily::of(*ip)))
}
