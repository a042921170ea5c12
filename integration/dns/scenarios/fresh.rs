//! Changes of the cluster are in the next answer.

use anyhow::{Context, Result, ensure};

use super::{Knows, PLAIN, Scenario};
use crate::objects::{Endpoint, namespace, service, slice};
use crate::place::Place;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { knows: Knows::All, id: "scen-02", corefile: PLAIN, run: endpoint_becomes_ready },
    Scenario { knows: Knows::All, id: "scen-05", corefile: PLAIN, run: address_moves },
    Scenario { knows: Knows::All, id: "scen-06", corefile: PLAIN, run: namespace_comes_and_goes },
    Scenario { knows: Knows::All, id: "scen-40", corefile: PLAIN, run: serial_increases },
];

const SET: &str = "set.data.svc.cluster.local.";

/// A headless Service with these slices.
fn headless(place: &Place, slices: &[&[Endpoint<'_>]]) -> Result<()> {
    let mut text = service("data", "set", "None");
    for (i, endpoints) in slices.iter().enumerate() {
        text += &slice("data", "set", &i.to_string(), endpoints);
    }
    place.write("set.yaml", &text)
}

/// Not even a denial that was asked for many times stays.
fn endpoint_becomes_ready(place: &mut Place) -> Result<()> {
    let late = "set-2.set.data.svc.cluster.local.";
    let set = |ready| headless(place, &[&[("10.244.61.1", "set-1", true), ("10.244.61.2", "set-2", ready)]]);
    let record = format!("{late} 5 IN A 10.244.61.2");
    for _ in 0..3 {
        set(false)?;
        place.await_answer(SET, "A", "NOERROR", &[&format!("{SET} 5 IN A 10.244.61.1")])?;
        place.await_answer(late, "A", "NXDOMAIN", &[])?;
        set(true)?;
        place.await_answer(late, "A", "NOERROR", &[&record])?;
    }
    Ok(())
}

/// In both slices: one record; in neither: the others.
fn address_moves(place: &mut Place) -> Result<()> {
    let (moves, stays) = (("10.244.61.1", "m", true), ("10.244.61.2", "s", true));
    let (first, second) = (format!("{SET} 5 IN A 10.244.61.1"), format!("{SET} 5 IN A 10.244.61.2"));
    let steps: [(&[&[Endpoint<'_>]], &[&str]); 5] = [
        (&[&[moves], &[stays]], &[&first, &second]),
        (&[&[moves], &[stays, moves]], &[&first, &second]),
        (&[&[], &[stays]], &[&second]),
        (&[&[], &[stays, moves]], &[&first, &second]),
        (&[&[], &[]], &[]),
    ];
    for (slices, want) in steps {
        headless(place, slices)?;
        place.await_answer(SET, "A", if want.is_empty() { "NXDOMAIN" } else { "NOERROR" }, want)?;
    }
    Ok(())
}

fn namespace_comes_and_goes(place: &mut Place) -> Result<()> {
    let (ns, name) = ("fresh.svc.cluster.local.", "new.fresh.svc.cluster.local.");
    place.await_answer(ns, "A", "NXDOMAIN", &[])?;
    place.write("namespace.yaml", &namespace("fresh"))?;
    place.await_answer(ns, "A", "NOERROR", &[])?;
    place.await_answer(name, "A", "NXDOMAIN", &[])?;
    place.write("service.yaml", &service("fresh", "new", "10.96.99.1"))?;
    place.await_answer(name, "A", "NOERROR", &[&format!("{name} 5 IN A 10.96.99.1")])?;
    place.remove("service.yaml")?;
    place.remove("namespace.yaml")?;
    place.await_answer(name, "A", "NXDOMAIN", &[])?;
    place.await_answer(ns, "A", "NXDOMAIN", &[])
}

/// Several changes within one second, each with a serial of its own (RFC 1982).
fn serial_increases(place: &mut Place) -> Result<()> {
    let serial = || -> Result<u32> {
        let reply = place.ask("cluster.local.", "SOA")?;
        reply.serials.first().copied().with_context(|| format!("no SOA: {reply:?}"))
    };
    let mut last = serial()?;
    for i in 1..4 {
        let address = format!("10.96.99.{i}");
        place.write("service.yaml", &service("default", "new", &address))?;
        let name = "new.default.svc.cluster.local.";
        place.await_answer(name, "A", "NOERROR", &[&format!("{name} 5 IN A {address}")])?;
        let next = serial()?;
        let ahead = next.wrapping_sub(last);
        ensure!((1..1 << 31).contains(&ahead), "change {i}: {last}, then {next}");
        last = next;
    }
    Ok(())
}
