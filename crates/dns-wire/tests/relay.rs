//! Replies of upstreams: what is taken, what is kept, what is sent on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::Ipv4Addr;

use support::{PlainRecord, decode, name, query};
use towpath_dns_wire::{
    Asked, Cname, Data, Foreign, Kind, Relay, Reply, Section, Stored, Ttls, ask, parse_query, rtype, store,
};

const NAME: &str = "www.example.org.";
const PLAIN: Relay<'_> = Relay { ttls: Ttls::KEEP, limit: 65535, prefix: &[], options: &[] };

/// A record in text-like form: section, owner, type, TTL, data with uncompressed names.
type Line<'a> = (Section, &'a str, u16, u32, Vec<u8>);

/// An upstream's reply to a question for A: ID 0x1234, RD, RA; names are not compressed.
fn upstream(owner: &str, flags: u16, lines: &[Line<'_>]) -> Vec<u8> {
    let mut message = query(owner, rtype::A, None);
    message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    for (section, owner, rtype, ttl, data) in lines {
        message[7 + 2 * *section as usize] += 1;
        message.extend_from_slice(name(owner).wire());
        message.extend_from_slice(&rtype.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

fn an_a(last: u8, ttl: u32) -> Line<'static> {
    (Section::Answer, NAME, rtype::A, ttl, vec![192, 0, 2, last])
}

fn soa(ttl: u32, minimum: u32) -> Line<'static> {
    let numbers = [1_u32, 2, 3, 4, minimum].into_iter().flat_map(|number| number.to_be_bytes());
    let names = [name("ns.example.org."), name("admin.example.org.")];
    let data = names.iter().flat_map(|name| name.wire().to_vec()).chain(numbers).collect();
    (Section::Authority, "example.org.", rtype::SOA, ttl, data)
}

fn asked(message: &[u8], text: &str) -> Result<Stored, Foreign> {
    let question = query(text, rtype::A, None)[12..].to_vec();
    store(message, &Asked { id: 0x1234, question: &question })
}

fn stored(lines: &[Line<'_>]) -> Stored {
    asked(&upstream(NAME, 0, lines), NAME).unwrap()
}

/// What a client gets.
fn sent(stored: &Stored, client: &[u8], how: &Relay<'_>) -> support::Plain {
    let mut out = vec![];
    stored.write(&parse_query(client).unwrap(), how, &mut out);
    assert!(out.len() <= how.limit);
    decode(&out)
}

#[test]
fn only_the_reply_to_the_question_is_taken() {
    let good = upstream(NAME, 0, &[an_a(1, 60)]);
    let with = |at: usize, octet: u8| {
        let mut message = good.clone();
        message[at] = octet;
        message
    };
    let bare_error = [&[0x12, 0x34, 0x81, 0x82][..], &[0; 8]].concat();
    let two_questions = with(5, 2);
    let cases: Vec<(&str, Vec<u8>, Option<Foreign>)> = vec![
        ("good", good.clone(), None),
        ("another letter case", with(13, b'W'), None),
        ("another ID", with(0, 0x13), Some(Foreign::Wrong)),
        ("a query", with(2, 0x01), Some(Foreign::Wrong)),
        ("another opcode", with(2, 0xa1), Some(Foreign::Wrong)),
        ("another name", with(13, b'v'), Some(Foreign::Wrong)),
        ("another type", with(12 + 17 + 1, 28), Some(Foreign::Wrong)),
        ("another class", with(12 + 17 + 3, 3), Some(Foreign::Wrong)),
        ("two questions", two_questions, Some(Foreign::Wrong)),
        ("no question", [&[0x12, 0x34, 0x81, 0x80][..], &[0; 8]].concat(), Some(Foreign::Wrong)),
        ("an error without question", bare_error, Some(Foreign::Broken)),
        ("nothing", vec![], Some(Foreign::Wrong)),
        ("truncated", with(2, 0x83), Some(Foreign::Truncated)),
        ("cut off", good[..good.len() - 1].to_vec(), Some(Foreign::Broken)),
        ("a record too many", with(7, 2), Some(Foreign::Broken)),
        (
            "address of 3 octets",
            upstream(NAME, 0, &[(Section::Answer, NAME, 1, 5, vec![1, 2, 3])]),
            Some(Foreign::Broken),
        ),
    ];
    for (title, message, expected) in cases {
        assert_eq!(asked(&message, NAME).err(), expected, "{title}");
    }
}

#[test]
fn loops_and_pointers_forward_are_broken() {
    let good = upstream(NAME, 0, &[an_a(1, 60)]);
    let owner = 12 + 17 + 4;
    for pointer in [owner, owner + 2, 200, 0x3fff] {
        let mut message = good[..owner].to_vec();
        message.extend_from_slice(&u16::try_from(0xc000 | pointer).unwrap().to_be_bytes());
        message.extend_from_slice(&good[owner + 17..]);
        assert_eq!(asked(&message, NAME).err(), Some(Foreign::Broken), "{pointer}");
    }
    // A name whose end points to its own beginning.
    let mut message = good[..owner].to_vec();
    message.extend_from_slice(&[1, b'a', 0xc0, u8::try_from(owner).unwrap()]);
    message.extend_from_slice(&good[owner + 17..]);
    assert_eq!(asked(&message, NAME).err(), Some(Foreign::Broken));
}

#[test]
fn id_case_and_bits_are_the_clients() {
    let stored = stored(&[an_a(1, 60), an_a(2, 30)]);
    let mut client = query("wWw.ExAmple.oRg.", rtype::A, Some(1232));
    client[..4].copy_from_slice(&[0xab, 0xcd, 0, 0x10]);
    let how = Relay { ttls: Ttls { age: 10, ..Ttls::KEEP }, ..PLAIN };
    let plain = sent(&stored, &client, &how);
    assert_eq!((plain.id, plain.flags, plain.rcode), (0xabcd, 0x8090, 0), "QR, RA, CD; neither RD nor AA");
    let asked_name = name("wWw.ExAmple.oRg.");
    assert_eq!(plain.question.unwrap().0, asked_name.wire());
    assert_eq!(plain.opt, Some((1232, 0, false)));
    let ttls: Vec<u32> = plain.sections[0].iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [50, 20]);
    assert!(
        plain.sections[0].iter().all(|record| record.owner == asked_name.wire()),
        "owners in the case of this query"
    );
    assert_eq!(stored.ttl(), 30);
    assert_eq!(stored.name().to_string(), NAME);
}

#[test]
fn ttls_are_aged_bounded_or_stale() {
    for (received, ttls, expected) in [
        (60, Ttls::KEEP, 60),
        (60, Ttls { age: 61, ..Ttls::KEEP }, 0),
        (600, Ttls { age: 10, most: 30, ..Ttls::KEEP }, 20),
        (1, Ttls { age: 2, least: 5, ..Ttls::KEEP }, 3),
        (60, Ttls { age: 600, stale: Some(30), ..Ttls::KEEP }, 30),
        (0x8000_0000, Ttls::KEEP, 0),
    ] {
        let plain = sent(&stored(&[an_a(1, received)]), &query(NAME, 1, None), &Relay { ttls, ..PLAIN });
        assert_eq!(plain.sections[0][0].ttl, expected, "{received} {ttls:?}");
    }
}

#[test]
fn what_is_of_one_hop_is_not_kept() {
    let error = [0, 15, 0, 5, 0, 22, b'o', b'u', b't'];
    let mut message = upstream(NAME, 0, &[an_a(1, 60)]);
    // OPT first, with extended rcode, DO and an extended error; an address and a TSIG behind it.
    message[11] = 3;
    message.extend_from_slice(&[0, 0, 41, 16, 0, 1, 0, 0x80, 0, 0, 9]);
    message.extend_from_slice(&error);
    message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9]);
    message.extend_from_slice(&[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0]);
    let stored = asked(&message, NAME).unwrap();
    assert_eq!((stored.rcode(), stored.kind()), (16, Kind::Failure));
    assert_eq!(stored.extended_error(), Some(&error[4..]));
    let plain = sent(&stored, &query(NAME, 1, None), &PLAIN);
    assert_eq!((plain.opt, plain.rcode), (None, 2), "a client without OPT cannot see code 16");
    assert_eq!(plain.sections[2].len(), 1);
    let plain = sent(&stored, &query(NAME, 1, Some(4096)), &PLAIN);
    assert_eq!((plain.opt, plain.rcode), (Some((1232, 0, false)), 16));
}

