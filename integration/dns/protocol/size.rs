//! What does not fit.

use anyhow::{Result, ensure};

use super::Test;
use crate::compare::Transport::{Tcp, Udp};
use crate::objects::{Endpoint, service, slice};
use crate::place::Place;
use crate::wire::{Query, TC};

pub(super) const TESTS: &[Test] =
    &[Test { id: "proto-25", run: without_opt }, Test { id: "proto-30", run: additional_first }];

const WIDE: &str = "wide.data.svc.cluster.local.";

/// 40 addresses: 512 octets without OPT; in a larger datagram and over TCP they all come.
fn without_opt(place: &Place) -> Result<()> {
    let reply = place.send(&Query::new(WIDE, "A")?, Udp)?;
    ensure!(reply.size <= 512 && reply.has(TC), "{} octets, flags {:#06x}", reply.size, reply.flags);
    for (query, transport) in
        [(Query::new(WIDE, "A")?.edns(1232, 0, &[]), Udp), (Query::new(WIDE, "A")?, Tcp)]
    {
        let reply = place.send(&query, transport)?;
        ensure!(
            reply.answer().len() == 40 && !reply.has(TC),
            "{} of 40 over {transport:?}",
            reply.answer().len()
        );
        ensure!(reply.size < 750, "{} octets: not compressed", reply.size);
    }
    // More than the cap of 1232 is not believed.
    let reply = place.send(&Query::new(WIDE, "SRV")?.edns(4096, 0, &[]), Udp)?;
    ensure!(reply.size <= 1232, "{} octets", reply.size);
    // Less than 512 is 512.
    let reply = place.send(&Query::new(WIDE, "A")?.edns(100, 0, &[]), Udp)?;
    ensure!(reply.size <= 512 && reply.answer().len() > 20, "{} octets", reply.size);
    Ok(())
}

/// All answers and a part of the additional section: not truncated.
fn additional_first(place: &Place) -> Result<()> {
    let addresses: Vec<_> = (1..13).map(|i| (format!("10.244.60.{i}"), format!("m-{i}"))).collect();
    let endpoints: Vec<Endpoint<'_>> =
        addresses.iter().map(|(a, h)| (a.as_str(), h.as_str(), true)).collect();
    place.write("mid.yaml", &(service("data", "mid", "None") + &slice("data", "mid", "a", &endpoints)))?;
    let mut want: Vec<_> =
        addresses.iter().map(|(a, _)| format!("mid.data.svc.cluster.local. 5 IN A {a}")).collect();
    want.sort();
    let want: Vec<_> = want.iter().map(String::as_str).collect();
    place.await_answer("mid.data.svc.cluster.local.", "A", "NOERROR", &want)?;
    let query = || Query::new("_p._tcp.mid.data.svc.cluster.local.", "SRV");
    let whole = place.send(&query()?.edns(1232, 0, &[]), Tcp)?;
    ensure!(whole.answer().len() == 12 && whole.sections.additional.len() == 12, "{whole:?}");
    let size = u16::try_from(whole.size - 50)?;
    ensure!(size > 512, "too small to be cut: {size} octets");
    let cut = place.send(&query()?.edns(size, 0, &[]), Udp)?;
    ensure!(cut.answer().len() == 12 && !cut.has(TC), "cut at {size}: {cut:?}");
    let left = cut.sections.additional.len();
    ensure!((1..12).contains(&left) && cut.sections.opt.is_some(), "{left} of 12 additional: {cut:?}");
    // Not even the answers.
    let cut = place.send(&query()?, Udp)?;
    ensure!(cut.answer().len() == 12 || cut.has(TC), "answers are missing without TC: {cut:?}");
    Ok(())
}
