//! What the busy client saw, for people; and whether that is as it must be.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::load::{Phase, Report};
use super::world::{PODS, Pod};

/// Before the change, while it is made, and after it.
pub const PHASES: [&str; 3] = ["before", "during", "after"];

/// One line for each phase, and one for all of them.
pub fn lines(report: &Report) -> Vec<String> {
    let sum = |count: fn(&Phase) -> u64| report.iter().map(count).sum::<u64>();
    let (total, lost) = (sum(Phase::total), sum(Phase::lost_total));
    let all = format!("{:<7} {total:>6} requests, {lost} lost", "in all");
    report.iter().map(line).chain([all]).collect()
}

fn line(phase: &Phase) -> String {
    format!(
        "{:<7} {:>6} requests, {} lost; answered: {}; slowest {:.1} ms",
        phase.name,
        phase.total(),
        phase.lost_total(),
        listed(&phase.answers),
        Millis(phase.slowest_us).value(),
    )
}

/// Counts with their names.
pub fn listed(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}

/// Microseconds as milliseconds.
struct Millis(u64);

impl Millis {
    fn value(&self) -> f64 {
        std::time::Duration::from_micros(self.0).as_secs_f64() * 1e3
    }
}

/// Nothing was lost, both pods answered before, and the pod that left got nothing after.
pub fn judge(report: &Report, at_least: u64) -> Result<()> {
    let [before, during, after] = PHASES.map(|name| report.iter().find(|phase| phase.name == name));
    let (before, after) = (before.context("no phase before")?, after.context("no phase after")?);
    let during = during.context("no phase during the change")?;
    for phase in [before, during, after] {
        ensure!(
            phase.lost.is_empty(),
            "requests were lost {} the change: {}",
            phase.name,
            listed(&phase.lost)
        );
    }
    for phase in [before, after] {
        ensure!(phase.total() >= at_least, "only {} requests {} the change", phase.total(), phase.name);
    }
    let [stays, leaves] = &PODS;
    ensure!(
        answered(before, stays) > 0 && answered(before, leaves) > 0,
        "a pod got no request before the change"
    );
    let late = answered(after, leaves);
    ensure!(late == 0, "{} got {late} new requests after the kernel had forgotten it", leaves.name);
    Ok(())
}

fn answered(phase: &Phase, pod: &Pod) -> u64 {
    phase.answers.get(pod.name).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, pod_a: u64, pod_b: u64, lost: u64) -> Phase {
        let counted = |all: &[(&str, u64)]| {
            let some = all.iter().filter(|(_, count)| *count > 0);
            some.map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Phase {
            name: name.to_owned(),
            answers: counted(&[("pod-a", pod_a), ("pod-b", pod_b)]),
            lost: counted(&[("timed out", lost)]),
            slowest_us: 2500,
            ..Phase::default()
        }
    }

    fn good() -> Report {
        vec![phase("before", 10, 10, 0), phase("during", 3, 1, 0), phase("after", 20, 0, 0)]
    }

    #[test]
    fn a_good_report_passes() {
        judge(&good(), 20).unwrap();
    }

    #[test]
    fn every_fault_is_seen() {
        let faults = [
            (0, phase("before", 10, 10, 1), "lost before"),
            (0, phase("before", 20, 0, 0), "no request before"),
            (0, phase("before", 5, 5, 0), "only 10 requests before"),
            (1, phase("during", 3, 1, 1), "lost during"),
            (2, phase("after", 19, 1, 0), "pod-b got 1 new"),
            (2, phase("after", 20, 0, 1), "lost after"),
            (2, phase("late", 20, 0, 0), "no phase after"),
        ];
        for (place, fault, expected) in faults {
            let mut report = good();
            report[place] = fault;
            let error = judge(&report, 20).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn all_phases_are_summed_up() {
        assert_eq!(lines(&good())[3], "in all      44 requests, 0 lost");
    }

    #[test]
    fn a_phase_is_one_line() {
        let line = line(&phase("before", 10, 9, 1));
        assert_eq!(line, "before      20 requests, 1 lost; answered: pod-a 10, pod-b 9; slowest 2.5 ms");
    }
}
