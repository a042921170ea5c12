use super::*;

fn of(text: &str, prefix: u8, source: Option<&str>) -> LocalRoute {
    let parse = |text: &str| text.parse().unwrap();
    LocalRoute { address: parse(text), prefix, source: source.map(parse) }
}

fn told(kind: u16, change: impl FnOnce(&mut Vec<u8>), told: &LocalRoute) -> Option<LocalRoute> {
    let mut buffer = Buffer::default();
    put_route(&mut buffer, RouteOwner::Services, libc::RTM_NEWROUTE, told);
    let mut payload = buffer.bytes().to_vec();
    change(&mut payload);
    route(&Reply { kind, flags: 0, sequence: 1, port: 0, payload: &payload }, RouteOwner::Services)
}

#[test]
fn what_is_written_reads_back() {
    let cases = [
        of("10.96.0.0", 12, Some("192.0.2.1")),
        of("192.0.2.9", 32, None),
        of("0.0.0.0", 0, None),
        of("fd00:96::", 108, Some("fd00::1")),
        of("fd00::9", 128, None),
    ];
    for case in cases {
        assert_eq!(told(libc::RTM_NEWROUTE, |_| {}, &case), Some(case));
    }
}

#[test]
fn the_header_and_the_attributes_are_the_kernels() {
    let mut buffer = Buffer::default();
    put_route(&mut buffer, RouteOwner::Services, libc::RTM_NEWROUTE, &of("10.96.0.0", 12, Some("192.0.2.1")));
    let (header, rest) = buffer.bytes().split_at(RTMSG);
    assert_eq!(header, [2, 12, 0, 0, 255, 107, 254, 2, 0, 0, 0, 0]);
    let found: Vec<_> = Attrs(rest).map(|attr| (attr.kind, attr.payload.to_vec())).collect();
    let expected = [
        (1, vec![10, 96, 0, 0]),
        (4, 1u32.to_ne_bytes().to_vec()),
        (6, 107u32.to_ne_bytes().to_vec()),
        (7, vec![192, 0, 2, 1]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_deletion_names_no_source() {
    let [with, without] = [Some("192.0.2.1"), None].map(|source| {
        let mut buffer = Buffer::default();
        put_route(&mut buffer, RouteOwner::Services, libc::RTM_DELROUTE, &of("10.96.0.0", 12, source));
        buffer.bytes().to_vec()
    });
    assert_eq!(with, without);
}

#[test]
fn scope_is_a_thing_of_ipv4() {
    let mut buffer = Buffer::default();
    put_route(&mut buffer, RouteOwner::Services, libc::RTM_NEWROUTE, &of("fd00::9", 128, None));
    assert_eq!(buffer.bytes()[..RTMSG], [10, 128, 0, 0, 255, 107, 0, 2, 0, 0, 0, 0]);
}

#[test]
fn a_route_for_all_addresses_names_none() {
    let short = |payload: &mut Vec<u8>| {
        payload[1] = 0;
        payload.drain(RTMSG..RTMSG + 20);
    };
    assert_eq!(told(libc::RTM_NEWROUTE, short, &of("::1", 128, None)), Some(of("::", 0, None)));
}

#[test]
fn anything_else_is_no_route_of_ours() {
    let route = of("192.0.2.9", 32, None);
    assert_eq!(told(libc::RTM_DELROUTE, |_| {}, &route), None);
    assert_eq!(told(libc::RTM_NEWROUTE, |payload| payload.truncate(RTMSG - 1), &route), None);
    // Family, table, protocol, type, metric.
    for (place, value) in [(0, 17), (4, 254), (5, 2), (7, 1), (RTMSG + 20, 9)] {
        assert_eq!(told(libc::RTM_NEWROUTE, |payload| payload[place] = value, &route), None, "{place}");
    }
}
