//! Namespaces, routing and probes.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol;
use towpath_testkit::netns::NetNs;
use towpath_testkit::probe::{Outcome, UdpFlow, ping};
use towpath_testkit::wait;
use towpath_testkit::world::{Layout, World};

const ANSWER: Duration = Duration::from_millis(900);
const SILENCE: Duration = Duration::from_millis(200);
/// See `REFUSAL` in the module `verdict`: IPv6 may need TCP's second try.
const REFUSAL: Duration = Duration::from_secs(3);

/// Two pods, a client from the internet and a VIP outside, in one family.
struct Cast {
    node: IpAddr,
    pod: IpAddr,
    endpoint: SocketAddr,
    vip: SocketAddr,
    nft_family: &'static str,
}

fn casts() -> Result<[Cast; 2]> {
    let cast = |node: &str, pod: &str, endpoint: &str, vip: &str, nft_family| -> Result<Cast> {
        Ok(Cast {
            node: node.parse()?,
            pod: pod.parse()?,
            endpoint: endpoint.parse()?,
            vip: vip.parse()?,
            nft_family,
        })
    };
    Ok([
        cast("192.168.0.2", "10.0.0.2", "10.180.0.1:80", "172.30.0.41:80", "ip")?,
        cast("2001:db8::1", "fd00:10::2", "[fd00:10:180::1]:80", "[fd00:172:30::41]:80", "ip6")?,
    ])
}

fn world(cast: &Cast) -> Result<World> {
    let mut layout = Layout::of_node([cast.node]);
    layout.hosts.extend([cast.pod, cast.endpoint.ip()]);
    layout.outside.insert(cast.vip.ip());
    layout.servers.extend([cast.endpoint, cast.vip]);
    World::new(&layout)
}

/// Both families, both protocols.
fn everywhere(test: impl Fn(&Cast, Protocol) -> Result<()>) -> Result<()> {
    for cast in casts()? {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            test(&cast, protocol).with_context(|| format!("{} {protocol}", cast.nft_family))?;
        }
    }
    Ok(())
}

fn expect_answer(outcome: &Outcome, endpoint: SocketAddr, source: impl Fn(IpAddr) -> bool) -> Result<()> {
    let right = matches!(outcome, Outcome::Answered { endpoint: e, seen_source: s } if *e == endpoint && source(s.ip()));
    ensure!(right, "got {outcome:?}");
    Ok(())
}

fn dnat_rules(cast: &Cast, hook: &str) -> String {
    let Cast { vip, endpoint, nft_family: family, .. } = cast;
    format!(
        "table {family} t {{ chain d {{ type nat hook {hook} priority -100;
           {family} daddr {} meta l4proto {{ tcp, udp }} th dport {} dnat to {endpoint}; }}
         chain s {{ type nat hook postrouting priority srcnat; ct status dnat masquerade; }}
 }}",
        vip.ip(),
        vip.port()
    )
}

pub(crate) fn namespaces_are_apart() -> Result<()> {
    let (a, b) = (NetNs::new()?, NetNs::new()?);
    a.command(
        "ip",
        &["link", "add", "name", "here", "type", "veth", "peer", "name", "there", "netns", &b.path()],
    )?;
    let (in_a, in_b) = (a.command("ip", &["-o", "link"])?, b.command("ip", &["-o", "link"])?);
    ensure!(in_a.contains(" here@") && !in_a.contains(" there@"), "{in_a}");
    ensure!(in_b.contains(" there@") && !in_b.contains(" here@"), "{in_b}");
    Ok(())
}

pub(crate) fn a_failing_command_says_why() -> Result<()> {
    let error = NetNs::new()?.command("ip", &["link", "set", "nosuch", "up"]).err().context("it worked")?;
    ensure!(error.to_string().contains("nosuch"), "{error}");
    Ok(())
}

pub(crate) fn a_guarded_process_ends() -> Result<()> {
    let mut command = Command::new("sleep");
    command.arg("1000");
    let running = NetNs::new()?.spawn(command)?;
    let process = format!("/proc/{}", running.id());
    drop(running);
    wait::until("the process to go", ANSWER, || Ok((!std::fs::exists(&process)?).then_some(())))
}

pub(crate) fn routed_untouched() -> Result<()> {
    everywhere(|cast, protocol| {
        let world = world(cast)?;
        for destination in [cast.endpoint, cast.vip] {
            let outcome = world.probe(cast.pod, destination, protocol, ANSWER)?;
            expect_answer(&outcome, destination, |source| source == cast.pod)?;
        }
        Ok(())
    })
}