#[test]
fn negative_answers_are_kept_as_long_as_the_soa_says() {
    let cname: Line<'_> = (Section::Answer, NAME, rtype::CNAME, 20, name("x.example.org.").wire().to_vec());
    for (title, rcode, lines, kind, ttl) in [
        ("NXDOMAIN", 3, vec![soa(300, 60)], Kind::NxDomain, Some(60)),
        ("the SOA's TTL is less", 3, vec![soa(30, 60)], Kind::NxDomain, Some(30)),
        ("NODATA", 0, vec![soa(300, 60)], Kind::NoData, Some(60)),
        ("NODATA behind a CNAME", 0, vec![cname.clone(), soa(300, 60)], Kind::NoData, Some(20)),
        ("NXDOMAIN behind a CNAME", 3, vec![cname, soa(300, 60)], Kind::NxDomain, Some(20)),
        ("NXDOMAIN without SOA", 3, vec![], Kind::NxDomain, None),
        ("an answer", 0, vec![an_a(1, 60), soa(300, 60)], Kind::Answer, None),
        ("SERVFAIL", 2, vec![soa(300, 60)], Kind::Failure, None),
    ] {
        let stored = asked(&upstream(NAME, rcode, &lines), NAME).unwrap();
        assert_eq!((stored.kind(), stored.negative_ttl()), (kind, ttl), "{title}");
    }
}

