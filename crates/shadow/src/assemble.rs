//! From dispatch tables and chains to frontends: the same for both packet filters.

use std::collections::BTreeMap;

use model::{FrontendKey, NamespacedName, Protocol, ServicePortName};

use crate::walk::{Chains, Sender};
use crate::{Frontend, Outcome, Sources};

/// What the dispatch of a packet filter says of one frontend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dispatch {
    /// Whose it is.
    pub(crate) name: Option<ServicePortName>,
    /// The chain that serves it.
    pub(crate) chain: Option<String>,
    /// What becomes of those whom no chain translates.
    pub(crate) idle: Option<Outcome>,
    /// Who may use it, where that is said apart from the chain.
    pub(crate) sources: Option<Sources>,
}

/// Every frontend with what the chains do for it.
pub(crate) fn frontends(
    dispatch: BTreeMap<FrontendKey, Dispatch>,
    chains: &Chains,
) -> BTreeMap<FrontendKey, Frontend> {
    dispatch.into_iter().map(|(key, dispatch)| (key, frontend(dispatch, chains))).collect()
}

fn frontend(dispatch: Dispatch, chains: &Chains) -> Frontend {
    let Dispatch { name, chain, idle, sources } = dispatch;
    let rest = || idle.clone().unwrap_or(Outcome::Untouched);
    let Some(first) = chain.as_deref() else {
        let outcome = rest();
        return Frontend {
            name,
            from_node: Some(outcome.clone()),
            ordinary: outcome,
            masquerades: None,
            sources,
            affinity_seconds: None,
        };
    };
    let (gate, next) = match chains.gate(first) {
        Some((gate, Some(next))) => (Some(gate), next),
        _ => (None, first),
    };
    let [mut outside, mut node] = [Sender::Outside, Sender::Node].map(|sender| chains.walk(next, sender));
    let ordinary = outside.outcome();
    let from_node = node.outcome();
    let translated = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Dnat(_)));
    let affinity = outside.affinity_seconds.max(node.affinity_seconds);
    Frontend {
        name,
        masquerades: translated(&ordinary).then_some(outside.marked),
        affinity_seconds: (translated(&ordinary) || translated(&from_node)).then_some(affinity),
        ordinary: ordinary.unwrap_or_else(rest),
        from_node: Some(from_node.unwrap_or_else(rest)),
        sources: sources.or(gate).or(Some(Sources::Anybody)),
    }
}

/// Reads `ns/name:port`, or `ns/name` where the port has no name, as kube-proxy writes it in comments.
pub(crate) fn name_in_comment(comment: &str, protocol: Protocol) -> Option<ServicePortName> {
    let word = comment.split_ascii_whitespace().next()?;
    let (namespace, rest) = word.split_once('/')?;
    let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
    Some(service_port(namespace, name, port, protocol))
}

/// Builds a name from its parts.
pub(crate) fn service_port(namespace: &str, name: &str, port: &str, protocol: Protocol) -> ServicePortName {
    ServicePortName { service: NamespacedName::new(namespace, name), port: port.into(), protocol }
}
