//! Header, opcodes, classes and counts.

use anyhow::{Result, ensure};

use super::{BOTH, NAME, RECORD, Test, has};
use crate::place::Place;
use crate::wire::{self, AA, AD, CD, QR, Query, RA, RD};

pub(super) const TESTS: &[Test] = &[
    Test { id: "proto-01", run: plain },
    Test { id: "proto-06", run: version_of_chaos },
    Test { id: "proto-07", run: chaos },
    Test { id: "proto-08", run: any_class },
    Test { id: "proto-10", run: other_opcodes },
    Test { id: "proto-11", run: notify },
    Test { id: "proto-13", run: two_questions },
    Test { id: "proto-15", run: three_additional },
    Test { id: "proto-16", run: only_a_header },
    Test { id: "proto-43", run: ad_and_cd },
];

/// The bits of a reply are QR, AA and what the query brought (RA is free); letter case is kept.
fn plain(place: &Place) -> Result<()> {
    let mixed = "kuberNETES.Default.svc.CLUSTER.local.";
    for (transport, flags) in BOTH.into_iter().flat_map(|t| [(t, RD), (t, 0)]) {
        let query = Query { flags, ..Query::new(mixed, "A")? };
        let reply = place.send(&query, transport)?;
        ensure!(reply.flags & !RA == QR | AA | flags, "flags {:#06x} over {transport:?}", reply.flags);
        ensure!(reply.sections.opt.is_none(), "an OPT that nobody asked for");
        has(&reply, "NOERROR", &[&format!("{mixed} 5 IN A 10.96.0.1")])?;
    }
    Ok(())
}

fn of_class(name: &str, kind: &str, class: u16) -> Result<Vec<u8>> {
    Ok(Query { class, ..Query::new(name, kind)? }.bytes())
}

fn version_of_chaos(place: &Place) -> Result<()> {
    place.refuses(&of_class("version.bind.", "TXT", 3)?, "REFUSED")?;
    ensure!(place.stub.asked("version.bind.") == 0, "it was forwarded");
    Ok(())
}

fn chaos(place: &Place) -> Result<()> {
    place.refuses(&of_class(NAME, "A", 3)?, "REFUSED")
}

fn any_class(place: &Place) -> Result<()> {
    [255, 0, 2, 254, 65_535]
        .into_iter()
        .try_for_each(|class| place.refuses(&of_class(NAME, "A", class)?, "REFUSED"))
}

fn with_opcode(opcode: u16) -> Result<Vec<u8>> {
    Ok(Query::new(NAME, "A")?.flagged(opcode << 11).bytes())
}

fn other_opcodes(place: &Place) -> Result<()> {
    // IQUERY, STATUS, UPDATE, DSO and one that means nothing.
    [1, 2, 5, 6, 15].into_iter().try_for_each(|opcode| place.refuses(&with_opcode(opcode)?, "NOTIMP"))
}

fn notify(place: &Place) -> Result<()> {
    place.refuses(&with_opcode(4)?, "NOTIMP")
}

fn two_questions(place: &Place) -> Result<()> {
    let question = Query::new(NAME, "A")?.question();
    let header = wire::header(wire::next_id(), RD, [2, 0, 0, 0]);
    place.refuses(&[header, question.clone(), question].concat(), "FORMERR")?;
    place.refuses(&wire::header(wire::next_id(), RD, [0, 0, 0, 0]), "FORMERR")
}

fn three_additional(place: &Place) -> Result<()> {
    let header = wire::header(wire::next_id(), RD, [1, 0, 0, 3]);
    let record = wire::record("x.example. 0 IN A 192.0.2.1")?;
    let question = Query::new(NAME, "A")?.question();
    let opt = wire::opt(1232, 0, 0, &[]);
    place.refuses(&[header, question, record.clone(), record, opt].concat(), "FORMERR")
}

fn only_a_header(place: &Place) -> Result<()> {
    place.refuses(&wire::header(wire::next_id(), RD, [1, 0, 0, 0]), "FORMERR")
}

fn ad_and_cd(place: &Place) -> Result<()> {
    for transport in BOTH {
        let reply = place.send(&Query::new(NAME, "A")?.flagged(AD | CD), transport)?;
        ensure!(reply.has(CD) && !reply.has(AD), "flags {:#06x}", reply.flags);
        has(&reply, "NOERROR", &[RECORD])?;
    }
    Ok(())
}
