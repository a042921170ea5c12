//! What kube-proxy's mode ipvs does, and what becomes of it.

use super::{ANY, IPTABLES_AND_NFTABLES, IPVS, Rule};
use crate::report::Severity::{Breaks, Differs, Note};
use crate::view::{Subjects, View, always, is_external, is_local, setting, settings, some};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ipvs-scheduler",
        severity: Breaks,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "the scheduler is not there: endpoints are chosen at random",
        why: "Only IPVS has least connections (lc, wlc, sed, nq) and hashing (sh, dh, mh, lblc, lblcr).",
        remedy: "Take towpath's mode ipvs, or, where sh or mh keep a client at one endpoint, set sessionAffinity ClientIP \
                 on those Services.",
        subjects: |view| {
            let scheduler = view.config.ipvs.scheduler.as_str();
            setting(!is_round_robin(scheduler), &format!("ipvs.scheduler: {scheduler}"))
        },
    },
    Rule {
        id: "ipvs-round-robin",
        severity: Note,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "endpoints are chosen at random, not in turn",
        why: "Both give each endpoint the same share of new connections.",
        remedy: "",
        subjects: |view| is_round_robin(&view.config.ipvs.scheduler).then(Vec::new),
    },
    Rule {
        id: "internal-local-leak",
        severity: Breaks,
        from: IPVS,
        to: ANY,
        title: "internalTrafficPolicy Local is kept: without an endpoint on the node, traffic is dropped",
        why: "For Services that are also reachable from outside, kube-proxy's mode ipvs sends it to other nodes then.",
        remedy: "Run an endpoint on each node where clients are, or set internalTrafficPolicy Cluster.",
        subjects: |view| view.services(|s| is_local(s.internal_policy) && is_external(s)),
    },
    Rule {
        id: "external-local-leak",
        severity: Differs,
        from: IPVS,
        to: ANY,
        title: "externalTrafficPolicy Local is kept: without an endpoint on the node, traffic is dropped",
        why: "kube-proxy's mode ipvs sends traffic from outside to other nodes then, with the client's address. Pods of \
              the node and the node itself reach all endpoints now, not only those of their node.",
        remedy: "Let load balancers ask the healthCheckNodePort.",
        subjects: |view| view.services(|s| is_local(s.external_policy) && is_external(s)),
    },
    Rule {
        id: "kube-ipvs-interface",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "addresses of Services are no addresses of the node",
        why: "kube-proxy's mode ipvs binds every ClusterIP, externalIP and load balancer address to kube-ipvs0. Programs \
              that bind to one, announce them by BGP or ARP, or look for them there find none.",
        remedy: "Look at speakers of BGP and ARP, keepalived, and programs that bind to a Service's address.",
        subjects: always,
    },
    Rule {
        id: "kube-ipvs-interface",
        severity: Differs,
        from: IPVS,
        to: IPVS,
        title: "addresses of Services are no addresses of the node",
        why: "kube-proxy binds every ClusterIP, externalIP and load balancer address to kube-ipvs0. towpath has local routes \
              in their place (ip route show table local proto 107), one for a whole ServiceCIDR: programs can still bind to \
              such an address, but those that announce addresses of links by BGP or ARP find none.",
        remedy: "Look at speakers of BGP and ARP, and keepalived.",
        subjects: always,
    },
    Rule {
        id: "cluster-ip-ping",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "ClusterIPs do not answer ping",
        why: "They answered because they were addresses of kube-ipvs0. Now nobody has them.",
        remedy: "Let monitoring connect to the Service's port.",
        subjects: always,
    },
    Rule {
        id: "ipvs-host-chains",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "traffic from elsewhere to Services passes the host's FORWARD chain, not INPUT",
        why: "IPVS takes it on its way into the host. towpath translates it before the host routes it.",
        remedy: "Look at host firewalls and policies for the host: rules for Services belong into FORWARD.",
        subjects: always,
    },
    Rule {
        id: "ipvs-connections",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "connections from before the swap are IPVS's, and last 15 minutes at most",
        why: "After its first sync towpath gives kube-proxy's virtual servers no new connections, and removes each when its \
              connections have ended, or after ipvsDrainTimeout.",
        remedy: "Raise ipvsDrainTimeout, or drain the node before the swap, if connections last longer than 15 minutes.",
        subjects: always,
    },
    Rule {
        id: "ipvs-timeouts",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "timeouts of IPVS do not count",
        why: "Connections are kept by connection tracking alone, with its timeouts.",
        remedy: "Use conntrack.tcpEstablishedTimeout, conntrack.udpTimeout and conntrack.udpStreamTimeout; for \
                 tcpFinTimeout there is only the sysctl nf_conntrack_tcp_timeout_fin_wait.",
        subjects: |view| {
            let ipvs = &view.config.ipvs;
            settings([
                (!ipvs.tcp_timeout.is_zero(), "ipvs.tcpTimeout"),
                (!ipvs.tcp_fin_timeout.is_zero(), "ipvs.tcpFinTimeout"),
                (!ipvs.udp_timeout.is_zero(), "ipvs.udpTimeout"),
            ])
        },
    },
    Rule {
        id: "ipvs-exclude-cidrs",
        severity: Note,
        from: IPVS,
        to: ANY,
        title: "kube-proxy --cleanup would delete the virtual servers that excludeCIDRs protects",
        why: "kube-proxy's cleanup empties IPVS, whatever excludeCIDRs says. towpath removes only virtual servers that \
              kube-ipvs0 or kube-proxy's ipsets name.",
        remedy: "Do not use it on these nodes.",
        subjects: excluded,
    },
    Rule {
        id: "ipvs-sysctls",
        severity: Differs,
        from: IPVS,
        to: IPTABLES_AND_NFTABLES,
        title: "sysctls of mode ipvs are not set any more",
        why: "kube-proxy's mode ipvs sets net.ipv4.ip_forward to 1 at each start, and with strictARP arp_ignore to 1 and \
              arp_announce to 2. towpath sets none of them in this mode; they stay until the next boot.",
        remedy: "See that the host sets ip_forward itself. Nothing here needs strictARP.",
        subjects: |view| {
            let mut all = vec!["net.ipv4.ip_forward".to_owned()];
            all.extend(view.config.ipvs.strict_arp.then(|| "ipvs.strictARP".to_owned()));
            Some(all)
        },
    },
    Rule {
        id: "ipvs-drain",
        severity: Differs,
        from: IPVS,
        to: IPVS,
        title: "connections to endpoints that are gone end after 15 minutes at the latest",
        why: "kube-proxy keeps a TCP endpoint with weight 0 until its last connection ends, and forgets that when it restarts. \
              towpath keeps SCTP so too, remembers it over a restart, and has a deadline.",
        remedy: "Write another ipvsDrainTimeout (--ipvs-drain-timeout) where connections must live longer.",
        subjects: always,
    },
    Rule {
        id: "ipvs-node-source",
        severity: Note,
        from: IPVS,
        to: IPVS,
        title: "connections of the node itself to Services begin with the node's own address",
        why: "kube-ipvs0 has the Service's address, so with kube-proxy that is the source until it is masqueraded.",
        remedy: "",
        subjects: always,
    },
    Rule {
        id: "ipvs-stays",
        severity: Note,
        from: IPVS,
        to: IPVS,
        title: "mode ipvs stays: kube-proxy removes it in Kubernetes 1.43",
        why: "The gate KubeProxyIPVS goes off by default in 1.40 (KEP-5495). towpath has no gate for it.",
        remedy: "",
        subjects: always,
    },
    Rule {
        id: "ipvs-per-service",
        severity: Note,
        from: ANY,
        to: IPVS,
        title: "a Service can have a scheduler and weights of its own",
        why: "The annotations towpath.dev/scheduler and towpath.dev/weights say so; ipvs.scheduler is for the others.",
        remedy: "",
        subjects: always,
    },
    Rule {
        id: "ipvs-annotations-unused",
        severity: Note,
        from: ANY,
        to: IPTABLES_AND_NFTABLES,
        title: "the annotation towpath.dev/scheduler counts in mode ipvs only",
        why: "The other modes choose at random, by towpath.dev/weights.",
        remedy: "",
        subjects: |view| view.services(|s| s.balance.scheduler.is_some()),
    },
];

/// All real servers have weight 1, so that `wrr` is `rr`.
fn is_round_robin(scheduler: &str) -> bool {
    ["", "rr", "wrr"].contains(&scheduler)
}

fn excluded(view: &View<'_>) -> Subjects {
    some(view.config.ipvs.exclude_cidrs.iter().map(|cidr| format!("ipvs.excludeCIDRs: {cidr}")).collect())
}
