//! How answers look: JSON and text.

use std::fmt::Write;

use resolve::{Decision, Explanation, Masquerade, Packet, Route, VipKind};
use serde::Serialize;

use crate::rules_view::Difference;

/// What happens to a packet that opens a connection, and why.
// An [`Explanation`]. The fields are a contract: scripts read them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ExplanationView {
    /// What becomes of the packet.
    #[cfg_attr(test, schemars(with = "VerdictName"))]
    verdict: &'static str,
    /// Addresses of endpoints that it may reach, each as `IP:PORT` or `[IPV6]:PORT`; sorted.
    endpoints: Vec<String>,
    /// How often each of `endpoints` is chosen, in their order and in proportion; absent where all are alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weights: Vec<u16>,
    /// The endpoint sees this node's address in the place of the client's, whichever endpoint is chosen.
    masquerade: bool,
    /// Endpoints that see this node's address, where not all do (hairpin).
    masquerade_endpoints: Vec<String>,
    /// The Service that it addresses, as `NAMESPACE/NAME`.
    service: Option<String>,
    /// The name of the Service's port, which may be empty.
    port: Option<String>,
    /// The frontend that it addresses, as `IP:PORT/PROTOCOL`, or a NodePort.
    frontend: Option<String>,
    /// Why, in a sentence's words. Its wording may change.
    reason: String,
    /// Endpoints of the Service that it cannot reach.
    excluded: Vec<ExcludedView>,
}

/// An endpoint that a packet cannot reach.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ExcludedView {
    /// Its address, with a port if its EndpointSlice has one for this port.
    endpoint: String,
    /// Why, in a sentence's words. Its wording may change.
    reason: String,
}

/// The names of verdicts, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema is used")]
enum VerdictName {
    Dnat,
    Reject,
    Drop,
    Accept,
    None,
}

impl ExplanationView {
    pub(crate) fn new(explanation: &Explanation) -> Self {
        let (masquerade, some) = match &explanation.masquerade {
            Masquerade::Never => (false, &[][..]),
            Masquerade::Always => (true, &[][..]),
            Masquerade::Towards(some) => (false, some.as_slice()),
        };
        let texts = |list: &[model::EndpointAddr]| list.iter().map(ToString::to_string).collect();
        Self {
            verdict: explanation.verdict.as_str(),
            endpoints: texts(&explanation.endpoints),
            weights: explanation.weights.clone(),
            masquerade,
            masquerade_endpoints: texts(some),
            service: explanation.service.as_ref().map(|name| name.service.to_string()),
            port: explanation.service.as_ref().map(|name| name.port.to_string()),
            frontend: explanation.frontend.map(|frontend| frontend.to_string()),
            reason: explanation.reason.clone(),
            excluded: explanation
                .excluded
                .iter()
                .map(|e| ExcludedView { endpoint: e.endpoint.clone(), reason: e.reason.clone() })
                .collect(),
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn text(&self, packet: &Packet) -> String {
        let mut out = format!("{} -> {}/{}: {}\n", packet.from, packet.to, packet.protocol, self.verdict);
        let _ = writeln!(out, "  because   {}", self.reason);
        if let (Some(service), Some(port)) = (&self.service, &self.port) {
            let port = if port.is_empty() { String::new() } else { format!(":{port}") };
            let _ = writeln!(out, "  Service   {service}{port}");
        }
        if let Some(frontend) = &self.frontend {
            let _ = writeln!(out, "  frontend  {frontend}");
        }
        let all: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        for (n, endpoint) in self.endpoints.iter().enumerate() {
            let share =
                self.weights.get(n).map(|weight| format!(", {:.1} %", 100.0 * f64::from(*weight) / all));
            let share = share.unwrap_or_default();
            let own = self.masquerade || self.masquerade_endpoints.contains(endpoint);
            let seen = if own { "sees this node's address" } else { "sees the client's address" };
            let _ = writeln!(out, "  endpoint  {endpoint}  ({seen}{share})");
        }
        for excluded in &self.excluded {
            let _ = writeln!(out, "  not used  {}  ({})", excluded.endpoint, excluded.reason);
        }
        out
    }
}

/// What happens to a packet that opens a connection now, why, and what the kernel has for it.
// The fields of `explain`, and more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LiveView {
    #[serde(flatten)]
    pub(crate) explanation: ExplanationView,
    /// The node that was asked.
    pub(crate) node: String,
    /// The mode that is in force: nftables, iptables or ipvs.
    pub(crate) mode: &'static str,
    /// All that the agent knows is programmed.
    pub(crate) synced: bool,
    /// What the kernel has for the Service; null where the packet addresses none.
    pub(crate) kernel: Option<KernelView>,
    /// Connections from that source to that destination now; null where the packet addresses no Service.
    pub(crate) connections: Option<NowView>,
}

/// Connections from a source to a destination that the kernel knows now.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct NowView {
    /// How many there are.
    pub(crate) total: u64,
    /// Some of them, at most 10.
    pub(crate) first: Vec<ConnectionView>,
    /// Why they are not known; then there are none in the list.
    pub(crate) error: Option<String>,
}

