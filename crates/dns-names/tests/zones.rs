//! The server's own names, and the zones beside the cluster's: from outside, and of a set of clusters.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::IpAddr;

use dns_wire::Name;
use towpath_dns_names::{External, Names, Verdict, View};
use world::message::Server;

/// Own addresses, name, type, answers and additional records.
type Row =
    (&'static [&'static str], &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn view(zones: &[&str]) -> View {
    View { zones: zones.iter().map(|zone| name(zone)).collect(), ..View::default() }
}

fn server<'a>(names: &'a Names, view: &'a View) -> Server<'a> {
    Server { names, view, external: None, own: &[], limit: 65_535 }
}

#[test]
fn an_address_behind_a_service_makes_it_the_name_server() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local.", "in-addr.arpa.", "ip6.arpa."]);
    let table: [Row; 9] = [
        (
            &["10.96.0.10"],
            "cluster.local.",
            "NS",
            &["kube-dns.kube-system.svc.cluster.local."],
            &["10.96.0.10"],
        ),
        (&["10.244.0.3"], "ns.dns.cluster.local.", "A", &["10.96.0.10"], &[]),
        (&["169.254.20.10"], "cluster.local.", "NS", &["ns.dns.cluster.local."], &["169.254.20.10"]),
        (&["169.254.20.10", "fd00::53"], "ns.dns.cluster.local.", "AAAA", &["fd00::53"], &[]),
        // The server's own name is in reverse zones too: their SOA has it.
        (&["169.254.20.10"], "ns.dns.in-addr.arpa.", "A", &["169.254.20.10"], &[]),
        (&["10.244.0.3"], "NS.dns.IN-addr.arpa.", "A", &["10.96.0.10"], &[]),
        (&["fd00::53"], "ns.dns.ip6.arpa.", "AAAA", &["fd00::53"], &[]),
        (&["fd00::53"], "dns.ip6.arpa.", "AAAA", &[], &[]),
        // A Service that has the address but no DNS port is no name server.
        (&["10.244.1.11"], "cluster.local.", "NS", &["ns.dns.cluster.local."], &["10.244.1.11"]),
    ];
    for (own, asked, qtype, answer, additional) in table {
        let own: Vec<IpAddr> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        let (_, said) = Server { own: &own, ..server(&names, &view) }.ask(asked, qtype);
        let last = |lines: &[String]| {
            lines.iter().map(|l| l.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (&*said.rcode, last(&said.answer)),
            ("NOERROR", answer.iter().map(|s| (*s).to_owned()).collect())
        );
        assert_eq!(last(&said.additional), additional);
    }
}

#[test]
fn external_addresses_have_reverse_names_where_the_zone_is_listed() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local.", "in-addr.arpa."]);
    let zones = ["in-addr.arpa.", "ext.example."].map(name);
    let external =
        External { zones: zones.into(), fallthrough: vec![name("in-addr.arpa.")], ..External::default() };
    let own = ["10.96.0.10".parse().unwrap()];
    let server = Server { external: Some(&external), own: &own, ..server(&names, &view) };
    let table: [(&str, &str, &str, &[&str]); 15] = [
        ("9.100.51.198.in-addr.arpa.", "PTR", "NOERROR", &["lb.shop.ext.example."]),
        ("9.113.0.203.in-addr.arpa.", "PTR", "NOERROR", &["lb.shop.ext.example."]),
        ("1.10.96.10.in-addr.arpa.", "PTR", "NOERROR", &["web.shop.svc.cluster.local."]),
        ("_http._tcp.lb.shop.ext.example.", "SRV", "NOERROR", &["lb.shop.ext.example."]),
        ("lb.shop.ext.example.", "AAAA", "NOERROR", &[]),
        ("10-244-1-19.lb.shop.ext.example.", "A", "NXDOMAIN", &[]),
        ("db.data.ext.example.", "A", "NXDOMAIN", &[]),
        ("shop.ext.example.", "A", "NOERROR", &[]),
        ("lbhost.shop.ext.example.", "A", "NOERROR", &["www.example.net."]),
        ("ns1.dns.in-addr.arpa.", "A", "NOERROR", &["10.96.0.10"]),
        ("dns.in-addr.arpa.", "A", "NOERROR", &[]),
        ("_tcp.lb.shop.ext.example.", "SRV", "NOERROR", &[]),
        // The name of a load balancer has the ports of its Service.
        ("srv.lbhost.shop.ext.example.", "SRV", "NXDOMAIN", &[]),
        ("_nosuch._tcp.lbhost.shop.ext.example.", "SRV", "NXDOMAIN", &[]),
        ("_http._tcp.lbhost.shop.ext.example.", "A", "NOERROR", &[]),
    ];
    for (asked, qtype, rcode, want) in table {
        let (verdict, said) = server.ask(asked, qtype);
        let last: Vec<_> = said.answer.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!((&*said.rcode, &*last), (rcode, want), "{asked}");
        assert_eq!(matches!(verdict, Verdict::Chase(_)), asked.starts_with("lbhost"), "{asked}");
    }
}

#[test]
fn a_load_balancer_with_a_name_has_the_ports_of_its_service() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local."]);
    let external = External { zones: vec![name("ext.example.")], ..External::default() };
    let server = Server { external: Some(&external), ..server(&names, &view) };
    for asked in ["lbhost.shop.ext.example.", "_http._tcp.lbhost.shop.ext.example."] {
        let (verdict, said) = server.ask(asked, "SRV");
        let want = format!("{asked} 5 IN SRV 0 100 80 www.example.net.");
        assert_eq!((verdict, &*said.rcode, said.answer), (Verdict::Answered, "NOERROR", vec![want]));
        assert!(said.aa && said.authority.is_empty() && said.additional.is_empty());
    }
}

#[test]
fn names_of_imports_have_the_cluster_in_them() {
    let names = world::index(&world::fixtures(), true);
    let zones = ["cluster.local.", "clusterset.local."];
    let view = View { multicluster: vec![name("clusterset.local.")], ..view(&zones) };
    let own = ["10.96.0.10".parse().unwrap()];
    let server = Server { own: &own, ..server(&names, &view) };
    let table: [(&str, &str, &str, &[&str]); 8] = [
        ("10-1-0-11.cluster-a.orders.mcs.svc.clusterset.local.", "A", "NOERROR", &["10.1.0.11"]),
        (
            "10-1-0-11.cluster-a.orders.mcs.svc.clusterset.local.",
            "SRV",
            "NOERROR",
            &["10-1-0-11.cluster-a.orders.mcs.svc.clusterset.local."],
        ),
        ("10-1-0-11.cluster-b.orders.mcs.svc.clusterset.local.", "A", "NXDOMAIN", &[]),
        ("10-1-0-11.orders.mcs.svc.clusterset.local.", "A", "NXDOMAIN", &[]),
        // As the case tables have it, though the name above is below it.
        ("cluster-a.orders.mcs.svc.clusterset.local.", "A", "NXDOMAIN", &[]),
        ("cluster-a.ledger.mcs.svc.clusterset.local.", "A", "NOERROR", &[]),
        ("cluster-z.ledger.mcs.svc.clusterset.local.", "A", "NXDOMAIN", &[]),
        // The Service of the server is in the zone of the cluster only.
        ("clusterset.local.", "NS", "NOERROR", &["kube-dns.kube-system.svc.cluster.local."]),
    ];
    for (asked, qtype, rcode, want) in table {
        let (_, said) = server.ask(asked, qtype);
        let last: Vec<_> = said.answer.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!((&*said.rcode, &*last), (rcode, want), "{asked}");
    }
}
