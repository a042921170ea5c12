//! For those who run it: what is left behind, what is shown elsewhere.

use config::ProxyMode;

use super::{ANY, IPTABLES, IPTABLES_AND_NFTABLES, IPVS, NFTABLES, Rule};
use crate::report::Severity::{Differs, Note};
use crate::view::{Subjects, View};

const OLD_RULES: &str = "what kube-proxy has left in the kernel is removed after the first sync";
const REMOVE: &str = "--takeover=false leaves it; towpath cleanup --kube-proxy removes it later.";
const READERS: &str = "programs that read kube-proxy's rules find none";
const FIND: &str = "Let them ask /debug/rules?format=json or towpath explain, or read the table towpath (mode \
                    nftables) or towpath-ipvs (mode ipvs), or the chains TOWPATH-* (mode iptables).";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "leftovers",
        severity: Note,
        from: IPTABLES,
        to: ANY,
        title: OLD_RULES,
        why: "What towpath does not translate would meet the KUBE- chains: a Service that goes, or loses its last \
              endpoint, would be sent to the endpoints it had.",
        remedy: REMOVE,
        subjects: |_| names(&["chains KUBE-* of iptables and ip6tables"]),
    },
    Rule {
        id: "leftovers",
        severity: Note,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: OLD_RULES,
        why: "While kube-ipvs0 keeps the addresses, and IPVS its virtual servers, a Service that goes may still be \
              answered, by the endpoints it had.",
        remedy: REMOVE,
        subjects: |_| {
            names(&["IPVS virtual servers", "kube-ipvs0", "chains KUBE-* of iptables", "ipsets KUBE-*"])
        },
    },
    Rule {
        id: "leftovers",
        severity: Note,
        from: NFTABLES,
        to: ANY,
        title: OLD_RULES,
        why: "What towpath does not translate would meet them: a Service that goes, or loses its last endpoint, would be \
              sent to the endpoints it had; source ranges of before would still drop.",
        remedy: REMOVE,
        subjects: |_| names(&["table ip kube-proxy", "table ip6 kube-proxy"]),
    },
    Rule {
        id: "leftovers",
        severity: Note,
        from: IPVS,
        to: IPVS,
        title: OLD_RULES,
        why: "kube-proxy's virtual servers are taken over with their connections; those that no Service asks for are drained. \
              kube-ipvs0, the chains and the ipsets have no use any more.",
        remedy: REMOVE,
        subjects: |_| names(&["kube-ipvs0", "chains KUBE-* of iptables", "ipsets KUBE-*"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: IPVS,
        to: IPVS,
        title: READERS,
        why: "There are no sets and chains KUBE-* any more. ipvsadm and metrics of IPVS show virtual servers as before.",
        remedy: FIND,
        subjects: |_| names(&["ipset", "iptables-save", "KUBE-* chains"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: IPTABLES,
        to: ANY,
        title: READERS,
        why: "There are no chains KUBE-SERVICES, KUBE-SVC-* and KUBE-SEP-* any more.",
        remedy: FIND,
        subjects: |_| names(&["iptables-save", "KUBE-* chains"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: READERS,
        why: "There are no virtual servers and no sets KUBE-* any more.",
        remedy: FIND,
        subjects: |_| names(&["ipvsadm", "ipset", "metrics of IPVS (node_ipvs_*)"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: NFTABLES,
        to: ANY,
        title: READERS,
        why: "The tables ip kube-proxy and ip6 kube-proxy are not written any more.",
        remedy: FIND,
        subjects: |_| names(&["nft list table ip kube-proxy", "nft list table ip6 kube-proxy"]),
    },
    Rule {
        id: "metrics",
        severity: Differs,
        from: ANY,
        to: ANY,
        title: "metrics that do not exist any more",
        why: "They count what towpath does not have. The other kubeproxy_ metrics have kept names and labels.",
        remedy: "Change alerts and dashboards: kubeproxy_sync_proxy_rules_nftables_sync_failures_total counts syncs that \
                 failed, and towpath_* is new.",
        subjects: metrics,
    },
    Rule {
        id: "pages",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "pages that do not exist any more",
        why: "They show Go's runtime or Kubernetes' own component library.",
        remedy: "",
        subjects: |_| names(&["/debug/flags/v", "/debug/pprof/", "/flagz", "/metrics/slis", "/statusz"]),
    },
];

fn names(names: &[&str]) -> Subjects {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

const OF_ANY: &[&str] = &["go_*", "kubernetes_build_info", "kubernetes_feature_enabled", "rest_client_*"];
const OF_IPTABLES: &[&str] = &[
    "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
    "kubeproxy_iptables_localhost_nodeports_accepted_packets_total",
    "kubeproxy_sync_proxy_rules_iptables_last",
    "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total",
    "kubeproxy_sync_proxy_rules_iptables_total",
];

fn metrics(view: &View<'_>) -> Subjects {
    let of_mode = match view.from {
        ProxyMode::Iptables => OF_IPTABLES,
        ProxyMode::Ipvs => &[],
        ProxyMode::Nftables => &["kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total"],
    };
    names(&[OF_ANY, of_mode].concat())
}
