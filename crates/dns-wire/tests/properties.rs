//! Whatever is written is read by two other decoders as it was meant.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use support::{PlainRecord, decode, query};
use towpath_dns_wire::{
    Asked, Data, Name, NameBuf, NameRef, Relay, Reply, Section, Ttls, parse_query, rtype, store,
};

const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

/// Names that share much, in two letter cases.
fn a_name() -> impl Strategy<Value = Name> {
    let label = prop::sample::select(vec![
        "a",
        "A",
        "b",
        "svc",
        "Svc",
        "cluster",
        "local",
        "\u{0}",
        "long-label-with-0123456789",
    ]);
    prop::collection::vec(label, 0..6).prop_map(|labels| {
        let mut buf = NameBuf::new();
        for label in labels {
            buf.push(label.as_bytes()).unwrap();
        }
        buf.name_under(NameRef::ROOT).unwrap()
    })
}

#[derive(Clone, Debug)]
enum Value {
    A(u32),
    Aaaa(u128),
    Cname(Name),
    Ptr(Name),
    Srv(u16, Name),
    Soa(Name, Name, u32),
    Txt(Vec<Vec<u8>>),
    Mx(u16, Name),
    Raw(Vec<u8>),
}

fn a_value() -> impl Strategy<Value = Value> {
    let text = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        any::<u32>().prop_map(Value::A),
        any::<u128>().prop_map(Value::Aaaa),
        a_name().prop_map(Value::Cname),
        a_name().prop_map(Value::Ptr),
        (any::<u16>(), a_name()).prop_map(|(port, name)| Value::Srv(port, name)),
        (a_name(), a_name(), any::<u32>())
            .prop_map(|(mname, rname, serial)| Value::Soa(mname, rname, serial)),
        prop::collection::vec(text, 1..4).prop_map(Value::Txt),
        (any::<u16>(), a_name()).prop_map(|(preference, name)| Value::Mx(preference, name)),
        prop::collection::vec(any::<u8>(), 1..60).prop_map(Value::Raw),
    ]
}

/// Type and uncompressed data as RFC 1035 and RFC 2782 say.
fn plainly(value: &Value) -> (u16, Vec<u8>) {
    let pair = |number: u16, name: &Name| [&number.to_be_bytes()[..], name.wire()].concat();
    match value {
        Value::A(bits) => (rtype::A, bits.to_be_bytes().to_vec()),
        Value::Aaaa(bits) => (rtype::AAAA, bits.to_be_bytes().to_vec()),
        Value::Cname(name) => (rtype::CNAME, name.wire().to_vec()),
        Value::Ptr(name) => (rtype::PTR, name.wire().to_vec()),
        Value::Srv(port, name) => (rtype::SRV, [&[0, 1, 0, 2][..], &pair(*port, name)].concat()),
        Value::Soa(mname, rname, serial) => {
            let numbers = [*serial, 7200, 1800, 86400, 5].map(u32::to_be_bytes).concat();
            (rtype::SOA, [mname.wire(), rname.wire(), &numbers].concat())
        }
        Value::Txt(texts) => {
            let text = |text: &Vec<u8>| [&[u8::try_from(text.len()).unwrap()][..], text].concat();
            (rtype::TXT, texts.iter().flat_map(text).collect())
        }
        Value::Mx(preference, name) => (rtype::MX, pair(*preference, name)),
        Value::Raw(octets) => (4711, octets.clone()),
    }
}

fn push(reply: &mut Reply<'_>, section: Section, owner: NameRef<'_>, ttl: u32, value: &Value) {
    let (rtype, plain) = plainly(value);
    let mut texts = vec![];
    let data = match value {
        Value::A(bits) => Data::A(Ipv4Addr::from_bits(*bits)),
        Value::Aaaa(bits) => Data::Aaaa(Ipv6Addr::from_bits(*bits)),
        Value::Cname(name) | Value::Ptr(name) => Data::Name(name.as_ref()),
        Value::Srv(port, name) => Data::Srv { priority: 1, weight: 2, port: *port, target: name.as_ref() },
        Value::Soa(mname, rname, serial) => Data::Soa {
            mname: mname.as_ref(),
            rname: rname.as_ref(),
            serial: *serial,
            refresh: 7200,
            retry: 1800,
            expire: 86400,
            minimum: 5,
        },
        Value::Txt(list) => {
            texts.extend(list.iter().map(Vec::as_slice));
            Data::Txt(&texts)
        }
        Value::Mx(..) => Data::Wire(&plain),
        Value::Raw(octets) => Data::Raw(octets),
    };
    reply.push(section, owner, rtype, ttl, data);
}

type Pushed = (usize, Name, u32, Value);

