//! Session affinity, refusals, stale flows.

use model::{Protocol, Service};

use super::{ANY, IPTABLES, IPTABLES_AND_NFTABLES, IPVS, IPVS_AND_NFTABLES, Rule};
use crate::report::Severity::{Differs, Note};
use crate::view::{always, has_several_frontends};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "affinity-per-frontend",
        severity: Differs,
        from: IPTABLES_AND_NFTABLES,
        to: IPVS_AND_NFTABLES,
        title: "session affinity is kept for each frontend of a port",
        why: "A client that uses the ClusterIP and the nodePort of one port may get two endpoints. kube-proxy's modes \
              iptables and nftables share the choice, its mode ipvs does not.",
        remedy: "Let a client that needs one endpoint use one of the addresses.",
        subjects: |view| view.services(|s| s.affinity_seconds.is_some() && has_several_frontends(s)),
    },
    Rule {
        id: "affinity-per-port",
        severity: Note,
        from: IPVS,
        to: IPTABLES,
        title: "session affinity is shared by all frontends of a port",
        why: "IPVS keeps it for each address and port of a Service, mode iptables for each port of a Service.",
        remedy: "",
        subjects: |view| view.services(|s| has_affinity(s) && has_several_frontends(s)),
    },
    Rule {
        id: "affinity-list-limit",
        severity: Differs,
        from: IPVS_AND_NFTABLES,
        to: IPTABLES,
        title: "session affinity knows 100 clients of each endpoint",
        why: "A list of the kernel's module xt_recent has 100 places by default: of more clients, those that were away \
              longest are forgotten. So it is in kube-proxy's mode iptables.",
        remedy: "Raise the parameter ip_list_tot of the module xt_recent, or take mode nftables.",
        subjects: |view| view.services(has_affinity),
    },
    Rule {
        id: "affinity-timeout",
        severity: Note,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "sessions are forgotten at timeoutSeconds after the last new connection",
        why: "IPVS keeps them as long as any connection lives, in steps of a minute.",
        remedy: "Raise timeoutSeconds where sessions must survive one long connection.",
        subjects: |view| view.services(has_affinity),
    },
    AFFINITY_RESET,
    Rule { from: IPTABLES_AND_NFTABLES, to: IPVS, ..AFFINITY_RESET },
    Rule {
        id: "tcp-reset",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "TCP to a Service without endpoints is refused with a reset, not with ICMP",
        why: "Clients see the same error, ECONNREFUSED, and sooner over IPv6.",
        remedy: "",
        subjects: always,
    },
    Rule {
        id: "udp-flows",
        severity: Note,
        from: ANY,
        to: IPTABLES_AND_NFTABLES,
        title: "flows of UDP and SCTP to endpoints that are gone are deleted in more cases",
        why: "Also when a Service is deleted, has no endpoint left, or gets a new address or nodePort; SCTP as UDP. A \
              restart deletes no flow that is right.",
        remedy: "",
        subjects: |view| view.services(|s| s.ports.iter().any(|port| port.protocol != Protocol::Tcp)),
    },
];

/// Virtual servers of kube-proxy are taken over with what they remember; from every other kind to another, nothing is.
const AFFINITY_RESET: Rule = Rule {
    id: "affinity-reset",
    severity: Differs,
    from: ANY,
    to: IPTABLES_AND_NFTABLES,
    title: "the swap forgets sessions: each client is balanced once anew",
    why: "Which endpoint a client had is in kube-proxy's own kernel objects.",
    remedy: "Swap when that is acceptable; so is each way back.",
    subjects: |view| view.services(has_affinity),
};

fn has_affinity(service: &Service) -> bool {
    service.affinity_seconds.is_some()
}
