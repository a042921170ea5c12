use super::*;
use crate::attr::HEADER;

fn v4_flow() -> Flow {
    Flow {
        protocol: 17,
        original: Tuple {
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.96.0.10".parse().unwrap(),
            sport: 40_000,
            dport: 53,
        },
        reply: Tuple {
            src: "10.1.2.3".parse().unwrap(),
            dst: "10.0.0.1".parse().unwrap(),
            sport: 5353,
            dport: 40_000,
        },
        zone: 0,
        id: 0xdead_beef,
        status: 0x1a8,
    }
}

fn v6_flow() -> Flow {
    let turn = |ip: &str| ip.parse().unwrap();
    let mut flow = v4_flow();
    (flow.original.src, flow.original.dst) = (turn("fd00::1"), turn("fd00:96::a"));
    (flow.reply.src, flow.reply.dst) = (turn("fd00::2"), turn("fd00::1"));
    flow.protocol = 132;
    flow
}

/// What the kernel says of a flow, with the zone where `put_zone` writes it.
fn told(flow: &Flow, protocol: u8, put_zone: impl FnOnce(&mut Buffer)) -> Vec<u8> {
    let mut buffer = Buffer::default();
    put_nfgenmsg(&mut buffer, Family::of(flow.original.dst));
    buffer.nested(CTA_TUPLE_ORIG, |b| {
        put_tuple(b, protocol, &flow.original);
        put_zone(b);
    });
    buffer.nested(CTA_TUPLE_REPLY, |b| put_tuple(b, protocol, &flow.reply));
    buffer.put_be32(CTA_STATUS, flow.status);
    buffer.put_be32(7, 30);
    buffer.put_be32(CTA_ID, flow.id);
    buffer.bytes().to_vec()
}

fn read(payload: &[u8]) -> Option<Flow> {
    flow(&Reply { kind: CT_NEW, flags: 0, sequence: 1, port: 0, payload })
}

#[test]
fn flows_of_both_families_are_read() {
    for flow in [v4_flow(), v6_flow()] {
        assert_eq!(read(&told(&flow, flow.protocol, |_| {})), Some(flow));
    }
}

#[test]
fn the_zone_may_be_of_the_flow_or_of_its_original_direction() {
    let flow = v4_flow();
    let inside = told(&flow, 17, |b| b.put(CTA_TUPLE_ZONE, &[0, 9]));
    assert_eq!(read(&inside).unwrap().zone, 9);
    let mut outside = told(&flow, 17, |_| {});
    outside.extend([6, 0, 18, 0, 1, 2, 0, 0]);
    assert_eq!(read(&outside).unwrap().zone, 0x102);
}

#[test]
fn other_protocols_and_other_messages_are_no_flows() {
    let payload = told(&v4_flow(), 1, |_| {});
    assert_eq!(read(&payload), None);
    let payload = told(&v4_flow(), 17, |_| {});
    assert_eq!(flow(&Reply { kind: CT_DELETE, flags: 0, sequence: 1, port: 0, payload: &payload }), None);
}

#[test]
fn no_truncation_panics_or_reads_as_a_flow() {
    let payload = told(&v6_flow(), 132, |_| {});
    for length in 0..payload.len() {
        assert_eq!(read(&payload[..length]), None, "{length}");
    }
}

#[test]
fn a_deletion_names_tuple_id_and_zone() {
    let mut buffer = Buffer::default();
    put_delete(&mut buffer, &Flow { zone: 5, ..v4_flow() }, true, 3);
    let bytes = buffer.bytes();
    assert_eq!(bytes[..4], (bytes.len() as u32).to_ne_bytes());
    assert_eq!(bytes[4..8], [2, 1, 5, 0]);
    assert_eq!(bytes[HEADER..HEADER + 4], [2, 0, 0, 0]);
    let attrs = Attrs(&bytes[HEADER + 4..]);
    assert_eq!(tuple(attrs.find(CTA_TUPLE_ORIG).unwrap().nested()), Some(v4_flow().original));
    assert_eq!(attrs.number(CTA_ID), Some(0xdead_beef));
    assert_eq!(attrs.find(CTA_ZONE).unwrap().payload, [0, 5]);
}

fn dump_request(filter: &Filter, in_kernel: bool) -> Vec<u8> {
    let mut buffer = Buffer::default();
    put_dump(&mut buffer, filter, in_kernel, 1);
    buffer.bytes()[HEADER + 4..].to_vec()
}

fn flags(request: &[u8]) -> Option<u32> {
    let payload = Attrs(request).find(CTA_FILTER)?.nested().find(CTA_FILTER_ORIG_FLAGS)?.payload;
    Some(u32::from_ne_bytes(payload.try_into().unwrap()))
}

#[test]
fn the_kernel_gets_address_protocol_and_port() {
    let filter = Filter {
        protocol: Some(17),
        original_dst: Some("10.96.0.10".parse().unwrap()),
        original_dport: Some(53),
        ..Filter::all(Family::V4)
    };
    let request = dump_request(&filter, true);
    assert_eq!(flags(&request), Some(FLAG_IP_DST | FLAG_PROTO_NUM | FLAG_PROTO_DST_PORT));
    let tuple = Attrs(&request).find(CTA_TUPLE_ORIG).unwrap().nested();
    assert_eq!(
        tuple.find(CTA_TUPLE_IP).unwrap().nested().find(CTA_IP_V4_DST).unwrap().payload,
        [10, 96, 0, 10]
    );
    let ports = tuple.find(CTA_TUPLE_PROTO).unwrap().nested();
    assert_eq!((ports.number(CTA_PROTO_NUM), ports.number(CTA_PROTO_DST_PORT)), (Some(17), Some(53)));
    assert_eq!(dump_request(&filter, false), []);
}

