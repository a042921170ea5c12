//! One change of what kube-proxy knows, and how it shows.

use std::net::SocketAddr;

use testkit::kube_proxy::{Cluster, Endpoint, Port};

use crate::support::port;

/// Its name, the change of kube-proxy's cluster, and the lines that are to be reported.
pub type Case = (&'static str, fn(&mut Cluster), &'static [&'static str]);

fn far(text: &str) -> Endpoint {
    Endpoint { address: text.parse().unwrap(), local: false }
}

fn edit(cluster: &mut Cluster, service: &str, change: impl FnOnce(&mut Port)) {
    change(port(cluster, service));
}

/// Every kind of change, each alone.
pub const CASES: &[Case] = &[
    ("nothing", |_| {}, &[]),
    (
        "an endpoint that kube-proxy has not heard of",
        |c| edit(c, "default/web", |p| p.endpoints.truncate(1)),
        &["default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
           towpath sends to 10.244.2.7:8080 too, kube-proxy does not"],
    ),
    (
        "an endpoint that kube-proxy still has",
        |c| edit(c, "default/web", |p| p.endpoints.push(far("10.244.2.8:8080"))),
        &["default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
           kube-proxy sends to 10.244.2.8:8080 too, towpath does not"],
    ),
    (
        "an endpoint with another port",
        |c| edit(c, "kube-system/dns", |p| p.endpoints[1] = far("10.244.2.7:53")),
        &["kube-system/dns:dns 10.96.0.16:80/udp: \
           only kube-proxy sends to 10.244.2.7:53, only towpath to 10.244.2.7:8080"],
    ),
    (
        "an endpoint of a Service with affinity",
        |c| edit(c, "default/sticky", |p| p.endpoints = p.endpoints.split_off(1)),
        &["default/sticky 10.96.0.13:80/tcp: towpath sends to 10.244.1.5:8080 too, kube-proxy does not"],
    ),
    (
        "all endpoints",
        |c| edit(c, "kube-system/dns", |p| p.endpoints.clear()),
        &["kube-system/dns:dns 10.96.0.16:80/udp: kube-proxy refuses it, towpath sends it to endpoints"],
    ),
    (
        "the first endpoint",
        |c| edit(c, "default/none", |p| p.endpoints.push(far("10.244.2.7:8080"))),
        &["default/none:http 10.96.0.14:80/tcp, nodePort 30084/tcp (IPv4): \
           kube-proxy sends it to endpoints, towpath refuses it"],
    ),
    (
        "a Service that kube-proxy has not heard of",
        |c| c.ports.retain(|p| p.service != "default/web" || p.cluster_ip.is_ipv6()),
        &["default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
           towpath serves it, kube-proxy has no rule for it"],
    ),
    (
        "a Service that kube-proxy still has",
        |c| {
            let ip: SocketAddr = "10.96.0.99:443".parse().unwrap();
            c.ports.push(Port::new("gone/old", "https", ip, &["10.244.2.9:8443".parse().unwrap()]));
        },
        &["gone/old:https 10.96.0.99:443/tcp: kube-proxy serves it, towpath does not"],
    ),
    (
        "another nodePort",
        |c| edit(c, "default/web", |p| p.node_port = Some(30_099)),
        &[
            "default/web:http nodePort 30080/tcp (IPv4): towpath serves it, kube-proxy has no rule for it",
            "default/web:http nodePort 30099/tcp (IPv4): kube-proxy serves it, towpath does not",
        ],
    ),
    (
        "another name at the same address",
        |c| edit(c, "default/sticky", |p| p.service = "default/other".into()),
        &["default/sticky 10.96.0.13:80/tcp: kube-proxy serves default/other there"],
    ),
    (
        "policy Cluster in the place of Local",
        |c| edit(c, "default/local", |p| p.external_local = false),
        &[
            "default/local:http 5.5.5.12:80/tcp, nodePort 30082/tcp (IPv4): \
             kube-proxy sends to 10.244.2.7:8080 too, towpath does not",
            "default/local:http 5.5.5.12:80/tcp, nodePort 30082/tcp (IPv4): \
             kube-proxy masquerades traffic from outside, towpath keeps its source",
        ],
    ),
    (
        "policy Local in the place of Cluster",
        |c| edit(c, "default/web", |p| p.external_local = true),
        &[
            "default/web:http nodePort 30080/tcp (IPv4): \
             towpath sends to 10.244.2.7:8080 too, kube-proxy does not",
            "default/web:http nodePort 30080/tcp (IPv4): \
             kube-proxy keeps the source of traffic from outside, towpath masquerades",
        ],
    ),
    (
        "other ranges of sources",
        |c| edit(c, "default/lb", |p| p.source_ranges = vec!["203.0.113.0/25".into(), "5.6.7.8/32".into()]),
        &["default/lb:http 5.5.5.11:80/tcp: kube-proxy lets in 5.6.7.8/32, 203.0.113.0/25, \
           towpath in 203.0.113.0/24"],
    ),
    (
        "the same sources in other words",
        |c| {
            edit(c, "default/lb", |p| {
                p.source_ranges = vec!["203.0.113.0/25".into(), "203.0.113.128/25".into()]
            })
        },
        &[],
    ),
    (
        "no ranges of sources",
        |c| edit(c, "default/lb", |p| p.source_ranges.clear()),
        &["default/lb:http 5.5.5.11:80/tcp: kube-proxy lets anybody in, towpath in 203.0.113.0/24"],
    ),
    (
        "another timeout of affinity",
        |c| edit(c, "default/sticky", |p| p.affinity = Some(60)),
        &["default/sticky 10.96.0.13:80/tcp: kube-proxy keeps clients for 60 s, \
           towpath keeps clients for 10800 s"],
    ),
    (
        "no affinity",
        |c| edit(c, "default/sticky", |p| p.affinity = None),
        &["default/sticky 10.96.0.13:80/tcp: kube-proxy has no session affinity, \
           towpath keeps clients for 10800 s"],
    ),
    (
        "affinity",
        |c| edit(c, "default/web", |p| p.affinity = Some(60)),
        &["default/web:http 10.96.0.10:80/tcp, nodePort 30080/tcp (IPv4): \
           kube-proxy keeps clients for 60 s, towpath has no session affinity"],
    ),
    (
        "an endpoint of IPv6",
        |c| {
            let v6 = c.ports.iter_mut().find(|p| p.service == "default/lb" && p.cluster_ip.is_ipv6());
            v6.unwrap().endpoints.truncate(1);
        },
        &["default/lb:http [fd00:5::11]:80/tcp, [fd00:96::11]:80/tcp, nodePort 30081/tcp (IPv6): \
           towpath sends to [fd00:244:2::7]:8080 too, kube-proxy does not"],
    ),
];
