use super::*;

fn told(kind: u16, attrs: impl FnOnce(&mut Buffer)) -> Option<Link> {
    let mut buffer = Buffer::default();
    put_ifinfomsg(&mut buffer, 7, libc::IFF_UP as u32 | 0x82);
    attrs(&mut buffer);
    read(&Reply { kind, flags: 0, sequence: 1, port: 0, payload: buffer.bytes() })
}

#[test]
fn a_link_tells_its_kind() {
    let expected = Link { index: 7, name: "kube-ipvs0".into(), kind: Some("dummy".into()), up: true };
    let dummy = told(libc::RTM_NEWLINK, |b| {
        b.put_str(IFLA_IFNAME, "kube-ipvs0");
        b.nested(IFLA_LINKINFO, |b| b.put_str(IFLA_INFO_KIND, "dummy"));
    });
    assert_eq!(dummy, Some(expected));
    let hardware = told(libc::RTM_NEWLINK, |b| b.put_str(IFLA_IFNAME, "eth0")).unwrap();
    assert_eq!((hardware.name.as_str(), hardware.kind), ("eth0", None));
}

#[test]
fn anything_else_is_no_link() {
    assert_eq!(told(libc::RTM_DELLINK, |b| b.put_str(IFLA_IFNAME, "eth0")), None);
    assert_eq!(told(libc::RTM_NEWLINK, |_| {}), None);
    let short = Reply { kind: libc::RTM_NEWLINK, flags: 0, sequence: 1, port: 0, payload: &[0; 15] };
    assert_eq!(read(&short), None);
}

#[test]
fn an_address_is_both_ends() {
    let cases: [(&str, u8, &[u8]); 2] = [
        ("192.0.2.1", libc::AF_INET as u8, &[192, 0, 2, 1]),
        ("fd00::1", libc::AF_INET6 as u8, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for (ip, family, bytes) in cases {
        let mut buffer = Buffer::default();
        put_address(&mut buffer, 7, ip.parse().unwrap(), 31);
        let (header, rest) = buffer.bytes().split_at(8);
        assert_eq!(header, [&[family, 31, 0, 0][..], &7u32.to_ne_bytes()].concat());
        let found: Vec<_> = Attrs(rest).map(|attr| (attr.kind, attr.payload)).collect();
        assert_eq!(found, [(IFA_LOCAL, bytes), (IFA_ADDRESS, bytes)]);
    }
}
