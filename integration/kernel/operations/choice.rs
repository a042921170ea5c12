//! Connections that work, and do not go where somebody expects.

use anyhow::{Result, ensure};
use model::Protocol::Tcp;

use super::{OUTSIDE, WEB, comes_to_say, explains, plan, says};
use crate::Test;
use crate::ipvs::held::{self, HELD, HOLDERS, Holders};
use crate::lifecycle::POD;

pub(crate) const TESTS: &[Test] = &[
    Test::new("connections_stay_with_an_old_endpoint", old_endpoint),
    Test::new("uneven_load_by_affinity", affinity),
    Test::new("uneven_load_by_hints", hints),
    Test::new("the_endpoint_sees_the_nodes_address", masqueraded),
];

fn old_endpoint() -> Result<()> {
    held::plan(plan()?)?.start()?.play(|stage| {
        let holders = Holders::listen(stage)?;
        let held = holders.open_many(stage, POD, HELD, 6)?;
        let left = held[0].endpoint.to_string();
        let others: Vec<&str> = HOLDERS.into_iter().filter(|at| *at != left).collect();
        held::set_holders(stage, &others)?;
        let text = comes_to_say(stage, &["flows", "--service", "ns/held"], &["gone"])?;
        let line = text.lines().find(|line| line.trim_start().starts_with(&left));
        ensure!(line.is_some_and(|line| line.contains("gone")), "{left} is not called gone: {text}");
        // New ones do not go there; what is shown below are those that do.
        let text = explains(stage, POD, HELD, &[": dnat", others[0]])?;
        let mut chosen = text.lines().filter(|line| line.trim_start().starts_with("endpoint "));
        ensure!(!chosen.any(|line| line.contains(&left)), "{text}");
        Ok(())
    })
}

fn affinity() -> Result<()> {
    let sticky = |scene: &mut testkit::scene::Scene| {
        scene.services[0].session_affinity = Some("ClientIP".into());
    };
    plan()?.with(sticky).start()?.play(|stage| {
        let first = stage.reach(POD, WEB, Tcp)?.endpoint;
        for _ in 0..8 {
            ensure!(stage.reach(POD, WEB, Tcp)?.endpoint == first, "no affinity");
        }
        let text = comes_to_say(stage, &["flows", "--service", "shop/web"], &[&first.to_string()])?;
        let used = text.lines().filter(|line| line.trim_start().starts_with("10.244."));
        let busy = used.filter(|line| line.split_whitespace().nth(2).is_some_and(|count| count != "0"));
        ensure!(busy.count() == 1, "not all are at one endpoint: {text}");
        let page = stage.page("/debug/rules/shop/web")?;
        ensure!(page.contains("affinity") && page.contains("10800"), "{page}");
        Ok(())
    })
}

fn hints() -> Result<()> {
    let hinted = |scene: &mut testkit::scene::Scene| {
        scene.zone = "a".into();
        scene.slices[0].endpoints[0].zone_hints = vec!["b".into()];
        scene.slices[0].endpoints[1].zone_hints = vec!["a".into()];
    };
    plan()?.with(hinted).start()?.play(|stage| {
        stage.reaches(POD, WEB, Tcp, &["10.244.1.1:8080"])?;
        explains(stage, POD, WEB, &["10.244.0.1:8080  (hints send it traffic of zone b only"]).map(drop)
    })
}

fn masqueraded() -> Result<()> {
    plan()?.start()?.play(|stage| {
        let seen = stage.reach(OUTSIDE, "192.168.0.2:30010", Tcp)?.source;
        ensure!(seen.to_string() != OUTSIDE, "the endpoint saw the client");
        explains(stage, OUTSIDE, "192.168.0.2:30010", &["sees this node's address"])?;
        let text = comes_to_say(stage, &["flows", "--client", OUTSIDE], &["shop/web"])?;
        ensure!(text.contains(&format!("{seen}:")), "no SEEN-AS: {text}");
        says(stage, &["explain", "--live", "--from", POD, "--to", WEB], &["sees the client's address"])
            .map(drop)
    })
}
