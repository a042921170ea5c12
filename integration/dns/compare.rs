//! A reply against what is wanted, as the runner of the table compares.

use anyhow::{Result, bail, ensure};

use crate::decode::Reply;
use crate::table::{Case, Level, Want};
use crate::wire::{AA, QR, Query, RD, TC};

/// How a query went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// That a message is a reply to that query at all.
pub(crate) fn belongs(reply: &Reply, query: &Query, transport: Transport) -> Result<()> {
    ensure!(reply.id == query.id, "wrong ID");
    ensure!(reply.has(QR), "QR=0");
    ensure!((reply.flags & RD) == (query.flags & RD), "RD not copied");
    ensure!(reply.question == query.question(), "question not echoed");
    ensure!(transport == Transport::Udp || !reply.has(TC), "TC=1 over TCP");
    ensure!(reply.sections.opt.is_none() || query.opt.is_some(), "OPT without being asked");
    Ok(())
}

/// That the reply is the wanted one, or for a quirk the better one.
pub(crate) fn check(case: &Case, reply: &Reply, transport: Transport) -> Result<()> {
    let wrong = differences(reply, &case.want, transport);
    if wrong.is_empty() {
        return Ok(());
    }
    let better = case.better_want.as_ref().filter(|_| case.level == Level::Quirk);
    match better.map(|better| differences(reply, better, transport)) {
        Some(wrong) if wrong.is_empty() => Ok(()),
        Some(better) => {
            bail!("not the better answer: {}; nor CoreDNS's: {}", better.join("; "), wrong.join("; "))
        }
        None => bail!("{}", wrong.join("; ")),
    }
}

/// What differs; empty when nothing does. Order is free inside a section, but that a CNAME precedes its target.
pub(crate) fn differences(reply: &Reply, want: &Want, transport: Transport) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(rcode) = want.rcode.as_ref().filter(|rcode| **rcode != reply.rcode) {
        out.push(format!("rcode: got {}, want {rcode}", reply.rcode));
    }
    if let Some(aa) = want.aa.filter(|aa| *aa != reply.has(AA)) {
        out.push(format!("aa: got {}, want {aa}", reply.has(AA)));
    }
    if transport == Transport::Udp && want.tc && !reply.has(TC) {
        out.push("tc: got false, want true".to_owned());
    }
    if transport == Transport::Udp && reply.has(TC) && !want.tc {
        // Too large for this datagram: what came must be part of the set. Over TCP all of it is seen.
        out.extend(want.answer.as_ref().and_then(|answer| strangers(reply.answer(), answer)));
        return out;
    }
    let sections = [
        ("answer", &reply.sections.answer, &want.answer),
        ("authority", &reply.sections.authority, &want.authority),
        ("additional", &reply.sections.additional, &want.additional),
    ];
    out.extend(sections.into_iter().filter_map(|(name, got, want)| section(name, got, want.as_ref()?)));
    if !cnames_first(reply.answer()) {
        out.push("answer: CNAME after the records of its target".to_owned());
    }
    out
}

fn strangers(got: &[String], want: &[String]) -> Option<String> {
    let strange: Vec<_> = got.iter().filter(|line| !want.contains(line)).collect();
    (!strange.is_empty()).then(|| format!("answer: {strange:?} not wanted"))
}

fn section(name: &str, got: &[String], want: &[String]) -> Option<String> {
    let (mut missing, mut more) = (want.to_vec(), Vec::new());
    for line in got {
        match missing.iter().position(|wanted| wanted == line) {
            Some(at) => drop(missing.remove(at)),
            None => more.push(line),
        }
    }
    let same = missing.is_empty() && more.is_empty();
    (!same).then(|| format!("{name}: missing {missing:?}, not wanted {more:?}"))
}

fn cnames_first(answer: &[String]) -> bool {
    let mut seen: Vec<String> = Vec::new();
    for line in answer {
        let fields: Vec<_> = line.split(' ').collect();
        let target = fields.get(4).map(|target| target.to_ascii_lowercase());
        if fields[3] == "CNAME" && target.is_some_and(|target| seen.contains(&target)) {
            return false;
        }
        seen.push(fields[0].to_ascii_lowercase());
    }
    true
}
