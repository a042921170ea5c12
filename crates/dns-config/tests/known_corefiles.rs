//! The Corefiles that distributions ship are read wholly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{config, config_in, names};
use towpath_dns_config::{
    Block, CacheTable, Config, FixedEnv, HttpAddress, KubeDns, PILLARS, Pillars, Place, PodNames,
    RESOLV_CONF, To, kubeadm_corefile,
};

fn unsupported(config: &Config) -> Vec<&str> {
    config.unsupported.iter().map(|remark| remark.directive.as_str()).collect()
}

fn to(block: &Block) -> Vec<String> {
    let one = |to: &To| match to {
        To::Server(server) => server.address.to_string(),
        To::File(path) => path.display().to_string(),
    };
    block.forward.iter().flat_map(|forward| forward.to.iter().map(one)).collect()
}

/// The same, as if it stood nowhere.
fn nowhere(mut block: Block) -> Block {
    block.at = Place::new("", 0);
    block.forward.iter_mut().for_each(|forward| forward.at = Place::new("", 0));
    block
}

#[test]
fn the_default_is_what_kubeadm_writes() {
    for domain in names(&["cluster.local.", "Corp.example.", "."]) {
        let read = config(&kubeadm_corefile(&domain)).unwrap();
        let default = Config::default_for(&domain);
        assert!(unsupported(&read).is_empty());
        assert_eq!(nowhere(read.blocks[0].clone()), nowhere(default.blocks[0].clone()), "{domain}");
        assert_eq!(default.files, [PathBuf::from(RESOLV_CONF)]);
    }
    let block = Config::default_for(&names(&["cluster.local."])[0]).blocks.remove(0);
    let kubernetes = block.kubernetes.unwrap();
    assert_eq!((kubernetes.ttl, kubernetes.pods), (30, PodNames::Insecure));
    assert_eq!(kubernetes.zones, names(&["cluster.local.", "in-addr.arpa.", "ip6.arpa."]));
    assert_eq!(block.forward[0].max_concurrent, Some(1000));
    assert_eq!(block.cache.unwrap().disable_denial, names(&["cluster.local."]));
    assert_eq!(block.health.unwrap().lameduck, Duration::from_secs(5));
}

#[test]
fn the_one_of_coredns_deployment() {
    let config = config(include_str!("data/deployment.corefile")).unwrap();
    assert!(unsupported(&config).is_empty());
    let kubernetes = config.blocks[0].kubernetes.clone().unwrap();
    assert_eq!(kubernetes.zones.len(), 1 + 16, "10.96.0.0/12 is 16 zones");
    assert_eq!(kubernetes.ttl, 5);
    assert_eq!(config.blocks[1].zones, names(&["corp.example."]));
    assert_eq!(to(&config.blocks[1]), ["10.0.0.1:53", "10.0.0.2:53"]);
}

#[test]
fn the_one_of_k3s_with_imports() {
    let env = FixedEnv::default()
        .with_file("/etc/coredns/custom/log.override", "log\n")
        .with_file("/etc/coredns/custom/corp.server", "corp.example:53 {\n  forward . 10.0.0.1\n}\n");
    let config = config_in(include_str!("data/k3s.corefile"), &env).unwrap();
    assert!(unsupported(&config).is_empty());
    let hosts = config.blocks[0].hosts.clone().unwrap();
    assert_eq!(
        (hosts.file, hosts.ttl, hosts.reload.as_secs()),
        (PathBuf::from("/etc/coredns/NodeHosts"), 60, 15)
    );
    assert_eq!(config.blocks[0].log.len(), 1);
    assert_eq!(to(&config.blocks[1]), ["10.0.0.1:53"]);
    assert_eq!(config.directories, [PathBuf::from("/etc/coredns/custom")]);
    assert!(config.files.contains(&PathBuf::from("/etc/coredns/custom/corp.server")));
}