#[test]
fn each_client_gets_what_fits() {
    let lines: Vec<_> = (0..60).map(|last| an_a(last, 60)).chain([soa(300, 60)]).collect();
    let stored = stored(&lines);
    for (edns, limit, answers, authority, truncated) in [
        (None, 65535, 60, 1, false),
        (None, 512, 29, 0, true),
        (Some(1232), 512, 29, 0, true),
        (Some(1232), 1010, 60, 0, false),
        (Some(1232), 1232, 60, 1, false),
        (None, 0, 0, 0, true),
    ] {
        let mut out = vec![];
        stored.write(&parse_query(&query(NAME, 1, edns)).unwrap(), &Relay { limit, ..PLAIN }, &mut out);
        let plain = decode(&out);
        assert_eq!(
            [plain.sections[0].len(), plain.sections[1].len()],
            [answers, authority],
            "{edns:?} {limit}"
        );
        assert_eq!(plain.flags & 0x0200 != 0, truncated);
    }
}

#[test]
fn ad_is_for_clients_that_understand_it() {
    let stored = asked(&upstream(NAME, 0x20, &[an_a(1, 60)]), NAME).unwrap();
    assert!(stored.is_authentic());
    for (flags, dnssec_ok, expected) in [(0, 0, 0), (0x20, 0, 0x20), (0, 0x80, 0x20)] {
        let mut client = query(NAME, 1, Some(1232));
        client[3] = flags;
        let bits = client.len() - 4;
        client[bits] = dnssec_ok;
        assert_eq!(sent(&stored, &client, &PLAIN).flags & 0x20, expected);
    }
}

