//! More of other programs' hands in mode iptables: repaired soon (`cargo xtask bench hands` measures how soon), and only what differs.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use model::IpFamily;
use model::Protocol::Tcp;
use nix::fcntl::{Flock, FlockArg};

use super::BOTH;
use super::tamper::{chain_of_service, full_syncs};
use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::{RICH, SMALL};
use crate::stage::Stage;
use crate::tamper::in_time;
use crate::xt::{Rules, Variant};

pub(crate) const TESTS: &[Test] = &[
    Test::new("everything_restored_without_noflush", || {
        mended(|stage, _| {
            restore_flushing(stage, "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
        })
    }),
    Test::new("chain_of_a_service_renamed", || {
        mended(|stage, ours| {
            stage.edit(current(), &[format!("-t nat -E {} TOWPATH-MINE", chain_of_service(ours)?)])
        })
    }),
    Test::new("chain_of_all_services_renamed", || {
        mended(|stage, _| stage.edit(current(), &["-t nat -E TOWPATH-SERVICES TOWPATH-SVC-MINE".into()]))
    }),
    Test::new("rule_at_the_head_of_our_chain", || {
        mended(|stage, _| {
            stage.edit(current(), &["-t nat -I TOWPATH-SERVICES 1 -d 10.96.0.10/32 -j ACCEPT".into()])
        })
    }),
    Test::new("rule_at_the_head_of_a_shared_chain_drops", || {
        mended(|stage, _| {
            stage.edit(current(), &["-t filter -I TOWPATH-FORWARD 1 -d 10.244.0.0/16 -j DROP".into()])
        })
    }),
    Test::new("jump_with_a_condition_in_the_place_of_ours", || {
        mended(|stage, ours| {
            let jump = jump(ours)?;
            stage.edit(current(), &[format!("-t nat -R PREROUTING {jump} -p udp -j TOWPATH-SERVICES")])
        })
    }),
    Test::new("ipv6_jump_deleted_and_chain_flushed", || {
        mended(|stage, _| {
            let text = "*nat\n-F PREROUTING\n-F TOWPATH-SERVICES\nCOMMIT\n";
            stage.restore(current(), IpFamily::V6, text)
        })
    }),
    Test::new("policies_counters_and_the_other_variant_are_nothing_of_ours", nothing_of_ours),
    Test::new("a_rule_of_others_ahead_of_our_jump_stays_and_is_told", ahead),
    Test::new("again_and_again", again_and_again),
    Test::new("changes_of_ours_are_not_taken_for_those_of_others", own_changes),
    Test::new("a_repair_is_told_with_its_difference", told),
];

/// Of the nf_tables variant alone: hands that do not use its tools.
pub(crate) const BY_NFT: &[Test] = &[
    Test::new("all_by_nft_flush_ruleset", || mended(|stage, _| stage.node().nft("flush ruleset").map(drop))),
    Test::new("rule_by_nft_that_the_tools_cannot_print", || {
        mended(|stage, _| {
            let rule = "ip daddr . th dport { 10.96.0.10 . 80 } accept";
            stage.node().nft(&format!("insert rule ip nat TOWPATH-SERVICES {rule}")).map(drop)
        })
    }),
    Test::new("dormant_tables", dormant),
];

/// Of the legacy variant alone, which has the lock.
pub(crate) const WITH_LOCK: &[Test] = &[Test::new("while_another_holds_the_lock", lock_held)];

/// When repair is due. The tools themselves take some of it.
const DEADLINE: Duration = Duration::from_secs(2);
const REPAIRS: &str = "towpath_repairs_total{of=\"rules\"}";

fn current() -> Variant {
    Variant::current()
}

fn jump(ours: &Rules) -> Result<usize> {
    let rules = ours.chain(IpFamily::V4, "nat", "PREROUTING")?;
    rules.iter().position(|rule| rule.contains("-j TOWPATH-")).context("no jump of ours")
}

fn restore_flushing(stage: &Stage, text: &str) -> Result<()> {
    let tool = if current() == Variant::Legacy { "iptables-legacy-restore" } else { "iptables-nft-restore" };
    let lock = format!("XTABLES_LOCKFILE={}", stage.surroundings.lock());
    let args: &[&str] = if current() == Variant::Legacy { &[&lock, tool, "-w", "5"] } else { &[&lock, tool] };
    stage.node().command_with_input("env", args, text).map(drop)
}

/// Tampers; then everything of ours is as it was, in time, and counted; what is left of others' stays.
fn mended(tamper: fn(&Stage, &Rules) -> Result<()>) -> Result<()> {
    let mut stage = Plan::new(RICH)?.hosts(&[POD])?.build()?;
    stage.start()?;
    stage.play(|stage| {
        let (before, repairs) = (stage.saved(current())?, stage.metric(REPAIRS)?);
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)?;
        tamper(stage, &before).context("the test's own hand")?;
        in_time(stage, DEADLINE, |stage| Ok(stage.metric(REPAIRS)? > repairs))?;
        stage.progress()?;
        stage.saved(current())?.ours().unordered().must_be(&before.ours().unordered())?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// Others may do as they like: nothing is written.
fn nothing_of_ours() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let (ours, writes) = (stage.saved(current())?.ours(), stage.metric("towpath_kernel_writes_total")?);
        let other = if current() == Variant::Legacy { Variant::Nft } else { Variant::Legacy };
        stage.iptables_of_both(current(), "-t nat -Z")?;
        stage.iptables_of_both(current(), "-t filter -P OUTPUT ACCEPT")?;
        stage.iptables_of_both(current(), "-t mangle -A PREROUTING -p udp --dport 9 -j ACCEPT")?;
        stage.iptables_of_both(other, "-t nat -N SOMEBODYS")?;
        stage.iptables_of_both(other, "-t nat -A PREROUTING -p udp --dport 9 -j SOMEBODYS")?;
        stage.iptables_of_both(other, "-t nat -F")?;
        thread::sleep(Duration::from_secs(2));
        stage.progress()?;
        let now = stage.metric("towpath_kernel_writes_total")?;
        ensure!(now == writes && stage.metric(REPAIRS)? == 0.0, "{} objects were written", now - writes);
        stage.saved(current())?.ours().must_be(&ours)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// Who holds the lock for long holds up the repair too, and no longer than that.
fn lock_held() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let held = File::options().create(true).append(true).open(stage.surroundings.lock())?;
        let held = match Flock::lock(held, FlockArg::LockExclusive) {
            Ok(held) => held,
            Err((_, error)) => bail!("the lock: {error}"),
        };
        // Somebody who looks for the lock elsewhere.
        let elsewhere = format!("XTABLES_LOCKFILE={}.mine", stage.surroundings.lock());
        stage
            .node()
            .command("env", &[&elsewhere, "iptables-legacy", "-t", "nat", "-F", "TOWPATH-SERVICES"])?;
        thread::sleep(Duration::from_secs(12));
        ensure!(stage.metric(REPAIRS)? == 0.0, "it wrote without the lock");
        let errors = stage.log()?.lines().filter(|line| line.contains(" ERROR ")).count();
        ensure!(errors <= 4, "{errors} errors:\n{}", stage.log()?);
        let _ = held.as_fd();
        drop(held);
        in_time(stage, DEADLINE, |stage| Ok(stage.metric(REPAIRS)? > 0.0))?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// Of every kind of chain: an endpoint, a port, a nodePort, a Service that goes and comes.
fn own_changes() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let looks = full_syncs(stage)?;
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.change(|scene| scene.services[0].ports[0].node_port = Some(30_099))?;
        stage.change(|scene| scene.remove_endpoint(IpAddr::from([10, 244, 1, 1])))?;
        let mut gone = Vec::new();
        stage.change(|scene| gone = scene.services.drain(1..).collect())?;
        stage.change(|scene| scene.services.extend(gone))?;
        thread::sleep(Duration::from_secs(1));
        let now = full_syncs(stage)?;
        ensure!(now == looks, "everything was compared {} times", now - looks);
        Ok(())
    })
}

