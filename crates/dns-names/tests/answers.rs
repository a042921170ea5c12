//! What the case tables do not say: letter case, odd octets, size, words, search paths.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use dns_wire::{Name, NameBuf, NameRef, rtype};
use model::{DnsPolicy, NamespacedName, Pod, PodDns};
use towpath_dns_names::{Names, PodNames, SearchList, Verdict, View};
use world::message::Server;

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
fn a_dot_inside_a_label_is_no_label_break() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local."]);
    let labels: [&[&[u8]]; 7] = [
        &[b"web.shop", b"svc"],
        &[b"web", b"shop.svc"],
        &[b"we\x00b", b"shop", b"svc"],
        &[b"w\x5cb", b"shop", b"svc"],
        &[b"\xff", b"shop", b"svc"],
        &[b"10.244.1.11", b"web", b"shop", b"svc"],
        &[b"web", b"sho\xff", b"svc"],
    ];
    for labels in labels {
        let mut buffer = NameBuf::new();
        labels.iter().for_each(|label| assert!(buffer.push(label).is_some()));
        let asked = buffer.name_under(view.zones[0].as_ref()).unwrap();
        let (verdict, said) = server(&names, &view).ask_name(&asked, rtype::A);
        assert_eq!((verdict, &*said.rcode), (Verdict::Answered, "NXDOMAIN"), "{asked}");
    }
    let longest = [[b'x'; 63]; 3].iter().fold(NameBuf::new(), |mut buffer, label| {
        buffer.push(label).unwrap();
        buffer
    });
    let asked = longest.clone().push(&[b'y'; 46]).unwrap().name_under(view.zones[0].as_ref()).unwrap();
    assert_eq!(asked.wire().len(), 254);
    assert_eq!(server(&names, &view).ask_name(&asked, rtype::A).1.rcode, "NXDOMAIN");
}

#[test]
fn the_letter_case_of_the_question_is_kept() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local.", "in-addr.arpa."]);
    let table: [(&str, &str, &[&str], &[&str]); 4] = [
        ("wEb.ShOp.sVc.cLuStEr.LoCaL.", "A", &["wEb.ShOp.sVc.cLuStEr.LoCaL. 5 IN A 10.96.10.1"], &[]),
        (
            "_PG._TCP.Db.Data.SVC.Cluster.Local.",
            "SRV",
            &[
                "_PG._TCP.Db.Data.SVC.Cluster.Local. 5 IN SRV 0 50 5432 db-0.db.data.svc.Cluster.Local.",
                "_PG._TCP.Db.Data.SVC.Cluster.Local. 5 IN SRV 0 50 5432 db-1.db.data.svc.Cluster.Local.",
            ],
            &[],
        ),
        (
            "nOsUcH.shop.svc.Cluster.Local.",
            "A",
            &[],
            &["Cluster.Local. 5 IN SOA ns.dns.Cluster.Local. hostmaster.Cluster.Local. * 7200 1800 86400 5"],
        ),
        (
            "1.10.96.10.IN-ADDR.ARPA.",
            "PTR",
            &["1.10.96.10.IN-ADDR.ARPA. 5 IN PTR web.shop.svc.cluster.local."],
            &[],
        ),
    ];
    for (asked, qtype, answer, authority) in table {
        let (_, said) = server(&names, &view).ask(asked, qtype);
        assert_eq!(
            (said.answer, said.authority),
            (
                answer.iter().map(|s| s.to_string()).collect(),
                authority.iter().map(|s| s.to_string()).collect()
            )
        );
    }
}

#[test]
fn a_small_reply_says_that_it_is_not_whole() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local."]);
    let small = Server { limit: 512, ..server(&names, &view) };
    let (_, said) = small.ask("wide.data.svc.cluster.local.", "A");
    assert!(said.truncated && said.answer.len() < 40 && said.authority.is_empty());
    let medium = Server { limit: 1232, ..server(&names, &view) };
    let (_, said) = medium.ask("wide.data.svc.cluster.local.", "A");
    assert!(!said.truncated && said.answer.len() == 40);
    let (_, said) = Server { limit: 2500, ..small }.ask("wide.data.svc.cluster.local.", "SRV");
    assert!(!said.truncated && said.answer.len() == 40 && (1..40).contains(&said.additional.len()));
}

