//! Scenes that several themes use.

/// Every feature at once, in both families: all frontends, policies, affinity, source ranges, no endpoints, hairpin.
pub(crate) const RICH: &str = "
services:
- name: ns/plain
  type: NodePort
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  ports:
  - {name: p, port: 80, node_port: 30010}
  - {name: u, port: 53, node_port: 30011, protocol: UDP}
- name: ns/local
  type: LoadBalancer
  cluster_ips: [10.96.0.20, 'fd00:96::20']
  external_traffic_policy: Local
  internal_traffic_policy: Local
  lb_ingress: [{ip: 198.51.100.20}, {ip: '2001:db8:100::20'}]
  external_ips: [198.51.100.21, '2001:db8:100::21']
  lb_source_ranges: [203.0.113.0/24, 10.244.0.0/16, '2001:db8:1::/64']
  ports: [{name: p, port: 80, node_port: 30020}]
- name: ns/sticky
  type: NodePort
  cluster_ips: [10.96.0.30, 'fd00:96::30']
  session_affinity: ClientIP
  affinity_timeout: 10800
  ports: [{name: p, port: 80, node_port: 30030}]
- name: ns/empty
  type: NodePort
  cluster_ips: [10.96.0.40, 'fd00:96::40']
  ports: [{name: p, port: 80, node_port: 30040}]
slices:
- service: ns/plain
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/plain
  family: 6
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
- service: ns/local
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/local
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
- service: ns/sticky
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/sticky
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
";

/// One Service of each family with two endpoints.
pub(crate) const SMALL: &str = "
services:
- name: ns/web
  type: NodePort
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  ports: [{name: p, port: 80, node_port: 30010}]
slices:
- service: ns/web
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 10.244.0.1, node: test-node}, {ip: 10.244.1.1, node: other}]
- service: ns/web
  family: 6
  ports: [{name: p, port: 8080}]
  endpoints: [{ip: 'fd00:244::1', node: test-node}, {ip: 'fd00:244:0:1::1', node: other}]
";

/// Tables of other programs, one of them kube-proxy's.
pub(crate) const FOREIGN: &str = "
table ip other {
    set towpath { type ipv4_addr; elements = { 192.0.2.1 } }
    chain towpath { type filter hook input priority 5; ip saddr @towpath counter drop; }
}
table inet foo {
    chain c { type nat hook prerouting priority -90; tcp dport 9 accept; }
}
table inet towpath {
    chain services { }
}
table ip kube-proxy {
    chain services { ip daddr 192.0.2.2 drop; }
}
";
