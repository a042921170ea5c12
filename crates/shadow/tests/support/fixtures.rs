//! Texts that the generator of testkit does not write: other versions of kube-proxy, and what it leaves out.

use model::IpFamily;
use towpath_shadow::{Frontend, Outcome, Place, Programmed, Sources};
use xtables::Variant;

/// Its name, how it is loaded, the text, and the frontends that are to be read.
pub type Fixture = (&'static str, Place, IpFamily, &'static str, &'static [&'static str]);

const AWAY: &[&str] = &[
    "172.30.0.42:80/tcp ns2/svc2:p80 10.180.0.2:8080",
    "172.30.0.47:80/tcp ns7/svc7 drop",
    "192.168.99.22:80/tcp ns2/svc2:p80 drop, from the node 10.180.0.2:8080",
    "nodePort 3001/tcp (IPv4) ns2/svc2:p80 drop, from the node 10.180.0.2:8080",
];
const OLD: &[&str] = &[
    "172.30.0.41:80/tcp ns1/svc1:p80 10.180.0.1:80 10.180.0.2:80",
    "172.30.0.45:80/tcp ns5/svc5:p80 10.180.0.3:80 for 60 s",
];

pub const FIXTURES: &[Fixture] = &[
    ("policies Local, all endpoints elsewhere, nftables", Place::Nftables, IpFamily::V4, NFT_AWAY, AWAY),
    (
        "policies Local, all endpoints elsewhere, iptables",
        Place::Iptables(Variant::Legacy),
        IpFamily::V4,
        IPT_AWAY,
        AWAY,
    ),
    ("1.29 to 1.32: a chain for each endpoint", Place::Nftables, IpFamily::V4, NFT_OLD, OLD),
    (
        "1.37: a single endpoint needs no map",
        Place::Nftables,
        IpFamily::V6,
        NFT_SINGLE,
        &["[fd00:172::41]:53/udp ns1/svc1:dns [fd00:10::1]:5353"],
    ),
    (
        "1.23: the chain XLB, and sources in the chain FW",
        Place::Iptables(Variant::Nft),
        IpFamily::V4,
        IPT_XLB,
        &[
            "1.2.3.4:80/tcp ns5/svc5:p80 10.180.0.3:80, from the node 10.180.0.3:80 10.180.0.4:80 \
             only 203.0.113.0/25",
            "172.30.0.45:80/tcp ns5/svc5:p80 10.180.0.3:80 10.180.0.4:80",
            "nodePort 3003/tcp (IPv4) ns5/svc5:p80 10.180.0.3:80, from the node 10.180.0.3:80 10.180.0.4:80",
        ],
    ),
    (
        "nodePorts on loopback, and on some addresses only; detection by a link",
        Place::Iptables(Variant::Legacy),
        IpFamily::V4,
        IPT_LOOPBACK,
        &["nodePort 3001/tcp (IPv4) ns2/svc2:p80 10.180.0.1:80, from the node 10.180.0.1:80 10.180.0.2:80"],
    ),
    (
        "ranges of sources, and a nodePort on the load balancer's port",
        Place::Nftables,
        IpFamily::V4,
        NFT_SOURCES,
        &[
            "1.2.3.4:80/tcp ns5/svc5:p80 10.180.0.3:80 masquerades only 0.0.0.0/1, 203.0.113.0/25",
            "1.2.3.5:80/tcp ns5/svc6:p80 10.180.0.4:80 masquerades only 198.51.100.0/24",
            "1.2.3.6:80/tcp ns5/svc7:p80 10.180.0.5:80 masquerades only 198.51.100.1/32, 255.255.255.255/32",
            "1.2.3.7:80/tcp ns5/svc8:p80 reject only 198.51.100.0/24",
        ],
    ),
];

/// Frontends line by line: masquerade only of those that do, no word of affinity where there is none.
pub fn print(programmed: &Programmed) -> Vec<String> {
    programmed.frontends.iter().map(|(key, frontend)| format!("{key} {}", line(frontend))).collect()
}

fn line(frontend: &Frontend) -> String {
    let name = frontend.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut line = format!("{name} {}", outcome(&frontend.ordinary));
    if let Some(from_node) = frontend.from_node.as_ref().filter(|node| **node != frontend.ordinary) {
        line += &format!(", from the node {}", outcome(from_node));
    }
    if frontend.masquerades == Some(true) {
        line += " masquerades";
    }
    if let Some(Sources::Only(nets)) = &frontend.sources {
        let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
        line += &format!(" only {}", nets.join(", "));
    }
    match frontend.affinity_seconds {
        None | Some(0) => line,
        Some(seconds) => format!("{line} for {seconds} s"),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Dnat(endpoints) => endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        other => other.verdict().as_str().to_owned(),
    }
}