#[test]
fn a_chain_is_put_in_front() {
    let cname: Line<'_> = (Section::Answer, NAME, rtype::CNAME, 20, name("cdn.example.org.").wire().to_vec());
    let address: Line<'_> = (Section::Answer, "cdn.example.org.", rtype::A, 20, vec![192, 0, 2, 1]);
    let stored = stored(&[cname, address, soa(30, 60)]);
    let (alias, middle, target) = (name("ext.shop.svc.cluster.local."), name("b.example.org."), name(NAME));
    let prefix = [
        Cname { owner: alias.as_ref(), ttl: 5, target: middle.as_ref() },
        Cname { owner: middle.as_ref(), ttl: 6, target: target.as_ref() },
    ];
    let options: &[(u16, &[u8])] = &[(15, &[0, 3])];
    let how = Relay { ttls: Ttls { age: 1, ..Ttls::KEEP }, prefix: &prefix, options, ..PLAIN };
    let mut out = vec![];
    let client = query("ext.shop.svc.cluster.local.", rtype::A, Some(1232));
    stored.write(&parse_query(&client).unwrap(), &how, &mut out);
    let plain = decode(&out);
    let seen: Vec<(Vec<u8>, u16, u32)> =
        plain.sections[0].iter().map(|record| (record.owner.clone(), record.rtype, record.ttl)).collect();
    let expected = [(alias, 5, 5), (middle, 5, 6), (target, 5, 19), (name("cdn.example.org."), 1, 19)];
    assert_eq!(seen, expected.map(|(owner, rtype, ttl)| (owner.wire().to_vec(), rtype, ttl)));
    assert_eq!(plain.sections[1][0].data, soa(30, 60).4, "names in data are right");
    assert!(out.windows(6).any(|octets| octets == [0, 15, 0, 2, 0, 3]), "the option is there");
    assert_eq!(plain.flags, 0x8180);
}

#[test]
fn all_records_survive_with_their_names() {
    let pair = |head: &[u8], names: &[&str], tail: &[u8]| {
        let names: Vec<u8> = names.iter().flat_map(|text| name(text).wire().to_vec()).collect();
        [head, &names, tail].concat()
    };
    let (a, b) = ("a.example.org.", "b.Example.org.");
    let lines: Vec<Line<'_>> = vec![
        (Section::Answer, NAME, rtype::NS, 1, pair(&[], &[a], &[])),
        (Section::Answer, NAME, rtype::PTR, 2, pair(&[], &[b], &[])),
        (Section::Answer, NAME, rtype::MX, 3, pair(&[0, 10], &[a], &[])),
        (Section::Answer, NAME, rtype::SRV, 4, pair(&[0, 1, 0, 2, 0, 3], &[b], &[])),
        (Section::Answer, NAME, rtype::TXT, 5, b"\x05hello\0".to_vec()),
        (Section::Answer, NAME, 4711, 6, vec![0xc0, 0x0c, 1, 2, 3]),
        (Section::Answer, NAME, rtype::AAAA, 7, vec![1; 16]),
        (Section::Authority, a, rtype::DNAME, 8, pair(&[], &[b], &[])),
        soa(9, 10),
        (Section::Additional, b, rtype::A, 11, vec![1, 2, 3, 4]),
    ];
    let stored = stored(&lines);
    let kept: Vec<Line<'_>> = stored
        .records()
        .map(|record| (record.section, NAME, record.rtype, record.ttl, record.data))
        .collect();
    let expected: Vec<Line<'_>> =
        lines.iter().map(|line| (line.0, NAME, line.2, line.3, line.4.clone())).collect();
    assert_eq!(kept, expected);
    let plain = sent(&stored, &query(NAME, 1, None), &PLAIN);
    let sections: Vec<PlainRecord> = plain.sections.concat();
    let data: Vec<_> = sections.iter().map(|record| (record.rtype, record.data.clone())).collect();
    assert_eq!(data, expected.into_iter().map(|line| (line.2, line.4)).collect::<Vec<_>>());
    assert_eq!(stored.answers().count(), 7);
    assert!(stored.bytes() > 200 && stored.bytes() < 700, "{}", stored.bytes());
}

#[test]
fn the_query_to_an_upstream_is_ours() {
    let mut out = vec![];
    ask(&mut out, 7, name(NAME).as_ref(), rtype::AAAA, 1, true, true, false, 1232);
    let plain = decode(&out);
    assert_eq!((plain.id, plain.flags, plain.opt), (7, 0x0110, Some((1232, 0, true))));
    let query = parse_query(&out).unwrap();
    assert_eq!((query.name.to_string().as_str(), query.qtype, query.qclass), (NAME, 28, 1));
    let mut reply = vec![];
    let mut writer = Reply::new(&mut reply, &query, 512);
    writer.push(Section::Answer, query.name, rtype::A, 5, Data::A(Ipv4Addr::LOCALHOST));
    writer.finish();
    let stored = store(&reply, &Asked { id: 7, question: query.question }).unwrap();
    assert_eq!(stored.question(), query.question);
}
