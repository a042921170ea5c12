//! What changes when IPVS comes where it was not.

use model::Service;

use super::{IPTABLES_AND_NFTABLES, IPVS, Rule};
use crate::report::Severity::{Differs, Note};
use crate::view::{always, has_external_address};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ipvs-scheduling",
        severity: Note,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS,
        title: "endpoints are chosen by a scheduler, not at random",
        why: "ipvs.scheduler (--ipvs-scheduler) names it; without it that is rr, which takes them in turn. The kernel needs \
              ip_vs and the scheduler's module.",
        remedy: "",
        subjects: |view| Some(vec![format!("ipvs.scheduler: {}", view.config.ipvs_scheduler())]),
    },
    Rule {
        id: "ipvs-input-chain",
        severity: Differs,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS,
        title: "traffic from elsewhere to Services passes the host's INPUT chain, not FORWARD",
        why: "Addresses of Services are routed to the node itself, where IPVS takes the traffic on its way in. Replies are \
              forwarded as before.",
        remedy: "Look at host firewalls and policies for the host: rules for Services belong into INPUT.",
        subjects: always,
    },
    Rule {
        id: "vip-other-ports",
        severity: Differs,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS,
        title: "other ports of externalIPs and load balancer addresses are refused",
        why: "Mode ipvs routes these addresses to the node itself, as kube-proxy's binds them to kube-ipvs0. kube-proxy's other \
              modes leave such packets alone: they follow the routes of the node.",
        remedy: "Look for programs that use these addresses for anything but the Service.",
        subjects: |view| view.services(has_external_address),
    },
    Rule {
        id: "vip-ping",
        severity: Note,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS,
        title: "addresses of Services answer ping",
        why: "Each node answers by itself: that says nothing about the Service.",
        remedy: "",
        subjects: always,
    },
    Rule {
        id: "affinity-longer",
        severity: Note,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS,
        title: "sessions are kept as long as any of their connections lives",
        why: "So IPVS has it, and it counts timeoutSeconds in steps of a minute.",
        remedy: "",
        subjects: |view| view.services(|s: &Service| s.affinity_seconds.is_some()),
    },
];
