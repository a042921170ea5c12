//! `loadBalancerSourceRanges`.

use anyhow::{Result, ensure};
use model::Protocol::{Tcp, Udp};
use testkit::probe::Outcome;

use super::{CLIENTS, CLIENTS6, VIPS, play};
use crate::Test;
use crate::packets::{ANSWER, SILENCE};
use crate::stage::NODE;

pub(crate) const TESTS: &[Test] = &[
    Test::new("source_ranges_hold_for_pods_and_the_node", source_ranges),
    Test::new("source_ranges_come_and_go", source_ranges_come_and_go),
];

fn source_ranges() -> Result<()> {
    play(|stage| {
        stage.change(|scene| {
            let ranges = [" 203.0.113.0/29 ", "10.244.0.4/31", "2001:db8:1::/64"];
            scene.services[0].lb_source_ranges = ranges.map(str::to_owned).to_vec();
        })?;
        let balancers = [VIPS[0][1], VIPS[1][1]];
        for (client, to) in
            [(CLIENTS[0], balancers[0]), (CLIENTS[2], balancers[0]), (CLIENTS6[2], balancers[1])]
        {
            for protocol in [Tcp, Udp] {
                stage.reach(client, to, protocol)?;
            }
        }
        // The node and the pod of the other family are in no range.
        for (client, to) in [(NODE, balancers[0]), (CLIENTS6[0], balancers[1]), (CLIENTS6[1], balancers[1])] {
            stage.dropped(client, to, Tcp)?;
            stage.dropped(client, to, Udp)?;
            stage.reach(client, if to == balancers[0] { VIPS[0][2] } else { VIPS[1][2] }, Tcp)?;
        }
        Ok(())
    })
}

fn source_ranges_come_and_go() -> Result<()> {
    play(|stage| {
        let to = VIPS[0][1];
        for (ranges, allowed) in
            [(vec!["203.0.113.5/32"], true), (vec!["203.0.113.6/32"], false), (vec![], true)]
        {
            stage.change(|scene| {
                scene.services[0].lb_source_ranges = ranges.into_iter().map(str::to_owned).collect();
            })?;
            let outcome = stage.send(CLIENTS[2], to, Tcp, if allowed { ANSWER } else { SILENCE })?;
            ensure!(
                matches!(outcome, Outcome::Answered { .. }) == allowed,
                "{outcome:?}, allowed: {allowed}"
            );
        }
        let rules = stage.node().command("nft", &["list", "ruleset"])?;
        ensure!(!rules.contains("chain firewall"), "the chains for source ranges are left");
        Ok(())
    })
}
