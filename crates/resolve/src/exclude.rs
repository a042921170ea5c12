//! Why an endpoint is not used.

use model::{Endpoint, EndpointAddr, IpFamily, ServiceEntry, ServicePort, Slice};

use crate::choose::{HintUse, is_usable};
use crate::{Candidate, Choice};

/// An endpoint that a packet cannot reach, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Its address, with a port if its slice has one for this ServicePort.
    pub endpoint: String,
    /// Why, in a sentence's words.
    pub reason: String,
}

/// Judges every endpoint of the Service that is not in `reachable`.
pub(crate) fn excluded(
    entry: &ServiceEntry,
    port: &ServicePort,
    family: IpFamily,
    found: &[Candidate<'_>],
    choice: &Choice,
    reachable: &[EndpointAddr],
    local_only: bool,
) -> Vec<Excluded> {
    let missed = found.iter().filter(|c| reachable.binary_search(&c.addr).is_err());
    let mut all: Vec<Excluded> = missed
        .map(|c| Excluded { endpoint: c.addr.to_string(), reason: reason(c, found, choice, local_only) })
        .collect();
    all.extend(unjoined(entry, port, family));
    all
}

pub(crate) fn reason(
    c: &Candidate<'_>,
    found: &[Candidate<'_>],
    choice: &Choice,
    local_only: bool,
) -> String {
    let conditions = c.endpoint.conditions;
    if !is_usable(c) {
        return match (conditions.terminating, conditions.serving) {
            (true, _) => "terminating, and it no longer serves".into(),
            (false, true) => "not ready, though it serves".into(),
            (false, false) => "not ready".into(),
        };
    }
    if local_only && !c.local {
        return match &c.endpoint.node {
            Some(node) => format!("on node {node}, and the traffic policy is Local"),
            None => "its slice names no node, and the traffic policy is Local".into(),
        };
    }
    if !conditions.ready {
        let scope = if local_only { "ready endpoints exist on this node" } else { "ready endpoints exist" };
        debug_assert!(found.iter().any(|other| other.endpoint.conditions.ready));
        return format!("terminating, and {scope}");
    }
    match &c.endpoint.node {
        _ if !choice.kept_local => hint_reason(c.endpoint, choice.hints),
        Some(node) => format!("on node {node}, and the Service prefers the ready endpoints of this node"),
        None => "its slice names no node, and the Service prefers the ready endpoints of this node".into(),
    }
}

fn hint_reason(endpoint: &Endpoint, hints: HintUse) -> String {
    let hinted = endpoint.hints.as_deref();
    match hints {
        HintUse::Node => {
            let nodes = hinted.map(|h| h.nodes.join(", ")).unwrap_or_default();
            format!(
                "hints send it traffic of node {nodes} only, and other endpoints are hinted for this node"
            )
        }
        HintUse::Zone => {
            let zones = hinted.map(|h| h.zones.join(", ")).unwrap_or_default();
            format!(
                "hints send it traffic of zone {zones} only, and other endpoints are hinted for this zone"
            )
        }
        HintUse::Ignored => "not in the list that this traffic uses".into(),
    }
}

/// Endpoints whose slices do not fit the port at all: another family, or no port of that name. Nothing is done for those
/// that nobody takes.
pub(crate) fn unjoined<'a>(
    entry: &'a ServiceEntry,
    port: &'a ServicePort,
    family: IpFamily,
) -> impl Iterator<Item = Excluded> + 'a {
    entry.slices.values().filter_map(move |slice| Some((slice, misfit(slice, port, family)?))).flat_map(
        |(slice, reason)| {
            slice
                .endpoints
                .iter()
                .map(move |e| Excluded { endpoint: e.ip.to_string(), reason: reason.clone() })
        },
    )
}

/// Why no endpoint of a slice can be one of a port; `None` if they can.
fn misfit(slice: &Slice, port: &ServicePort, family: IpFamily) -> Option<String> {
    if slice.family != family {
        return Some(format!("its slice {} is {}, the frontend is {family}", slice.name.name, slice.family));
    }
    let joined = slice.ports.iter().any(|p| p.name == port.name && p.protocol == port.protocol);
    let wanted = if port.name.is_empty() { "no name" } else { &*port.name };
    (!joined).then(|| format!("its slice {} has no port named {wanted}/{}", slice.name.name, port.protocol))
}
