//! Rules beside kube-proxy's in iptables mode: kubelet's, a network plugin's, a container engine's. And what of
//! ipvs mode needs no ipset.

use model::IpFamily;

use super::ipvs::{FILTER_SKELETON, FORWARDING, MARKING, NAT_SKELETON};

/// kubelet's chains: the hint, its canaries, and the rule against martian packets to 127.0.0.0/8.
pub fn kubelet(family: IpFamily) -> String {
    let mut text =
        String::from("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n");
    text.push_str("*nat\n:KUBE-KUBELET-CANARY - [0:0]\n:KUBE-MARK-DROP - [0:0]\n");
    text.push_str("-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000\nCOMMIT\n");
    text.push_str("*filter\n:KUBE-FIREWALL - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n");
    text.push_str("-I INPUT -j KUBE-FIREWALL\n-I OUTPUT -j KUBE-FIREWALL\n");
    if family == IpFamily::V4 {
        text.push_str(
            "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" \
             -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n",
        );
    }
    text + "COMMIT\n"
}

/// What a network plugin and a container engine have: chains with names of their own, some near kube-proxy's.
pub fn foreign(family: IpFamily) -> String {
    let (pods, bridge, host) = match family {
        IpFamily::V4 => ("10.244.0.0/16", "172.17.0.0/16", "172.17.0.2"),
        IpFamily::V6 => ("fd00:244::/48", "fd00:172::/64", "[fd00:172::2]"),
    };
    format!(
        "*raw\n:CNI-NOTRACK - [0:0]\n-A PREROUTING -p udp -m udp --dport 4789 -j CNI-NOTRACK\n\
         -A CNI-NOTRACK -j NOTRACK\nCOMMIT\n\
         *mangle\n:CNI-MANGLE - [0:0]\n-A FORWARD -j CNI-MANGLE\nCOMMIT\n\
         *nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:DOCKER - [0:0]\n:FLANNEL-POSTRTG - [0:0]\n\
         -A PREROUTING -m comment --comment \"CNI portfwd requiring \\\"masquerade\\\"\" -m addrtype --dst-type LOCAL \
         -j CNI-HOSTPORT-DNAT\n\
         -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER\n\
         -A POSTROUTING -s {bridge} ! -o docker0 -j MASQUERADE\n\
         -A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n\
         -A FLANNEL-POSTRTG -s {pods} -d {pods} -j RETURN\n\
         -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -j DNAT --to-destination {host}:80\nCOMMIT\n\
         *filter\n:DOCKER-USER - [0:0]\n:KUBE-ROUTER-FORWARD - [0:0]\n:KUBE-SVC-SHORT - [0:0]\n:cali-FORWARD - [0:0]\n\
         -A FORWARD -m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD\n\
         -A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n\
         -A FORWARD -m comment --comment \"it's KUBE-SERVICES' neighbour\" -j KUBE-ROUTER-FORWARD\n\
         -A cali-FORWARD -s {pods} -j ACCEPT\n-A KUBE-SVC-SHORT -j RETURN\n\
         -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    )
}

/// The chains and jumps of ipvs mode without the rules that ask ipsets, so that no set must be there first.
pub fn ipvs_chains(family: IpFamily) -> String {
    let address = if family == IpFamily::V4 { "192.0.2.1" } else { "2001:db8::1" };
    format!(
        "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n\
         *nat\n{NAT_SKELETON}-A KUBE-NODE-PORT -p tcp -j KUBE-MARK-MASQ\n{MARKING}COMMIT\n\
         *filter\n{FILTER_SKELETON}{FORWARDING}\
         -A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -d {address} -j REJECT\nCOMMIT\n"
    )
}
