use super::*;

fn payload(protocol: u8, question: Question<'_>) -> (u16, u16, Vec<u8>) {
    let mut buffer = Buffer::default();
    put_question(&mut buffer, protocol, question, 9);
    let bytes = buffer.bytes();
    assert_eq!(bytes[..4], (bytes.len() as u32).to_ne_bytes());
    let number = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    (number(4), number(6), bytes[16..].to_vec())
}

fn told(kind: u16, attrs: impl FnOnce(&mut Buffer)) -> Vec<u8> {
    let mut buffer = Buffer::default();
    buffer.raw(&[2, 0, 0, 0]);
    buffer.put(ATTR_PROTOCOL, &[7]);
    attrs(&mut buffer);
    assert_eq!(kind >> 8, 6);
    buffer.bytes().to_vec()
}

fn reply(kind: u16, payload: &[u8]) -> Reply<'_> {
    Reply { kind, flags: 2, sequence: 9, port: 0, payload }
}

/// An address with the bit of its byte order, as the kernel puts it (`NLA_F_NET_BYTEORDER`).
fn put_ip(buffer: &mut Buffer, kind: u16, ip: &str) {
    let octets = match ip.parse().unwrap() {
        IpAddr::V4(ip) => (IPADDR_IPV4, ip.octets().to_vec()),
        IpAddr::V6(ip) => (IPADDR_IPV6, ip.octets().to_vec()),
    };
    buffer.nested(kind, |b| b.put(octets.0 | 0x4000, &octets.1));
}

#[test]
fn every_question_names_the_protocol_and_what_it_means() {
    let (request, acknowledged, dump) = (libc::NLM_F_REQUEST, libc::NLM_F_ACK, libc::NLM_F_DUMP);
    let name: &[u8] = &[8, 0, 2, 0, b'S', b'V', b'C', 0];
    let header: &[u8] = &[8, 0, 6, 0, 0, 0, 0, 4];
    let cases = [
        (Question::Protocol, 0x601, acknowledged, &[][..]),
        (Question::Headers, 0x607, dump, header),
        (Question::Members("SVC"), 0x607, dump, name),
        (Question::Destroy("SVC"), 0x603, acknowledged | libc::NLM_F_EXCL, name),
    ];
    for (question, kind, flag, rest) in cases {
        let start: &[u8] = &[2, 0, 0, 0, 5, 0, 1, 0, 6, 0, 0, 0];
        let expected = (kind, (request | flag) as u16, [start, rest].concat());
        assert_eq!(payload(6, question), expected, "{question:?}");
    }
}

#[test]
fn the_range_of_protocols_is_read() {
    let new = told(CMD_PROTOCOL, |b| b.put(ATTR_PROTOCOL_MIN, &[6]));
    let old = told(CMD_PROTOCOL, |_| {});
    assert_eq!(protocols(&reply(CMD_PROTOCOL, &new)), Some((6, 7)));
    assert_eq!(protocols(&reply(CMD_PROTOCOL, &old)), Some((7, 7)));
    assert_eq!(protocols(&reply(CMD_LIST, &new)), None);
    assert_eq!(protocols(&reply(CMD_PROTOCOL, &[2])), None);
}

#[test]
fn a_header_is_read_and_parts_without_one_are_not() {
    let header = |family: u8| {
        told(CMD_LIST, |b| {
            b.put_str(ATTR_SETNAME, "KUBE-CLUSTER-IP");
            b.put_str(ATTR_TYPENAME, "hash:ip,port");
            b.put(ATTR_FAMILY, &[family]);
            b.nested(ATTR_DATA, |b| b.put_be32(HEADER_REFERENCES | 0x4000, 2));
        })
    };
    for (number, family) in [(2, Some(Family::V4)), (10, Some(Family::V6)), (0, None)] {
        let found = set(&reply(CMD_LIST, &header(number))).unwrap();
        let expected = ("KUBE-CLUSTER-IP", "hash:ip,port", family, 2);
        assert_eq!((&*found.name, &*found.kind, found.family, found.references), expected);
    }
    let rest = told(CMD_LIST, |b| b.put_str(ATTR_SETNAME, "KUBE-CLUSTER-IP"));
    assert_eq!(set(&reply(CMD_LIST, &rest)), None);
}

#[test]
fn members_of_every_type_are_read_and_unknown_parts_skipped() {
    let payload = told(CMD_LIST, |b| {
        b.put_str(ATTR_SETNAME, "any");
        b.nested(ATTR_ADT, |b| {
            b.nested(ATTR_DATA, |b| b.put(DATA_PORT | 0x4000, &30_080u16.to_be_bytes()));
            b.nested(ATTR_DATA, |b| {
                put_ip(b, DATA_IP, "10.96.0.1");
                b.put(DATA_PORT, &443u16.to_be_bytes());
                b.put(DATA_PROTO, &[6]);
                b.put(26, b"a comment\0");
            });
            b.nested(ATTR_DATA, |b| {
                put_ip(b, DATA_IP, "fd00::1");
                put_ip(b, DATA_IP2, "fd00::");
                b.put(DATA_CIDR2, &[64]);
            });
            b.nested(9, |b| b.put(DATA_PORT, &[0, 1]));
        });
    });
    let ip = |ip: &str| Some(ip.parse().unwrap());
    let expected = [
        Member { port: Some(30_080), ..Member::default() },
        Member { ip: ip("10.96.0.1"), port: Some(443), protocol: Some(6), ..Member::default() },
        Member { ip: ip("fd00::1"), ip2: ip("fd00::"), cidr2: Some(64), ..Member::default() },
    ];
    assert_eq!(members(&reply(CMD_LIST, &payload)).collect::<Vec<_>>(), expected);
    assert_eq!(members(&reply(CMD_DESTROY, &payload)).count(), 0);
    assert_eq!(members(&reply(CMD_LIST, &payload[..6])).count(), 0);
}
