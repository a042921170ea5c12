//! Tampers that hide: in flags, policies, keys that stand for any, and under names of ours.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::scene::Scene;

use super::{DEADLINE, in_time};
use crate::Test;
use crate::lifecycle::{POD, many};
use crate::plan::Plan;
use crate::rules::listable;
use crate::scenes::{RICH, SMALL};
use crate::stage::{Stage, ip};

pub(crate) const TESTS: &[Test] = &[
    Test::new("dormant_table", || mended(1, "add table ip towpath { flags dormant; }")),
    Test::new("dormant_table_and_a_deleted_chain", || {
        mended(
            2,
            "delete chain ip towpath nat-prerouting;;
             add table ip towpath { flags dormant; }",
        )
    }),
    Test::new("policy_drop", || {
        mended(1, "add chain ip towpath filter-forward { type filter hook forward priority 0; policy drop; }")
    }),
    Test::new("another_priority", || {
        mended(
            1,
            "delete chain ip towpath nat-prerouting
             add chain ip towpath nat-prerouting { type nat hook prerouting priority -90; }
             add rule ip towpath nat-prerouting jump services",
        )
    }),
    Test::new("element_for_any_key", || mended(1, "add element ip towpath vips { * : drop }")),
    Test::new("verdicts_that_are_none_of_ours", || {
        let verdicts = ["accept", "return", "continue", "jump mine", "goto mine"];
        let keys = ["10.96.0.10 . tcp . 80", "10.96.0.10 . udp . 53", "10.96.0.20 . tcp . 80"];
        let keys = keys.into_iter().chain(["10.96.0.30 . tcp . 80", "198.51.100.21 . tcp . 80"]);
        let change = |(key, verdict)| {
            format!(
                "delete element ip towpath vips {{ {key} }}\nadd element ip towpath vips {{ {key} : {verdict} }}\n"
            )
        };
        let all: String = keys.zip(verdicts).map(change).collect();
        mended(11, &format!("add chain ip towpath mine\n{all}"))
    }),
    Test::new("another_endpoint_in_a_slot", || {
        let slots = (0..32).map(|shard| format!("flush map ip towpath vip-slots-{shard:02}\n"));
        mended(20, &slots.collect::<String>())
    }),
    Test::new("renamed_chains", || {
        mended(
            80,
            "rename chain ip towpath services mine
             rename chain ip towpath cluster-ip-check mine-too
             rename chain ip6 towpath local-policy-vips local-policy-nodeports-2",
        )
    }),
    Test::new("rule_at_the_head", || mended(1, "insert rule ip towpath services ip daddr 10.96.0.10 drop")),
    Test::new("rule_with_more_in_it", || {
        mended(
            1,
            "flush chain ip towpath nat-prerouting
             add rule ip towpath nat-prerouting limit rate 1/hour jump services",
        )
    }),
    Test::new("masquerading_to_other_ports", || {
        mended(
            1,
            "flush chain ip towpath nat-postrouting
             add rule ip towpath nat-postrouting meta mark & 0x00004000 != 0 meta mark set meta mark ^ 0x00004000 meta l4proto tcp masquerade to :1-2",
        )
    }),
    Test::new("table_made_anew_with_other_things_under_our_names", || {
        mended(
            1000,
            "delete table ip towpath
             add table ip towpath
             add set ip towpath cluster-ips { type ipv4_addr; flags timeout; timeout 1s; }
             add chain ip towpath services { type nat hook prerouting priority -100; policy drop; }
             add chain ip towpath nat-prerouting
             add chain ip towpath mine
             add rule ip towpath mine jump nat-prerouting",
        )
    }),
    Test::new("chains_of_ours_hooked_and_not", || {
        mended(
            1000,
            "delete table ip towpath
             add table ip towpath
             add chain ip towpath services { type nat hook prerouting priority -100; policy drop; }
             add chain ip towpath nat-prerouting
             add chain ip towpath mine
             add rule ip towpath mine jump nat-prerouting",
        )
    }),
    Test::new("two_thousand_elements_of_a_map", || {
        let scene = |scene: &mut Scene| many(scene, 1000);
        let slots = (0..32).map(|shard| format!("flush map ip towpath vip-slots-{shard:02}\n"));
        mended_with(scene, 5000, &format!("flush map ip towpath vips\n{}", slots.collect::<String>()))
    }),
    Test::new("again_and_again", again_and_again),
    Test::new("a_table_that_another_process_owns", owned),
    Test::new("two_in_quick_succession", || {
        mended(
            20,
            "delete element ip towpath cluster-ips { 10.96.0.10 }
             flush map ip towpath vips",
        )
    }),
];

