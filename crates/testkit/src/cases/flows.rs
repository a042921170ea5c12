//! `flows.yaml`: what becomes of the first packet of a flow on one node.

mod node;
mod objects;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, de};

pub use node::{BackendDefaults, Defaults, Mode, NodeConfig, NodeIp, Overrides};
pub use objects::{EndpointSpec, Ingress, IpMode, Policy, PortSpec, ServiceSpec, SliceSpec};

use std::collections::BTreeMap;

pub(super) fn yes() -> bool {
    true
}

/// The whole table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTable {
    /// The node and its settings, unless a case overrides them.
    pub defaults: Defaults,
    /// Settings whose default depends on the dataplane.
    pub backend_defaults: BTreeMap<Mode, BackendDefaults>,
    /// The cases.
    pub cases: Vec<FlowCase>,
}

/// Services, slices and what must become of packets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowCase {
    /// Its unique name.
    pub id: String,
    /// Where it is from: `upstream` or `derived`.
    pub origin: String,
    /// What to know about it.
    #[serde(default)]
    pub note: String,
    /// The dataplanes that must behave so.
    pub backends: Vec<Mode>,
    /// Why it can't be tried with real packets.
    pub kernel_skip: Option<String>,
    /// Settings other than the defaults.
    #[serde(default)]
    pub config: Overrides,
    /// The Services.
    pub services: Vec<ServiceSpec>,
    /// The slices, in a case without steps.
    #[serde(default)]
    pub endpoint_slices: Vec<SliceSpec>,
    /// The flows, in a case without steps.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Slices and flows in sequence.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One step of a case that changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// All slices that exist in this step.
    pub slices: Vec<SliceSpec>,
    /// The flows to try.
    pub flows: Vec<Flow>,
}

/// A step, or the whole of a case without steps.
#[derive(Clone, Copy, Debug)]
pub struct Phase<'a> {
    /// All slices that exist now.
    pub slices: &'a [SliceSpec],
    /// The flows to try.
    pub flows: &'a [Flow],
}

impl FlowCase {
    /// The steps; a case without steps is one.
    pub fn phases(&self) -> Vec<Phase<'_>> {
        if self.steps.is_empty() {
            return vec![Phase { slices: &self.endpoint_slices, flows: &self.flows }];
        }
        self.steps.iter().map(|s| Phase { slices: &s.slices, flows: &s.flows }).collect()
    }

    /// Every flow of every step.
    pub(super) fn flows_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.flows.iter_mut().chain(self.steps.iter_mut().flat_map(|step| &mut step.flows))
    }

    /// Every flow of every step that a dataplane has to honour.
    pub fn flows_for(&self, mode: Mode) -> impl Iterator<Item = &Flow> {
        self.phases().into_iter().flat_map(|p| p.flows).filter(move |f| f.applies(mode))
    }

    /// Every endpoint of every step.
    pub fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        self.phases().into_iter().flat_map(|p| p.slices).flat_map(SliceSpec::addresses)
    }

    /// Whether a Service has this `healthCheckNodePort`: there the dataplane itself may listen.
    pub fn is_health_port(&self, port: u16) -> bool {
        self.services.iter().any(|s| s.health_check_node_port == Some(port))
    }
}

/// One first packet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// What it shows.
    pub name: String,
    /// Its source address.
    pub src: IpAddr,
    /// Its destination address.
    pub dst: IpAddr,
    /// Its destination port.
    pub port: u16,
    /// Its protocol; TCP unless given.
    #[serde(default)]
    pub proto: Proto,
    /// The only dataplanes it is for; all of the case when absent.
    pub only: Option<Vec<Mode>>,
    /// The only endpoints towards which the source is rewritten.
    pub masquerade_endpoints: Option<Vec<SocketAddr>>,
    /// What must happen.
    expect: Expect,
    expect_iptables: Option<Expect>,
    expect_nftables: Option<Expect>,
    /// Of `flows-ipvs.yaml`.
    #[serde(skip)]
    pub(super) expect_ipvs: Option<Expect>,
}

impl Flow {
    /// Whether a dataplane has to honour it.
    pub fn applies(&self, mode: Mode) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&mode))
    }

    /// What must happen under a dataplane. What mode ipvs has of nf_tables, it has as mode nftables.
    pub fn expected(&self, mode: Mode) -> &Expect {
        let own = match mode {
            Mode::Iptables => self.expect_iptables.as_ref(),
            Mode::Nftables => self.expect_nftables.as_ref(),
            Mode::Ipvs => self.expect_ipvs.as_ref().or(self.expect_nftables.as_ref()),
        };
        own.unwrap_or(&self.expect)
    }

    /// Destination address and port.
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.dst, self.port)
    }

    /// Whether the source must be rewritten on the way to this endpoint.
    pub fn masquerades(&self, mode: Mode, endpoint: SocketAddr) -> bool {
        let chosen = self.masquerade_endpoints.as_ref().is_none_or(|some| some.contains(&endpoint));
        self.expected(mode).masquerade && chosen
    }
}

/// What must become of a flow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The verdict.
    pub result: Verdict,
    /// Where it may go, for [`Verdict::Dnat`].
    #[serde(default)]
    pub endpoints: Vec<SocketAddr>,
    /// Whether the source is rewritten to an address of the node.
    #[serde(default)]
    pub masquerade: bool,
}

/// What the dataplane does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// To one of the endpoints.
    Dnat,
    /// Refused, and the sender is told.
    Reject,
    /// Silently gone.
    Drop,
    /// Let through to the node itself.
    Accept,
    /// Not touched.
    None,
}

/// A transport protocol, written in any letter case; TCP unless given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proto(pub model::Protocol);

impl Default for Proto {
    fn default() -> Self {
        Proto(model::Protocol::Tcp)
    }
}

impl<'de> Deserialize<'de> for Proto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = model::Protocol::parse(&text).map(Proto);
        found.ok_or_else(|| de::Error::custom(format!("{text:?} is not tcp, udp or sctp")))
    }
}