/// It is theirs. Who asks is told that it keeps all packets from our rules.
fn ahead() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        stage.iptables(current(), IpFamily::V4, "-t nat -I PREROUTING 1 -j ACCEPT")?;
        stage.closed(POD, "10.96.0.10:80", Tcp)?;
        for args in [&["explain", "--live", "--from", POD, "--to", "10.96.0.10:80"][..], &["diff"]] {
            let output = stage.run_program(args)?;
            let text = String::from_utf8_lossy(&output.stdout);
            ensure!(text.contains("-t nat PREROUTING: -j ACCEPT (ahead of our jump"), "{args:?}: {output:?}");
            ensure!(!text.contains("as they should be"), "{text}");
        }
        stage.iptables(current(), IpFamily::V4, "-t nat -D PREROUTING 1")?;
        ensure!(stage.metric(REPAIRS)? == 0.0, "something was written");
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)
    })
}

/// Five times a second for a while: the log stays short, and the last one is repaired like the first.
fn again_and_again() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(12) {
            stage.edit(current(), &["-t nat -F TOWPATH-SERVICES".into()])?;
            thread::sleep(Duration::from_millis(190));
        }
        stage.soon("the last repair", |stage| stage.reach(POD, "10.96.0.10:80", Tcp).map(drop))?;
        stage.progress()?;
        let log = stage.log()?;
        let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let (repairs, told) = (stage.metric(REPAIRS)?, count("another program had changed our tables"));
        ensure!(told <= 11, "{told} of {repairs} repairs are told:\n{log}");
        Ok(())
    })
}

/// The tools neither show nor mind it.
fn dormant() -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.start()?.play(|stage| {
        let writes = stage.metric("towpath_kernel_writes_total")?;
        stage.node().nft("add table ip nat { flags dormant; }; add table ip6 filter { flags dormant; }")?;
        in_time(stage, DEADLINE, |stage| {
            let listing = stage.node().command("nft", &["list", "ruleset"])?;
            Ok(!listing.contains("flags dormant") && listing.contains("table ip nat"))
        })?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &BOTH)?;
        stage.progress()?;
        stage.soon("a count of both", |stage| {
            let counted = stage.metric("towpath_repairs_total{of=\"settings\"}")?;
            ensure!(
                counted >= 1.0
                    && stage.log()?.matches("another program had set the flag dormant").count() == 2
            );
            Ok(())
        })?;
        ensure!(stage.metric("towpath_kernel_writes_total")? == writes, "rules were written for that");
        // One that was so before the start, too.
        stage.stop()?;
        stage.node().nft("add table ip nat { flags dormant; }")?;
        stage.start()?;
        stage.soon("a Service that answers", |stage| stage.reach(POD, "10.96.0.10:80", Tcp).map(drop))
    })
}

fn told() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        stage
            .edit(current(), &["-t nat -D TOWPATH-SERVICES 1".into(), "-t nat -N TOWPATH-SVC-MINE".into()])?;
        stage.soon("the difference in the log", |stage| {
            let log = stage.log()?;
            for (sign, what) in [("+ ", "TOWPATH-SERVICES"), ("- ", "TOWPATH-SVC-MINE")] {
                let told = |line: &str| line.contains(" WARN ") && line.contains(sign) && line.contains(what);
                ensure!(log.lines().any(told), "nothing of {what} in the log:\n{log}");
            }
            Ok(())
        })
    })
}
