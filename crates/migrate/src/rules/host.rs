//! What kube-proxy does to the host beside serving Services.

use model::Service;

use super::{IPTABLES, IPTABLES_AND_IPVS, IPVS_AND_NFTABLES, NFTABLES, Rule};
use crate::report::Severity::{Differs, Note};
use crate::view::{always, setting};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "conntrack-invalid",
        severity: Differs,
        from: IPTABLES,
        to: IPVS_AND_NFTABLES,
        title: "packets that connection tracking calls INVALID are not dropped",
        why: "They can reach a client untranslated, which resets its connection; kube-proxy's mode iptables drops them. \
              It counts them in kubeproxy_iptables_ct_state_invalid_dropped_packets_total.",
        remedy: "Set conntrack.tcpBeLiberal: true: then they are translated.",
        subjects: |view| setting(!view.config.conntrack.tcp_be_liberal, "conntrack.tcpBeLiberal"),
    },
    Rule {
        id: "conntrack-invalid-dropped",
        severity: Differs,
        from: IPVS_AND_NFTABLES,
        to: IPTABLES,
        title: "forwarded packets that connection tracking calls INVALID are dropped",
        why: "Mode iptables drops them, as kube-proxy's, so that none reaches a client untranslated. This also stops \
              traffic of which the node sees one direction only (direct server return).",
        remedy: "Set conntrack.tcpBeLiberal: true: then they are not dropped.",
        subjects: |view| setting(!view.config.conntrack.tcp_be_liberal, "conntrack.tcpBeLiberal"),
    },
    Rule {
        id: "forward-accept",
        severity: Differs,
        from: IPTABLES_AND_IPVS,
        to: IPVS_AND_NFTABLES,
        title: "nothing accepts forwarded Service traffic for a host firewall",
        why: "kube-proxy accepts it in KUBE-FORWARD. towpath has no such rule in modes nftables and ipvs, and could not \
              overrule another table's drop. It counts where FORWARD has the policy DROP (Docker sets it) or firewalld runs.",
        remedy: "Accept traffic from and to the pods' CIDRs in the host's own firewall.",
        subjects: always,
    },
    Rule {
        id: "health-check-accept",
        severity: Differs,
        from: IPTABLES_AND_IPVS,
        to: IPVS_AND_NFTABLES,
        title: "nothing opens healthCheckNodePorts in a host firewall",
        why: "kube-proxy accepts them in INPUT. towpath has no such rule in modes nftables and ipvs.",
        remedy: "Accept these ports in the host's own firewall, where there is one.",
        subjects: |view| view.services(Service::has_health_check),
    },
    Rule {
        id: "host-firewall-overruled",
        severity: Differs,
        from: NFTABLES,
        to: IPTABLES,
        title: "Service traffic is accepted ahead of the rules of a host firewall in iptables",
        why: "towpath's rules stand first in the chains INPUT and FORWARD: they accept healthCheckNodePorts, and \
              forwarded traffic that is masqueraded or belongs to a connection. Mode nftables accepts nothing.",
        remedy: "Look whether the host's firewall is to stop any of it. Rules of the tables raw and mangle come before.",
        subjects: always,
    },
    Rule {
        id: "route-localnet",
        severity: Note,
        from: IPTABLES,
        to: IPVS_AND_NFTABLES,
        title: "the sysctl route_localnet stays 1 until the next boot",
        why: "kube-proxy sets it for NodePorts on localhost. It makes loopback addresses reachable from the network, but \
              for the rules that forbid it in KUBE-FIREWALL, which stay.",
        remedy: "Set net.ipv4.conf.all.route_localnet back to 0 when kube-proxy's rules are gone and nobody else \
                 wants it.",
        subjects: |view| setting(view.config.iptables.localhost_node_ports, "iptables.localhostNodePorts"),
    },
];
