//! Two Services that ask for the same frontend.

use anyhow::{Result, ensure};
use model::Protocol::Tcp;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("the_older_service_has_a_contested_frontend", older_wins),
    Test::new("an_older_service_that_comes_later_takes_over", || order_does_not_matter(true)),
    Test::new("a_younger_service_that_comes_later_takes_nothing", || order_does_not_matter(false)),
];

const SCENE: &str = "
services:
- name: ns/a-younger
  created: '2026-02-02T00:00:00Z'
  type: LoadBalancer
  cluster_ips: [10.96.0.10]
  external_ips: [198.51.100.10]
  ports: [{name: p, port: 80, node_port: 30080}]
- name: ns/b-older
  created: '2026-01-01T00:00:00Z'
  type: LoadBalancer
  cluster_ips: [10.96.0.20]
  external_ips: [198.51.100.10]
  ports: [{name: p, port: 80, node_port: 30080}]
slices:
- {service: ns/a-younger, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.1.1}]}
- {service: ns/b-older, ports: [{name: p, port: 8080}], endpoints: [{ip: 10.244.1.2}]}
";

const YOUNGER: &str = "10.244.1.1:8080";
const OLDER: &str = "10.244.1.2:8080";
const CONTESTED: [&str; 2] = ["198.51.100.10:80", "192.168.0.2:30080"];

/// Everybody's own frontend is theirs, and both contested ones are one Service's.
fn served_by(stage: &Stage, owner: &str) -> Result<()> {
    CONTESTED.iter().try_for_each(|to| stage.reaches(POD, to, Tcp, &[owner]))
}

fn older_wins() -> Result<()> {
    Plan::new(SCENE)?.hosts(&[POD])?.start()?.play(|stage| {
        served_by(stage, OLDER)?;
        stage.reaches(POD, "10.96.0.10:80", Tcp, &[YOUNGER])?;
        stage.reaches(POD, "10.96.0.20:80", Tcp, &[OLDER])?;
        let problems = stage.progress()?.problems;
        let named = |text: &String| text.contains("ns/a-younger") && text.contains("ns/b-older");
        ensure!(problems.len() == 1 && problems.iter().all(named), "problems: {problems:?}");
        ensure!(
            CONTESTED.iter().all(|_| problems[0].contains("198.51.100.10") && problems[0].contains("30080"))
        );
        ensure!(stage.metric("towpath_problems")? == 1.0);
        stage.change(|scene| scene.remove_service("ns/b-older"))?;
        served_by(stage, YOUNGER)?;
        stage.gone(POD, "10.96.0.20:80", Tcp)?;
        ensure!(stage.progress()?.problems.is_empty() && stage.metric("towpath_problems")? == 0.0);
        Ok(())
    })
}

/// Whoever comes second: the older one has it in the end.
fn order_does_not_matter(older_later: bool) -> Result<()> {
    let late = if older_later { "ns/b-older" } else { "ns/a-younger" };
    Plan::new(SCENE)?.hosts(&[POD])?.with(|scene| scene.remove_service(late)).start()?.play(|stage| {
        served_by(stage, if older_later { YOUNGER } else { OLDER })?;
        let full = testkit::scene::Scene::parse(SCENE)?;
        stage.change(|scene| *scene = full)?;
        served_by(stage, OLDER)?;
        let restarted = |stage: &mut Stage| stage.stop().and_then(|()| stage.start());
        restarted(stage)?;
        served_by(stage, OLDER)
    })
}
