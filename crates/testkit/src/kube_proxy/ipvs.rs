//! ipvs mode: `ipset restore` text and `iptables-restore` text of a full sync (`pkg/proxy/ipvs/proxier.go`). The virtual
//! servers and the link `kube-ipvs0` are in `ipvs_servers`.

use std::fmt::Write;
use std::net::IpAddr;

use model::{IpFamily, Protocol};

use super::{Cluster, Port};

/// ipsets after `KUBE-` or `KUBE-6-`, and their types.
const SETS: [(&str, &str); 17] = [
    ("LOOP-BACK", "hash:ip,port,ip"),
    ("CLUSTER-IP", "hash:ip,port"),
    ("EXTERNAL-IP", "hash:ip,port"),
    ("EXTERNAL-IP-LOCAL", "hash:ip,port"),
    ("LOAD-BALANCER", "hash:ip,port"),
    ("LOAD-BALANCER-LOCAL", "hash:ip,port"),
    ("LOAD-BALANCER-FW", "hash:ip,port"),
    ("LOAD-BALANCER-SOURCE-IP", "hash:ip,port,ip"),
    ("LOAD-BALANCER-SOURCE-CIDR", "hash:ip,port,net"),
    ("NODE-PORT-TCP", "bitmap:port"),
    ("NODE-PORT-LOCAL-TCP", "bitmap:port"),
    ("NODE-PORT-UDP", "bitmap:port"),
    ("NODE-PORT-LOCAL-UDP", "bitmap:port"),
    ("NODE-PORT-SCTP-HASH", "hash:ip,port"),
    ("NODE-PORT-LOCAL-SCTP-HASH", "hash:ip,port"),
    ("HEALTH-CHECK-NODE-PORT", "bitmap:port"),
    ("IPVS-IPS", "hash:ip"),
];

/// Rules of the nat table that ask sets: chain, conditions, set, what of the packet, target.
const NAT: [(&str, &str, &str, &str, &str); 13] = [
    ("KUBE-POSTROUTING", "", "LOOP-BACK", "dst,dst,src", "MASQUERADE"),
    ("KUBE-SERVICES", "", "LOAD-BALANCER", "dst,dst", "KUBE-LOAD-BALANCER"),
    ("KUBE-LOAD-BALANCER", "", "LOAD-BALANCER-LOCAL", "dst,dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p tcp ", "NODE-PORT-LOCAL-TCP", "dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p tcp ", "NODE-PORT-TCP", "dst", "KUBE-MARK-MASQ"),
    ("KUBE-NODE-PORT", "-p udp ", "NODE-PORT-LOCAL-UDP", "dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p udp ", "NODE-PORT-UDP", "dst", "KUBE-MARK-MASQ"),
    ("KUBE-NODE-PORT", "-p sctp ", "NODE-PORT-LOCAL-SCTP-HASH", "dst,dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p sctp ", "NODE-PORT-SCTP-HASH", "dst,dst", "KUBE-MARK-MASQ"),
    ("KUBE-SERVICES", "", "EXTERNAL-IP", "dst,dst", "KUBE-MARK-MASQ"),
    ("KUBE-SERVICES", "-m addrtype --dst-type LOCAL ", "EXTERNAL-IP", "dst,dst", "ACCEPT"),
    ("KUBE-SERVICES", "", "CLUSTER-IP", "dst,dst", "ACCEPT"),
    ("KUBE-SERVICES", "", "LOAD-BALANCER", "dst,dst", "ACCEPT"),
];

/// The same of the filter table.
const FILTER: [(&str, &str, &str, &str, &str); 11] = [
    ("KUBE-NODE-PORT", "", "HEALTH-CHECK-NODE-PORT", "dst", "ACCEPT"),
    ("KUBE-PROXY-FIREWALL", "", "LOAD-BALANCER-FW", "dst,dst", "KUBE-SOURCE-RANGES-FIREWALL"),
    ("KUBE-SOURCE-RANGES-FIREWALL", "", "LOAD-BALANCER-SOURCE-CIDR", "dst,dst,src", "RETURN"),
    ("KUBE-SOURCE-RANGES-FIREWALL", "", "LOAD-BALANCER-SOURCE-IP", "dst,dst,src", "RETURN"),
    ("KUBE-IPVS-FILTER", "", "LOAD-BALANCER", "dst,dst", "RETURN"),
    ("KUBE-IPVS-FILTER", "", "CLUSTER-IP", "dst,dst", "RETURN"),
    ("KUBE-IPVS-FILTER", "", "EXTERNAL-IP", "dst,dst", "RETURN"),
    ("KUBE-IPVS-FILTER", "", "EXTERNAL-IP-LOCAL", "dst,dst", "RETURN"),
    ("KUBE-IPVS-FILTER", "", "HEALTH-CHECK-NODE-PORT", "dst", "RETURN"),
    ("KUBE-IPVS-FILTER", "-m conntrack --ctstate NEW ", "IPVS-IPS", "dst", "REJECT"),
    ("KUBE-IPVS-OUT-FILTER", "-m conntrack --ctstate NEW ", "IPVS-IPS", "dst", "REJECT"),
];