pub(crate) fn outcomes_differ() -> Result<()> {
    everywhere(|cast, protocol| {
        let world = world(cast)?;
        let closed = SocketAddr::new(cast.endpoint.ip(), 81);
        ensure!(world.probe(cast.pod, closed, protocol, ANSWER)? == Outcome::Refused, "a closed port");
        world.node().nft(&filter_rules(cast, "drop"))?;
        expect_from_both(&world, cast, protocol, SILENCE, &Outcome::TimedOut).context("drop")?;
        world.node().nft(&filter_rules(cast, "reject"))?;
        expect_from_both(&world, cast, protocol, REFUSAL, &Outcome::Refused).context("reject")
    })
}

fn filter_rules(cast: &Cast, verdict: &str) -> String {
    let (family, port) = (cast.nft_family, cast.vip.port());
    let chain =
        |hook| format!("chain {hook} {{ type filter hook {hook} priority 0; th dport {port} {verdict}; }}\n");
    format!("flush ruleset\ntable {family} t {{\n{}{}}}\n", chain("forward"), chain("output"))
}

/// Forwarded packets and the node's own.
fn expect_from_both(
    world: &World,
    cast: &Cast,
    protocol: Protocol,
    timeout: Duration,
    wanted: &Outcome,
) -> Result<()> {
    for source in [cast.pod, cast.node] {
        let got = world.probe(source, cast.vip, protocol, timeout)?;
        ensure!(got == *wanted, "from {source}: {got:?}");
    }
    Ok(())
}

pub(crate) fn dnat_and_masquerade_are_seen() -> Result<()> {
    everywhere(|cast, protocol| {
        let world = world(cast)?;
        world.node().nft(&dnat_rules(cast, "prerouting"))?;
        for source in [cast.pod, cast.endpoint.ip()] {
            let outcome = world.probe(source, cast.vip, protocol, ANSWER)?;
            expect_answer(&outcome, cast.endpoint, |seen| world.is_node_address(seen))?;
        }
        Ok(())
    })
}

pub(crate) fn own_packets_show_masquerade() -> Result<()> {
    everywhere(|cast, protocol| {
        let world = world(cast)?;
        world.node().nft(&dnat_rules(cast, "output"))?;
        let outcome = world.probe(cast.node, cast.vip, protocol, ANSWER)?;
        expect_answer(&outcome, cast.endpoint, |seen| seen != cast.node && world.is_node_address(seen))?;
        let direct = world.probe(cast.node, cast.endpoint, protocol, ANSWER)?;
        expect_answer(&direct, cast.endpoint, |seen| seen == cast.node)
    })
}

pub(crate) fn a_world_is_quick() -> Result<()> {
    let mut layout = Layout::of_node(["192.168.0.2".parse()?, "2001:db8::1".parse()?]);
    for i in 1..=4 {
        layout.hosts.extend([format!("10.0.0.{i}").parse::<IpAddr>()?, format!("fd00:10::{i}").parse()?]);
    }
    let start = Instant::now();
    let _world = World::new(&layout)?;
    // Ten times what it takes on a small idle machine.
    ensure!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    Ok(())
}

/// One socket, one flow: a rule that comes later does not change where conntrack has it.
pub(crate) fn a_udp_flow_is_one_flow() -> Result<()> {
    for cast in casts()? {
        let world = world(&cast)?;
        world.node().nft(&format!(
            "table {} tracking {{
                 chain c {{ type filter hook prerouting priority 0; ct state new accept; }}
             }}",
            cast.nft_family
        ))?;
        let flow = UdpFlow::open(world.namespace(cast.pod), cast.pod, cast.vip)?;
        expect_answer(&flow.ask(ANSWER)?, cast.vip, |source| source == cast.pod)?;
        world.node().nft(&dnat_rules(&cast, "prerouting"))?;
        expect_answer(&flow.ask(ANSWER)?, cast.vip, |source| source == cast.pod)?;
        let later = UdpFlow::open(world.namespace(cast.pod), cast.pod, cast.vip)?;
        expect_answer(&later.ask(ANSWER)?, cast.endpoint, |source| source != cast.pod)?;
    }
    Ok(())
}

pub(crate) fn ping_tells_answers_from_refusals() -> Result<()> {
    for cast in casts()? {
        let world = world(&cast)?;
        let ask = |timeout| ping(world.namespace(cast.pod), cast.pod, cast.vip.ip(), timeout);
        let outcome = ask(ANSWER)?;
        ensure!(matches!(outcome, Outcome::Other(_)), "got {outcome:?}, want an echo reply");
        for (verdict, timeout, wanted) in
            [("reject", ANSWER, Outcome::Refused), ("drop", SILENCE, Outcome::TimedOut)]
        {
            world.node().nft(&format!(
                "flush ruleset
                 table {0} t {{ chain c {{ type filter hook forward priority 0; {0} daddr {1} {verdict}; }}
                 }}",
                cast.nft_family,
                cast.vip.ip()
            ))?;
            let outcome = ask(timeout)?;
            ensure!(outcome == wanted, "{verdict}: got {outcome:?}");
        }
    }
    Ok(())
}
