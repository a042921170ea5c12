//! OPT and its options.

use anyhow::{Context, Result, ensure};

use super::{BOTH, NAME, RECORD, Test, has};
use crate::compare::Transport::{Tcp, Udp};
use crate::decode;
use crate::place::Place;
use crate::wire::{self, AD, Query, RD};

const DO: u16 = 0x8000;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const PADDING: u16 = 12;

pub(super) const TESTS: &[Test] = &[
    Test { id: "proto-04", run: version_1 },
    Test { id: "proto-05", run: two_opts },
    Test { id: "proto-39", run: client_subnet },
    Test { id: "proto-41", run: padding },
    Test { id: "proto-42", run: dnssec_ok },
];

fn version_1(place: &Place) -> Result<()> {
    for transport in BOTH {
        let query = Query { opt: Some(wire::opt(1232, 1, 0, &[])), ..Query::new(NAME, "A")? };
        let reply = place.send(&query, transport)?;
        has(&reply, "BADVERS", &[])?;
        ensure!(reply.sections.opt.as_ref().is_some_and(|opt| opt.version == 0), "{reply:?}");
    }
    Ok(())
}

fn two_opts(place: &Place) -> Result<()> {
    let header = wire::header(wire::next_id(), RD, [1, 0, 0, 2]);
    let (question, opt) = (Query::new(NAME, "A")?.question(), wire::opt(1232, 0, 0, &[]));
    place.refuses(&[header, question, opt.clone(), opt].concat(), "FORMERR")
}

/// Neither the client's subnet nor its cookie is any business of the upstream.
fn client_subnet(place: &Place) -> Result<()> {
    let subnet = [0, 1, 24, 0, 10, 244, 7];
    let query =
        Query::new("v4only.example.net.", "A")?.edns(4096, 0, &[(CLIENT_SUBNET, &subnet), (COOKIE, &[7; 8])]);
    has(&place.send(&query, Udp)?, "NOERROR", &["v4only.example.net. 60 IN A 198.51.100.81"])?;
    let seen = place
        .stub
        .seen()
        .into_iter()
        .find(|seen| seen.name == "v4only.example.net.")
        .context("not forwarded")?;
    // A query is read by the same decoders as a reply.
    let sent = decode::read(&seen.message)?;
    ensure!(
        sent.options.iter().all(|(code, _)| ![CLIENT_SUBNET, COOKIE].contains(code)),
        "{:?}",
        sent.options
    );
    ensure!(sent.sections.opt.is_some_and(|opt| opt.payload <= 1232), "its own size was not put in");
    Ok(())
}

/// Padding is for encrypted transports (RFC 8467); this server has none, so nothing is padded.
fn padding(place: &Place) -> Result<()> {
    for transport in BOTH {
        let reply = place.send(&Query::new(NAME, "A")?.edns(1232, 0, &[(PADDING, &[0; 40])]), transport)?;
        has(&reply, "NOERROR", &[RECORD])?;
        ensure!(reply.options.iter().all(|(code, _)| *code != PADDING), "{:?}", reply.options);
    }
    Ok(())
}

fn dnssec_ok(place: &Place) -> Result<()> {
    for transport in [Udp, Tcp] {
        let reply = place.send(&Query::new(NAME, "A")?.edns(1232, DO, &[]), transport)?;
        has(&reply, "NOERROR", &[RECORD])?;
        let opt = reply.sections.opt.as_ref().context("no OPT")?;
        ensure!(opt.dnssec_ok && opt.payload == 1232 && !reply.has(AD), "{reply:?}");
        let reply = place.send(&Query::new(NAME, "A")?.edns(1232, 0, &[]), transport)?;
        ensure!(reply.sections.opt.is_some_and(|opt| !opt.dnssec_ok), "DO=1 without being asked");
    }
    Ok(())
}
