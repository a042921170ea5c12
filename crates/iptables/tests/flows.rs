//! Every flow of `cases/flows.yaml` for iptables through the rules as they are printed, run by an interpreter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod spec;

use std::net::SocketAddr;

use dataplane::{Engine, Operate};
use machine::{Kernel, Outcome};
use model::{EndpointAddr, Store};
use resolve::{Packet, PacketVerdict};
use testkit::cases::{Flow, FlowCase, FlowTable, Mode, Verdict, load_flows, table_path};
use towpath_iptables::Iptables;

const MODE: Mode = Mode::Iptables;

#[test]
fn every_flow_of_the_table() {
    let table = load_flows(&table_path("flows.yaml")).unwrap();
    let mut failures = Vec::new();
    let mut flows = 0;
    for case in table.cases.iter().filter(|case| case.backends.contains(&MODE)) {
        flows += case.flows_for(MODE).count();
        failures.extend(try_case(&table, case));
    }
    assert!(flows >= 180, "only {flows} flows");
    assert!(failures.is_empty(), "{} of {flows} flows went wrong:\n{}", failures.len(), failures.join("\n"));
}

fn try_case(table: &FlowTable, case: &FlowCase) -> Vec<String> {
    let config = table.config(case, MODE);
    let store = Store::new(config.node.node_name.as_str());
    let mut engine = Engine::new(store, spec::proxy_config(&config), Iptables::offline(), &[]);
    spec::setting(case, &config).into_iter().for_each(|change| engine.handle(change));
    let mut failures = Vec::new();
    let mut before: &[testkit::cases::SliceSpec] = &[];
    for (step, phase) in case.phases().into_iter().enumerate() {
        spec::slices(before, phase.slices).into_iter().for_each(|change| engine.handle(change));
        before = phase.slices;
        engine.settle();
        let kernel = kernel(&engine);
        for flow in phase.flows.iter().filter(|flow| flow.applies(MODE)) {
            let place = format!("{} step {step} {:?}", case.id, flow.name);
            failures.extend(failure(&kernel, flow).map(|message| format!("{place}: {message}")));
        }
    }
    failures
}

fn kernel(engine: &Engine<Iptables>) -> Kernel {
    let objects: Vec<_> = engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
    Kernel::new(&engine.dataplane().render(&objects), engine.store().facts())
}

fn failure(kernel: &Kernel, flow: &Flow) -> Option<String> {
    let to = endpoint(&flow.destination());
    let packet = Packet { from: flow.src, interface: None, to, protocol: flow.proto.0 };
    let wanted = expected(flow);
    match kernel.outcome(&packet) {
        Ok(got) => (got != wanted).then(|| format!("\n  got  {got:?}\n  want {wanted:?}")),
        Err(message) => Some(message),
    }
}

fn expected(flow: &Flow) -> Outcome {
    let expect = flow.expected(MODE);
    let list = |only: &dyn Fn(&SocketAddr) -> bool| {
        let mut list: Vec<_> = expect.endpoints.iter().filter(|e| only(e)).map(endpoint).collect();
        list.sort_unstable();
        list
    };
    let verdict = match expect.result {
        Verdict::Dnat => PacketVerdict::Dnat,
        Verdict::Reject => PacketVerdict::Reject,
        Verdict::Drop => PacketVerdict::Drop,
        Verdict::Accept => PacketVerdict::Accept,
        Verdict::None => PacketVerdict::None,
    };
    Outcome { verdict, endpoints: list(&|_| true), masqueraded: list(&|e| flow.masquerades(MODE, *e)) }
}

fn endpoint(addr: &SocketAddr) -> EndpointAddr {
    EndpointAddr { ip: addr.ip(), port: addr.port() }
}
