//! Pod -> `model::Pod`, and back.

use std::sync::Arc;

use model::{DnsPolicy, Interner, NamespacedName, Pod, PodDns};
use serde_json::{Value, json};

use super::encode::object;
use super::field::{self, FieldError};
use super::time::rfc3339;
use super::{Kind, types};

/// Most search domains and octets of one that Kubernetes takes (since 1.28).
const SEARCHES: usize = 32;
const SEARCH_LENGTH: usize = 255;
/// The most that `ndots` may be, as in resolv.conf(5).
const NDOTS: u8 = 15;

/// Converts a Pod.
pub(super) fn convert(
    name: NamespacedName,
    object: &types::Pod,
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> Pod {
    let (spec, metadata) = (object.spec.as_ref(), object.metadata.as_ref());
    let phase = object.status.as_ref().and_then(|s| s.phase.as_deref());
    let intercept = metadata.and_then(|m| m.annotations.as_ref()?.dns_intercept.as_deref());
    Pod {
        name,
        node: field::shared(spec.and_then(|s| s.node_name.as_ref()), names),
        ips: field::addresses(pod_addresses(object), warnings),
        host_network: spec.and_then(|s| s.host_network).unwrap_or(false),
        terminating: metadata.is_some_and(|m| m.deletion_timestamp.is_some()),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
        dns_opt_out: opts_out(intercept, warnings),
        dns: spec.and_then(|spec| dns(spec, names, warnings)),
    }
}

fn opts_out(intercept: Option<&str>, warnings: &mut Vec<FieldError>) -> bool {
    match intercept.map(str::trim) {
        None | Some("" | "true") => false,
        Some("false") => true,
        Some(other) => {
            let path = "metadata.annotations[towpath.dev/dns-intercept]";
            warnings.push(field::one_of(path, &other.chars().take(64).collect::<String>(), "true or false"));
            false
        }
    }
}

/// What is not as in every other pod.
fn dns(spec: &types::PodSpec, names: &mut Interner, warnings: &mut Vec<FieldError>) -> Option<Box<PodDns>> {
    let config = spec.dns_config.as_ref();
    let found = PodDns {
        policy: policy(spec.dns_policy.as_deref(), warnings),
        searches: searches(config, names, warnings),
        ndots: config.and_then(|config| ndots(config, warnings)),
    };
    (found != PodDns::default()).then(|| Box::new(found))
}

fn policy(text: Option<&str>, warnings: &mut Vec<FieldError>) -> DnsPolicy {
    match text {
        None | Some("" | "ClusterFirst") => DnsPolicy::ClusterFirst,
        Some("ClusterFirstWithHostNet") => DnsPolicy::ClusterFirstWithHostNet,
        Some("Default") => DnsPolicy::Default,
        Some("None") => DnsPolicy::None,
        Some(other) => {
            let allowed = "ClusterFirst, ClusterFirstWithHostNet, Default or None";
            warnings.push(field::one_of(
                "spec.dnsPolicy",
                &other.chars().take(64).collect::<String>(),
                allowed,
            ));
            DnsPolicy::ClusterFirst
        }
    }
}

/// The search domains, as written; what is too long or too many is left out.
fn searches(
    config: Option<&types::DnsConfig>,
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> Vec<Arc<str>> {
    let list = config.and_then(|config| config.searches.as_deref()).unwrap_or_default();
    let is_good = |(i, text): &(usize, &String)| *i < SEARCHES && text.len() <= SEARCH_LENGTH;
    if let Some((i, _)) = list.iter().enumerate().find(|entry| !is_good(entry)) {
        let message = format!("left out: give at most {SEARCHES}, of at most {SEARCH_LENGTH} characters");
        warnings.push(FieldError::new(format!("spec.dnsConfig.searches[{i}]"), message));
    }
    list.iter().enumerate().filter(is_good).map(|(_, text)| names.get(text)).collect()
}

/// As resolv.conf(5) takes it: more than the most is the most.
fn ndots(config: &types::DnsConfig, warnings: &mut Vec<FieldError>) -> Option<u8> {
    let options = config.options.as_deref().unwrap_or_default();
    let i = options.iter().rposition(|option| option.name.as_deref() == Some("ndots"))?;
    let option = options.get(i)?;
    let text = option.value.as_deref().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        let shown: String = text.chars().take(64).collect();
        let path = format!("spec.dnsConfig.options[{i}].value");
        warnings.push(field::one_of(&path, &shown, "a number of dots"));
        return None;
    }
    Some(text.parse().unwrap_or(NDOTS).min(NDOTS))
}

/// `status.podIPs`, or `status.podIP` where that list is empty.
fn pod_addresses(object: &types::Pod) -> Vec<(String, &str)> {
    let Some(status) = &object.status else {
        return Vec::new();
    };
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let list = status.pod_ips.iter().flatten().enumerate().filter(|(_, entry)| given(&entry.ip));
    let mut texts: Vec<_> = list
        .map(|(i, entry)| (format!("status.podIPs[{i}].ip"), entry.ip.as_deref().unwrap_or_default()))
        .collect();
    if texts.is_empty() && given(&status.pod_ip) {
        texts.extend(status.pod_ip.as_deref().map(|text| ("status.podIP".to_owned(), text)));
    }
    texts
}

/// The way back, for [`super::encode`].
pub(super) fn encode(value: &Pod) -> Value {
    let Pod { name, node, ips, host_network, terminating, finished, dns_opt_out, dns } = value;
    let metadata = json!({
        "name": name.name,
        "namespace": name.namespace,
        // Only that it is being deleted is known, not since when.
        "deletionTimestamp": terminating.then(|| rfc3339(0)),
        "annotations": {"towpath.dev/dns-intercept": dns_opt_out.then_some("false")},
    });
    let spec = json!({
        "nodeName": node,
        "hostNetwork": host_network.then_some(true),
        "dnsPolicy": dns.as_ref().map(|dns| policy_text(dns.policy)),
        "dnsConfig": dns.as_ref().map(|dns| json!({
            "searches": dns.searches,
            "options": dns.ndots.map(|dots| json!([{"name": "ndots", "value": dots.to_string()}])),
        })),
    });
    let ips: Value = ips.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
    let status = json!({"phase": finished.then_some("Succeeded"), "podIPs": ips});
    object(Kind::Pod, &metadata, [("spec", spec), ("status", status)])
}

fn policy_text(policy: DnsPolicy) -> &'static str {
    match policy {
        DnsPolicy::ClusterFirst => "ClusterFirst",
        DnsPolicy::ClusterFirstWithHostNet => "ClusterFirstWithHostNet",
        DnsPolicy::Default => "Default",
        DnsPolicy::None => "None",
    }
}
