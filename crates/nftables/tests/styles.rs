//! Tables of both styles in the kernel, in network namespaces of their own. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scenery;

use dataplane::{Engine, Operate};
use model::{Change, IpFamily, NamespacedName, Protocol};
use netlink::Socket;
use netlink::nft::{self, Transaction};
use scenery::{SCENE, engine};
use testkit::netns::NetNs;
use towpath_nftables::{ElementKey, Nftables, SetId, Style, VipKey, kernel_element, probe_as};

const STYLES: [Style; 2] = [Style::Dnat, Style::Ipvs];

/// An engine in the namespace.
fn open(ns: &NetNs, style: Style) -> Engine<Nftables> {
    ns.run(|| engine(SCENE, Nftables::open_as(style).unwrap())).unwrap()
}

fn list(ns: &NetNs, style: Style) -> String {
    let one = |ip| ns.command("nft", &["-n", "list", "table", ip, style.table()]).unwrap();
    one("ip") + &one("ip6")
}

#[test]
fn the_kernel_has_what_either_style_needs() {
    let ns = NetNs::new().unwrap();
    let mut socket = ns.run(|| Socket::open(nft::NETLINK_NETFILTER).unwrap()).unwrap();
    for style in STYLES {
        assert_eq!(probe_as(&mut socket, style), [], "{style:?}");
    }
    assert_eq!(ns.command("nft", &["list", "ruleset"]).unwrap(), "");
}

#[test]
fn what_is_written_is_what_is_read() {
    for style in STYLES {
        let ns = NetNs::new().unwrap();
        let mut engine = open(&ns, style);
        assert!(engine.sync().unwrap().writes > 100);
        let plan = engine.diff().unwrap();
        assert!(plan.is_empty(), "{:#?}", plan.steps);
        assert!(!engine.dataplane_mut().touched_by_others());
        let mut again = open(&ns, style);
        assert_eq!(again.sync().unwrap().writes, 0, "{style:?}: a restart writes nothing");
        assert_eq!(again.dataplane().reader().unwrap().style(), style);
    }
}

/// `nft` prints every rule, and reads back what it has printed.
#[test]
fn nft_prints_it() {
    let ns = NetNs::new().unwrap();
    open(&ns, Style::Ipvs).sync().unwrap();
    let text = ns.command("nft", &["list", "ruleset"]).unwrap();
    for line in [
        "type filter hook input priority 110; policy accept;",
        "icmp type echo-request ip daddr @cluster-ips accept",
        "icmpv6 type echo-request ip6 daddr @routed-vips accept",
        "ip saddr . ip daddr . meta l4proto . th dport @hairpin fib saddr type != local masquerade fully-random",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let other = NetNs::new().unwrap();
    other.nft(&text).unwrap();
    assert_eq!(other.command("nft", &["list", "ruleset"]).unwrap(), text);
}

/// What `nft` makes of our text is what we write: the expressions are its own. It (1.0.6) has another way to write the chain
/// that limits sources.
#[test]
fn nft_loads_the_same_from_our_text() {
    let ns = NetNs::new().unwrap();
    let mut engine = open(&ns, Style::Ipvs);
    engine.settle();
    let objects: Vec<_> = engine.objects().map(|(key, value)| (key.clone(), *value)).collect();
    ns.nft(&engine.dataplane().render(&objects)).unwrap();
    let differs: Vec<String> =
        engine.diff().unwrap().steps.into_iter().map(|(key, _)| format!("{key:?}")).collect();
    assert!(differs.iter().all(|key| key.contains("Firewall")), "{differs:#?}");
}

#[test]
fn both_tables_live_side_by_side() {
    let ns = NetNs::new().unwrap();
    let [mut dnat, mut ipvs] = STYLES.map(|style| open(&ns, style));
    dnat.sync().unwrap();
    let alone = list(&ns, Style::Dnat);
    assert!(!ipvs.dataplane_mut().is_installed().unwrap());
    ipvs.sync().unwrap();
    assert_eq!(list(&ns, Style::Dnat), alone);
    for engine in [&mut dnat, &mut ipvs] {
        assert!(engine.diff().unwrap().is_empty());
        engine.request_full();
        assert_eq!(engine.sync().unwrap().writes, 0);
    }
    let both = list(&ns, Style::Ipvs);
    dnat.handle(Change::ServiceGone(NamespacedName::new("a", "shop")));
    dnat.sync().unwrap();
    assert_eq!(list(&ns, Style::Ipvs), both);
    assert_eq!(dnat.dataplane_mut().remove().unwrap(), 2);
    assert_eq!(list(&ns, Style::Ipvs), both);
    assert!(ipvs.dataplane_mut().is_installed().unwrap());
    assert!(!dnat.dataplane_mut().is_installed().unwrap());
    assert_eq!(ipvs.dataplane_mut().remove().unwrap(), 2);
    assert_eq!(ns.command("nft", &["list", "ruleset"]).unwrap(), "");
}

/// What only the other style has is nothing of ours in this one's table.
#[test]
fn objects_of_the_other_style_go() {
    let ns = NetNs::new().unwrap();
    let mut dnat = open(&ns, Style::Dnat);
    dnat.sync().unwrap();
    let clean = list(&ns, Style::Dnat);
    ns.nft(
        "table ip towpath {
            set virtual-servers { type ipv4_addr . inet_proto . inet_service; }
            chain to-ipvs { accept; }
            chain filter-input-late { type filter hook input priority 110; ct state new jump cluster-ip-check; }
        }
        add element ip towpath vips { 192.0.2.1 . tcp . 1 : goto to-ipvs }",
    )
    .unwrap();
    dnat.request_full();
    assert_eq!(dnat.sync().unwrap().full.unwrap().drift.total(), 4);
    assert_eq!(list(&ns, Style::Dnat), clean);
}

/// Records of virtual servers come back as keys, so that their owner can find what an earlier process has made.
#[test]
fn records_of_virtual_servers_are_observed() {
    let ns = NetNs::new().unwrap();
    open(&ns, Style::Ipvs).sync().unwrap();
    for (family, ip) in [(IpFamily::V4, "10.96.0.20"), (IpFamily::V6, "fd00:96::20")] {
        let server = VipKey { ip: ip.parse().unwrap(), protocol: Protocol::Udp, port: 53 };
        let key = ElementKey::Vip(server);
        let element = kernel_element(SetId::VirtualServers, &key, &towpath_nftables::Value::Member);
        let kind = if family == IpFamily::V4 { nft::Family::Ip } else { nft::Family::Ip6 };
        ns.run(|| {
            let mut socket = Socket::open(nft::NETLINK_NETFILTER).unwrap();
            let mut add = Transaction::new(&mut socket, kind, Style::Ipvs.table(), None);
            add.add_element("virtual-servers", &element);
            add.commit(&mut socket).unwrap();
        })
        .unwrap();
        let mut engine = open(&ns, Style::Ipvs);
        engine.settle();
        let steps = engine.diff().unwrap().steps;
        let found = towpath_nftables::Key::Element(family, SetId::VirtualServers, key);
        assert!(steps.iter().any(|(key, _)| *key == found), "{steps:?}");
    }
}