/// Tampers, in one transaction or, between `;;`, in several; then everything must be as it was, in time, with at most so many
/// objects written.
fn mended(most: u32, script: &str) -> Result<()> {
    mended_with(|_| {}, most, script)
}

fn mended_with(change: fn(&mut Scene), most: u32, script: &str) -> Result<()> {
    Plan::new(RICH)?.hosts(&[POD])?.with(change).start()?.play(|stage| {
        let ruleset = stage.node().command("nft", &["list", "ruleset"])?;
        let writes = stage.metric("towpath_kernel_writes_total")?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        for script in script.split(";;") {
            stage.node().nft(script).context("the test's own script")?;
        }
        await_word(stage)?;
        stage.progress()?;
        let wrote = stage.metric("towpath_kernel_writes_total")? - writes;
        ensure!(wrote <= f64::from(most), "{wrote} objects were written");
        stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
        let now = stage.node().command("nft", &["list", "ruleset"])?;
        ensure!(lines(&now) == lines(&ruleset), "before:\n{ruleset}\nafter:\n{now}");
        listable(stage.node())
    })
}

/// Waits for the repair in the log: some tampers drop even the packets that ask for a page.
fn await_word(stage: &Stage) -> Result<()> {
    in_time(stage, DEADLINE, |stage| Ok(stage.log()?.contains("another program had changed our tables")))
}

/// Lines in any order: the kernel's depends on what came first.
fn lines(ruleset: &str) -> Vec<&str> {
    let words = ruleset.split_whitespace().map(|word| word.trim_matches(',')).filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words
}

/// Ten times a second for a while: the log stays short, the last one is repaired like the first.
fn again_and_again() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(12) {
            stage.node().nft("flush map ip towpath vips")?;
            thread::sleep(Duration::from_millis(90));
        }
        stage.soon("the last repair", |stage| stage.reach(POD, "10.96.0.10:80", Tcp).map(drop))?;
        stage.progress()?;
        let repairs = stage.metric("towpath_repairs_total{of=\"rules\"}")?;
        ensure!(repairs > 20.0, "{repairs} repairs");
        let log = stage.log()?;
        let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let told = count("another program had changed our tables");
        ensure!((10..=11).contains(&told), "{told} repairs are told:\n{log}");
        ensure!(count("again and again") == 1, "it does not say once that it leaves some out:\n{log}");
        Ok(())
    })
}

/// Nobody can write there while that process lives.
fn owned() -> Result<()> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()?.play(|stage| {
        let mut command = Command::new("nft");
        command.arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut owner = stage.node().run(|| command.spawn())??;
        let mut hands = owner.stdin.take().context("its input")?;
        hands.write_all(b"delete table ip towpath; add table ip towpath { flags owner; }\n")?;
        hands.flush()?;
        stage.soon("a word of it", |stage| {
            ensure!(stage.log()?.contains("cannot write the tables"), "no word of it");
            Ok(())
        })?;
        // The other family is served meanwhile.
        stage.scene.remove_endpoint(ip("fd00:244::1")?);
        stage.publish()?;
        thread::sleep(Duration::from_secs(4));
        let errors = stage.log()?.lines().filter(|line| line.contains(" ERROR ")).count();
        ensure!(errors <= 3, "{errors} errors in 4 s:\n{}", stage.log()?);
        drop(hands);
        owner.wait()?;
        // The kernel tells nobody that the table goes, so that is found at the next try.
        stage.soon("the table", |stage| stage.reach(POD, "10.96.0.10:80", Tcp).map(drop))?;
        // What was found before the repair failed is told with the one that succeeds.
        stage.soon("a word of the repair", |stage| {
            let repairs = stage.metric("towpath_repairs_total{of=\"rules\"}")?;
            ensure!(repairs == 1.0, "{repairs} repairs");
            Ok(())
        })?;
        stage.progress().map(drop)
    })
}
