//! Names at and beyond the limits, and types that are none.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{BOTH, NAME, Test, has};
use crate::place::Place;
use crate::wire::{self, Query, RD};

pub(super) const TESTS: &[Test] = &[
    Test { id: "proto-18", run: pointer_to_itself },
    Test { id: "proto-20", run: reserved_bits },
    Test { id: "proto-21", run: too_long },
    Test { id: "proto-22", run: as_long_as_can_be },
    Test { id: "proto-24", run: any_octet },
    Test { id: "proto-45", run: odd_types },
    Test { id: "proto-46", run: ds_of_the_zone },
];

/// A query whose question is these octets and `A IN`.
fn with_name(name: &[u8]) -> Vec<u8> {
    let header = wire::header(wire::next_id(), RD, [1, 0, 0, 0]);
    [&header, name, &[0, 1, 0, 1]].concat()
}

/// Labels of these lengths, without the root.
fn labels(lengths: &[u8]) -> Vec<u8> {
    lengths.iter().flat_map(|len| [vec![*len], vec![b'a'; usize::from(*len)]].concat()).collect()
}

fn pointer_to_itself(place: &Place) -> Result<()> {
    let begun = Instant::now();
    // To itself, to a label before that leads back to it, and behind the end.
    for name in [&[0xc0, 12][..], &[1, b'a', 0xc0, 12], &[0xc0, 0xff], &[0xc0]] {
        place.refuses(&with_name(name), "FORMERR")?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    Ok(())
}

fn reserved_bits(place: &Place) -> Result<()> {
    [0x40, 0x80, 0xbf].into_iter().try_for_each(|len| place.refuses(&with_name(&[len, b'a', 0]), "FORMERR"))
}

fn too_long(place: &Place) -> Result<()> {
    let name = [labels(&[63, 63, 63, 62]), vec![0]].concat();
    ensure!(name.len() == 256, "{} octets", name.len());
    place.refuses(&with_name(&name), "FORMERR")
}

fn as_long_as_can_be(place: &Place) -> Result<()> {
    let zone = wire::name("cluster.local.")?;
    let name = [labels(&[63, 63, 63, 47]), zone].concat();
    ensure!(name.len() == 255, "{} octets", name.len());
    for transport in BOTH {
        let query = Query { name: name.clone(), ..Query::new(NAME, "A")? };
        has(&place.send(&query, transport)?, "NXDOMAIN", &[])?;
    }
    Ok(())
}

/// A dot inside a label is no border of labels.
fn any_octet(place: &Place) -> Result<()> {
    let rest = wire::name("default.svc.cluster.local.")?;
    let odd = [&[4, 0, b'.', b'\\', 0xff][..], &rest].concat();
    let dotted = [&[18][..], b"kubernetes.default", &wire::name("svc.cluster.local.")?].concat();
    let whole = [&[36][..], NAME.trim_end_matches('.').as_bytes(), &[0]].concat();
    for transport in BOTH {
        for name in [&odd, &dotted] {
            let query = Query { name: name.clone(), ..Query::new(NAME, "A")? };
            has(&place.send(&query, transport)?, "NXDOMAIN", &[])?;
        }
        let query = Query { name: whole.clone(), ..Query::new(NAME, "A")? };
        ensure!(place.send(&query, transport)?.answer().is_empty(), "one label was read as five");
    }
    Ok(())
}

fn odd_types(place: &Place) -> Result<()> {
    for kind in [41, 250] {
        place.refuses(&Query { kind, ..Query::new(NAME, "A")? }.bytes(), "FORMERR")?;
    }
    for (name, rcode) in [(NAME, "NOERROR"), ("nx.default.svc.cluster.local.", "NXDOMAIN")] {
        for (kind, transport) in [0, 65_535, 999].into_iter().flat_map(|kind| BOTH.map(|t| (kind, t))) {
            let reply = place.send(&Query { kind, ..Query::new(name, "A")? }, transport)?;
            has(&reply, rcode, &[])?;
            ensure!(reply.sections.authority.len() == 1, "no SOA: {reply:?}");
        }
    }
    Ok(())
}

fn ds_of_the_zone(place: &Place) -> Result<()> {
    for transport in BOTH {
        let reply = place.send(&Query::new("cluster.local.", "DS")?, transport)?;
        has(&reply, "NOERROR", &[])?;
        ensure!(reply.sections.authority.len() == 1, "no SOA: {reply:?}");
    }
    ensure!(place.stub.asked("cluster.local.") == 0, "it was forwarded");
    Ok(())
}