const NFT_AWAY: &str = r#"
add table ip kube-proxy
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
add chain ip kube-proxy mark-for-masquerade
add chain ip kube-proxy external-42NFTM6N-ns2/svc2/tcp/p80
add chain ip kube-proxy service-42NFTM6N-ns2/svc2/tcp/p80
add rule ip kube-proxy mark-for-masquerade meta mark set meta mark or 0x4000
add rule ip kube-proxy external-42NFTM6N-ns2/svc2/tcp/p80 ip saddr 10.0.0.0/8 goto service-42NFTM6N-ns2/svc2/tcp/p80
add rule ip kube-proxy external-42NFTM6N-ns2/svc2/tcp/p80 fib saddr type local jump mark-for-masquerade
add rule ip kube-proxy external-42NFTM6N-ns2/svc2/tcp/p80 fib saddr type local goto service-42NFTM6N-ns2/svc2/tcp/p80
add rule ip kube-proxy service-42NFTM6N-ns2/svc2/tcp/p80 ip daddr 172.30.0.42 tcp dport 80 ip saddr != 10.0.0.0/8 jump mark-for-masquerade
add rule ip kube-proxy service-42NFTM6N-ns2/svc2/tcp/p80 meta l4proto tcp dnat ip addr . port to numgen random mod 1 map { 0 : 10.180.0.2 . 8080 }
add element ip kube-proxy service-ips { 172.30.0.42 . tcp . 80 : goto service-42NFTM6N-ns2/svc2/tcp/p80 }
add element ip kube-proxy service-ips { 192.168.99.22 . tcp . 80 : goto external-42NFTM6N-ns2/svc2/tcp/p80 }
add element ip kube-proxy service-nodeports { tcp . 3001 : goto external-42NFTM6N-ns2/svc2/tcp/p80 }
add element ip kube-proxy no-endpoint-services { 192.168.99.22 . tcp . 80 comment "ns2/svc2:p80" : drop }
add element ip kube-proxy no-endpoint-services { 172.30.0.47 . tcp . 80 comment "ns7/svc7" : drop }
add element ip kube-proxy no-endpoint-nodeports { tcp . 3001 comment "ns2/svc2:p80" : drop }
"#;

const IPT_AWAY: &str = r#"*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
-A KUBE-SERVICES -m comment --comment "ns7/svc7 has no local endpoints" -m tcp -p tcp -d 172.30.0.47 --dport 80 -j DROP
-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints" -m tcp -p tcp -d 192.168.99.22 --dport 80 -j DROP
-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3001 -j DROP
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-GNZBNJ2PO5MGZ6GT - [0:0]
:KUBE-SVC-GNZBNJ2PO5MGZ6GT - [0:0]
:KUBE-SEP-RS4RBKLTHTF2IUXJ - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-NODEPORTS -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 cluster IP" -m tcp -p tcp -d 172.30.0.42 --dport 80 -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 external IP" -m tcp -p tcp -d 192.168.99.22 --dport 80 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m comment --comment "pod traffic for ns2/svc2:p80 external destinations" -s 10.0.0.0/8 -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m addrtype --src-type LOCAL -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-SVC-GNZBNJ2PO5MGZ6GT -m comment --comment "ns2/svc2:p80 cluster IP" -m tcp -p tcp -d 172.30.0.42 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-GNZBNJ2PO5MGZ6GT -m comment --comment "ns2/svc2:p80 -> 10.180.0.2:8080" -j KUBE-SEP-RS4RBKLTHTF2IUXJ
-A KUBE-SEP-RS4RBKLTHTF2IUXJ -m comment --comment ns2/svc2:p80 -s 10.180.0.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-RS4RBKLTHTF2IUXJ -m comment --comment ns2/svc2:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.2:8080
COMMIT
"#;