#[test]
fn those_of_rke2_eks_and_aks() {
    let rke2 = config(include_str!("data/rke2.corefile")).unwrap();
    let kubernetes = rke2.blocks[0].kubernetes.clone().unwrap();
    assert_eq!(kubernetes.zones, names(&["cluster.local.", "in-addr.arpa.", "ip6.arpa."]), "each once");
    let all = Some("0.0.0.0".parse().unwrap());
    assert_eq!(rke2.blocks[0].prometheus.unwrap().address, HttpAddress { host: all, port: 9153 });
    let eks = config(include_str!("data/eks.corefile")).unwrap();
    assert_eq!(eks.blocks[0].kubernetes.clone().unwrap().ttl, 5);
    let env = FixedEnv::default().with_file("/etc/coredns/custom/x.override", "bufsize 1400");
    let aks = config_in(include_str!("data/aks.corefile"), &env).unwrap();
    assert_eq!(aks.blocks[0].bufsize, Some(1400));
    for config in [rke2, eks, aks] {
        assert!(unsupported(&config).is_empty());
        assert_eq!(to(&config.blocks[0]), [RESOLV_CONF]);
    }
}

#[test]
fn the_one_of_gke_has_templates_that_are_named() {
    let config = config(include_str!("data/gke-nodelocal.corefile")).unwrap();
    assert_eq!(unsupported(&config), ["template", "template"]);
    let lines: Vec<u32> = config.unsupported.iter().map(|remark| remark.at.line).collect();
    assert_eq!(lines, [3, 22]);
    assert_eq!(config.blocks[0].forward[0].expire, Duration::from_secs(1));
}

fn pillars() -> Pillars {
    Pillars {
        local: vec!["169.254.20.10".parse().unwrap()],
        cluster: vec!["10.96.7.7".parse().unwrap()],
        upstream: Vec::new(),
        domain: Some(names(&["cluster.local."]).remove(0)),
    }
}

#[test]
fn the_one_of_nodelocal_with_its_placeholders() {
    let text = pillars().fill(include_str!("data/nodelocal.corefile"), "Corefile").unwrap();
    assert!(PILLARS.iter().all(|name| !text.contains(name)), "{text}");
    let config = config(&text).unwrap();
    assert!(unsupported(&config).is_empty());
    let zones: Vec<_> = config.blocks.iter().map(|block| block.zones[0].to_string()).collect();
    assert_eq!(zones, ["cluster.local.", "in-addr.arpa.", "ip6.arpa.", "."]);
    for block in &config.blocks[..3] {
        assert_eq!(to(block), ["10.96.7.7:53"]);
        assert!(block.forward[0].force_tcp);
    }
    assert_eq!(to(&config.blocks[3]), [RESOLV_CONF]);
    let first = &config.blocks[0];
    assert_eq!(first.bind, ["169.254.20.10".parse::<std::net::IpAddr>().unwrap()]);
    let cache = first.cache.clone().unwrap();
    assert_eq!(cache.success, CacheTable { capacity: 9984, max_ttl: 30, min_ttl: 5 });
    assert_eq!(cache.denial, CacheTable { capacity: 9984, max_ttl: 5, min_ttl: 5 });
    assert_eq!(first.health.unwrap().address.host, "169.254.20.10".parse().ok());
}

#[test]
fn own_upstreams_of_nodelocal_are_asked_over_udp() {
    let own = Pillars {
        upstream: vec!["10.0.0.1:53".parse().unwrap(), "[2001:db8::1]:54".parse().unwrap()],
        ..pillars()
    };
    let text =
        ". {\n    forward . __PILLAR__UPSTREAM__SERVERS__ {\n            force_tcp\n    }\n    loop\n}\n";
    let block = config(&own.fill(text, "Corefile").unwrap()).unwrap().blocks.remove(0);
    assert!(!block.forward[0].force_tcp && block.loop_guard);
    assert_eq!(to(&block), ["10.0.0.1:53", "[2001:db8::1]:54"]);
    assert_eq!(own.fill(text, "Corefile").unwrap().lines().count(), text.lines().count());
    let node = config(&pillars().fill(text, "Corefile").unwrap()).unwrap().blocks.remove(0);
    assert!(node.forward[0].force_tcp, "the node's resolv.conf stays with TCP");
}

