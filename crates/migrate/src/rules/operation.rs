//! For those who run it: what is left behind, what is shown elsewhere.

use config::ProxyMode;

use super::{ANY, IPTABLES, IPVS, NFTABLES, Rule};
use crate::report::Severity::{Differs, Note};
use crate::view::{Subjects, View};

const OLD_RULES: &str = "kube-proxy's old rules stay in the kernel until they are removed";
const REMOVE: &str = "When towpath is ready on a node, run --cleanup of kube-proxy's own image there, once, or reboot. It \
                      empties IPVS too, whoever uses it. In towpath's image it removes towpath's tables.";
const READERS: &str = "programs that read kube-proxy's rules find none";
const FIND: &str = "Let them ask /debug/rules?format=json, towpath explain, or the table towpath.";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "leftovers",
        severity: Differs,
        from: IPTABLES,
        to: NFTABLES,
        title: OLD_RULES,
        why: "What towpath does not translate still meets the KUBE- chains: a Service that goes, or loses its last \
              endpoint, is sent to the endpoints it had. They also hide what is listed here until they go.",
        remedy: REMOVE,
        subjects: |_| names(&["chains KUBE-* of iptables and ip6tables"]),
    },
    Rule {
        id: "leftovers",
        severity: Differs,
        from: IPVS,
        to: NFTABLES,
        title: OLD_RULES,
        why: "kube-ipvs0 keeps the addresses, and IPVS its virtual servers: a Service that goes may still be answered, by \
              the endpoints it had. They also hide what is listed here until they go.",
        remedy: REMOVE,
        subjects: |_| {
            names(&["IPVS virtual servers", "kube-ipvs0", "chains KUBE-* of iptables", "ipsets KUBE-*"])
        },
    },
    Rule {
        id: "leftovers",
        severity: Differs,
        from: NFTABLES,
        to: NFTABLES,
        title: OLD_RULES,
        why: "What towpath does not translate still meets them: a Service that goes, or loses its last endpoint, is sent \
              to the endpoints it had; source ranges of before still drop.",
        remedy: "When towpath is ready on a node, delete these two tables there.",
        subjects: |_| names(&["table ip kube-proxy", "table ip6 kube-proxy"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: IPTABLES,
        to: NFTABLES,
        title: READERS,
        why: "There are no chains KUBE-SERVICES, KUBE-SVC-* and KUBE-SEP-* any more.",
        remedy: FIND,
        subjects: |_| names(&["iptables-save", "KUBE-* chains"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: IPVS,
        to: NFTABLES,
        title: READERS,
        why: "There are no virtual servers and no sets KUBE-* any more.",
        remedy: FIND,
        subjects: |_| names(&["ipvsadm", "ipset", "metrics of IPVS (node_ipvs_*)"]),
    },
    Rule {
        id: "rule-readers",
        severity: Differs,
        from: NFTABLES,
        to: NFTABLES,
        title: READERS,
        why: "The tables ip kube-proxy and ip6 kube-proxy are not written any more.",
        remedy: FIND,
        subjects: |_| names(&["nft list table ip kube-proxy", "nft list table ip6 kube-proxy"]),
    },
    Rule {
        id: "metrics",
        severity: Differs,
        from: ANY,
        to: NFTABLES,
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
    "kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
    "kubeproxy_sync_proxy_rules_iptables_total",
];

fn metrics(view: &View<'_>) -> Subjects {
    let of_mode = match view.from {
        ProxyMode::Iptables => OF_IPTABLES,
        ProxyMode::Ipvs => &["kubeproxy_sync_proxy_rules_iptables_restore_failures_total"],
        ProxyMode::Nftables => &["kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total"],
    };
    names(&[OF_ANY, of_mode].concat())
}