const NFT_OLD: &str = r#"
add table ip kube-proxy
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add set ip kube-proxy affinity-A-ns5/svc5/tcp/p80__10.180.0.3/80 { type ipv4_addr ; flags dynamic,timeout ; timeout 60s ; }
add chain ip kube-proxy mark-for-masquerade
add chain ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80
add chain ip kube-proxy endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80
add chain ip kube-proxy endpoint-6OJB2KTY-ns1/svc1/tcp/p80__10.180.0.2/80
add chain ip kube-proxy service-HVFWP5L3-ns5/svc5/tcp/p80
add chain ip kube-proxy endpoint-A-ns5/svc5/tcp/p80__10.180.0.3/80
add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000
add rule ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80 ip daddr 172.30.0.41 tcp dport 80 ip saddr != 10.0.0.0/8 jump mark-for-masquerade
add rule ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80 counter numgen random mod 2 vmap { 0 : goto endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 , 1 : goto endpoint-6OJB2KTY-ns1/svc1/tcp/p80__10.180.0.2/80 }
add rule ip kube-proxy endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 ip saddr 10.180.0.1 jump mark-for-masquerade
add rule ip kube-proxy endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 meta l4proto tcp dnat to 10.180.0.1:80
add rule ip kube-proxy endpoint-6OJB2KTY-ns1/svc1/tcp/p80__10.180.0.2/80 meta l4proto tcp dnat to 10.180.0.2:80
add rule ip kube-proxy service-HVFWP5L3-ns5/svc5/tcp/p80 ip saddr @affinity-A-ns5/svc5/tcp/p80__10.180.0.3/80 goto endpoint-A-ns5/svc5/tcp/p80__10.180.0.3/80
add rule ip kube-proxy service-HVFWP5L3-ns5/svc5/tcp/p80 numgen random mod 1 vmap { 0 : goto endpoint-A-ns5/svc5/tcp/p80__10.180.0.3/80 }
add rule ip kube-proxy endpoint-A-ns5/svc5/tcp/p80__10.180.0.3/80 update @affinity-A-ns5/svc5/tcp/p80__10.180.0.3/80 { ip saddr }
add rule ip kube-proxy endpoint-A-ns5/svc5/tcp/p80__10.180.0.3/80 meta l4proto tcp dnat to 10.180.0.3:80
add element ip kube-proxy service-ips { 172.30.0.41 . tcp . 80 : goto service-ULMVA6XW-ns1/svc1/tcp/p80 }
add element ip kube-proxy service-ips { 172.30.0.45 . tcp . 80 : goto service-HVFWP5L3-ns5/svc5/tcp/p80 }
"#;

const NFT_SINGLE: &str = r#"
add table ip6 kube-proxy
add map ip6 kube-proxy service-ips { type ipv6_addr . inet_proto . inet_service : verdict ; }
add chain ip6 kube-proxy service-ULMVA6XW-ns1/svc1/udp/dns
add rule ip6 kube-proxy service-ULMVA6XW-ns1/svc1/udp/dns meta l4proto udp dnat to [fd00:10::1]:5353
add element ip6 kube-proxy service-ips { fd00:172::41 . udp . 53 : goto service-ULMVA6XW-ns1/svc1/udp/dns }
"#;

const IPT_XLB: &str = r#"*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-MARK-DROP - [0:0]
:KUBE-FW-A - [0:0]
:KUBE-XLB-A - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
-A OUTPUT -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-MARK-DROP -j MARK --or-mark 0x8000
-A KUBE-NODEPORTS -m comment --comment ns5/svc5:p80 -p tcp --dport 3003 -j KUBE-XLB-A
-A KUBE-SERVICES -m comment --comment "ns5/svc5:p80 cluster IP" -p tcp -d 172.30.0.45 --dport 80 -j KUBE-SVC-A
-A KUBE-SERVICES -m comment --comment "ns5/svc5:p80 loadbalancer IP" -p tcp -d 1.2.3.4 --dport 80 -j KUBE-FW-A
-A KUBE-FW-A -s 203.0.113.0/25 -j KUBE-XLB-A
-A KUBE-FW-A -j KUBE-MARK-DROP
-A KUBE-XLB-A -s 10.0.0.0/8 -j KUBE-SVC-A
-A KUBE-XLB-A -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-XLB-A -m addrtype --src-type LOCAL -j KUBE-SVC-A
-A KUBE-XLB-A -j KUBE-SEP-A
-A KUBE-SVC-A -m statistic --mode random --probability 0.5 -j KUBE-SEP-A
-A KUBE-SVC-A -j KUBE-SEP-B
-A KUBE-SEP-A -s 10.180.0.3/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-A -p tcp -j DNAT --to-destination 10.180.0.3:80
-A KUBE-SEP-B -p tcp -j DNAT --to-destination 10.180.0.4:80
COMMIT
"#;

