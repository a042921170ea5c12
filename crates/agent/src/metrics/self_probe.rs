//! The self-probe's figures. Series are there once it has tried.

use model::IpFamily;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{ByFamily, FamilyLabel};
use crate::self_probe::Outcome;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    ip_family: &'static str,
    /// `works`, `fails` or `unknown`.
    result: &'static str,
}

/// What the self-probe counts.
#[derive(Debug)]
pub(crate) struct SelfProbe {
    tries: Family<ResultLabel, Counter>,
    duration: ByFamily<Histogram>,
    working: Family<FamilyLabel, Gauge>,
}

impl SelfProbe {
    pub(super) fn new() -> Self {
        // 50 us, doubling, 16 of them: to 1.6 s, more than a try may take.
        let buckets = || Histogram::new((0..16).map(|i| 0.000_05 * f64::from(1u32 << i)));
        Self {
            tries: Family::default(),
            duration: Family::new_with_constructor(buckets as fn() -> Histogram),
            working: Family::default(),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        let r = r.sub_registry_with_prefix("towpath_self_probe");
        r.register("tries", "Tries of the self-probe", self.tries.clone());
        r.register("duration_seconds", "Duration of those that worked", self.duration.clone());
        r.register(
            "working",
            "1: the last try worked; 0: it failed; -1: it could not be tried",
            self.working.clone(),
        );
    }

    /// One try.
    pub(crate) fn note(&self, family: IpFamily, outcome: &Outcome) {
        let label = FamilyLabel::of(family);
        let (result, working) = match outcome {
            Outcome::Works(took) => {
                self.duration.get_or_create(&label).observe(took.as_secs_f64());
                ("works", 1)
            }
            Outcome::Fails(_) => ("fails", 0),
            Outcome::Unknown(_) => ("unknown", -1),
        };
        self.tries.get_or_create(&ResultLabel { ip_family: label.ip_family, result }).inc();
        self.working.get_or_create(&label).set(working);
    }

    /// The node has no address of this family.
    pub(crate) fn forget(&self, family: IpFamily) {
        self.working.remove(&FamilyLabel::of(family));
    }
}
