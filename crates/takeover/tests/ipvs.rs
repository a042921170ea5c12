//! Leftovers of ipvs mode in the real kernel. What it lacks (IPVS, ipset, dummy links) makes a test ignored.

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitCode;

use common::{everything, restore};
use libtest_mimic::{Arguments, Failed, Trial};
use model::IpFamily;
use netlink::ipvs::{Command, Key, VirtualServer};
use netlink::{ipset, ipvs, route};
use testkit::kube_proxy::{Cluster, foreign, kubelet};
use testkit::netns::NetNs;
use towpath_takeover::{Connections, find, remove};
use xtables::Variant;

type Need = fn(&NetNs) -> Result<(), String>;
type Body = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let tests: [(&str, &[Need], Body); 4] = [
        ("the_link_goes_with_its_addresses", &[dummy], the_link_goes),
        ("virtual_servers_of_others_stay", &[dummy, has_ipvs], servers_of_others_stay),
        ("ipsets_go_and_those_in_use_stay", &[has_ipset], sets_go),
        ("rules_go_before_the_sets_that_they_ask", &[has_ipset], rules_and_sets_go),
    ];
    let trials = tests.into_iter().map(|(name, needs, body)| trial(name, needs, body)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, needs: &[Need], body: Body) -> Trial {
    let missing = NetNs::new().map_err(|error| format!("needs root: {error:#}"));
    let missing = missing.and_then(|ns| needs.iter().try_for_each(|need| need(&ns)));
    match missing {
        Ok(()) => Trial::test(name, body),
        Err(why) => {
            eprintln!("{name} is ignored: {why}");
            Trial::test(format!("{name} ({why})"), || Ok(())).with_ignored_flag(true)
        }
    }
}

fn dummy(ns: &NetNs) -> Result<(), String> {
    let made = ns.ip_batch("link add name d0 type dummy\n");
    made.map_err(|_| "the kernel has no dummy links".to_owned())
}

fn has_ipvs(ns: &NetNs) -> Result<(), String> {
    match ns.run(ipvs::available) {
        Ok(Ok(true)) => Ok(()),
        other => Err(format!("the kernel has no IPVS: {other:?}")),
    }
}

fn has_ipset(ns: &NetNs) -> Result<(), String> {
    match ns.run(ipset::available) {
        Ok(Ok(true)) => {}
        other => return Err(format!("the kernel has no ipset: {other:?}")),
    }
    ns.command("ipset", &["version"]).map(drop).map_err(|error| format!("needs ipset: {error:#}"))
}

/// A node with kube-proxy's link and one ClusterIP on it.
fn with_link() -> Result<NetNs, Failed> {
    let ns = NetNs::new()?;
    ns.ip_batch("link add name kube-ipvs0 type dummy\naddr add 10.96.0.20/32 dev kube-ipvs0\n")?;
    Ok(ns)
}

fn the_link_goes() -> Result<(), Failed> {
    let ns = with_link()?;
    assert_eq!(ns.run(|| find(&BTreeSet::new()))?.found, ["link kube-ipvs0"]);
    let report = ns.run(|| remove(&BTreeSet::new(), Connections::End))?;
    assert_eq!((report.removed, report.failed), (vec!["link kube-ipvs0".to_owned()], Vec::new()));
    assert_eq!(ns.run(|| remove(&BTreeSet::new(), Connections::End))?, Default::default());
    Ok(())
}

fn key(address: &str, port: u16) -> Result<Key, Failed> {
    let address: IpAddr = address.parse()?;
    Ok(Key::Address { address, protocol: 6, port })
}

fn server(key: Key) -> Command {
    Command::Add(VirtualServer { key, scheduler: "rr".into(), flags: 0, timeout: 0, prefix: 32 })
}

fn servers_of_others_stay() -> Result<(), Failed> {
    let ns = with_link()?;
    let (theirs, spared) = (key("10.96.0.20", 80)?, key("10.96.0.20", 443)?);
    let foreign = key("192.0.2.1", 80)?;
    let mark = Key::Mark { mark: 7, family: netlink::conntrack::Family::V4 };
    let commands = [theirs, spared, foreign, mark].map(server);
    let left = ns.run(|| -> Result<BTreeSet<Key>, Failed> {
        let mut socket = ipvs::open()?.ok_or("no IPVS")?;
        assert!(ipvs::apply(&mut socket, &commands)?.is_empty());
        let report = remove(&BTreeSet::from([spared]), Connections::End);
        assert_eq!(report.removed, ["1 IPVS virtual server", "link kube-ipvs0"]);
        Ok(ipvs::services(&mut socket)?.into_iter().map(|server| server.key).collect())
    })??;
    assert_eq!(left, BTreeSet::from([spared, foreign, mark]));
    let gone = ns.run(|| route::open().and_then(|mut socket| route::link(&mut socket, "kube-ipvs0")))??;
    assert_eq!(gone, None);
    Ok(())
}

fn sets_go() -> Result<(), Failed> {
    let ns = NetNs::new()?;
    let sets = "create KUBE-CLUSTER-IP hash:ip,port\ncreate KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6\n\
                create KUBE-IPVS-IPS hash:ip\ncreate union list:set\nadd union KUBE-IPVS-IPS\ncreate KUBE-OTHER hash:ip\n";
    ns.command_with_input("ipset", &["restore"], sets)?;
    let report = ns.run(|| remove(&BTreeSet::new(), Connections::End))?;
    assert_eq!(report.removed, ["2 ipsets KUBE-*"]);
    assert_eq!(report.kept, ["ipset KUBE-IPVS-IPS: a rule or another set still uses it"]);
    let left = ns.command("ipset", &["list", "-n"])?;
    assert_eq!(
        left.lines().collect::<BTreeSet<_>>(),
        BTreeSet::from(["KUBE-IPVS-IPS", "KUBE-OTHER", "union"])
    );
    Ok(())
}

fn rules_and_sets_go() -> Result<(), Failed> {
    for variant in Variant::ALL {
        let ns = NetNs::new()?;
        for family in IpFamily::ALL {
            restore(&ns, variant, family, &kubelet(family));
            restore(&ns, variant, family, &foreign(family));
        }
        let before = everything(&ns);
        for family in IpFamily::ALL {
            ns.command_with_input("ipset", &["restore"], &Cluster::example().ipsets(family))?;
            restore(&ns, variant, family, &Cluster::example().ipvs_iptables(family));
        }
        let found = ns.run(|| find(&BTreeSet::new()))?.found;
        assert_eq!(found.last().map(String::as_str), Some("34 ipsets KUBE-*"));
        let report = ns.run(|| remove(&BTreeSet::new(), Connections::End))?;
        assert_eq!((report.kept.as_slice(), report.failed.as_slice()), (&[][..], &[][..]));
        assert_eq!(report.removed, found);
        assert_eq!(ns.command("ipset", &["list", "-n"])?, "");
        assert_eq!(everything(&ns), before);
    }
    Ok(())
}
