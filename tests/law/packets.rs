//! Packets meet what the explanation says.

use std::collections::BTreeMap;

use model::{Change, IpFamily};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use resolve::{Masquerade, Packet, PacketVerdict, ProxyConfig, explain};

use super::{Lawful, Program, Verdict, at_once, one_by_one};
use crate::interpreter::{Arrival, Kernel, Lowered};
use crate::outcome::Outcome;
use crate::worlds::Draft;

/// The kernel, and those of the packets that it lets in.
fn meet<D: Lawful + Lowered>(
    program: &Program<D>,
    packets: &[Draft],
) -> Result<(Kernel, Vec<Packet>), TestCaseError> {
    let kernel = Kernel::of::<D>(program).map_err(TestCaseError::fail)?;
    let packets = packets.iter().map(|draft| draft.packet(program.store()));
    let packets = packets.filter(|packet| kernel.lets_in(packet)).collect();
    Ok((kernel, packets))
}

fn arrivals(kernel: &Kernel, packet: &Packet) -> Result<Vec<Arrival>, TestCaseError> {
    kernel.arrivals(packet).map_err(TestCaseError::fail)
}

/// The rules, and the virtual servers, do what the explanation says.
pub fn explained<D: Lawful + Lowered>(
    config: &ProxyConfig,
    changes: &[Change],
    packets: &[Draft],
) -> Verdict {
    let program = one_by_one::<D>(config, changes)?;
    let (kernel, packets) = meet(&program, packets)?;
    packets.iter().try_for_each(|packet| agrees(&program, &kernel, packet))
}

fn agrees<D: Lawful>(program: &Program<D>, kernel: &Kernel, packet: &Packet) -> Verdict {
    let explanation = explain(program.store(), program.config(), packet);
    let (why, weights) = (explanation.reason.clone(), explanation.weights.clone());
    let says = Outcome::try_from(explanation).map_err(TestCaseError::fail)?;
    let weights = if why.contains("scheduler") { Vec::new() } else { weights };
    let does = kernel.weighted_outcome(packet, &weights).map_err(TestCaseError::fail)?;
    prop_assert_eq!(&does, &says, "\nrules (left), explanation (right: {}) of {:?}", &why, packet);
    arrivals(kernel, packet)?.iter().try_for_each(|arrival| balances(program, kernel, arrival, &why))
}

/// Who chooses is who the explanation names, with the weights that the Service asks for.
fn balances<D: Lawful>(program: &Program<D>, kernel: &Kernel, arrival: &Arrival, why: &str) -> Verdict {
    let Some(server) = arrival.server else {
        prop_assert!(!why.contains("scheduler"), "no virtual server, but {}", why);
        return Ok(());
    };
    let (choice, reals) = kernel.server(&server).ok_or_else(|| TestCaseError::fail("no such server"))?;
    let name = choice.scheduler.map_or("?", |scheduler| scheduler.as_str());
    let named = why.ends_with(&format!("by scheduler {name}"));
    prop_assert!(named || arrival.verdict != PacketVerdict::Dnat, "{name} chooses, but {why}");
    let packet = Packet {
        from: "203.0.113.99".parse().unwrap(),
        interface: None,
        to: model::EndpointAddr { ip: server.ip, port: server.port },
        protocol: server.protocol,
    };
    let owner = explain(program.store(), program.config(), &packet).service;
    let entry = owner.and_then(|name| program.store().entry(&name.service));
    let service = entry.and_then(|entry| entry.service.as_ref());
    let balance = &service.ok_or_else(|| TestCaseError::fail(format!("whose is {server:?}?")))?.balance;
    for (endpoint, weight) in reals {
        prop_assert_eq!(weight, u32::from(balance.weight(endpoint.ip)), "{:?} of {:?}", endpoint, server);
    }
    Ok(())
}

/// A client with affinity comes back: what a first connection leaves behind leads all later ones to the same endpoint.
pub fn remembered<D: Lawful + Lowered>(
    config: &ProxyConfig,
    changes: &[Change],
    packets: &[Draft],
) -> Verdict {
    let program = at_once::<D>(config, changes)?;
    let (kernel, packets) = meet(&program, packets)?;
    packets.iter().try_for_each(|packet| comes_back(&program, &kernel, packet))
}

fn comes_back<D: Lawful>(program: &Program<D>, kernel: &Kernel, packet: &Packet) -> Verdict {
    let answer = explain(program.store(), program.config(), packet);
    let affinity = answer.service.as_ref().and_then(|name| {
        let entry = program.store().entry(&name.service)?;
        entry.service.as_ref()?.affinity_seconds
    });
    for arrival in arrivals(kernel, packet)? {
        let wanted = affinity.filter(|_| arrival.verdict == PacketVerdict::Dnat);
        let got = memories(kernel, &arrival);
        prop_assert_eq!(&got, &wanted.into_iter().collect::<Vec<_>>(), "what {:?} leaves behind", packet);
        // IPVS remembers for itself.
        if wanted.is_none() || arrival.server.is_some() {
            continue;
        }
        let mut kernel = kernel.clone();
        kernel.remember(IpFamily::of(packet.to.ip), &arrival.remembered);
        let again = arrivals(&kernel, packet)?;
        let strayed = again
            .iter()
            .any(|next| next.endpoint != arrival.endpoint || next.masqueraded != arrival.masqueraded);
        prop_assert!(!strayed, "{packet:?}: first {arrival:?}, then {again:?}");
    }
    Ok(())
}

/// For how many seconds the client's endpoint is remembered, by everybody who does so.
fn memories(kernel: &Kernel, arrival: &Arrival) -> Vec<u32> {
    let rules = arrival.remembered.iter().map(|one| (one.timeout / 1000) as u32);
    let server = arrival.server.and_then(|server| kernel.server(&server));
    let server = server.map(|(choice, _)| choice.persistence).filter(|seconds| *seconds > 0);
    rules.chain(server).collect()
}

/// How often packets of drawn worlds met each kind of answer: verdict, and whether masqueraded.
pub fn kinds_of_answers<D: Lawful + Lowered>(
    worlds: impl Strategy<Value = (ProxyConfig, Vec<Change>, Vec<Draft>)>,
) -> BTreeMap<(&'static str, &'static str), usize> {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::new();
    for _ in 0..160 {
        let (config, changes, packets) = worlds.new_tree(&mut runner).unwrap().current();
        let program = at_once::<D>(&config, &changes).unwrap();
        let (_, packets) = meet(&program, &packets).unwrap();
        packets.iter().for_each(|packet| *met.entry(kind_of_answer(&program, packet)).or_default() += 1);
    }
    met
}

fn kind_of_answer<D: Lawful>(program: &Program<D>, packet: &Packet) -> (&'static str, &'static str) {
    let answer = explain(program.store(), program.config(), packet);
    let masquerade = match answer.masquerade {
        Masquerade::Never => "never",
        Masquerade::Always => "always",
        Masquerade::Towards(_) => "towards",
    };
    (answer.verdict.as_str(), masquerade)
}
