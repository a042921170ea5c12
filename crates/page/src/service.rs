//! One Service on this node. The fields are a contract: scripts read them.

use serde::Serialize;

/// Endpoints of a port that are shown, unless more are asked for.
pub const ENDPOINTS: usize = 100;
/// The most that can be asked for.
pub const MAX_ENDPOINTS: usize = 1_000;
/// Ports (each in each family) that are shown.
pub const PORTS: usize = 40;
/// Endpoints that drain that are shown.
pub const DRAINS: usize = 100;
/// Bytes of rules that are shown.
pub const RULES: usize = 256 * 1024;
/// Changes that are shown.
pub const CHANGES: usize = 8;
/// Kernel objects of one change that are shown.
pub const CHANGED: usize = 10;
/// Lines of a difference that are shown.
pub const DIFFERENCE: usize = 200;

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// The node.
    pub node: String,
    /// The mode: `nftables`, `iptables` or `ipvs`.
    pub mode: &'static str,
    /// Where its rules are, with the variant where there are several.
    pub place: String,
    /// All that is known is programmed.
    pub synced: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type, as in [`RowView::kind`](crate::RowView::kind).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Why this proxy does not serve it, if it does not.
    pub not_served: Option<String>,
    /// What it asks for beside ports and addresses.
    pub settings: Vec<Setting>,
    /// Its Problems.
    pub problems: Vec<String>,
    /// Its ports, each in each family; at most [`PORTS`].
    pub ports: Vec<PortView>,
    /// How many more there are.
    pub more_ports: usize,
    /// Endpoints that are gone and whose connections end at a time (`towpath.dev/drain-deadline`), by protocol and address; at
    /// most [`DRAINS`].
    pub draining: Vec<DrainView>,
    /// How many more there are.
    pub more_draining: usize,
    /// What it became in the kernel.
    pub rules: RulesText,
    /// The last changes of it that this node took in, the newest first; at most [`CHANGES`].
    pub changes: Vec<ChangeView>,
    /// Its live connections, if they were asked for.
    pub connections: Option<ConnectionsView>,
    /// How the kernel differs from that, if it was asked for.
    pub difference: Option<Difference>,
}

/// An endpoint that drains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DrainView {
    /// Address and port.
    pub endpoint: String,
    /// The protocol.
    pub protocol: &'static str,
    /// When it went, or when the agent started, if that was later; in UTC.
    pub gone_at: String,
    /// When its connections end, in UTC.
    pub ends_at: String,
    /// In how many seconds that is.
    pub ends_in_seconds: u64,
}

/// What a sync did for a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeView {
    /// When the kernel had it, in UTC.
    pub at: String,
    /// Why there was a sync, in a word or two: as in the audit trail.
    pub because: String,
    /// Other Services of that sync.
    pub others: usize,
    /// Objects of this Service that changed, each with how long it took from when towpath had read it to the kernel's commit.
    pub objects: Vec<String>,
    /// Kernel objects written, of all Services of that sync.
    pub writes: usize,
    /// Some of those that are this Service's; at most [`CHANGED`].
    pub lines: Vec<String>,
    /// Why the kernel did not take it, if so.
    pub error: Option<String>,
}

/// Live connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionsView {
    /// By endpoint, those with most first; at most [`ENDPOINTS`].
    pub endpoints: Vec<LoadView>,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// Connections to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LoadView {
    /// Address and port.
    pub endpoint: String,
    /// All that the kernel remembers.
    pub connections: u64,
    /// Of these, those that the endpoint has not answered yet.
    pub opening: u64,
    /// Of these, those in use.
    pub established: u64,
    /// Of these, those that have ended, or are about to.
    pub closing: u64,
    /// Bytes in both directions, where the kernel counts them.
    pub bytes: Option<u64>,
}

/// One thing that a Service asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting {
    /// The field or annotation.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What that means, in a sentence; empty where the name says it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub meaning: String,
}

/// One port in one family.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// The port's name, empty where it has none.
    pub port: String,
    /// Its protocol.
    pub protocol: &'static str,
    /// Its family.
    pub family: &'static str,
    /// Where it is served.
    pub frontends: Vec<FrontendView>,
    /// Frontends that another Service has, each with whose they are.
    pub lost: Vec<String>,
    /// Traffic to the ClusterIP.
    pub internal: WayView,
    /// Traffic to every other frontend, where there is one.
    pub external: Option<WayView>,
    /// What local pods and the node itself send to these, where that differs.
    pub from_here: Option<WayView>,
    /// Its endpoints, by address.
    pub endpoints: Vec<EndpointView>,
    /// How many more there are.
    pub more_endpoints: usize,
    /// Endpoints of the Service that this port cannot have.
    pub unfit: Vec<UnfitView>,
}

/// One frontend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FrontendView {
    /// `clusterIP`, `externalIP`, `loadBalancer` or `nodePort`.
    pub kind: &'static str,
    /// Address and port; of a nodePort the port alone.
    pub address: String,
    /// Only these sources may use it, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_sources: Option<Vec<String>>,
}