#[test]
fn a_chain_that_leaves_is_handed_on() {
    let names = world::index(&world::fixtures(), true);
    let view = view(&["cluster.local."]);
    let (verdict, said) = server(&names, &view).ask("ext-chain.shop.svc.cluster.local.", "A");
    let Verdict::Chase(chase) = verdict else { panic!("{verdict:?}") };
    let links: Vec<_> = chase.links.iter().map(|link| format!("{} {}", link.owner, link.target)).collect();
    let want = [
        "ext-chain.shop.svc.cluster.local. ext.shop.svc.cluster.local.",
        "ext.shop.svc.cluster.local. www.example.net.",
    ];
    assert_eq!(links, want);
    assert_eq!((chase.ttl, said.answer.len()), (5, 2));
    let (verdict, said) = server(&names, &view).ask("loop-a.shop.svc.cluster.local.", "A");
    assert_eq!(
        (verdict, &*said.rcode, said.answer.len(), said.authority.len()),
        (Verdict::Answered, "NOERROR", 0, 1)
    );
    let (verdict, said) = server(&names, &view).ask("ext-in-missing.shop.svc.cluster.local.", "A");
    assert_eq!(
        (verdict, &*said.rcode, said.answer.len(), said.authority.len()),
        (Verdict::Answered, "NXDOMAIN", 1, 1)
    );
}

#[test]
fn an_explanation_names_object_and_rule() {
    let names = world::index(&world::fixtures(), true);
    let view = View { pods: PodNames::Insecure, ..view(&["cluster.local.", "in-addr.arpa."]) };
    let table = [
        ("www.example.net.", "the name is in none of the cluster's zones"),
        ("web.shop.svc.cluster.local.", "zone cluster.local.: Service shop/web: 10.96.10.1"),
        ("db.data.svc.cluster.local.", "zone cluster.local.: Service data/db: ready endpoints: 2"),
        (
            "ext.shop.svc.cluster.local.",
            "zone cluster.local.: Service shop/ext: ExternalName: CNAME www.example.net.",
        ),
        (
            "none.data.svc.cluster.local.",
            "zone cluster.local.: the Service is headless, and none of its endpoints is ready: NXDOMAIN",
        ),
        (
            "nosuch.shop.svc.cluster.local.",
            "zone cluster.local.: there is no such Service in the namespace: NXDOMAIN",
        ),
        (
            "shop.svc.cluster.local.",
            "zone cluster.local.: the name has no records, but names below it can exist: NODATA",
        ),
        ("10-1-2-3.shop.pod.cluster.local.", "zone cluster.local.: the name of a pod: 10.1.2.3"),
        (
            "1.10.96.10.in-addr.arpa.",
            "zone in-addr.arpa.: Service shop/web: the Service or endpoint with the address 10.96.10.1: PTR",
        ),
    ];
    for (asked, want) in table {
        let asked = name(asked);
        assert_eq!(names.explain(&view, asked.as_ref(), rtype::A).to_string(), want);
    }
}

fn pod(policy: DnsPolicy, searches: &[&str], ndots: Option<u8>) -> Pod {
    let searches = searches.iter().map(|domain| (*domain).into()).collect();
    let dns = Some(Box::new(PodDns { policy, searches, ndots }));
    Pod { name: NamespacedName::new("shop", "client"), dns, ..Pod::default() }
}

#[test]
fn a_search_goes_as_the_pods_own_resolver_does() {
    let first = "x.y.shop.svc.cluster.local.";
    let usual = [first, "x.y.svc.cluster.local.", "x.y.cluster.local.", "x.y.corp.example."];
    let with = |more: &[&'static str]| usual.iter().chain(more).copied().collect::<Vec<_>>();
    let plain = Pod { name: NamespacedName::new("shop", "client"), ..Pod::default() };
    let table = [
        (plain.clone(), first, with(&["x.y."])),
        (
            pod(DnsPolicy::ClusterFirst, &["own.example", "SVC.cluster.local"], None),
            first,
            with(&["x.y.own.example.", "x.y."]),
        ),
        (pod(DnsPolicy::ClusterFirst, &[], Some(1)), first, with(&[])),
        (pod(DnsPolicy::None, &["own.example"], None), first, vec![]),
        (pod(DnsPolicy::None, &["own.example"], None), "x.own.example.", vec!["x.own.example.", "x."]),
        (pod(DnsPolicy::Default, &[], None), first, vec![]),
        (Pod { host_network: true, ..plain.clone() }, first, vec![]),
        (plain.clone(), "shop.svc.cluster.local.", vec![]),
        (plain, "x.y.data.svc.cluster.local.", vec![]),
    ];
    for (pod, asked, want) in table {
        let (zone, host, asked) = (name("cluster.local."), [name("corp.example.")], name(asked));
        let list = SearchList::of(&pod, zone.as_ref(), &host);
        let mut buffer = NameBuf::new();
        let found = list.candidates(asked.as_ref()).map_or(vec![], |candidates| {
            let each = (0..candidates.len())
                .map(|index| candidates.get(index, &mut buffer).unwrap().name.to_string());
            each.collect::<Vec<_>>()
        });
        assert_eq!(found, want, "{asked}");
    }
    assert_eq!(NameRef::ROOT.label_count(), 0);
}
