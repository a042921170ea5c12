//! Manifests that cannot be read: they hurt only themselves, and are told once.

use std::fs;

use anyhow::{Context, Result, ensure};
use model::Protocol::Tcp;
use testkit::manifest::replace;

use crate::Test;
use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::scenes::SMALL;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_bad_object_beside_good_ones", bad_object),
    Test::new("a_bad_object_that_was_good_keeps_what_worked", good_turns_bad),
    Test::new("a_file_that_is_no_manifest_any_more_keeps_what_worked", broken_file),
    Test::new("a_directory_that_vanishes_keeps_what_worked", directory_vanishes),
];

const VIP: &str = "10.96.0.10:80";
const BOTH: [&str; 2] = ["10.244.0.1:8080", "10.244.1.1:8080"];

const BAD_SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: bad, namespace: ns}
spec:
  clusterIP: 10.96.0.99
  clusterIPs: [10.96.0.99]
  ports: [{name: p, port: 99999}]
";

fn stage() -> Result<Stage> {
    Plan::new(SMALL)?.hosts(&[POD])?.start()
}

/// Exactly this many problems, of which each is in the log once.
fn problems(stage: &mut Stage, number: usize, about: &str) -> Result<()> {
    let page = stage.progress_where("the problems", |page| page.problems.len() == number)?;
    ensure!(page.problems.iter().all(|text| text.contains(about)), "{:?}", page.problems);
    ensure!(stage.metric("towpath_problems")? == number as f64);
    let log = stage.log()?;
    for problem in &page.problems {
        let lines = log.lines().filter(|line| line.contains(problem.as_str())).count();
        ensure!(lines == 1, "{lines} lines say {problem:?} in:\n{log}");
    }
    Ok(())
}

fn bad_object() -> Result<()> {
    stage()?.play(|stage| {
        replace(stage.directory(), "bad.yaml", BAD_SERVICE)?;
        problems(stage, 1, "Service ns/bad")?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        // Good ones still come and go beside it, and it is not told again.
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.reaches(POD, "10.96.0.10:81", Tcp, &BOTH)?;
        problems(stage, 1, "Service ns/bad")?;
        replace(stage.directory(), "bad.yaml", &BAD_SERVICE.replace("99999", "99"))?;
        problems(stage, 0, "")?;
        stage.refused(POD, "10.96.0.99:99", Tcp)
    })
}

fn good_turns_bad() -> Result<()> {
    stage()?.play(|stage| {
        let good = stage.scene.manifest().to_string();
        let bad = good.replace("\"port\":80,", "\"port\":\"eighty\",");
        ensure!(bad != good, "the manifest is written in another way than this test thinks");
        replace(stage.directory(), "scene.json", &bad)?;
        problems(stage, 1, "Service ns/web")?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        replace(stage.directory(), "scene.json", &good)?;
        problems(stage, 0, "")?;
        stage.reaches(POD, VIP, Tcp, &BOTH)
    })
}

fn broken_file() -> Result<()> {
    stage()?.play(|stage| {
        let good = stage.scene.manifest().to_string();
        for broken in [&good[..good.len() / 2], "{", "\u{0}\u{1}", "- just\n- a list\n"] {
            replace(stage.directory(), "scene.json", broken)?;
            problems(stage, 1, "scene.json")?;
            stage.reaches(POD, VIP, Tcp, &BOTH)?;
            replace(stage.directory(), "scene.json", &good)?;
            problems(stage, 0, "")?;
        }
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.reaches(POD, "10.96.0.10:81", Tcp, &BOTH)
    })
}

fn directory_vanishes() -> Result<()> {
    stage()?.play(|stage| {
        let aside = stage.directory().with_extension("aside");
        fs::rename(stage.directory(), &aside).context("moving the directory away")?;
        problems(stage, 1, "stays in force")?;
        stage.reaches(POD, VIP, Tcp, &BOTH)?;
        fs::rename(&aside, stage.directory()).context("moving it back")?;
        problems(stage, 0, "")?;
        stage.change(|scene| scene.services[0].ports[0].port = 81)?;
        stage.reaches(POD, "10.96.0.10:81", Tcp, &BOTH)
    })
}
