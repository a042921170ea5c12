//! The counters as Prometheus metrics, by CoreDNS's names where they mean the same.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::counters::{Counters, Histogram, OCTETS, Plugin, RCODES, TYPES, Total, Zone};
use super::forward;
use crate::shared::Shared;

/// The label `server`: there is one.
const SERVER: &str = "dns://:53";
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];
const FAMILIES: [&str; 2] = ["1", "2"];

/// Labels of one metric.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The server's figures.
pub(crate) struct Metrics {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let all = All { counters: self.shared.all_counters(), labels: self.shared.labels() };
        all.requests(&mut encoder)?;
        all.responses(&mut encoder)?;
        all.dnssec_ok(&mut encoder)?;
        all.durations(&mut encoder)?;
        all.sizes(&mut encoder)?;
        all.plugins(&mut encoder)?;
        all.own(&mut encoder)?;
        self.gauges(&mut encoder)?;
        forward::encode(&self.shared.forwarder.metrics(), &mut encoder)
    }
}

impl Metrics {
    fn gauges(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let (synced, stale) = {
            let names = self.shared.names();
            (names.is_synced(), names.stale())
        };
        let pending = self.shared.waiting.count() as i64;
        for (name, help, value) in [
            ("towpath_dns_synced", "Whether all first lists have come", i64::from(synced)),
            ("towpath_dns_stale", "Whether the names come from a file of an earlier run", i64::from(stale)),
            ("towpath_dns_pending", "Queries that wait for upstreams", pending),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let refused = self.shared.refused.load(Ordering::Relaxed);
        plain(encoder, "coredns_reload_failed", "Configurations that were refused", refused)?;
        build_info(encoder)?;
        let help = "Plugins of the server blocks";
        let mut family =
            encoder.encode_descriptor("coredns_plugin_enabled", help, None, MetricType::Gauge)?;
        let (chain, labels) = (self.shared.chain(), self.shared.labels());
        for block in &chain.blocks {
            let zone = labels.get(block.zone_label).map_or("", String::as_str);
            for name in block.plugins() {
                ConstGauge::new(1i64).encode(family.encode_family(&with(zone, &[("name", name)]))?)?;
            }
        }
        Ok(())
    }
}

/// The counters of all threads, and the zones they are about.
struct All {
    counters: Vec<Arc<Counters>>,
    labels: Vec<String>,
}

impl All {
    fn sum(&self, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.counters.iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum()
    }

    fn zone_sum(&self, zone: usize, of: impl Fn(&Zone) -> &AtomicU64) -> u64 {
        let zones = self.counters.iter().filter_map(|counters| counters.zones.get(zone));
        zones.map(|zone| of(zone).load(Ordering::Relaxed)).sum()
    }

    fn zones(&self) -> impl Iterator<Item = (usize, &str)> {
        self.labels.iter().map(String::as_str).enumerate()
    }

