//! The options of `kubernetes`, `k8s_external`, `autopath` and `hosts`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{block, names, refused, unsupported};
use towpath_dns_config::{
    Autopath, AutopathSource, External, Hosts, HostsEntry, Kubernetes, PodNames, Requirement, Selector,
    SelectorOperator,
};

fn kubernetes(option: &str) -> Kubernetes {
    block(&format!("kubernetes cluster.local {{\n{option}\n}}")).kubernetes.unwrap()
}

fn default() -> Kubernetes {
    Kubernetes::new(names(&["cluster.local."]))
}

fn selector(parts: &[(&str, SelectorOperator)]) -> Option<Selector> {
    let requirement = |(key, operator): &(&str, SelectorOperator)| Requirement {
        key: (*key).to_owned(),
        operator: operator.clone(),
    };
    Some(Selector { requirements: parts.iter().map(requirement).collect() })
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn kubernetes_defaults_are_those_of_coredns() {
    let of_block = block("kubernetes").kubernetes.unwrap();
    assert_eq!(of_block.zones, names(&["example.org."]));
    let kubernetes = kubernetes("");
    assert_eq!(kubernetes, default());
    assert_eq!((kubernetes.ttl, kubernetes.pods), (5, PodNames::Disabled));
    assert!(kubernetes.fallthrough.is_empty() && kubernetes.namespaces.is_empty());
}

#[test]
fn kubernetes_options_are_read() {
    use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
    let cases: Vec<(&str, Kubernetes)> = vec![
        ("ttl 30", Kubernetes { ttl: 30, ..default() }),
        ("ttl 0", Kubernetes { ttl: 0, ..default() }),
        ("ttl 3600", Kubernetes { ttl: 3600, ..default() }),
        ("pods disabled", default()),
        ("pods insecure", Kubernetes { pods: PodNames::Insecure, ..default() }),
        ("pods verified", Kubernetes { pods: PodNames::Verified, ..default() }),
        ("namespaces a b\nnamespaces c", Kubernetes { namespaces: texts(&["a", "b", "c"]), ..default() }),
        (
            "namespace_labels tier=open",
            Kubernetes { namespace_labels: selector(&[("tier", In(texts(&["open"])))]), ..default() },
        ),
        (
            "labels environment in (production, staging, qa),application=nginx",
            Kubernetes {
                labels: selector(&[
                    ("environment", In(texts(&["production", "staging", "qa"]))),
                    ("application", In(texts(&["nginx"]))),
                ]),
                ..default()
            },
        ),
        (
            "labels a==1,b!=2,c notin (3,4),d,!example.org/e",
            Kubernetes {
                labels: selector(&[
                    ("a", In(texts(&["1"]))),
                    ("b", NotIn(texts(&["2"]))),
                    ("c", NotIn(texts(&["3", "4"]))),
                    ("d", Exists),
                    ("example.org/e", DoesNotExist),
                ]),
                ..default()
            },
        ),
        ("endpoint_pod_names", Kubernetes { endpoint_pod_names: true, ..default() }),
        ("noendpoints", Kubernetes { noendpoints: true, ..default() }),
        ("ignore empty_service", Kubernetes { ignore_empty: true, ..default() }),
        ("fallthrough", Kubernetes { fallthrough: names(&["."]), ..default() }),
        (
            "fallthrough in-addr.arpa ip6.arpa",
            Kubernetes { fallthrough: names(&["in-addr.arpa.", "ip6.arpa."]), ..default() },
        ),
        ("multicluster cluster.local", Kubernetes { multicluster: names(&["cluster.local."]), ..default() }),
        ("zonal", Kubernetes { zonal: true, ..default() }),
    ];
    for (option, want) in cases {
        assert_eq!(kubernetes(option), want, "{option}");
    }
    let networks = block("kubernetes cluster.local 10.96.0.0/15").kubernetes.unwrap();
    assert_eq!(networks.zones, names(&["cluster.local.", "96.10.in-addr.arpa.", "97.10.in-addr.arpa."]));
}

#[test]
fn kubernetes_options_that_coredns_refuses_are_problems() {
    let cases = [
        ("ttl", "3: ttl: an argument is missing"),
        ("ttl 3601", "3: ttl: 3601 is not a number from 0 to 3600"),
        ("ttl -1", "3: ttl: -1 is not a number from 0 to 3600"),
        ("pods giant_seed", "3: pods: giant_seed is not disabled, insecure or verified"),
        ("pods", "3: pods: an argument is missing"),
        ("namespaces", "3: namespaces: an argument is missing"),
        ("labels", "3: labels: an argument is missing"),
        ("endpoint_pod_names x", "3: endpoint_pod_names: unexpected argument x"),
        ("noendpoints x", "3: noendpoints: unexpected argument x"),
        ("ignore services", "3: ignore: services is not empty_service"),
        ("fallthrough a..b", "3: a..b is not a zone"),
        (
            "multicluster other.local",
            "2: kubernetes: the multicluster zone other.local. must be one of its zones: add it",
        ),
        (
            "namespaces a\nnamespace_labels b",
            "2: kubernetes: namespaces and namespace_labels exclude each other: remove one",
        ),
        ("startup_timeout x", "3: startup_timeout: x is not a duration: write for example 30s or 500ms"),
    ];
    for (option, want) in cases {
        assert_eq!(refused(&format!("kubernetes cluster.local {{\n{option}\n}}")), want, "{option}");
    }
    for labels in ["a in (b", "a in b", "a=b=c", "a=b,,c", "-a", "a in ()x", "a b c", "a>1", "a)", "a=ä"] {
        let text = refused(&format!("kubernetes cluster.local {{\nlabels {labels}\n}}"));
        assert!(text.starts_with(&format!("3: labels: {labels} is not a label selector")), "{text}");
    }
    assert_eq!(
        refused("kubernetes 10.0.0.0/8"),
        "2: kubernetes: at least one zone must not be a reverse zone"
    );
    assert_eq!(
        refused("kubernetes\nkubernetes"),
        "3: kubernetes: this plugin can be used only once in a server block"
    );
}

#[test]
fn kubernetes_options_of_the_api_server_are_named() {
    let cases = [
        ("endpoint https://k8s:8443", "3: kubernetes endpoint"),
        ("tls cert key ca", "3: kubernetes tls"),
        ("kubeconfig /root/config ctx", "3: kubernetes kubeconfig"),
        ("apiserver_qps 5", "3: kubernetes apiserver_qps"),
        ("apiserver_burst 5", "3: kubernetes apiserver_burst"),
        ("apiserver_max_inflight 5", "3: kubernetes apiserver_max_inflight"),
        ("resyncperiod 5m", "3: kubernetes resyncperiod"),
        ("transfer to *", "3: kubernetes transfer"),
        ("no_such_option", "3: kubernetes no_such_option"),
    ];
    for (option, want) in cases {
        assert_eq!(unsupported(&format!("kubernetes cluster.local {{\n{option}\n}}")), [want], "{option}");
    }
}

#[test]
fn selectors_match_labels() {
    let labels = |key: &str| match key {
        "app" => Some("web"),
        "empty" => Some(""),
        _ => None,
    };
    let cases = [
        ("app=web", true),
        ("app=db", false),
        ("app!=db", true),
        ("gone!=db", true),
        ("app in (db,web)", true),
        ("gone in (db,web)", false),
        ("app notin (db)", true),
        ("app", true),
        ("gone", false),
        ("!gone", true),
        ("!app", false),
        ("empty=", true),
        ("app=web,gone", false),
    ];
    for (text, want) in cases {
        let selector = kubernetes(&format!("labels {text}")).labels.unwrap();
        assert_eq!(selector.matches(labels), want, "{text}");
        assert_eq!(kubernetes(&format!("labels {selector}")).labels.unwrap(), selector, "{text}");
    }
}

#[test]
fn external_options_are_read() {
    let default = || External::new(names(&["example.org."]));
    let cases: Vec<(&str, External)> = vec![
        ("k8s_external", default()),
        ("k8s_external A.example b.example", External::new(names(&["a.example.", "b.example."]))),
        ("k8s_external {\nttl 60\n}", External { ttl: 60, ..default() }),
        ("k8s_external {\napex Edge\n}", External { apex: "edge".to_owned(), ..default() }),
        ("k8s_external {\nheadless\n}", External { headless: true, ..default() }),
        ("k8s_external {\nfallthrough\n}", External { fallthrough: names(&["."]), ..default() }),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).external, [want], "{text}");
    }
    assert_eq!((default().ttl, default().apex.as_str()), (5, "dns"));
    assert_eq!(block("k8s_external a\nk8s_external b").external.len(), 2);
    assert_eq!(refused("k8s_external {\nttl 3601\n}"), "3: ttl: 3601 is not a number from 0 to 3600");
    assert_eq!(refused("k8s_external {\napex a.b\n}"), "3: apex: a.b is not a single label");
    assert_eq!(unsupported("k8s_external {\nsecret\n}"), ["3: k8s_external secret"]);
}

