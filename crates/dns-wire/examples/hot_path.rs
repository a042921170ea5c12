//! How long one query takes here: read, answered from records of ours, answered from a kept reply. Run it by hand, optimised:
//! `cargo run --release -p towpath-dns-wire --example hot_path`.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use towpath_dns_wire::{Asked, Data, Name, Relay, Reply, Section, Ttls, parse_query, rtype, store};

const ROUNDS: u32 = 5_000_000;

fn main() {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let name: Name = "kubernetes.default.svc.cluster.local.".parse().unwrap();
    query.extend_from_slice(name.wire());
    query.extend_from_slice(&[0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let zone: Name = "cluster.local.".parse().unwrap();
    let mut out = Vec::with_capacity(1232);

    measure("parse", || {
        black_box(parse_query(black_box(&query)).is_ok());
    });
    measure("parse + one A", || answer(black_box(&query), &mut out));
    measure("parse + NXDOMAIN with SOA", || deny(black_box(&query), &zone, &mut out));
    measure("parse + 10 A", || wide(black_box(&query), &mut out));

    wide(&query, &mut out);
    let stored = store(&out, &Asked { id: 0x1234, question: &query[12..query.len() - 11] }).unwrap();
    let how = Relay { ttls: Ttls { age: 3, ..Ttls::KEEP }, limit: 1232, prefix: &[], options: &[] };
    let mut reply = Vec::with_capacity(1232);
    measure("parse + kept reply of 10 A", || {
        reply.clear();
        stored.write(&parse_query(black_box(&query)).unwrap(), &how, &mut reply);
        black_box(&reply);
    });
    measure("store a reply of 10 A", || {
        black_box(store(&out, &Asked { id: 0x1234, question: stored.question() }).is_ok());
    });
}

fn measure(title: &str, mut once: impl FnMut()) {
    let began = Instant::now();
    for _ in 0..ROUNDS {
        once();
    }
    println!("{title:30} {:6.1} ns", began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
}

fn answer(message: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let query = parse_query(message).unwrap();
    let mut reply = Reply::new(out, &query, query.udp_limit(1232));
    reply.set_authoritative(true);
    reply.push(Section::Answer, query.name, rtype::A, 30, Data::A(Ipv4Addr::new(10, 96, 0, 1)));
    reply.finish();
    black_box(out);
}

fn wide(message: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let query = parse_query(message).unwrap();
    let mut reply = Reply::new(out, &query, query.udp_limit(1232));
    for last in 0..10 {
        reply.push(Section::Answer, query.name, rtype::A, 30, Data::A(Ipv4Addr::new(10, 96, 0, last)));
    }
    reply.finish();
    black_box(out);
}

fn deny(message: &[u8], zone: &Name, out: &mut Vec<u8>) {
    out.clear();
    let query = parse_query(message).unwrap();
    let mut reply = Reply::new(out, &query, query.udp_limit(1232));
    reply.set_authoritative(true);
    reply.set_rcode(3);
    let zone = zone.as_ref();
    let soa = Data::Soa {
        mname: zone,
        rname: zone,
        serial: 1,
        refresh: 7200,
        retry: 1800,
        expire: 86400,
        minimum: 5,
    };
    reply.push(Section::Authority, zone, rtype::SOA, 5, soa);
    reply.finish();
    black_box(out);
}