/// A connection.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ConnectionView {
    /// `IP:PORT` or `[IPV6]:PORT` of the client.
    client: String,
    /// The same of the endpoint that it went to.
    endpoint: String,
    /// Its state, as in flows.
    state: String,
    /// How long it exists, in seconds; null where the kernel does not note it.
    age_seconds: Option<u64>,
}

impl NowView {
    pub(crate) fn new(found: &flows::FlowsView) -> Self {
        let first = found.flows.iter().map(|flow| ConnectionView {
            client: flow.client.clone(),
            endpoint: flow.endpoint.clone(),
            state: flow.state.clone(),
            age_seconds: flow.age_seconds,
        });
        Self { total: found.totals.connections, first: first.collect(), error: None }
    }

    fn write(&self, out: &mut String) {
        let _ = match (&self.error, self.total) {
            (Some(error), _) => writeln!(out, "  now       connections are not known: {error}"),
            (None, 0) => writeln!(out, "  now       no connection from there to here"),
            (None, 1) => writeln!(out, "  now       1 connection from there to here"),
            (None, total) => writeln!(out, "  now       {total} connections from there to here"),
        };
        for one in &self.first {
            let age = one.age_seconds.map(|seconds| format!(", {seconds} s")).unwrap_or_default();
            let _ = writeln!(out, "  goes to   {}  (from {}, {}{age})", one.endpoint, one.client, one.state);
        }
    }
}

/// What the kernel has for a Service.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct KernelView {
    /// The objects that the Service should have, a line each, sorted. The form of a line depends on the mode, and may change.
    pub(crate) objects: Vec<String>,
    /// Those of them that the kernel has otherwise. Empty: the kernel has exactly `objects`.
    pub(crate) differences: Vec<Difference>,
    /// What the kernel has otherwise of the rules that lead to the objects of all Services: base chains and what they jump to. Such
    /// a difference may keep the packet from `objects`.
    pub(crate) shared_differences: Vec<Difference>,
    /// Why the kernel could not be read; the lists are empty then.
    pub(crate) error: Option<String>,
}

impl LiveView {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    pub(crate) fn text(&self, packet: &Packet) -> String {
        let mut out = self.explanation.text(packet);
        let state = if self.synced { "all is programmed" } else { "changes wait to be programmed" };
        let _ = writeln!(out, "  node      {}, mode {}, {state}", self.node, self.mode);
        if let Some(kernel) = &self.kernel {
            kernel.write(&mut out);
        }
        if let Some(connections) = &self.connections {
            connections.write(&mut out);
        }
        out
    }
}

impl KernelView {
    fn write(&self, out: &mut String) {
        let (differ, all) = (self.differences.len(), self.objects.len());
        let shared = self.shared_differences.len();
        let _ = match &self.error {
            Some(error) => writeln!(out, "  kernel    not known: {error}"),
            None if differ == 0 && shared == 0 => {
                writeln!(out, "  kernel    has all {all} objects of the Service as they should be")
            }
            None if differ == 0 => writeln!(
                out,
                "  kernel    has all {all} objects of the Service, but differs in {shared} that lead there"
            ),
            None if shared > 0 => writeln!(
                out,
                "  kernel    differs in {differ} of {all} objects of the Service, and in {shared} that lead there"
            ),
            None => writeln!(out, "  kernel    differs in {differ} of {all} objects of the Service"),
        };
        for difference in self.differences.iter().chain(&self.shared_differences) {
            let _ = writeln!(out, "  differs   {difference}");
        }
        for object in &self.objects {
            let _ = writeln!(out, "  object    {object}");
        }
    }
}

