//! The rules over the input.

use std::collections::BTreeSet;

use config::{KubeProxyConfiguration, ProxyMode};
use model::Store;
use resolve::Mode;

use crate::report::{Finding, FromMode, Report, SCHEMA};
use crate::rules::{Rule, all};
use crate::view::View;

/// What would change on a cluster where kube-proxy runs with this configuration if towpath ran in its place in mode `to`.
pub fn check(from: &KubeProxyConfiguration, to: Mode, store: &Store) -> Report {
    let view = View::new(from, to, store);
    let mut findings: Vec<Finding> = all().filter_map(|rule| finding(rule, &view)).collect();
    findings.sort_by_key(|finding| finding.severity);
    Report {
        schema: SCHEMA,
        from: FromMode { mode: view.from.to_string(), given: from.mode.clone() },
        to: to.as_str(),
        services: view.services.len(),
        findings,
        not_checked: not_checked(&view),
    }
}

/// The ids of all findings that there can be, sorted.
pub fn ids() -> Vec<&'static str> {
    all().map(|rule| rule.id).collect::<BTreeSet<_>>().into_iter().collect()
}

fn finding(rule: &Rule, view: &View<'_>) -> Option<Finding> {
    if !rule.from.contains(&view.from) || !rule.to.contains(&view.to) {
        return None;
    }
    let mut subjects = (rule.subjects)(view)?;
    subjects.sort_unstable();
    subjects.dedup();
    let Rule { id, severity, title, why, remedy, .. } = *rule;
    Some(Finding { id, severity, title, subjects, why, remedy })
}

fn not_checked(view: &View<'_>) -> Vec<String> {
    let mut all: Vec<String> = [
        "traffic: whether anybody uses a port or an address that changes;",
        "the nodes: their addresses, their kernel (towpath asks it at its start), their sysctls, their firewall;",
        "NetworkPolicies and the CNI plugin; programs that read kube-proxy's rules or metrics;",
        "annotations of Services other than towpath.dev/, and labels other than service-proxy-name;",
        "other configurations of kube-proxy than this one, and flags of its command that the configuration has not.",
    ]
    .map(String::from)
    .into();
    if view.to == ProxyMode::Ipvs {
        let text = "the nodes' kernels: whether they have IPVS and the modules of its schedulers, which mode ipvs needs;";
        all.insert(2, text.into());
    }
    if view.config.chooses_mode() && view.to == ProxyMode::Nftables {
        let text = "nodes whose kernel has not all that mode nftables needs: as mode is left open, they run iptables;";
        all.insert(2, text.into());
    }
    if view.services.is_empty() {
        all.insert(0, "No Service was read, so nothing is said about Services.".into());
    } else if view.store.service_cidrs().is_empty() && view.to != ProxyMode::Iptables {
        all.push(
            "No ServiceCIDR was read: what happens to unused addresses of Services cannot be told.".into(),
        );
    }
    all
}
