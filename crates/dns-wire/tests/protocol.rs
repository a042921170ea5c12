//! The protocol cases about reading queries and writing replies (cases.yaml, protocol_cases).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::Ipv4Addr;

use support::{decode, name, opt, query};
use towpath_dns_wire::{
    Bad, Data, NameBuf, NameRef, Reply, Section, UDP_PAYLOAD, parse_query, rcode, refuse, rtype,
};

const NAME: &str = "Kubernetes.default.svc.cluster.local.";

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Query,
    Dropped,
    /// The response code, and whether the question is echoed.
    Refused(u16, bool),
}

fn outcome(message: &[u8]) -> Outcome {
    match parse_query(message) {
        Ok(_) => Outcome::Query,
        Err(Bad::Drop) => Outcome::Dropped,
        Err(Bad::Refuse(refusal)) => {
            let mut out = Vec::new();
            refuse(&refusal, &mut out);
            let reply = decode(&out);
            assert_eq!(out[..2], message[..2], "the ID is copied");
            assert_eq!(reply.opt.is_some(), refusal.edns.is_some());
            assert!(reply.opt.is_none_or(|(payload, version, _)| (payload, version) == (UDP_PAYLOAD, 0)));
            assert_eq!(reply.sections.concat(), []);
            Outcome::Refused(reply.rcode, reply.question.is_some())
        }
    }
}

/// The query with octets at a place replaced.
fn with(at: usize, octets: &[u8]) -> Vec<u8> {
    let mut message = query(NAME, 1, None);
    message[at..at + octets.len()].copy_from_slice(octets);
    message
}

/// A query whose question begins with these octets in the place of a name.
fn asking(name: &[u8]) -> Vec<u8> {
    let mut message = query(".", 1, None);
    message.splice(12..13, name.iter().copied());
    message
}

/// The query with records behind it, and their counts.
fn followed_by(counts: [u8; 3], records: &[&[u8]]) -> Vec<u8> {
    let mut message = with(6, &[0, counts[0], 0, counts[1], 0, counts[2]]);
    message.extend(records.concat());
    message
}

fn long_name(octets: usize) -> Vec<u8> {
    let mut name = [[63].as_slice(), &[b'a'; 63]].concat().repeat(3);
    let last = octets - name.len() - 2;
    name.push(u8::try_from(last).unwrap());
    name.resize(octets - 1, b'b');
    name.push(0);
    name
}