#[test]
fn autopath_has_a_source() {
    let zones = names(&["example.org."]);
    let file = AutopathSource::File(PathBuf::from("/etc/resolv.conf"));
    let cases = [
        ("autopath @kubernetes", Autopath { zones: zones.clone(), source: AutopathSource::Kubernetes }),
        ("autopath /etc/resolv.conf", Autopath { zones, source: file }),
        (
            "autopath a.example b.example @kubernetes",
            Autopath { zones: names(&["a.example.", "b.example."]), source: AutopathSource::Kubernetes },
        ),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).autopath, Some(want), "{text}");
    }
    assert_eq!(refused("autopath"), "2: autopath: write @kubernetes or the path of a file like resolv.conf");
    assert_eq!(unsupported("autopath @erratic"), ["2: autopath @erratic"]);
}

#[test]
fn hosts_options_are_read() {
    let default = || Hosts::new(names(&["example.org."]));
    let entry =
        |address: &str, of: &[&str]| HostsEntry { address: address.parse().unwrap(), names: names(of) };
    let fall = || names(&["."]);
    let cases: Vec<(&str, Hosts)> = vec![
        ("hosts", default()),
        ("hosts /x", Hosts { file: PathBuf::from("/x"), ..default() }),
        ("hosts /x a.example", Hosts { file: PathBuf::from("/x"), ..Hosts::new(names(&["a.example."])) }),
        ("hosts {\nttl 60\n}", Hosts { ttl: 60, ..default() }),
        ("hosts {\nno_reverse\n}", Hosts { no_reverse: true, ..default() }),
        ("hosts {\nreload 15s\n}", Hosts { reload: Duration::from_secs(15), ..default() }),
        ("hosts {\nreload 0\n}", Hosts { reload: Duration::ZERO, ..default() }),
        ("hosts {\nfallthrough\n}", Hosts { fallthrough: fall(), ..default() }),
        (
            "hosts {\nfallthrough_unsupported\nfallthrough\n}",
            Hosts { fallthrough: fall(), fallthrough_unsupported: true, ..default() },
        ),
        (
            "hosts {\n10.0.0.1 A.example b.example\nfe80::1%lo *.c.example # comment\n}",
            Hosts {
                inline: vec![
                    entry("10.0.0.1", &["a.example.", "b.example."]),
                    entry("fe80::1", &["*.c.example."]),
                ],
                ..default()
            },
        ),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).hosts, Some(want), "{text}");
    }
    assert_eq!((default().file, default().ttl), (PathBuf::from("/etc/hosts"), 3600));
}

#[test]
fn hosts_options_that_coredns_refuses_are_problems() {
    let cases = [
        ("hosts\nhosts", "3: hosts: this plugin can be used only once in a server block"),
        ("hosts {\nttl 0\n}", "3: ttl: 0 is not a number from 1 to 65535"),
        ("hosts {\nttl 65536\n}", "3: ttl: 65536 is not a number from 1 to 65535"),
        ("hosts {\nreload -1s\n}", "3: reload: -1s is not a duration: write for example 30s or 500ms"),
        ("hosts {\nreload 1s x\n}", "3: reload: unexpected argument x"),
        ("hosts {\nfallthrough\n10.0.0.1 a\n}", "4: 10.0.0.1: write entries before fallthrough"),
        ("hosts {\n10.0.0.1\n}", "3: 10.0.0.1: an argument is missing"),
        ("hosts {\n10.0.0.1 a..b\n}", "3: a..b is not a domain name"),
        (
            "hosts {\nfallthrough_unsupported\n}",
            "2: hosts: fallthrough_unsupported needs fallthrough: add it",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(refused(text), want, "{text}");
    }
    assert_eq!(unsupported("hosts {\nexample.org 10.0.0.1\n}"), ["3: hosts example.org"]);
}