#[test]
fn placeholders_without_a_value_are_problems() {
    let none = Pillars::default();
    let cases = [
        (
            "a\nbind __PILLAR__LOCAL__DNS__",
            "Corefile:2: __PILLAR__LOCAL__DNS__ has no value here: write it out",
        ),
        ("__PILLAR__CLUSTER__DNS__", "Corefile:1: __PILLAR__CLUSTER__DNS__ has no value here: write it out"),
        ("__PILLAR__DNS__DOMAIN__", "Corefile:1: __PILLAR__DNS__DOMAIN__ has no value here: write it out"),
    ];
    for (text, want) in cases {
        assert_eq!(none.fill(text, "Corefile").unwrap_err().to_string(), want);
    }
    assert_eq!(none.fill("x __PILLAR__DNS__SERVER__ y", "").unwrap(), "x  y");
    assert_eq!(none.fill("x", "").unwrap(), "x");
}

#[test]
fn stub_domains_join_a_corefile() {
    let stub = r#"{"Corp.example": ["10.0.0.1", "10.0.0.2:5353"], "cluster.local": ["10.0.0.3"]}"#;
    let kube_dns = KubeDns::read(Some(stub), Some(r#"["10.0.0.9"]"#), "kube-dns").unwrap();
    let mut config =
        config("cluster.local {\n errors\n}\n. {\n forward . /etc/resolv.conf\n forward x 10.1.1.1\n}")
            .unwrap();
    let bind = ["169.254.20.10".parse().unwrap()];
    kube_dns.add_to(&mut config, &bind, "kube-dns");
    kube_dns.replace_resolv_conf(&mut config);
    assert_eq!(unsupported(&config), ["stubDomains cluster.local."]);
    let stub = &config.blocks[2];
    assert_eq!((stub.zones.clone(), stub.bind.as_slice()), (names(&["corp.example."]), bind.as_slice()));
    assert_eq!(to(stub), ["10.0.0.1:53", "10.0.0.2:5353"]);
    assert_eq!(stub.cache.clone().unwrap().success.max_ttl, 30);
    assert_eq!(to(&config.blocks[1]), ["10.0.0.9:53", "10.1.1.1:53"]);
}

#[test]
fn the_config_map_of_kube_dns_is_checked() {
    assert_eq!(KubeDns::read(None, Some(" "), "cm").unwrap(), KubeDns::default());
    let cases = [
        (Some("[]"), None, "cm: stubDomains is not {\"ZONE\": [\"ADDRESS\"]}: invalid type"),
        (Some("{\"a..b\": [\"10.0.0.1\"]}"), None, "cm: stubDomains: a..b is not a domain"),
        (Some("{\".\": [\"10.0.0.1\"]}"), None, "cm: stubDomains: . is not a domain"),
        (Some("{\"a\": []}"), None, "cm: stubDomains: a needs at least one address"),
        (Some("{\"a\": [\"x\"]}"), None, "cm: stubDomains: x is not an address with an optional port"),
        (None, Some("{}"), "cm: upstreamNameservers is not [\"ADDRESS\"]: invalid type"),
        (None, Some("[\"a\"]"), "cm: upstreamNameservers: a is not an address with an optional port"),
        (
            None,
            Some("[\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]"),
            "cm: upstreamNameservers: more than 3",
        ),
    ];
    for (stub, upstream, want) in cases {
        let text = KubeDns::read(stub, upstream, "cm").unwrap_err().to_string();
        assert!(text.starts_with(want), "{text}");
    }
    let both = KubeDns::read(Some("x"), Some("x"), "cm").unwrap_err();
    assert_eq!(both.0.len(), 2);
}