#[test]
fn each_message_is_answered_refused_or_dropped() {
    use Outcome::{Dropped, Query, Refused};
    const FORMERR: u16 = rcode::FORMERR;
    let an_opt = opt(1232);
    let tsig: &[u8] = &[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0];
    let record: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0, 1];
    let owned_opt: &[u8] = &[1, b'x', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let version_1: &[u8] = &[0, 0, 41, 4, 208, 0, 1, 0x80, 0, 0, 0];
    let long_option: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 3, 0, 1];
    let option: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 3, 0, 0];
    let mut two_questions = with(4, &[0, 2]);
    two_questions.extend_from_within(12..);
    let cases: Vec<(&str, Vec<u8>, Outcome)> = vec![
        ("proto-01 plain", query(NAME, 1, None), Query),
        ("with OPT", query(NAME, 1, Some(1232)), Query),
        ("empty", vec![], Dropped),
        ("11 octets", vec![0; 11], Dropped),
        ("a response", with(2, &[0x81]), Dropped),
        ("proto-04 OPT version 1", followed_by([0, 0, 1], &[version_1]), Refused(rcode::BADVERS, true)),
        ("proto-05 two OPT", followed_by([0, 0, 2], &[&an_opt, &an_opt]), Refused(FORMERR, true)),
        ("OPT not of the root", followed_by([0, 0, 1], &[owned_opt]), Refused(FORMERR, true)),
        ("option cut off", followed_by([0, 0, 1], &[long_option]), Refused(FORMERR, true)),
        ("empty option", followed_by([0, 0, 1], &[option]), Query),
        ("proto-10 UPDATE", with(2, &[0x28]), Refused(rcode::NOTIMP, false)),
        ("proto-10 STATUS", with(2, &[0x10]), Refused(rcode::NOTIMP, false)),
        ("proto-10 DSO", with(2, &[0x30]), Refused(rcode::NOTIMP, false)),
        ("proto-11 NOTIFY", with(2, &[0x20]), Refused(rcode::NOTIMP, false)),
        ("proto-13 two questions", two_questions, Refused(FORMERR, false)),
        ("no question", with(4, &[0, 0]), Refused(FORMERR, false)),
        ("OPT and TSIG", followed_by([0, 0, 2], &[&an_opt, tsig]), Query),
        (
            "proto-15 three additional",
            followed_by([0, 0, 3], &[&an_opt, record, tsig]),
            Refused(FORMERR, false),
        ),
        ("an IXFR's SOA in authority", followed_by([0, 1, 0], &[record]), Query),
        ("two authority", followed_by([0, 2, 0], &[record, record]), Refused(FORMERR, false)),
        ("two answers", followed_by([2, 0, 0], &[record, record]), Refused(FORMERR, false)),
        ("record cut off", followed_by([0, 0, 1], &[&record[..15]]), Refused(FORMERR, true)),
        ("record missing", followed_by([0, 0, 1], &[]), Refused(FORMERR, true)),
        ("octets behind the query", followed_by([0, 0, 0], &[b"garbage"]), Query),
        ("proto-16 header only", query(NAME, 1, None)[..12].to_vec(), Refused(FORMERR, false)),
        ("name cut off", query(NAME, 1, None)[..20].to_vec(), Refused(FORMERR, false)),
        ("class cut off", query(NAME, 1, None)[..52].to_vec(), Refused(FORMERR, false)),
        ("proto-18 pointer to itself", asking(&[0xc0, 12]), Refused(FORMERR, false)),
        ("pointer to the header", asking(&[1, b'a', 0xc0, 0]), Refused(FORMERR, false)),
        ("proto-20 label 0x40", asking(&[0x40, 0]), Refused(FORMERR, false)),
        ("proto-20 label 0x80", asking(&[0x80, 0]), Refused(FORMERR, false)),
        ("proto-21 name of 256", asking(&long_name(256)), Refused(FORMERR, false)),
        ("proto-22 name of 255, label of 63", asking(&long_name(255)), Query),
        ("proto-24 odd octets", asking(&[4, 0, b'.', b'\\', 0xff, 1, b'x', 0]), Query),
        ("proto-45 type 0", query(NAME, 0, None), Query),
        ("proto-45 type 65535", query(NAME, 65535, None), Query),
        ("proto-45 type OPT", query(NAME, rtype::OPT, None), Refused(FORMERR, true)),
        ("proto-45 type TSIG", query(NAME, rtype::TSIG, Some(512)), Refused(FORMERR, true)),
        ("proto-46 DS", query("cluster.local.", rtype::DS, None), Query),
    ];
    for (title, message, expected) in cases {
        assert_eq!(outcome(&message), expected, "{title}");
    }
}

/// A reply with as many records as said, owned by the name asked.
fn reply(message: &[u8], limit: usize, push: impl FnOnce(&mut Reply<'_>, NameRef<'_>)) -> Vec<u8> {
    let query = parse_query(message).unwrap();
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, &query, limit);
    reply.set_authoritative(true);
    push(&mut reply, query.name);
    reply.finish();
    out
}

