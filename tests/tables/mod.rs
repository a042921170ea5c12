//! `cases/flows.yaml` as the program meets it: manifests, decoded into changes, and packets to ask about.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use model::{Change, EndpointAddr, NamespacedName, parse_net};
use resolve::{DetectLocal, NodePortSelector, Packet, PacketVerdict, ProxyConfig};
use serde_json::Value;
use sources::k8s::{Decoder, Kind, decode};
use testkit::cases::{
    Flow, FlowCase, FlowTable, Mode, NodeConfig, SliceSpec, Verdict, load_flows, table_path,
};
use testkit::manifest;

use crate::outcome::Outcome;

/// Asks about one packet in a world to which these changes have led.
pub trait Subject {
    /// Begins an empty world.
    fn new(node_name: &str, config: ProxyConfig) -> Self;
    /// Takes in changes.
    fn take(&mut self, changes: Vec<Change>);
    /// What becomes of the packet.
    fn ask(&self, packet: &Packet) -> Result<Outcome, String>;
}

/// Tries every flow of every case that a dataplane has to honour; fails with all that went wrong.
pub fn try_all<S: Subject>(mode: Mode) {
    let table = load_flows(&table_path("flows.yaml")).unwrap();
    let mut failures = Vec::new();
    let mut flows = 0;
    for case in table.cases.iter().filter(|case| case.backends.contains(&mode)) {
        flows += case.flows_for(mode).count();
        failures.extend(try_case::<S>(&table, case, mode));
    }
    assert!(flows >= 180, "only {flows} flows for {}", mode.as_str());
    assert!(failures.is_empty(), "{} of {flows} flows went wrong:\n{}", failures.len(), failures.join("\n"));
}

fn try_case<S: Subject>(table: &FlowTable, case: &FlowCase, mode: Mode) -> Vec<String> {
    let config = table.config(case, mode);
    let mut subject = S::new(&config.node.node_name, proxy_config(&config, mode));
    subject.take(setting(case, &config));
    let mut failures = Vec::new();
    let mut present = BTreeSet::new();
    for (step, phase) in case.phases().into_iter().enumerate() {
        subject.take(slice_changes(&mut present, phase.slices));
        for flow in phase.flows.iter().filter(|flow| flow.applies(mode)) {
            let place = format!("{} step {step} {:?}", case.id, flow.name);
            failures.extend(failure(&subject, flow, mode).map(|message| format!("{place}: {message}")));
        }
    }
    failures
}

fn failure<S: Subject>(subject: &S, flow: &Flow, mode: Mode) -> Option<String> {
    let wanted = expected(flow, mode);
    match subject.ask(&packet(flow)) {
        Ok(got) => (got != wanted).then(|| format!("\n  got  {got:?}\n  want {wanted:?}")),
        Err(message) => Some(message),
    }
}

fn packet(flow: &Flow) -> Packet {
    Packet { from: flow.src, interface: None, to: endpoint_addr(&flow.destination()), protocol: flow.proto.0 }
}

fn expected(flow: &Flow, mode: Mode) -> Outcome {
    let expect = flow.expected(mode);
    let list = |only: &dyn Fn(&SocketAddr) -> bool| {
        let mut list: Vec<_> = expect.endpoints.iter().filter(|e| only(e)).map(endpoint_addr).collect();
        list.sort_unstable();
        list
    };
    Outcome {
        verdict: verdict(expect.result),
        endpoints: list(&|_| true),
        masqueraded: list(&|e| flow.masquerades(mode, *e)),
    }
}

fn verdict(verdict: Verdict) -> PacketVerdict {
    match verdict {
        Verdict::Dnat => PacketVerdict::Dnat,
        Verdict::Reject => PacketVerdict::Reject,
        Verdict::Drop => PacketVerdict::Drop,
        Verdict::Accept => PacketVerdict::Accept,
        Verdict::None => PacketVerdict::None,
    }
}

fn endpoint_addr(addr: &SocketAddr) -> EndpointAddr {
    EndpointAddr { ip: addr.ip(), port: addr.port() }
}

/// What the flags of the case mean. Where the case is silent about NodePort addresses, the program's own default
/// must be the table's.
fn proxy_config(config: &NodeConfig, mode: Mode) -> ProxyConfig {
    let node = &config.node;
    let nets = |texts: &[String]| texts.iter().map(|text| parse_net(text).unwrap()).collect::<Vec<_>>();
    let given: &[String] = if config.nodeport_addresses_given { &config.nodeport_addresses } else { &[] };
    ProxyConfig {
        mode: mode.as_str().parse().unwrap(),
        detect_local: DetectLocal::ClusterCidr(nets(&node.local_pod_cidrs)),
        masquerade_all: node.masquerade_all,
        nodeport_addresses: nets(given).into_iter().map(NodePortSelector::Net).collect(),
        localhost_nodeports: node.localhost_nodeports,
        ..ProxyConfig::default()
    }
}

/// Everything of a case but its slices.
fn setting(case: &FlowCase, config: &NodeConfig) -> Vec<Change> {
    let mut changes = vec![
        read(Kind::Node, &manifest::node(config)),
        read(Kind::ServiceCidr, &manifest::service_cidr(config)),
        kernel_addresses(config),
    ];
    changes.extend(case.services.iter().map(|spec| read(Kind::Service, &manifest::service(spec))));
    changes
}

fn kernel_addresses(config: &NodeConfig) -> Change {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Change::KernelAddresses(loopback.into_iter().chain(config.node.node_ips.iter().copied()).collect())
}

/// What makes `specs` of the slices that are `present`.
fn slice_changes(present: &mut BTreeSet<NamespacedName>, specs: &[SliceSpec]) -> Vec<Change> {
    let objects = specs.iter().enumerate().map(|(i, spec)| manifest::slice(spec, i));
    let mut changes: Vec<Change> = objects.map(|object| read(Kind::EndpointSlice, &object)).collect();
    let names = changes.iter().filter_map(|change| match change {
        Change::Slice(slice) => Some(slice.name.clone()),
        _ => None,
    });
    let now: BTreeSet<NamespacedName> = names.collect();
    changes.extend(present.difference(&now).cloned().map(Change::SliceGone));
    *present = now;
    changes
}

fn read(kind: Kind, object: &Value) -> Change {
    let decoded = decode(kind, &object.to_string(), &mut Decoder::default());
    let decoded = decoded.unwrap_or_else(|error| panic!("{error}: {object:#}"));
    assert!(decoded.warnings.is_empty(), "{:?}: {object:#}", decoded.warnings);
    decoded.change.unwrap_or_else(|| panic!("ignored: {object:#}"))
}