const IPT_LOOPBACK: &str = r#"*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-A - [0:0]
:KUBE-SVL-A - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
-A OUTPUT -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-SERVICES -d 192.168.0.2 -m comment --comment "kubernetes service nodeports" -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -d 127.0.0.0/8 -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-A
-A KUBE-NODEPORTS -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-A
-A KUBE-EXT-A -i cni+ -j KUBE-SVC-A
-A KUBE-EXT-A -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-A -m addrtype --src-type LOCAL -j KUBE-SVC-A
-A KUBE-EXT-A -j KUBE-SVL-A
-A KUBE-SVL-A -j KUBE-SEP-A
-A KUBE-SVC-A ! -i cni+ -d 172.30.0.42/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-A -m statistic --mode random --probability 0.5 -j KUBE-SEP-A
-A KUBE-SVC-A -j KUBE-SEP-B
-A KUBE-SEP-A -p tcp -j DNAT --to-destination 10.180.0.1:80
-A KUBE-SEP-B -p tcp -j DNAT --to-destination 10.180.0.2:80
COMMIT
"#;

const NFT_SOURCES: &str = r#"
add table ip kube-proxy
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add chain ip kube-proxy mark-for-masquerade
add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000
add chain ip kube-proxy external-A-ns5/svc5/tcp/p80
add rule ip kube-proxy external-A-ns5/svc5/tcp/p80 jump mark-for-masquerade
add rule ip kube-proxy external-A-ns5/svc5/tcp/p80 meta l4proto tcp dnat to 10.180.0.3:80
add chain ip kube-proxy firewall-A-ns5/svc5/tcp/p80
add rule ip kube-proxy firewall-A-ns5/svc5/tcp/p80 ip saddr != { 203.0.113.0/25, 0.0.0.0/1 } drop
add chain ip kube-proxy external-B-ns5/svc6/tcp/p80
add rule ip kube-proxy external-B-ns5/svc6/tcp/p80 jump mark-for-masquerade
add rule ip kube-proxy external-B-ns5/svc6/tcp/p80 meta l4proto tcp dnat to 10.180.0.4:80
add chain ip kube-proxy firewall-B-ns5/svc6/tcp/p80
add rule ip kube-proxy firewall-B-ns5/svc6/tcp/p80 ip saddr != { 198.51.100.0/24 } drop
add chain ip kube-proxy external-C-ns5/svc7/tcp/p80
add rule ip kube-proxy external-C-ns5/svc7/tcp/p80 jump mark-for-masquerade
add rule ip kube-proxy external-C-ns5/svc7/tcp/p80 meta l4proto tcp dnat to 10.180.0.5:80
add chain ip kube-proxy firewall-C-ns5/svc7/tcp/p80
add rule ip kube-proxy firewall-C-ns5/svc7/tcp/p80 ip saddr != { 198.51.100.1, 255.255.255.255/32 } drop
add element ip kube-proxy service-ips { 1.2.3.4 . tcp . 80 : goto external-A-ns5/svc5/tcp/p80 }
add element ip kube-proxy service-ips { 1.2.3.5 . tcp . 80 : goto external-B-ns5/svc6/tcp/p80 }
add element ip kube-proxy service-ips { 1.2.3.6 . tcp . 80 : goto external-C-ns5/svc7/tcp/p80 }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add chain ip kube-proxy reject-chain
add rule ip kube-proxy reject-chain reject
add element ip kube-proxy no-endpoint-services { 1.2.3.7 . tcp . 80 comment "ns5/svc8:p80" : goto reject-chain }
add element ip kube-proxy firewall-ips { 1.2.3.7 . tcp . 80 comment "ns5/svc8:p80" : goto firewall-B-ns5/svc6/tcp/p80 }
add element ip kube-proxy firewall-ips { 1.2.3.4 . tcp . 80 comment "ns5/svc5:p80" : goto firewall-A-ns5/svc5/tcp/p80 }
add element ip kube-proxy firewall-ips { 1.2.3.5 . tcp . 80 comment "ns5/svc6:p80" : goto firewall-B-ns5/svc6/tcp/p80 }
add element ip kube-proxy firewall-ips { 1.2.3.6 . tcp . 80 comment "ns5/svc7:p80" : goto firewall-C-ns5/svc7/tcp/p80 }
"#;