/// What a Service's port means on this node, for one IP family.
// A [`Route`]. The fields are a contract: scripts read them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RouteView {
    /// The name of the port, which may be empty.
    port: String,
    /// TCP, UDP or SCTP.
    protocol: &'static str,
    /// IPv4 or IPv6.
    family: String,
    /// Where it answers.
    frontends: Vec<FrontendView>,
    /// What becomes of traffic to its ClusterIP.
    internal: DecisionView,
    /// What becomes of traffic to its other frontends.
    external: DecisionView,
    /// What becomes of traffic to its other frontends from this node and its pods, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    short_circuit: Option<DecisionView>,
    /// For how long a client keeps its endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    affinity_seconds: Option<u32>,
}

/// Where a port answers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FrontendView {
    /// clusterIP, externalIP, loadBalancer or nodePort.
    kind: &'static str,
    /// `IP:PORT` or `[IPV6]:PORT`; of a nodePort the port alone.
    address: String,
    /// The sources that may use it; without it, all may.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_sources: Option<Vec<String>>,
}

/// What becomes of traffic.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum DecisionView {
    /// It goes to one of these.
    Dnat {
        /// `IP:PORT` or `[IPV6]:PORT`.
        endpoints: Vec<String>,
    },
    /// It is refused.
    Reject,
    /// It is discarded.
    Drop,
}

impl RouteView {
    pub(crate) fn new(route: &Route) -> Self {
        Self {
            port: route.name.port.to_string(),
            protocol: route.name.protocol.as_str(),
            family: route.family.to_string(),
            frontends: frontends(route),
            internal: DecisionView::new(&route.internal),
            external: DecisionView::new(&route.external),
            short_circuit: route.short_circuit.as_ref().map(DecisionView::new),
            affinity_seconds: route.affinity_seconds,
        }
    }
}

impl DecisionView {
    fn new(decision: &Decision) -> Self {
        match decision {
            Decision::Dnat(list) => {
                DecisionView::Dnat { endpoints: list.iter().map(ToString::to_string).collect() }
            }
            Decision::Reject | Decision::RejectHere => DecisionView::Reject,
            Decision::Drop => DecisionView::Drop,
        }
    }
}

fn frontends(route: &Route) -> Vec<FrontendView> {
    let view = |(kind, address, allowed_sources)| FrontendView { kind, address, allowed_sources };
    frontends_of(route).map(view).collect()
}

/// Every frontend of a Route in words: what it is, its address or port, and whom it is open to, if not to all.
pub(crate) fn frontends_of(
    route: &Route,
) -> impl Iterator<Item = (&'static str, String, Option<Vec<String>>)> + '_ {
    let texts = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect();
    let vips = route.vips.iter().map(move |vip| {
        let kind = match vip.kind {
            VipKind::ClusterIp => "clusterIP",
            VipKind::ExternalIp => "externalIP",
            VipKind::LoadBalancer => "loadBalancer",
        };
        let address = model::EndpointAddr { ip: vip.ip, port: route.port }.to_string();
        (kind, address, vip.allowed_sources.as_deref().map(texts))
    });
    let sources = move || route.node_port_sources.as_deref().map(texts);
    vips.chain(route.node_port.map(|port| ("nodePort", port.to_string(), sources())))
}

#[cfg(test)]
mod tests {
    use resolve::PacketVerdict;

    use super::*;

    #[test]
    fn schema_of_explain() {
        testkit::schema::current::<ExplanationView>("explain").unwrap();
        let all = [
            PacketVerdict::Dnat,
            PacketVerdict::Reject,
            PacketVerdict::Drop,
            PacketVerdict::Accept,
            PacketVerdict::None,
        ];
        for verdict in all {
            let explanation = Explanation {
                verdict,
                reason: "why".into(),
                endpoints: Vec::new(),
                weights: Vec::new(),
                masquerade: Masquerade::Never,
                service: None,
                frontend: None,
                excluded: vec![resolve::Excluded { endpoint: "10.0.0.1".into(), reason: "not ready".into() }],
            };
            let view = ExplanationView::new(&explanation);
            testkit::schema::conforms("explain", &serde_json::to_value(view).unwrap()).unwrap();
        }
    }

    #[test]
    fn schema_of_explain_live() {
        testkit::schema::current::<LiveView>("explain-live").unwrap();
    }
}