#[test]
fn the_question_is_echoed_and_opt_only_if_asked() {
    for (edns, flags, expected) in [
        (None, [1, 0], 0x8500),
        (None, [0, 0], 0x8400),
        (Some(4096), [1, 0], 0x8500),
        // proto-43: CD copied, AD not.
        (Some(1232), [1, 0x30], 0x8510),
    ] {
        let mut message = query(NAME, 1, edns);
        message[2..4].copy_from_slice(&flags);
        let out = reply(&message, 512, |reply, owner| {
            reply.push(Section::Answer, owner, rtype::A, 5, Data::A(Ipv4Addr::new(10, 96, 0, 1)));
        });
        let end = 12 + name(NAME).wire().len() + 4;
        assert_eq!(out[12..end], message[12..end], "byte for byte");
        let plain = decode(&out);
        assert_eq!((plain.id, plain.flags, plain.rcode), (0x1234, expected, 0));
        assert_eq!(plain.opt, edns.map(|_| (UDP_PAYLOAD, 0, false)));
        assert_eq!(plain.sections[0][0].owner, name(NAME).wire(), "letter case kept");
        assert_eq!(plain.sections[0][0].data, [10, 96, 0, 1]);
    }
}

#[test]
fn proto_42_do_is_copied() {
    let mut message = query(NAME, 1, Some(1232));
    let bits = message.len() - 4;
    message[bits] = 0x80;
    let out = reply(&message, 512, |_, _| ());
    assert_eq!(decode(&out).opt, Some((UDP_PAYLOAD, 0, true)));
}

#[test]
fn the_limit_is_the_clients_within_ours() {
    for (edns, most, expected) in [
        (None, 1232, 512),
        (Some(0), 1232, 512),
        (Some(512), 1232, 512),
        (Some(1000), 1232, 1000),
        (Some(4096), 1232, 1232),
        (Some(65535), 4096, 4096),
        (Some(4096), 100, 512),
    ] {
        let message = query(NAME, 1, edns);
        assert_eq!(parse_query(&message).unwrap().udp_limit(most), expected, "{edns:?} {most}");
    }
}

#[test]
fn proto_25_answers_that_do_not_fit_set_tc() {
    for (edns, limit, fitting) in [(None, 512, 29), (Some(1232), 512, 28), (None, 65535, 40)] {
        let message = query("wide.data.svc.cluster.local.", 1, edns);
        let out = reply(&message, limit, |reply, owner| {
            for last in 0..40 {
                reply.push(Section::Answer, owner, rtype::A, 5, Data::A(Ipv4Addr::new(10, 0, 0, last)));
            }
        });
        let plain = decode(&out);
        assert!(out.len() <= limit);
        assert_eq!(plain.flags & 0x0200 != 0, fitting < 40, "TC");
        assert_eq!(plain.sections[0].len(), fitting);
    }
}

#[test]
fn proto_30_additional_records_are_dropped_first() {
    for (limit, answers, additional, truncated) in [
        (65535, 12, 12, false),
        (907, 12, 12, false),
        (800, 12, 5, false),
        (720, 12, 0, false),
        (500, 8, 0, true),
    ] {
        let message = query("_http._tcp.wide.data.svc.cluster.local.", rtype::SRV, Some(1232));
        let zone = name("wide.data.svc.cluster.local.");
        let mut targets = vec![];
        for number in 0..12 {
            let mut buf = NameBuf::new();
            buf.push(format!("pod-{number:02}").as_bytes()).unwrap();
            targets.push(buf.name_under(zone.as_ref()).unwrap());
        }
        let out = reply(&message, limit, |reply, owner| {
            for target in &targets {
                let data = Data::Srv { priority: 0, weight: 8, port: 80, target: target.as_ref() };
                reply.push(Section::Answer, owner, rtype::SRV, 5, data);
            }
            for target in &targets {
                reply.push(Section::Additional, target.as_ref(), rtype::A, 5, Data::A(Ipv4Addr::LOCALHOST));
            }
        });
        let plain = decode(&out);
        assert!(out.len() <= limit, "{} octets", out.len());
        assert_eq!(
            [plain.sections[0].len(), plain.sections[2].len()],
            [answers, additional],
            "limit {limit}"
        );
        assert_eq!(plain.flags & 0x0200 != 0, truncated);
    }
}

