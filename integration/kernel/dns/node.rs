//! What is made on the node, taken over, repaired and removed.

use anyhow::{Context, Result, ensure};
use model::Protocol::Udp;
use testkit::netns::NetNs;

use crate::Test;
use crate::dns::stand_in::{StandIn, Want};
use crate::dns::{LISTEN, LISTEN6, POD, POD6, answers, both_vips, intercepted, not_intercepted, play, stage};
use crate::rules::{generation, listable};
use crate::stage::NODE;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_restart_with_nothing_changed_writes_nothing", adopted),
    Test::new("cleanup_removes_ours_and_nothing_else", cleaned_up),
    Test::new("what_others_change_is_repaired", repaired),
    Test::new("nft_takes_its_own_listing_of_our_tables", listing_loads),
    Test::new("addresses_to_listen_on_come_and_go", listening),
    Test::new("with_ipv6_off_ipv4_is_intercepted", without_ipv6),
    Test::new("a_link_of_our_name_that_is_not_ours_is_an_error", foreign_link),
];

fn all() -> Want {
    both_vips().listen(&[LISTEN, LISTEN6]).opt_out(&["10.244.0.6"])
}

/// All of the node's network that DNS could touch.
pub(crate) fn network(node: &NetNs) -> Result<String> {
    let rules = node.command("nft", &["list", "ruleset"])?;
    // The set of the living is the kernel's, and counts down.
    let rules: Vec<&str> = rules.lines().filter(|line| !line.contains("expires")).collect();
    let print = |args: &[&str]| node.command("ip", args);
    let links: String = print(&["-o", "link"])?
        .lines()
        .map(|line| line.split(" qlen").next())
        .map(|l| format!("{l:?}\n"))
        .collect();
    let routes =
        print(&["route", "show", "table", "all"])? + &print(&["-6", "route", "show", "table", "all"])?;
    // A link's own routes to groups come a moment after it.
    let routes: Vec<&str> = routes.lines().filter(|line| !line.starts_with("multicast")).collect();
    Ok(format!("{}\n{links}\n{}\n{}", rules.join("\n"), print(&["-o", "-br", "addr"])?, routes.join("\n")))
}

fn adopted() -> Result<()> {
    play(&all(), |stage, server| {
        ensure!(!server.apply(&all())?, "applied twice, something was written");
        let fresh = StandIn::start(stage.node())?;
        std::mem::replace(server, fresh).kill();
        let before = (generation(stage.node())?, network(stage.node())?);
        ensure!(!server.apply(&all())?, "something was written");
        let after = (generation(stage.node())?, network(stage.node())?);
        ensure!(before == after, "before: {before:?}\nafter: {after:?}");
        server.await_alive(&all())?;
        ensure!(generation(stage.node())? == before.0, "probes move the generation");
        intercepted(stage)
    })
}

fn cleaned_up() -> Result<()> {
    stage(|_| {})?.play(|stage| {
        stage.node().nft("table ip other {\n set alive {\n type ipv4_addr\n }\n}\n")?;
        let route = ["route", "add", "local", "10.96.0.99", "dev", "lo", "table", "local", "proto", "99"];
        stage.node().command("ip", &route)?;
        let before = network(stage.node())?;
        let mut server = StandIn::start(stage.node())?;
        ensure!(server.tell("cleanup")? == "false", "there was something to clean up");
        server.apply(&all())?;
        server.await_alive(&all())?;
        ensure!(network(stage.node())? != before, "nothing was made");
        ensure!(server.tell("cleanup")? == "true", "there was nothing to clean up");
        let after = network(stage.node())?;
        ensure!(after == before, "before:\n{before}\nafter:\n{after}");
        not_intercepted(stage)
    })
}

/// What others could do to what the node has for DNS.
pub(crate) const DAMAGE: &[(&str, &[&str])] = &[
    ("nft", &["delete", "table", "ip", "towpath-dns"]),
    ("nft", &["flush", "chain", "ip6", "towpath-dns", "queries"]),
    ("nft", &["insert", "rule", "ip", "towpath-dns", "input", "drop"]),
    ("nft", &["add", "chain", "ip", "towpath-dns", "stray"]),
    ("nft", &["flush", "set", "ip", "towpath-dns", "frontends"]),
    ("nft", &["add", "set", "ip", "towpath-dns", "stray", "{ type ipv4_addr; }"]),
    ("nft", &["add", "element", "ip", "towpath-dns", "opted-out", "{ 10.244.0.5 }"]),
    ("nft", &["add", "element", "ip", "towpath-dns", "opted-out", "{ * }"]),
    ("nft", &["add", "table", "ip", "towpath-dns", "{ flags dormant; }"]),
    (
        "nft",
        &[
            "add",
            "chain",
            "ip",
            "towpath-dns",
            "input",
            "{ type filter hook input priority 120; policy drop; }",
        ],
    ),
    ("ip", &["route", "del", "local", "10.96.0.10", "dev", "lo", "table", "local", "proto", "108"]),
    ("ip", &["-6", "route", "del", "local", "fd00:96::a", "dev", "lo", "table", "local", "proto", "108"]),
    ("ip", &["link", "del", "towpath-dns"]),
    ("ip", &["link", "set", "towpath-dns", "down"]),
    ("ip", &["addr", "flush", "dev", "towpath-dns", "scope", "global"]),
    ("ip", &["addr", "add", "169.254.20.99/32", "dev", "towpath-dns"]),
];

