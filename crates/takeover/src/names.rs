//! Names that only kube-proxy gives (`pkg/proxy/iptables/proxier.go`, `pkg/proxy/ipvs`, Kubernetes 1.9 to 1.36).

/// Chains with a fixed name, of iptables mode and of ipvs mode. Not here, as they are kubelet's: KUBE-FIREWALL,
/// KUBE-MARK-DROP, KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT.
const CHAINS: [&str; 13] = [
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
    "KUBE-LOAD-BALANCER",
    "KUBE-MARK-MASQ",
    "KUBE-NODE-PORT",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-PROXY-CANARY",
    "KUBE-PROXY-FIREWALL",
    "KUBE-SERVICES",
    "KUBE-SOURCE-RANGES-FIREWALL",
];

/// Beginnings of chain names that a hash of a Service or an endpoint follows. KUBE-XLB- is older than 1.24.
const HASHED: [&str; 6] = ["KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-", "KUBE-SVC-", "KUBE-SVL-", "KUBE-XLB-"];
const HASH: usize = 16;

/// Beginnings of the comments on kube-proxy's jumps from built-in chains.
const JUMP_COMMENTS: [&str; 2] = ["kubernetes ", "kube-proxy "];

/// The nf_tables table, in the families `ip` and `ip6`.
pub(crate) const NFT_TABLE: &str = "kube-proxy";

/// The dummy link of ipvs mode.
pub(crate) const LINK: &str = "kube-ipvs0";

/// ipsets after `KUBE-` or `KUBE-6-`.
const SETS: [&str; 17] = [
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "HEALTH-CHECK-NODE-PORT",
    "IPVS-IPS",
    "LOAD-BALANCER",
    "LOAD-BALANCER-FW",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-SOURCE-CIDR",
    "LOAD-BALANCER-SOURCE-IP",
    "LOOP-BACK",
    "NODE-PORT-LOCAL-SCTP-HASH",
    "NODE-PORT-LOCAL-TCP",
    "NODE-PORT-LOCAL-UDP",
    "NODE-PORT-SCTP-HASH",
    "NODE-PORT-TCP",
    "NODE-PORT-UDP",
];
/// Longest name of an ipset, in bytes; kube-proxy cuts longer ones.
const SET_NAME: usize = 31;

/// Whether a chain is kube-proxy's.
pub(crate) fn is_chain(name: &str) -> bool {
    let is_hashed = |prefix: &str| name.strip_prefix(prefix).is_some_and(is_hash);
    CHAINS.contains(&name) || HASHED.into_iter().any(is_hashed)
}

/// Whether a comment is one of kube-proxy's on a jump from a built-in chain.
pub(crate) fn is_jump_comment(comment: &str) -> bool {
    JUMP_COMMENTS.iter().any(|start| comment.starts_with(start))
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

/// What an ipset of kube-proxy is for: its name after `KUBE-` or `KUBE-6-`, not cut. `None` for other sets.
pub(crate) fn set_purpose(name: &str) -> Option<&'static str> {
    let is_named = |prefix: &str, purpose: &str| {
        let whole = format!("{prefix}{purpose}");
        whole.get(..SET_NAME).unwrap_or(&whole) == name
    };
    SETS.into_iter().find(|purpose| is_named("KUBE-", purpose) || is_named("KUBE-6-", purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_kube_proxy_and_of_others() {
        let cases = [
            ("KUBE-SERVICES", true),
            ("KUBE-MARK-MASQ", true),
            ("KUBE-PROXY-CANARY", true),
            ("KUBE-IPVS-OUT-FILTER", true),
            ("KUBE-SVC-ERIFXISQEP7F7OF4", true),
            ("KUBE-SEP-ABCDEFGHIJKLMNOP", true),
            ("KUBE-XLB-234567ABCDEFGHIJ", true),
            ("KUBE-SVC-SHORT", false),
            ("KUBE-SVC-ERIFXISQEP7F7OF", false),
            ("KUBE-SVC-ERIFXISQEP7F7OF44", false),
            ("KUBE-SVC-ERIFXISQEP7F7OF1", false),
            ("KUBE-SVC-erifxisqep7f7of4", false),
            ("KUBE-POD-FW-ERIFXISQEP7F7OF4", false),
            ("KUBE-FIREWALL", false),
            ("KUBE-MARK-DROP", false),
            ("KUBE-KUBELET-CANARY", false),
            ("KUBE-IPTABLES-HINT", false),
            ("KUBE-ROUTER-SERVICES", false),
            ("KUBE-NWPLCY-ERIFXISQEP7F7OF4", false),
            ("KUBE-HOSTPORTS", false),
            ("KUBE-SERVICES-2", false),
            ("DOCKER", false),
            ("", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_chain(name), expected, "{name}");
        }
    }

    #[test]
    fn sets_of_kube_proxy_and_of_others() {
        let cases = [
            ("KUBE-CLUSTER-IP", Some("CLUSTER-IP")),
            ("KUBE-6-CLUSTER-IP", Some("CLUSTER-IP")),
            ("KUBE-6-LOAD-BALANCER-SOURCE-CID", Some("LOAD-BALANCER-SOURCE-CIDR")),
            ("KUBE-LOAD-BALANCER-SOURCE-CIDR", Some("LOAD-BALANCER-SOURCE-CIDR")),
            ("KUBE-6-NODE-PORT-LOCAL-SCTP-HAS", Some("NODE-PORT-LOCAL-SCTP-HASH")),
            ("KUBE-6-LOAD-BALANCER-SOURCE-CIDR", None),
            ("KUBE-LOAD-BALANCER-SOURCE-CID", None),
            ("KUBE-SRC-ABC", None),
            ("kube-cluster-ip", None),
            ("cali40all-ipam-pools", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(set_purpose(name), expected, "{name}");
        }
    }
}
