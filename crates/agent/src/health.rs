//! Health, with kube-proxy's meaning: a change that waits too long makes the node unhealthy.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{IpFamily, NodeFacts};
use serde_json::{Map, Value, json};

/// A change that waits longer than this is late, unless the settings say otherwise: twice kube-proxy's default syncPeriod.
const LATE: Duration = Duration::from_secs(60);

/// The taint by which the cluster autoscaler announces that the node goes.
const DELETION_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

/// When work was queued and done.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    late: Duration,
    queued: Option<Instant>,
    /// When the sync thread last came round.
    alive: Instant,
    updated: SystemTime,
    eligible: bool,
    /// Why the self-probe says that packets do not flow.
    probe: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            late: LATE,
            queued: None,
            alive: Instant::now(),
            updated: SystemTime::now(),
            eligible: false,
            probe: None,
        }
    }
}

impl Health {
    /// Healthy until a change has waited for longer than this.
    pub(crate) fn new(late: Duration) -> Self {
        Self { late, ..Self::default() }
    }

    /// Sets how long a change may wait.
    pub(crate) fn set_late(&mut self, late: Duration) {
        self.late = late;
    }

    /// A change waits.
    pub(crate) fn queue(&mut self) {
        self.queued.get_or_insert_with(Instant::now);
    }

    /// The sync thread comes round, at least twice a second while it is well.
    pub(crate) fn alive(&mut self) {
        self.alive = Instant::now();
    }

    /// Whether the sync thread came round within that time.
    pub(crate) fn seen_alive_within(&self, time: Duration) -> bool {
        self.alive.elapsed() < time
    }

    /// Nothing waits any more.
    pub(crate) fn done(&mut self) {
        self.queued = None;
        self.updated = SystemTime::now();
    }

    /// Whether load balancers may send traffic to this node at all: it exists and is not about to go.
    pub(crate) fn set_eligible(&mut self, facts: &NodeFacts) {
        let stays = |n: &model::Node| !n.deleting && n.taints.iter().all(|t| **t != *DELETION_TAINT);
        self.eligible = facts.node.as_ref().is_some_and(stays);
    }

    /// Whether load balancers may send traffic to this node at all.
    pub(crate) fn is_eligible(&self) -> bool {
        self.eligible
    }

    /// The self-probe's verdict: why packets do not flow, if they do not.
    pub(crate) fn set_probe(&mut self, verdict: Option<String>) {
        self.probe = verdict;
    }

    /// Why the self-probe says that packets do not flow.
    pub(crate) fn probe(&self) -> Option<&str> {
        self.probe.as_deref()
    }

    /// Whether no change is late, and somebody looks for changes.
    pub(crate) fn is_current(&self) -> bool {
        let waits = self.queued.is_some_and(|since| since.elapsed() >= self.late);
        !waits && self.alive.elapsed() < self.late
    }

    /// The answer of `/healthz`, or of `/livez`, which leaves out eligibility and the self-probe, since a restart mends
    /// neither: status code and JSON.
    pub(crate) fn answer(&self, with_eligibility: bool) -> (u16, String) {
        let current = self.is_current();
        let healthy = current && (!with_eligibility || (self.eligible && self.probe.is_none()));
        let now = SystemTime::now();
        // While healthy, "last updated" is now: clients of old read it so.
        let updated = rfc3339(if current { now } else { self.updated });
        let family = json!({ "lastUpdated": updated, "healthy": current });
        let mut body = Map::new();
        body.insert("lastUpdated".into(), json!(updated));
        body.insert("currentTime".into(), json!(rfc3339(now)));
        if with_eligibility {
            body.insert("nodeEligible".into(), json!(self.eligible));
            if let Some(why) = &self.probe {
                body.insert("selfProbe".into(), json!(why));
            }
        }
        body.insert("healthy".into(), json!(healthy));
        body.insert("status".into(), IpFamily::ALL.iter().map(|f| (f.to_string(), family.clone())).collect());
        (if healthy { 200 } else { 503 }, Value::Object(body).to_string())
    }
}

/// UTC with whole seconds, from the proleptic Gregorian calendar.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: leap days then end a year.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    fn facts(taint: Option<&str>, deleting: bool) -> NodeFacts {
        let taints = taint.into_iter().map(Into::into).collect();
        NodeFacts { node: Some(model::Node { taints, deleting, ..Default::default() }), ..Default::default() }
    }

    #[test]
    fn eligibility_counts_for_healthz_only() {
        for (facts, healthz) in [
            (facts(None, false), 200),
            (facts(Some("other"), false), 200),
            (facts(Some(DELETION_TAINT), false), 503),
            (facts(None, true), 503),
            (NodeFacts::default(), 503),
        ] {
            let mut health = Health::default();
            health.set_eligible(&facts);
            assert_eq!(health.answer(true).0, healthz);
            let (code, body) = health.answer(false);
            assert_eq!(code, 200);
            assert!(!body.contains("nodeEligible"));
        }
    }

    #[test]
    fn a_late_change_is_unhealthy_until_it_is_done() {
        let mut health = Health { queued: Instant::now().checked_sub(LATE), ..Health::default() };
        assert_eq!(health.answer(false).0, 503);
        health.done();
        assert_eq!(health.answer(false).0, 200);
    }

    #[test]
    fn a_self_probe_that_fails_is_no_reason_to_restart() {
        let mut health = Health::default();
        health.set_eligible(&facts(None, false));
        health.set_probe(Some("IPv4: no answer".into()));
        let (code, body) = health.answer(true);
        assert!(code == 503 && body.contains("\"selfProbe\":\"IPv4: no answer\""), "{body}");
        assert_eq!(health.answer(false).0, 200);
        health.set_probe(None);
        let (code, body) = health.answer(true);
        assert!(code == 200 && !body.contains("selfProbe"), "{body}");
    }

    #[test]
    fn a_sync_thread_that_hangs_is_unhealthy() {
        let mut health = Health { alive: Instant::now().checked_sub(LATE).unwrap(), ..Health::default() };
        assert_eq!(health.answer(false).0, 503);
        health.alive();
        assert_eq!(health.answer(false).0, 200);
    }
}