#[test]
fn what_the_kernel_would_get_wrong_is_kept_from_it() {
    let v6 = Filter { original_dst: Some("fd00::1".parse().unwrap()), ..Filter::all(Family::V6) };
    assert_eq!(dump_request(&v6, true), []);
    let port_alone = Filter { original_dport: Some(53), ..Filter::all(Family::V4) };
    assert_eq!(dump_request(&port_alone, true), []);
    let v6 = Filter { protocol: Some(6), original_dport: Some(53), ..v6 };
    assert_eq!(flags(&dump_request(&v6, true)), Some(FLAG_PROTO_NUM | FLAG_PROTO_DST_PORT));
}

#[test]
fn the_kernel_gets_client_endpoint_and_status() {
    let filter = Filter {
        protocol: Some(6),
        original_src: Some("10.0.0.1".parse().unwrap()),
        reply_src: Some("10.1.2.3".parse().unwrap()),
        reply_sport: Some(5353),
        status: super::super::DST_NAT,
        ..Filter::all(Family::V4)
    };
    let request = dump_request(&filter, true);
    let part = |kind| Attrs(&request).find(kind).unwrap().nested();
    let ip = |kind| part(kind).find(CTA_TUPLE_IP).unwrap().nested().find(CTA_IP_V4_SRC).unwrap().payload;
    let port = part(CTA_TUPLE_REPLY).find(CTA_TUPLE_PROTO).unwrap().nested().number(CTA_PROTO_SRC_PORT);
    let flags = part(CTA_FILTER).find(CTA_FILTER_REPLY_FLAGS).unwrap().payload;
    assert_eq!((ip(CTA_TUPLE_ORIG), ip(CTA_TUPLE_REPLY)), (&[10, 0, 0, 1][..], &[10, 1, 2, 3][..]));
    assert_eq!(port, Some(5353));
    assert_eq!(flags, (FLAG_IP_SRC | FLAG_PROTO_NUM | FLAG_PROTO_SRC_PORT).to_ne_bytes());
    assert_eq!(Attrs(&request).number(CTA_STATUS), Some(0x20));
    assert_eq!(Attrs(&request).number(CTA_STATUS_MASK), Some(0x20));
}

#[test]
fn an_address_of_the_replies_alone_needs_no_protocol() {
    let filter = Filter { reply_src: Some("10.1.2.3".parse().unwrap()), ..Filter::all(Family::V4) };
    let request = dump_request(&filter, true);
    assert_eq!(flags(&request), None);
    assert!(Attrs(&request).find(CTA_TUPLE_ORIG).is_none());
    assert!(Attrs(&request).find(CTA_TUPLE_REPLY).is_some());
    let ported = Filter { protocol: Some(17), ..filter };
    assert_eq!(flags(&dump_request(&ported, true)), Some(FLAG_PROTO_NUM), "the protocol is asked for once");
}

fn counted(buffer: &mut Buffer, kind: u16, packets: u64, bytes: u64) {
    buffer.nested(kind, |b| {
        b.put_be64(CTA_COUNTERS_PACKETS, packets);
        b.put_be64(CTA_COUNTERS_BYTES, bytes);
    });
}

#[test]
fn what_is_counted_is_read() {
    let told = told(&v4_flow(), 6, |_| {});
    let mut buffer = Buffer::default();
    buffer.raw(&told);
    counted(&mut buffer, CTA_COUNTERS_ORIG, 3, 1 << 40);
    counted(&mut buffer, CTA_COUNTERS_REPLY, 2, 120);
    buffer.nested(CTA_PROTOINFO, |b| b.nested(CTA_PROTOINFO_TCP, |b| b.put(CTA_PROTOINFO_STATE, &[3])));
    buffer.nested(CTA_TIMESTAMP, |b| b.put_be64(CTA_TIMESTAMP_START, 77));
    let read = |kind, payload| account(&Reply { kind, flags: 0, sequence: 0, port: 0, payload });
    let live = read(CT_NEW, buffer.bytes()).unwrap();
    assert_eq!(live.flow, Flow { protocol: 6, ..v4_flow() });
    let counters = [Counters { packets: 3, bytes: 1 << 40 }, Counters { packets: 2, bytes: 120 }];
    assert_eq!((live.counters, live.state, live.timeout), (Some(counters), Some(3), Some(30)));
    assert_eq!(live.started, Some(77));
    let gone = read(CT_DELETE, buffer.bytes()).unwrap();
    assert_eq!(gone, Account { timeout: None, ..live });
    let plain = read(CT_NEW, &told).unwrap();
    assert_eq!((plain.counters, plain.state, plain.started), (None, None, None));
}

#[test]
fn counters_of_one_direction_are_none() {
    let mut buffer = Buffer::default();
    buffer.raw(&told(&v4_flow(), 6, |_| {}));
    counted(&mut buffer, CTA_COUNTERS_ORIG, 3, 4);
    let read = account(&Reply { kind: CT_NEW, flags: 0, sequence: 0, port: 0, payload: buffer.bytes() });
    assert_eq!(read.unwrap().counters, None);
}