fn repaired() -> Result<()> {
    play(&all(), |stage, server| {
        let good = network(stage.node())?;
        for (program, args) in DAMAGE {
            let what = || format!("after {program} {}", args.join(" "));
            stage.node().command(program, args)?;
            ensure!(server.apply(&all()).with_context(what)?, "{}: nothing was written", what());
            server.await_alive(&all()).with_context(what)?;
            intercepted(stage).with_context(what)?;
            let now = network(stage.node())?;
            ensure!(sorted(&now) == sorted(&good), "{}:\n{now}\nwant:\n{good}", what());
        }
        let listen = format!("{LISTEN}:53");
        answers(stage, POD, &listen, &listen)
    })
}

/// The same, however often links were made again.
pub(crate) fn sorted(network: &str) -> Vec<String> {
    let mut lines: Vec<String> = network.lines().map(without_index).collect();
    lines.sort();
    lines
}

/// A link that was made again has another index and, as a bridge, another address.
fn without_index(line: &str) -> String {
    if line.contains("towpath-dns") {
        line.split_whitespace().filter(|w| !w.contains(':')).collect()
    } else {
        line.to_owned()
    }
}

fn listing_loads() -> Result<()> {
    play(&all(), |stage, _| {
        for family in ["ip", "ip6"] {
            let text = stage.node().command("nft", &["list", "table", family, "towpath-dns"])?;
            for word in ["notrack", "update @alive", "socket transparent 0", "tcp flags psh", "th dport 53"] {
                ensure!(text.contains(word), "{word:?} is not in:\n{text}");
            }
            NetNs::new()?.nft(&text).with_context(|| format!("nft does not take:\n{text}"))?;
        }
        listable(stage.node())
    })
}

fn listening() -> Result<()> {
    let want = Want::default().listen(&[LISTEN, LISTEN6, NODE, "127.0.0.53"]);
    stage(|_| {})?.play(|stage| {
        let addresses = |stage: &crate::stage::Stage| {
            let text = stage.node().command("ip", &["-o", "addr", "show", "dev", "towpath-dns"])?;
            let of = text.lines().filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned);
            Ok::<Vec<String>, anyhow::Error>(of.filter(|ip| !ip.starts_with("fe80")).collect())
        };
        let mut server = StandIn::start(stage.node())?;
        ensure!(server.apply(&want)? && !server.apply(&want)?, "not made, or made twice");
        // What the node has anyway stays where it is.
        let found = addresses(stage)?;
        ensure!(found == [format!("{LISTEN}/32"), format!("{LISTEN6}/128")], "{found:?}");
        for (from, to) in [(POD, LISTEN), (POD, NODE), (NODE, "127.0.0.53"), (POD6, LISTEN6)] {
            let to = if to.contains(':') { format!("[{to}]:53") } else { format!("{to}:53") };
            answers(stage, from, &to, &to)?;
        }
        ensure!(server.apply(&Want::default().listen(&["169.254.20.11"]))?, "nothing was written");
        let found = addresses(stage)?;
        ensure!(found == ["169.254.20.11/32"], "{found:?}");
        stage
            .dropped(POD, &format!("{LISTEN}:53"), Udp)
            .or_else(|_| stage.refused(POD, &format!("{LISTEN}:53"), Udp))?;
        ensure!(server.apply(&Want::default())?, "nothing was written");
        let links = stage.node().command("ip", &["-o", "link"])?;
        ensure!(!links.contains("towpath-dns"), "the link is still there:\n{links}");
        let rules = stage.node().command("nft", &["list", "tables"])?;
        ensure!(!rules.contains("towpath-dns"), "a table is still there:\n{rules}");
        Ok(())
    })
}

fn foreign_link() -> Result<()> {
    stage(|_| {})?.play(|stage| {
        let veth = ["link", "add", "towpath-dns", "type", "veth", "peer", "name", "peer0"];
        stage.node().command("ip", &veth)?;
        let mut server = StandIn::start(stage.node())?;
        let error = server.apply(&all()).map(drop).err().context("no error")?.to_string();
        ensure!(error.contains("rename or delete it"), "{error}");
        server.tell("cleanup")?;
        stage.node().command("ip", &["link", "show", "towpath-dns"]).map(drop)
    })
}

fn without_ipv6() -> Result<()> {
    stage(|_| {})?.play(|stage| {
        stage
            .node()
            .set_sysctls(&[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")])?;
        let mut server = StandIn::start(stage.node())?;
        // The stand-in cannot bind at addresses of IPv6 then; what is IPv4's is served before.
        let _ = server.apply(&all());
        server.await_alive(&Want::default().intercept(&["10.96.0.10"]))?;
        for from in [POD, NODE] {
            answers(stage, from, crate::dns::VIP, crate::dns::VIP)?;
        }
        Ok(())
    })
}