/// Chains and the jumps to them, without rules that ask sets.
pub(super) const NAT_SKELETON: &str = "\
:KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-NODE-PORT - [0:0]\n:KUBE-LOAD-BALANCER - [0:0]\n\
:KUBE-MARK-MASQ - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n\
-I OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
-I PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
-I POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n";
pub(super) const FILTER_SKELETON: &str = "\
:KUBE-FORWARD - [0:0]\n:KUBE-NODE-PORT - [0:0]\n:KUBE-PROXY-FIREWALL - [0:0]\n\
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]\n:KUBE-IPVS-FILTER - [0:0]\n:KUBE-IPVS-OUT-FILTER - [0:0]\n\
:KUBE-PROXY-CANARY - [0:0]\n\
-I FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n\
-I INPUT -m comment --comment \"kubernetes health check rules\" -j KUBE-NODE-PORT\n\
-I INPUT -m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL\n\
-I FORWARD -m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL\n\
-I INPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-FILTER\n\
-I OUTPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-OUT-FILTER\n";
pub(super) const MARKING: &str = "\
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT\n\
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ\n\
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n\
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n\
-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully\n";
pub(super) const FORWARDING: &str = "\
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT\n\
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" \
-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP\n";

/// `KUBE-NAME`, or `KUBE-6-NAME` cut to 31 bytes.
fn set_name(family: IpFamily, name: &str) -> String {
    let mut whole = format!("KUBE-{}{name}", if family == IpFamily::V6 { "6-" } else { "" });
    whole.truncate(31);
    whole
}

impl Cluster {
    /// The ipsets of ipvs mode with their members, for `ipset restore`. They must be there before the rules.
    pub fn ipsets(&self, family: IpFamily) -> String {
        let mut text = String::new();
        let word = if family == IpFamily::V6 { "inet6" } else { "inet" };
        for (name, kind) in SETS {
            let name = set_name(family, name);
            let options = match kind {
                "bitmap:port" => "range 0-65535".to_owned(),
                _ => format!("family {word} hashsize 1024 maxelem 65536"),
            };
            // Writing to a String can't fail.
            let _ = writeln!(text, "create {name} {kind} {options}");
        }
        let mut add = |set: &str, member: String| {
            let _ = writeln!(text, "add {} {member} -exist", set_name(family, set));
        };
        for port in self.ports(family) {
            self.members(port, &mut add);
        }
        text
    }

    fn members(&self, port: &Port, add: &mut impl FnMut(&str, String)) {
        let at = |ip: IpAddr| format!("{ip},{}:{}", port.protocol(), port.cluster_ip.port());
        add("CLUSTER-IP", at(port.cluster_ip.ip()));
        add("IPVS-IPS", port.cluster_ip.ip().to_string());
        for ip in &port.external_ips {
            add(if port.external_local { "EXTERNAL-IP-LOCAL" } else { "EXTERNAL-IP" }, at(*ip));
            add("IPVS-IPS", ip.to_string());
        }
        for ip in &port.load_balancer_ips {
            let local = port.external_local.then_some("LOAD-BALANCER-LOCAL");
            let restricted = port.is_restricted().then_some("LOAD-BALANCER-FW");
            for set in ["LOAD-BALANCER"].into_iter().chain(local).chain(restricted) {
                add(set, at(*ip));
            }
            for range in &port.source_ranges {
                add("LOAD-BALANCER-SOURCE-CIDR", format!("{},{range}", at(*ip)));
            }
            add("IPVS-IPS", ip.to_string());
        }
        self.node_port_members(port, add);
        for endpoint in port.endpoints.iter().filter(|endpoint| endpoint.local) {
            let (ip, number) = (endpoint.address.ip(), endpoint.address.port());
            add("LOOP-BACK", format!("{ip},{}:{number},{ip}", port.protocol()));
        }
        port.health_check_node_port.into_iter().for_each(|n| add("HEALTH-CHECK-NODE-PORT", n.to_string()));
    }

    fn node_port_members(&self, port: &Port, add: &mut impl FnMut(&str, String)) {
        let Some(number) = port.node_port else { return };
        let local = port.external_local.then_some("LOCAL-");
        for kind in [""].into_iter().chain(local) {
            if port.protocol != Protocol::Sctp {
                add(&format!("NODE-PORT-{kind}{}", port.protocol().to_uppercase()), number.to_string());
                continue;
            }
            for ip in self.node_ips.iter().filter(|ip| IpFamily::of(**ip) == port.family()) {
                add(&format!("NODE-PORT-{kind}SCTP-HASH"), format!("{ip},sctp:{number}"));
            }
        }
    }

    /// The rules of ipvs mode, for `iptables-restore --noflush`. [`Cluster::ipsets`] must be there.
    pub fn ipvs_iptables(&self, family: IpFamily) -> String {
        let loopback =
            if family == IpFamily::V4 { "-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN\n" } else { "" };
        let clusters = set_name(family, "CLUSTER-IP");
        let marking = match self.pod_cidr(family) {
            Some(pods) => format!("dst,dst ! -s {pods}"),
            None => "src,dst".to_owned(),
        };
        let masquerade = format!(
            "-A KUBE-SERVICES -m comment --comment \"Kubernetes service cluster ip + port for masquerade purpose\" \
             -m set --match-set {clusters} {marking} -j KUBE-MARK-MASQ\n"
        );
        let nat = format!("{NAT_SKELETON}{loopback}{masquerade}{}{MARKING}", rules(family, &NAT));
        let filter = format!("{FILTER_SKELETON}{}{FORWARDING}", rules(family, &FILTER));
        format!("*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n*nat\n{nat}COMMIT\n*filter\n{filter}COMMIT\n")
    }
}

fn rules(family: IpFamily, table: &[(&str, &str, &str, &str, &str)]) -> String {
    let rule = |(chain, conditions, set, of, target): &(&str, &str, &str, &str, &str)| {
        let set = set_name(family, set);
        format!("-A {chain} {conditions}-m set --match-set {set} {of} -j {target}\n")
    };
    table.iter().map(rule).collect()
}
