//! A plan in parts, as tables: steps as words, what is to be done as words.

use model::Protocol;
use nftables::{ElementKey, SetId};

use super::*;
use crate::objects::record;

fn server() -> Server {
    Server { ip: "10.96.0.1".parse().unwrap(), protocol: Protocol::Tcp, port: 80 }
}

fn endpoint() -> EndpointAddr {
    EndpointAddr { ip: "10.244.0.5".parse().unwrap(), port: 8080 }
}

/// An object by a word, with the n-th of its values.
fn object(word: &str, n: u32) -> (Key, Value) {
    let choice = Choice { persistence: n, ..Choice::new(model::IpFamily::V4, Scheduler::Rr, None) };
    let address = ElementKey::Addr(server().ip);
    match word {
        "server" => (Key::Server(server()), Value::Server(choice)),
        "real" => (Key::Real(server(), endpoint()), Value::Real(n)),
        "record" => (record(server()), Value::Rule(nftables::Value::Member)),
        "rule" => {
            let key = nftables::Key::Element(model::IpFamily::V4, SetId::ClusterIps, address);
            (Key::Rule(key), Value::Rule(nftables::Value::Definition(n.into())))
        }
        "route" => {
            let source = (n > 0).then(|| server().ip);
            (Key::Route("10.96.0.0/16".parse().unwrap()), Value::Route(source))
        }
        other => panic!("{other}"),
    }
}

/// `+real 2`: create one of weight 2; `~real 2 3`: change it; `-real 3`: delete it.
fn plan(text: &str) -> Plan<Key, Value> {
    let step = |text: &str| {
        let (sign, text) = text.trim().split_at(1);
        let mut words = text.split(' ');
        let word = words.next().unwrap();
        let values: Vec<u32> = words.map(|n| n.parse().unwrap()).collect();
        let value = |i: usize| object(word, values.get(i).copied().unwrap_or(1)).1;
        let step = match sign {
            "+" => Step::Create(value(0)),
            "~" => Step::Update { old: value(0), new: value(1) },
            _ => Step::Delete(value(0)),
        };
        (object(word, 0).0, step)
    };
    Plan { steps: text.split(',').filter(|text| !text.trim().is_empty()).map(step).collect() }
}

/// What is to be done, in the same words.
fn done((rules, work, records): &(Rules, Work, Vec<Server>)) -> String {
    let rule = |(key, step): &(nftables::Key, Step<nftables::Value>)| {
        let name = if recorded(key).is_some() { "record" } else { "rule" };
        let sign = match step {
            Step::Create(_) => "+",
            Step::Update { .. } => "~",
            Step::Delete(_) => "-",
        };
        format!("{sign}{name}")
    };
    let source = |route: &LocalRoute| if route.source.is_some() { "with source" } else { "without" };
    let mut all: Vec<String> = rules.steps.iter().map(rule).collect();
    all.extend(work.servers.iter().map(|(_, choice)| format!("make server {}", choice.persistence)));
    all.extend(work.reals.iter().map(|(_, _, old, new)| format!("make real {old:?} {new}")));
    all.extend(work.lost.iter().map(|(_, _, weight)| format!("lose real {weight}")));
    all.extend(work.ended.iter().map(|_| "end server".to_owned()));
    all.extend(work.routes.iter().map(|route| format!("make route {}", source(route))));
    all.extend(work.old_routes.iter().map(|route| format!("delete route {}", source(route))));
    all.extend(records.iter().map(|_| "forget record".to_owned()));
    all.join(", ")
}

#[test]
fn each_step_is_somebodys() {
    for (steps, want) in [
        ("", ""),
        ("+rule, +record", "+rule, +record"),
        ("~rule 1 2, -rule", "~rule, -rule"),
        ("-record", "forget record"),
        ("+server 9, +real 2", "make server 9, make real None 2"),
        ("~server 0 9, ~real 2 3", "make server 9, make real Some(2) 3"),
        ("-real 3, -server, -record", "lose real 3, end server, forget record"),
        ("+route 1", "make route with source"),
        ("~route 1 0", "make route without"),
        ("-route 1", "delete route with source"),
    ] {
        assert_eq!(done(&sort(plan(steps))), want, "{steps}");
    }
}

#[test]
fn what_others_have_is_left_to_them() {
    let mine = server();
    let other = Server { port: 81, ..mine };
    for (steps, taken, want) in [
        ("+record, +server 0, +real 1, +rule", mine, "+rule"),
        ("+record, +server 0, +real 1, +rule", other, "+record, +rule, make server 0, make real None 1"),
        ("~server 0 9, ~real 1 2, +route 0", mine, "make route without"),
    ] {
        let mut parts = sort(plan(steps));
        let taken = std::iter::once(taken).collect();
        parts.1.leave(&taken, &mut parts.0);
        assert_eq!(done(&parts), want, "{steps}, {taken:?} is taken");
    }
}