#[test]
fn authority_that_does_not_fit_matters_only_to_who_needs_it() {
    let filler = [0; 300];
    for (answers, dnssec_ok, truncated) in [(1, false, false), (1, true, true), (0, false, true)] {
        let mut message = query(NAME, 1, Some(1232));
        let bits = message.len() - 4;
        message[bits] = if dnssec_ok { 0x80 } else { 0 };
        let out = reply(&message, 300, |reply, owner| {
            for _ in 0..answers {
                reply.push(Section::Answer, owner, 4711, 5, Data::Raw(&filler[..100]));
            }
            reply.push(Section::Authority, owner, 4711, 5, Data::Raw(&filler));
            reply.push(Section::Additional, owner, 4711, 5, Data::Raw(&filler[..20]));
        });
        let plain = decode(&out);
        assert_eq!(plain.flags & 0x0200 != 0, truncated, "{answers} answers, DO {dnssec_ok}");
        assert_eq!(plain.sections[2].len(), usize::from(!truncated));
    }
}

#[test]
fn a_code_above_15_needs_an_opt_record() {
    for (edns, expected) in [(Some(1232), 23), (None, rcode::SERVFAIL)] {
        let out = reply(&query(NAME, 1, edns), 512, |reply, _| reply.set_rcode(23));
        assert_eq!(decode(&out).rcode, expected);
    }
}

#[test]
fn options_are_written_to_those_who_sent_opt() {
    for (edns, limit, expected) in
        [(None, 512, None), (Some(512), 512, Some(&b"node-1"[..])), (Some(512), 70, None)]
    {
        let out = reply(&query(NAME, 1, edns), limit, |reply, _| reply.option(3, b"node-1"));
        decode(&out);
        let found = out.windows(10).find(|octets| octets[..4] == [0, 3, 0, 6]).map(|octets| &octets[4..]);
        assert_eq!(found, expected, "{edns:?} {limit}");
    }
}

#[test]
fn a_reply_can_go_back() {
    let message = query(NAME, 1, Some(512));
    let bare = reply(&message, 512, |_, _| ());
    let target = name("other.example.");
    let rewound = reply(&message, 512, |reply, owner| {
        reply.set_rcode(3);
        reply.option(3, b"x");
        reply.push(Section::Answer, owner, rtype::CNAME, 5, Data::Name(target.as_ref()));
        reply.rewind();
        reply.set_authoritative(true);
    });
    assert_eq!(rewound, bare);
    let marked = reply(&message, 512, |reply, owner| {
        let mark = reply.mark();
        reply.push(Section::Authority, target.as_ref(), rtype::CNAME, 5, Data::Name(owner));
        reply.set_rcode(2);
        reply.back_to(mark);
    });
    assert_eq!(marked, bare);
}

#[test]
fn a_reply_is_appended_to_what_is_there() {
    let message = query(NAME, 1, Some(512));
    let query = parse_query(&message).unwrap();
    let target = name("a.b.cluster.local.");
    let write = |out: &mut Vec<u8>| {
        let mut reply = Reply::new(out, &query, 512);
        reply.push(Section::Answer, query.name, rtype::CNAME, 5, Data::Name(target.as_ref()));
        reply.push(Section::Answer, target.as_ref(), rtype::A, 5, Data::A(Ipv4Addr::LOCALHOST));
        reply.finish();
    };
    let (mut alone, mut behind) = (vec![], vec![0, 99]);
    write(&mut alone);
    write(&mut behind);
    assert_eq!(behind[2..], alone);
    assert_eq!(decode(&alone).sections[0][1].owner, target.wire());
    assert_eq!(alone.len(), 12 + 42 + 18 + 16 + 11, "compressed");
}