fn records() -> impl Strategy<Value = Vec<Pushed>> {
    let record = (0..3_usize, a_name(), 0..0x7fff_ffff_u32, a_value());
    prop::collection::vec(record, 0..40).prop_map(|mut records| {
        records.sort_by_key(|record| record.0);
        records
    })
}

fn as_plain((_, owner, ttl, value): &Pushed) -> PlainRecord {
    let (rtype, data) = plainly(value);
    PlainRecord { owner: owner.wire().to_vec(), rtype, class: 1, ttl: *ttl, data }
}

fn write(client: &[u8], limit: usize, records: &[Pushed]) -> Vec<u8> {
    let mut out = vec![];
    let mut reply = Reply::new(&mut out, &parse_query(client).unwrap(), limit);
    for (section, owner, ttl, value) in records {
        push(&mut reply, SECTIONS[*section], owner.as_ref(), *ttl, value);
    }
    reply.finish();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_that_fits_is_read_as_it_was_pushed(asked in a_name(), edns in any::<bool>(), records in records()) {
        let client = query(&asked.to_string(), 1, edns.then_some(1232));
        let plain = decode(&write(&client, 65535, &records));
        for (number, section) in plain.sections.iter().enumerate() {
            let pushed: Vec<PlainRecord> = records.iter().filter(|record| record.0 == number).map(as_plain).collect();
            prop_assert_eq!(section, &pushed);
        }
        prop_assert_eq!(plain.flags & 0x0200, 0);
        prop_assert_eq!(plain.opt.is_some(), edns);
    }

    #[test]
    fn a_limit_is_kept_and_what_is_left_out_is_told(limit in 300..1300_usize, edns in any::<bool>(), records in records()) {
        let client = query("a.svc.cluster.local.", 1, edns.then_some(1232));
        let out = write(&client, limit, &records);
        prop_assert!(out.len() <= limit);
        let plain = decode(&out);
        let answers: Vec<PlainRecord> = records.iter().filter(|record| record.0 == 0).map(as_plain).collect();
        prop_assert!(answers.starts_with(&plain.sections[0]));
        if plain.flags & 0x0200 == 0 {
            prop_assert_eq!(&plain.sections[0], &answers, "no answer is left out in silence");
        }
    }

    #[test]
    fn what_is_stored_is_sent_as_it_was_received(records in records(), age in 0..100_u32, limit in 300..65535_usize) {
        let client = query("a.svc.cluster.local.", 1, None);
        let message = write(&client, 65535, &records);
        let stored = store(&message, &Asked { id: 0x1234, question: &client[12..] }).unwrap();
        let mut out = vec![];
        let how = Relay { ttls: Ttls { age, ..Ttls::KEEP }, limit, prefix: &[], options: &[] };
        stored.write(&parse_query(&client).unwrap(), &how, &mut out);
        prop_assert!(out.len() <= limit);
        let (before, after) = (decode(&message), decode(&out));
        for (before, after) in before.sections.iter().zip(&after.sections) {
            let aged = before.iter().map(|record| {
                // The name asked follows the letter case of the question.
                let lower = record.owner.eq_ignore_ascii_case(&client[12..client.len() - 4]);
                let owner = if lower { client[12..client.len() - 4].to_vec() } else { record.owner.clone() };
                PlainRecord { ttl: record.ttl.saturating_sub(age), owner, ..record.clone() }
            });
            let aged: Vec<PlainRecord> = aged.collect();
            prop_assert!(aged.starts_with(after), "{:?}\n{:?}", aged, after);
        }
        prop_assert!(after.flags & 0x0200 != 0 || after.sections[0].len() == before.sections[0].len());
    }

    #[test]
    fn both_ways_to_send_say_the_same(records in records(), limit in 300..1300_usize) {
        let client = query("a.svc.cluster.local.", 1, Some(1232));
        let stored = store(&write(&client, 65535, &records), &Asked { id: 0x1234, question: &client[12..33 + 4] });
        let stored = stored.unwrap();
        let mut copied = vec![];
        let how = Relay { ttls: Ttls::KEEP, limit, prefix: &[], options: &[(15, b"\0\x03stale")] };
        stored.write(&parse_query(&client).unwrap(), &how, &mut copied);
        let mut anew = vec![];
        let question = parse_query(&client).unwrap();
        let mut reply = Reply::new(&mut anew, &question, limit);
        reply.set_recursion_available(true);
        reply.option(15, b"\0\x03stale");
        for record in stored.records() {
            reply.push(record.section, record.owner.as_ref(), record.rtype, record.ttl, Data::Wire(&record.data));
            if reply.is_truncated() {
                break;
            }
        }
        reply.finish();
        let (copied, anew) = (decode(&copied), decode(&anew));
        prop_assert_eq!(&copied.sections[0], &anew.sections[0]);
        prop_assert_eq!((copied.flags, copied.opt), (anew.flags, anew.opt));
    }
}
