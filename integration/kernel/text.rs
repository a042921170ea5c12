//! `towpath render` and `nft`: the text is the ruleset.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::netns::NetNs;
use testkit::scene::{NODE_NAME, Scene};

use crate::Test;
use crate::agent::run_to_end;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::rules::{generation, listable};
use crate::scenes::RICH;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("what_render_prints_is_what_run_would_write", || {
        rendered(
            |scene| {
                without_affinity(scene);
                scene.services.iter_mut().for_each(|service| service.lb_source_ranges.clear());
            },
            0,
        )
    }),
    Test::new("with_source_ranges_only_the_known_difference_is_left", || rendered(without_affinity, 2)),
    Test::new("nft_lists_every_feature", nft_lists_everything),
    Test::new("nft_takes_the_golden_texts", nft_takes_golden_texts),
];

fn without_affinity(scene: &mut Scene) {
    scene.services.iter_mut().for_each(|service| service.session_affinity = None);
}

/// Loads the rendered text with nft, then runs the program on it: it writes this many objects.
fn rendered(change: fn(&mut Scene), written: u32) -> Result<()> {
    let mut stage = Plan::new(RICH)?.hosts(&[POD])?.with(change).build()?;
    let text = render(&stage)?;
    stage.node().nft(&text).with_context(|| format!("nft does not take:\n{text}"))?;
    listable(stage.node())?;
    stage.reaches(POD, "10.96.0.10:80", Tcp, &["10.244.0.1:8080", "10.244.1.1:8080"])?;
    let before = (generation(stage.node())?, ruleset(&stage)?);
    if written > 0 {
        ensure!(swaps_bytes(&stage, "ip")? && swaps_bytes(&stage, "ip6")?, "nft differs in another way");
    }
    stage.start()?;
    stage.play(|stage| {
        let writes = stage.metric("towpath_kernel_writes_total")?;
        ensure!(writes == f64::from(written), "{writes} objects were written, want {written}");
        let moved = generation(stage.node())?.wrapping_sub(before.0);
        ensure!(moved == written, "the generation moved by {moved}");
        only_the_firewall_rule_was_written(&before.1, &ruleset(stage)?)?;
        listable(stage.node())
    })
}

fn render(stage: &Stage) -> Result<String> {
    let directory = stage.directory().to_str().context("the directory's name")?;
    let addresses: Vec<String> = stage.scene.node_ips.iter().map(ToString::to_string).collect();
    let addresses = addresses.join(",");
    let args = ["render", "--manifests", directory, "--node", NODE_NAME, "--node-addresses", &addresses];
    // The flags after the node's name are those that change what Services mean.
    let meaning = stage.flags()[2..].iter().map(String::as_str);
    let output = run_to_end(stage.node(), &args.into_iter().chain(meaning).collect::<Vec<_>>())?;
    ensure!(output.status.success() && output.stderr.is_empty(), "render: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Every rule and object with its handle: a line that stays was not written again.
fn ruleset(stage: &Stage) -> Result<BTreeSet<String>> {
    let listing = stage.node().command("nft", &["-a", "list", "ruleset"])?;
    Ok(listing.lines().map(str::to_owned).collect())
}

/// nft 1.0.6 swaps the bytes of a protocol number, which has one, before it looks it up in a set with intervals.
fn only_the_firewall_rule_was_written(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Result<()> {
    let other: Vec<_> =
        before.symmetric_difference(after).filter(|line| !line.contains("@restricted-vips")).collect();
    ensure!(other.is_empty(), "written beside the firewall's rule: {other:#?}");
    Ok(())
}

/// Whether the firewall's rule of a family has the expression that does nothing.
fn swaps_bytes(stage: &Stage, family: &str) -> Result<bool> {
    let args = ["--debug=netlink", "list", "chain", family, "towpath", "firewall"];
    Ok(stage.node().command("nft", &args)?.contains("byteorder"))
}

/// All features at once, local pods by their links: the distribution's nft prints each.
fn nft_lists_everything() -> Result<()> {
    for flags in [
        &["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "cali"][..],
        &["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cbr0"],
        &["--masquerade-all", "--nodeport-addresses", "0.0.0.0/0,::/0"],
        &["--cluster-cidr", "0.0.0.0/0,::/0"],
    ] {
        Plan::new(RICH)?.hosts(&[POD])?.flags(flags).start()?.play(|stage| {
            stage.reach(POD, "10.96.0.30:80", Tcp)?;
            listable(stage.node())?;
            let listing = stage.node().command("nft", &["list", "ruleset"])?;
            let features =
                ["affinity-", "allowed-sources", "numgen", "fib daddr type local", "table ip6 towpath"];
            for feature in &features[..if flags.contains(&"--masquerade-all") { 5 } else { 3 }] {
                ensure!(listing.contains(feature), "{feature} is not in:\n{listing}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The affinity rules are left out: nft 1.0.6 (Debian 12) prints `ct original proto-dst` in a concatenation, but does
/// not read it.
fn nft_takes_golden_texts() -> Result<()> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden");
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "nft") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("ct original")).collect();
        let checked = NetNs::new()?.nft(&(kept.join("\n") + "\n"));
        checked.with_context(|| format!("nft does not take {}", path.display()))?;
        count += 1;
    }
    ensure!(count > 0, "no file in {directory}");
    Ok(())
}
