//! Others' hands in nf_tables: what watching costs, how soon our tables are repaired, and what it costs the others.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use model::Protocol;
use netlink::Socket;
use netlink::nft::{
    Element, ElementData, Family, KeyRange, NETLINK_NETFILTER, SetData, SetSpec, Transaction, data_type,
    elements_at,
};
use nftables::{ElementKey, SetId, Value, VipKey, kernel_element};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;

use crate::agent::{start, write_cluster};
use crate::data::{self, Size};
use crate::process::Agent;
use crate::stats;

/// How long CPU is measured.
const WHILE: Duration = Duration::from_secs(60);
/// Between two commits of the other program.
const PACE: Duration = Duration::from_millis(100);
/// Longer than a comparison of 10,000 Services is paid for.
const PAUSE: Duration = Duration::from_secs(25);
const OURS: &str = "towpath";
const THEIRS: &str = "theirs";
/// Elements of the other program's large commit.
const LARGE: u32 = 10_000;

/// Measures an agent on a cluster of manifests: alone, then beside a program that commits ten times a second.
pub(crate) fn measure(size: Size, repetitions: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    write_cluster(scratch.path(), size)?;
    let namespace = NetNs::new()?;
    let mut hands = Hands { socket: namespace.run(|| Socket::open(NETLINK_NETFILTER))?? };
    hands.prepare()?;
    stats::print(&format!("others: {LARGE} elements in a commit, nobody watches"), hands.large(repetitions)?);
    let agent = start(&namespace, scratch.path())?;
    thread::sleep(PAUSE);
    cpu(&agent, "alone")?;
    repairs(&mut hands, size, repetitions, "alone")?;
    thread::sleep(PAUSE * 4);
    let (ends, mut busy) =
        (AtomicBool::new(false), Hands { socket: namespace.run(|| Socket::open(NETLINK_NETFILTER))?? });
    thread::scope(|scope| {
        let committer = scope.spawn(|| busy.commit_until(&ends));
        let result = beside(&agent, &mut hands, size, repetitions);
        ends.store(true, Relaxed);
        let times = committer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        stats::print("others: a small commit beside the agent", times);
        result
    })
}

fn beside(agent: &Agent<'_>, hands: &mut Hands, size: Size, repetitions: u32) -> Result<()> {
    const WHERE: &str = "beside 10 commits a second";
    // The first seconds decide that it listens.
    thread::sleep(PAUSE * 4);
    let looks = agent.sum("kubeproxy_sync_full_proxy_rules_duration_seconds_count")?;
    cpu(agent, WHERE)?;
    let later = agent.sum("kubeproxy_sync_full_proxy_rules_duration_seconds_count")?;
    println!("tamper: {WHERE}: {} full comparisons meanwhile", (later - looks) / 2.0);
    repairs(hands, size, repetitions, WHERE)?;
    let what = format!("others: {LARGE} elements in a commit, the agent listens to the first");
    stats::print(&what, hands.large(repetitions)?);
    Ok(())
}

fn cpu(agent: &Agent<'_>, what: &str) -> Result<()> {
    let (before, started) = (agent.cpu()?, Instant::now());
    thread::sleep(WHILE);
    let (cpu, wall) = (agent.cpu()? - before, started.elapsed().as_secs_f64());
    println!(
        "tamper: {what}: CPU {:.1} ms in {wall:.0} s = {:.3} % of a core",
        cpu * 1000.0,
        cpu / wall * 100.0
    );
    Ok(())
}

/// Deletes elements of ours, one at a time, and waits for each.
fn repairs(hands: &mut Hands, size: Size, repetitions: u32, what: &str) -> Result<()> {
    let mut times = Vec::new();
    for n in 0..repetitions {
        times.push(hands.tamper(n.wrapping_mul(7919) % size.services)?);
        // At any moment of the agent's own pace.
        thread::sleep(PAUSE + Duration::from_millis(u64::from(n * 37 % 250)));
    }
    stats::print(&format!("tamper: {what}: from a deleted element's commit until it is back"), times);
    Ok(())
}

/// Another program.
struct Hands {
    socket: Socket,
}

impl Hands {
    fn prepare(&mut self) -> Result<()> {
        let mut all = Transaction::new(&mut self.socket, Family::Ip, THEIRS, None);
        all.add_table();
        all.add_chain("stays", None);
        Ok(all.commit(&mut self.socket)?)
    }

    /// Deletes the verdict of a Service; how long it takes until it is there again.
    fn tamper(&mut self, service: u32) -> Result<Duration> {
        let vip = VipKey { ip: data::cluster_ip(service).into(), protocol: Protocol::Tcp, port: 80 };
        let element = kernel_element(SetId::Vips, &ElementKey::Vip(vip), &Value::Member);
        let at: [KeyRange; 1] = [(element.key.clone(), None)];
        let mut delete = Transaction::new(&mut self.socket, Family::Ip, OURS, None);
        delete.delete_element("vips", &element);
        delete.commit(&mut self.socket)?;
        let started = Instant::now();
        while elements_at(&mut self.socket, Family::Ip, OURS, "vips", &at)?.is_empty() {
            ensure!(started.elapsed() < Duration::from_secs(60), "no repair within a minute");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(started.elapsed())
    }

    /// Commits at a pace; how long each took.
    fn commit_until(&mut self, ends: &AtomicBool) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for delete in [false, true].into_iter().cycle() {
            if ends.load(Relaxed) {
                break;
            }
            let started = Instant::now();
            let mut commit = Transaction::new(&mut self.socket, Family::Ip, THEIRS, None);
            if delete {
                commit.delete_chain("comes")
            } else {
                commit.add_chain("comes", None)
            }
            commit.commit(&mut self.socket)?;
            times.push(started.elapsed());
            thread::sleep(PACE.saturating_sub(started.elapsed()));
        }
        Ok(times)
    }

    /// Large commits, a second apart; how long each took.
    fn large(&mut self, repetitions: u32) -> Result<Vec<Duration>> {
        (0..repetitions).map(|_| self.one_large()).collect()
    }

    fn one_large(&mut self) -> Result<Duration> {
        let mut fill = Transaction::new(&mut self.socket, Family::Ip, THEIRS, None);
        fill.add_set(&large_set());
        for n in 0..LARGE {
            let key = n.to_be_bytes().to_vec();
            fill.add_element("large", &Element { key, key_end: None, data: ElementData::None });
        }
        let started = Instant::now();
        fill.commit(&mut self.socket)?;
        let took = started.elapsed();
        let mut delete = Transaction::new(&mut self.socket, Family::Ip, THEIRS, None);
        delete.delete_set("large");
        delete.commit(&mut self.socket)?;
        thread::sleep(Duration::from_secs(1));
        Ok(took)
    }
}

fn large_set() -> SetSpec {
    SetSpec {
        name: "large".into(),
        flags: 0,
        key_type: data_type::IPV4,
        key_len: 4,
        data: SetData::None,
        size: 0,
        fields: Vec::new(),
        userdata: Vec::new(),
    }
}