    fn requests(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let help = "Queries, by zone, protocol, family and type";
        let mut family =
            encoder.encode_descriptor("coredns_dns_requests", help, None, MetricType::Counter)?;
        for (place, zone) in self.zones() {
            for (transport, proto) in TRANSPORTS.iter().enumerate() {
                for (which, number) in FAMILIES.iter().enumerate() {
                    for (kind, (_, name)) in TYPES.iter().enumerate() {
                        let count = self.zone_sum(place, |zone| &zone.requests[transport][which][kind]);
                        let more = [("proto", *proto), ("family", *number), ("type", *name)];
                        counter(&mut family, with(zone, &more), count)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn responses(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let help = "Replies, by zone, response code and plugin";
        let mut family =
            encoder.encode_descriptor("coredns_dns_responses", help, None, MetricType::Counter)?;
        for (place, zone) in self.zones() {
            for (code, (_, rcode)) in RCODES.iter().enumerate() {
                for (plugin, name) in Plugin::ALL {
                    let count = self.zone_sum(place, |zone| &zone.responses[code][plugin as usize]);
                    counter(&mut family, with(zone, &[("rcode", *rcode), ("plugin", name)]), count)?;
                }
            }
        }
        Ok(())
    }

    fn dnssec_ok(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let help = "Queries with the bit DO";
        let mut family =
            encoder.encode_descriptor("coredns_dns_do_requests", help, None, MetricType::Counter)?;
        for (place, zone) in self.zones() {
            counter(&mut family, with(zone, &[]), self.zone_sum(place, |zone| &zone.dnssec_ok))?;
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let (name, help) = ("coredns_dns_request_duration_seconds", "Time from a query to its reply");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (place, zone) in self.zones() {
            let zones = self.counters.iter().filter_map(|counters| counters.zones.get(place));
            histogram(&mut family, with(zone, &[]), zones.map(|zone| &zone.seconds))?;
        }
        Ok(())
    }

    fn sizes(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        type Of = fn(&Counters) -> &[Histogram<{ OCTETS.len() }>; 2];
        let both: [(&str, &str, Of); 2] = [
            ("coredns_dns_request_size_bytes", "Size of queries", |counters| &counters.request_octets),
            ("coredns_dns_response_size_bytes", "Size of replies", |counters| &counters.response_octets),
        ];
        for (name, help, of) in both {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (place, proto) in TRANSPORTS.iter().enumerate() {
                let sizes = self.counters.iter().map(|counters| &of(counters)[place]);
                histogram(&mut family, with("", &[("proto", *proto)]), sizes)?;
            }
        }
        Ok(())
    }

    fn plugins(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        type Of = fn(&Counters) -> &AtomicU64;
        let all: [(&str, &str, Of); 6] = [
            ("coredns_local_localhost_requests", "Names localhost.<search domain>", |c| &c.localhost),
            ("coredns_autopath_success", "Names completed by the server", |c| &c.autopath),
            ("coredns_acl_allowed_requests", "Queries let pass by acl", |c| &c.acl_allowed),
            ("coredns_acl_blocked_requests", "Queries refused by acl", |c| &c.acl_blocked),
            ("coredns_acl_filtered_requests", "Queries answered without records by acl", |c| &c.acl_filtered),
            ("coredns_acl_dropped_requests", "Queries dropped by acl", |c| &c.acl_dropped),
        ];
        for (name, help, of) in all {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter(&mut family, vec![("server", SERVER)], self.sum(of))?;
        }
        Ok(())
    }

    fn own(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let help = "Messages that were no queries to answer";
        let malformed = self.sum(|counters| &counters.malformed);
        plain(encoder, "towpath_dns_malformed", help, malformed)?;
        let help = "Queries refused with SERVFAIL, by reason";
        let mut family = encoder.encode_descriptor("towpath_dns_refused", help, None, MetricType::Counter)?;
        let throttled = self.sum(|counters| &counters.throttled);
        counter(&mut family, vec![("reason", "misses of one source")], throttled)?;
        let overloaded = self.sum(|counters| &counters.overloaded);
        counter(&mut family, vec![("reason", "queries under way")], overloaded)
    }
}

fn with<'a>(zone: &'a str, more: &[(&'static str, &'a str)]) -> Labels<'a> {
    let mut labels = vec![("server", SERVER), ("zone", zone), ("view", "")];
    labels.extend_from_slice(more);
    labels
}

/// Dashboards of CoreDNS show the version with it; there is no Go here.
fn build_info(encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    let help = "Always 1, with the version of this program";
    let mut family = encoder.encode_descriptor("coredns_build_info", help, None, MetricType::Gauge)?;
    let labels: Labels<'_> =
        vec![("version", env!("CARGO_PKG_VERSION")), ("revision", ""), ("goversion", "")];
    ConstGauge::new(1i64).encode(family.encode_family(&labels)?)
}

/// One counter of a family; left out while it is 0, so that the sets of labels stay small.
pub(super) fn counter(family: &mut MetricEncoder<'_>, labels: Labels<'_>, count: u64) -> Result<(), Error> {
    if count == 0 {
        return Ok(());
    }
    ConstCounter::new(count).encode(family.encode_family(&labels)?)
}

/// A counter without labels.
pub(super) fn plain(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    count: u64,
) -> Result<(), Error> {
    let counter = ConstCounter::new(count);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn histogram<'a, const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: Labels<'_>,
    parts: impl Iterator<Item = &'a Histogram<N>>,
) -> Result<(), Error> {
    let mut total: Option<Total> = None;
    for part in parts {
        part.add_to(total.get_or_insert_with(|| part.empty()));
    }
    let Some(Total { buckets, sum }) = total else { return Ok(()) };
    let count = buckets.iter().map(|(_, count)| count).sum();
    if count == 0 {
        return Ok(());
    }
    family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