/// What becomes of one kind of traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WayView {
    /// `dnat`, `reject` or `drop`.
    pub verdict: &'static str,
    /// Without endpoints: usable ones exist, but none that this traffic may use on this node.
    pub elsewhere: bool,
    /// The policy that decides, `Cluster` or `Local`.
    pub policy: &'static str,
    /// Some of this traffic has its source address rewritten to the node's.
    pub masquerades: bool,
    /// Which, in a sentence.
    pub masquerade: String,
    /// Where it may go, with shares; at most [`ENDPOINTS`].
    pub shares: Vec<Share>,
    /// How many more endpoints there are.
    pub more: usize,
    /// How one is chosen, in a few words.
    pub chosen: String,
}

/// An endpoint that some traffic uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Share {
    /// Address and port.
    pub endpoint: String,
    /// Its part of new connections, 0 to 1; `None` where the kernel decides by its load.
    pub part: Option<f64>,
}

/// One endpoint, and who uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Address and port.
    pub address: String,
    /// The node that it is on, if known.
    pub node: Option<String>,
    /// Its zone, if known.
    pub zone: Option<String>,
    /// It is on this node.
    pub local: bool,
    /// Its condition of this name.
    pub ready: bool,
    /// Its condition of this name.
    pub serving: bool,
    /// Its condition of this name.
    pub terminating: bool,
    /// Zones and nodes that its hints name, in words; empty without.
    pub hints: String,
    /// For traffic to the ClusterIP.
    pub internal: StandingView,
    /// For traffic to every other frontend, where there is one.
    pub external: Option<StandingView>,
    /// For what local pods and the node itself send to these, where that differs.
    pub from_here: Option<StandingView>,
}

/// Whether an endpoint is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StandingView {
    /// It is.
    pub used: bool,
    /// If not: why.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: String,
}

/// An endpoint that a port cannot have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnfitView {
    /// Its address.
    pub address: String,
    /// Why.
    pub reason: String,
}

/// Kernel objects as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RulesText {
    /// How many objects.
    pub objects: usize,
    /// Each in a line, a chain in several; cut at [`RULES`] bytes.
    pub text: String,
    /// The text is cut.
    pub cut: bool,
}

/// How the kernel differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// How many objects.
    pub total: usize,
    /// `+` is lacking, `-` is too much, `!` differs; at most [`DIFFERENCE`] lines.
    pub lines: Vec<String>,
    /// Why it is not known, if so.
    pub error: Option<String>,
}

impl RulesText {
    /// Of one line for each object, at most [`RULES`] bytes, cut at the end of a line.
    pub fn new(lines: &[String]) -> Self {
        let mut text = String::new();
        for line in lines {
            unfold(line, &mut text);
            if text.len() > RULES {
                break;
            }
        }
        Self::cut(lines.len(), text)
    }

    fn cut(objects: usize, mut text: String) -> Self {
        let cut = text.len() > RULES;
        if cut {
            let end = text.as_bytes()[..RULES].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            text.truncate(end);
        }
        Self { objects, text, cut }
    }
}

/// Writes a chain with a rule a line; what is repeated is counted.
fn unfold(line: &str, out: &mut String) {
    let body = line.strip_prefix("chain ").and_then(|rest| rest.split_once(" { ")?.1.strip_suffix(" }"));
    let Some(body) = body else { return *out += &format!("{line}\n") };
    *out += &line[..line.len() - body.len() - 3];
    out.push('\n');
    let rules: Vec<&str> = body.split("; ").collect();
    for same in rules.chunk_by(|a, b| a == b) {
        let times = if same.len() > 1 { format!("  # {} times", same.len()) } else { String::new() };
        *out += &format!("    {}{times}\n", same[0]);
    }
    *out += "}\n";
}

impl Difference {
    /// Of all its lines.
    pub fn new(mut lines: Vec<String>) -> Self {
        let total = lines.len();
        lines.truncate(DIFFERENCE);
        Self { total, lines, error: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_unfolded() {
        let lines =
            ["chain ip t c { a b; a b; c }", "chain ip t d { x }", "element ip t m { 1 : 2 }", "set ip t s"];
        let text = RulesText::new(&lines.map(str::to_owned));
        let expected = "chain ip t c {\n    a b  # 2 times\n    c\n}\nchain ip t d {\n    x\n}\nelement ip t m { 1 : 2 }\nset ip t s\n";
        assert_eq!((text.text.as_str(), text.objects, text.cut), (expected, 4, false));
        let many = RulesText::new(&vec!["y".repeat(99); 10_000]);
        assert!(many.cut && many.objects == 10_000 && many.text.len() <= RULES);
    }

    #[test]
    fn long_rules_are_cut_between_lines() {
        let line = "é".repeat(49) + "\n";
        let long = RulesText::cut(1, line.repeat(10_000));
        assert!(long.cut && long.text.len() <= RULES && long.text.ends_with('\n'));
        let short = RulesText::cut(1, line.clone());
        assert_eq!((short.cut, short.text), (false, line));
        assert_eq!(RulesText::cut(1, "x".repeat(RULES + 1)).text, "");
        let many = Difference::new(vec![String::new(); DIFFERENCE + 5]);
        assert_eq!((many.total, many.lines.len()), (DIFFERENCE + 5, DIFFERENCE));
    }
}
