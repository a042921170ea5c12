//! What the report looks like.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{S, report, service};
use model::Touched;
use resolve::Mode;
use towpath_migrate::Severity;

fn shop(count: u16) -> Vec<S> {
    (0..count).map(|i| service(&format!("web{i:02}")).node_port(30_000 + i)).collect()
}

#[test]
fn what_matters_most_comes_first() {
    let report = report("mode: ipvs", Mode::Nftables, &shop(3));
    let order: Vec<Severity> = report.findings.iter().map(|f| f.severity).collect();
    assert!(
        order.is_sorted()
            && order.first() == Some(&Severity::Breaks)
            && order.last() == Some(&Severity::Note)
    );
    assert!(report.breaks());
    assert!(!common::report("mode: nftables", Mode::Nftables, &shop(3)).breaks());
}

#[test]
fn text_counts_all_subjects_and_names_twenty() {
    let report = report("clusterCIDR: 10.244.0.0/16", Mode::Nftables, &shop(33));
    let text = report.text();
    let [head, counts] = [0, 1].map(|i| text.lines().nth(i).unwrap());
    assert_eq!(
        head,
        "from kube-proxy, mode iptables (the default before Kubernetes 1.40), to towpath, mode nftables"
    );
    assert!(counts.starts_with("33 Services read: 2 break, "), "{counts}");
    assert!(
        text.contains("nodeport-localhost: NodePorts do not answer on loopback addresses (33)"),
        "{text}"
    );
    assert!(text.contains("and 13 more") && !text.contains("shop/web20"), "{text}");
    assert!(text.contains("\nNot checked:\n"));
    assert!(text.lines().all(|line| line.chars().count() <= 110 && line == line.trim_end()), "{text}");
}

#[test]
fn json_has_all_subjects() {
    let text = report("", Mode::Nftables, &shop(33)).json();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["findings", "from", "notChecked", "schema", "services", "to"]);
    assert_eq!(value["schema"], "towpath.dev/migrate-report/v1");
    assert_eq!(value["from"], serde_json::json!({"mode": "iptables", "given": ""}));
    assert_eq!((&value["to"], &value["services"]), (&"nftables".into(), &33.into()));
    let first = &value["findings"][0];
    assert_eq!((&first["id"], &first["severity"]), (&"nodeport-localhost".into(), &"breaks".into()));
    let subjects = first["subjects"].as_array().unwrap();
    assert_eq!((subjects.len(), &subjects[32]), (33, &"shop/web32".into()));
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "remedy", "severity", "subjects", "title", "why"]);
}

#[test]
fn problems_of_objects_are_told() {
    let mut store = common::store(&[service("web")], &[]);
    let problem =
        common::problem("Service shop/web", "spec.loadBalancerSourceRanges[0]", "\"x\" is not a CIDR");
    store.apply(problem, &mut Touched::default());
    let report = towpath_migrate::check(&common::config(""), Mode::Nftables, &store);
    let finding = report.findings.iter().find(|f| f.id == "unreadable-objects").unwrap();
    assert_eq!(finding.subjects, ["Service shop/web: spec.loadBalancerSourceRanges[0]: \"x\" is not a CIDR"]);
}

#[test]
fn order_of_services_does_not_matter() {
    let (mut forth, mut back) = (shop(9), shop(9));
    back.reverse();
    forth.extend(back.clone());
    back.extend(shop(9));
    assert_eq!(report("", Mode::Nftables, &forth).text(), report("", Mode::Nftables, &back).text());
}
