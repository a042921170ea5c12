//! What is allowed is what is asked for, both ways.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;
use sources::kubernetes::{WATCHED, Watched};

use crate::manifest::{self, DAEMONSET, STARTUP_TAINT};
use crate::{Needs, Test};

pub(crate) const TESTS: &[Test] = &[
    ("roles_allow_what_is_asked_and_nothing_more", Needs::Text(roles_allow_what_is_asked_and_nothing_more)),
    ("nodes_are_changed_for_the_taint_only", Needs::Text(nodes_are_changed_for_the_taint_only)),
    ("kube_proxys_role_is_enough", Needs::Text(kube_proxys_role_is_enough)),
];

/// The API group, the resource, the verb.
pub(crate) type Right = (String, String, String);

/// `system:node-proxier` of Kubernetes 1.36 (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
const NODE_PROXIER: &[(&[&str], &[&str], &[&str])] = &[
    (&[""], &["services", "endpoints"], &["list", "watch"]),
    (&[""], &["nodes"], &["get", "list", "watch"]),
    (&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
    (&["discovery.k8s.io"], &["endpointslices"], &["list", "watch"]),
    (&["networking.k8s.io"], &["servicecidrs"], &["list", "watch"]),
];

/// What the role in a file allows.
pub(crate) fn allowed(file: &str) -> Result<BTreeSet<Right>> {
    let role = manifest::object(file, "ClusterRole")?;
    let mut rights = BTreeSet::new();
    for rule in manifest::list(&role["rules"])? {
        let known = ["apiGroups", "resources", "verbs"];
        let keys = rule.as_object().into_iter().flat_map(|rule| rule.keys());
        ensure!(keys.into_iter().all(|key| known.contains(&key.as_str())), "{file}: {rule}");
        rights.extend(product(rule)?);
    }
    Ok(rights)
}

fn product(rule: &Value) -> Result<Vec<Right>> {
    let [groups, resources, verbs] =
        ["apiGroups", "resources", "verbs"].map(|key| manifest::texts(&rule[key]));
    let (groups, resources, verbs) = (groups?, resources?, verbs?);
    let mut rights = Vec::new();
    for group in &groups {
        for resource in &resources {
            rights.extend(verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
        }
    }
    Ok(rights)
}

fn asked<'a>(rows: impl Iterator<Item = &'a Watched>) -> BTreeSet<Right> {
    let rights = |row: &Watched| {
        let (group, resource) = (row.group.to_owned(), row.resource.to_owned());
        let verbs = row.verbs.iter().map(move |v| (group.clone(), resource.clone(), (*v).to_owned()));
        verbs.collect::<Vec<_>>()
    };
    rows.flat_map(rights).collect()
}

fn roles_allow_what_is_asked_and_nothing_more() -> Result<()> {
    let mut allowed_by_both = allowed(DAEMONSET)?;
    allowed_by_both.extend(allowed(STARTUP_TAINT)?);
    let asked = asked(WATCHED.iter());
    let missing: Vec<_> = asked.difference(&allowed_by_both).collect();
    let surplus: Vec<_> = allowed_by_both.difference(&asked).collect();
    ensure!(missing.is_empty() && surplus.is_empty(), "missing: {missing:?}; not asked for: {surplus:?}");
    let required = self::asked(WATCHED.iter().filter(|row| row.required));
    ensure!(required.is_subset(&allowed(DAEMONSET)?), "the optional file is needed");
    Ok(())
}

fn nodes_are_changed_for_the_taint_only() -> Result<()> {
    let of = |verb: &str| ("".to_owned(), "nodes".to_owned(), verb.to_owned());
    ensure!(allowed(STARTUP_TAINT)? == BTreeSet::from([of("get"), of("patch")]));
    let changing = allowed(DAEMONSET)?.into_iter().filter(|(_, _, verb)| verb != "list" && verb != "watch");
    let changing: Vec<Right> = changing.collect();
    ensure!(changing == [("".to_owned(), "events".to_owned(), "create".to_owned())], "{changing:?}");
    Ok(())
}

/// What kube-proxy's role allows.
pub(crate) fn kube_proxys() -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for (groups, resources, verbs) in NODE_PROXIER {
        for group in *groups {
            for resource in *resources {
                let right = |verb: &&str| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned());
                rights.extend(verbs.iter().map(right));
            }
        }
    }
    rights
}

/// An image swap in kube-proxy's DaemonSet keeps its account.
fn kube_proxys_role_is_enough() -> Result<()> {
    let required = asked(WATCHED.iter().filter(|row| row.required));
    let allowed = kube_proxys();
    let missing: Vec<_> = required.difference(&allowed).collect();
    ensure!(missing.is_empty(), "{missing:?}");
    Ok(())
}
