//! What the source of Kubernetes objects counts, read when asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use sources::kubernetes::{KindStats, Stats};

use super::{ErrorLabel, ResourceLabel};

type Reader = fn(&KindStats) -> u64;

const COUNTERS: [(&str, &str, Reader); 5] = [
    ("towpath_api_lists", "First lists begun", |kind| read(&kind.lists)),
    ("towpath_api_relists", "Later lists begun", |kind| read(&kind.relists)),
    ("towpath_api_watches", "Watches begun", |kind| read(&kind.watches)),
    ("towpath_api_events", "Events received, bookmarks included", |kind| read(&kind.events)),
    ("towpath_api_received_bytes", "Bytes of lists and watches received", |kind| read(&kind.bytes)),
];

const GAUGES: [(&str, &str, Reader); 4] = [
    ("towpath_api_objects", "Objects known", |kind| read(&kind.objects)),
    ("towpath_api_connected", "Whether a watch is open", |kind| u64::from(kind.connected.load(Relaxed))),
    ("towpath_api_problem_objects", "Objects that cannot be honoured, wholly or in part", |kind| {
        read(&kind.problems)
    }),
    ("towpath_api_last_event_timestamp_seconds", "When the last event or bookmark came", |kind| {
        read(&kind.last_event_ms) / 1000
    }),
];

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// The source's counters as metrics.
#[derive(Debug)]
pub(crate) struct Api(pub(crate) Arc<Stats>);

impl Collector for Api {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for (name, help, value) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (resource, kind) in self.0.kinds() {
                let label = ResourceLabel { resource };
                ConstCounter::new(value(kind)).encode(family.encode_family(&label)?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (resource, kind) in self.0.kinds() {
                let label = ResourceLabel { resource };
                ConstGauge::new(value(kind) as i64).encode(family.encode_family(&label)?)?;
            }
        }
        let help = "Requests and streams that failed, by reason";
        let mut family = encoder.encode_descriptor("towpath_api_errors", help, None, MetricType::Counter)?;
        for (resource, reason, count) in self.0.errors() {
            ConstCounter::new(count).encode(family.encode_family(&ErrorLabel { resource, reason })?)?;
        }
        let snapshot = ConstGauge::new(i64::from(self.0.snapshot().is_some()));
        let help = "Whether the state comes from the snapshot, since the API server was away at the start";
        snapshot.encode(encoder.encode_descriptor(
            "towpath_from_snapshot",
            help,
            None,
            snapshot.metric_type(),
        )?)
    }
}
