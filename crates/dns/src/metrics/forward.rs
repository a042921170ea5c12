//! The forwarder's figures, by the names of CoreDNS's plugins `forward` and `cache`.

use std::fmt::Error;

use dns_forward::{BUCKETS, CacheMetrics, GroupMetrics, Histogram, UpstreamMetrics};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::collect::counter;

/// Response codes of [`UpstreamMetrics::replies`].
const RCODES: [&str; 7] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "other"];

/// Writes all groups.
pub(super) fn encode(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    group_counters(groups, encoder)?;
    cache_entries(groups, encoder)?;
    cache_counters(groups, encoder)?;
    upstream_counters(groups, encoder)?;
    upstream_up(groups, encoder)?;
    durations(groups, encoder)
}

fn group_counters(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    type Of = fn(&GroupMetrics) -> u64;
    let all: [(&str, &str, Of); 5] = [
        ("coredns_forward_max_concurrent_rejects", "Queries above max_concurrent", |g| g.overloaded),
        ("coredns_forward_healthcheck_broken", "Queries that found all upstreams down", |g| g.all_down),
        ("towpath_dns_coalesced", "Queries that joined one under way", |g| g.coalesced),
        ("towpath_dns_hedged", "Second upstreams asked because the first was slow", |g| g.hedged),
        ("towpath_dns_forward_failed", "Queries that nothing came of", |g| g.failed),
    ];
    for (name, help, of) in all {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for group in groups {
            counter(&mut family, vec![("zone", &group.name)], of(group))?;
        }
    }
    Ok(())
}

fn caches(groups: &[GroupMetrics]) -> impl Iterator<Item = (&str, &CacheMetrics)> {
    groups.iter().filter_map(|group| Some((group.name.as_str(), group.cache.as_ref()?)))
}

fn cache_entries(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    let help = "Entries of the cache";
    let mut family = encoder.encode_descriptor("coredns_cache_entries", help, None, MetricType::Gauge)?;
    for (zone, cache) in caches(groups) {
        for (kind, entries) in [("success", cache.success_entries), ("denial", cache.denial_entries)] {
            let labels = vec![("type", kind), ("zones", zone)];
            ConstGauge::new(entries as i64).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Memory of the cache";
    let mut family = encoder.encode_descriptor("towpath_dns_cache_bytes", help, None, MetricType::Gauge)?;
    for (zone, cache) in caches(groups) {
        ConstGauge::new(cache.bytes as i64).encode(family.encode_family(&vec![("zones", zone)])?)?;
    }
    Ok(())
}

fn cache_counters(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    let help = "Answers from the cache";
    let mut family = encoder.encode_descriptor("coredns_cache_hits", help, None, MetricType::Counter)?;
    for (zone, cache) in caches(groups) {
        counter(&mut family, vec![("type", "success"), ("zones", zone)], cache.success_hits)?;
        counter(&mut family, vec![("type", "denial"), ("zones", zone)], cache.denial_hits)?;
    }
    type Of = fn(&CacheMetrics) -> u64;
    let all: [(&str, &str, Of); 6] = [
        ("coredns_cache_requests", "Questions to the cache", |c| c.success_hits + c.denial_hits + c.misses),
        ("coredns_cache_misses", "Questions that the cache had no answer to", |c| c.misses),
        ("coredns_cache_prefetch", "Questions asked again before their answer ended", |c| c.prefetches),
        ("coredns_cache_drops", "Messages that must not be kept", |c| c.drops),
        ("coredns_cache_served_stale", "Answers given past their life", |c| c.served_stale),
        ("coredns_cache_evictions", "Entries that made room", |c| c.evictions),
    ];
    for (name, help, of) in all {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (zone, cache) in caches(groups) {
            counter(&mut family, vec![("zones", zone)], of(cache))?;
        }
    }
    Ok(())
}

fn upstreams(groups: &[GroupMetrics]) -> impl Iterator<Item = (&str, String, &UpstreamMetrics)> {
    groups.iter().flat_map(|group| {
        group
            .upstreams
            .iter()
            .map(move |upstream| (group.name.as_str(), upstream.address.to_string(), upstream))
    })
}

fn upstream_counters(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    type Of = fn(&UpstreamMetrics) -> u64;
    let all: [(&str, &str, Of); 5] = [
        ("coredns_proxy_conn_cache_hits", "Questions sent by a socket that was there", |u| u.conn_hits),
        ("coredns_proxy_conn_cache_misses", "Sockets and connections opened", |u| u.conn_misses),
        ("coredns_proxy_healthcheck_failures", "Failed health probes", |u| u.health_failures),
        ("towpath_dns_upstream_timeouts", "Attempts without a reply in time", |u| u.timeouts),
        ("towpath_dns_upstream_mismatched", "Replies that fitted no question", |u| u.mismatched),
    ];
    for (name, help, of) in all {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (zone, to, upstream) in upstreams(groups) {
            counter(&mut family, vec![("proxy_name", "forward"), ("zone", zone), ("to", &to)], of(upstream))?;
        }
    }
    Ok(())
}

fn upstream_up(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    let help = "Whether an upstream is neither down nor disabled";
    let mut family = encoder.encode_descriptor("towpath_dns_upstream_up", help, None, MetricType::Gauge)?;
    for (zone, to, upstream) in upstreams(groups) {
        let labels = vec![("zone", zone), ("to", to.as_str())];
        ConstGauge::new(i64::from(upstream.up)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn durations(groups: &[GroupMetrics], encoder: &mut DescriptorEncoder) -> Result<(), Error> {
    let (name, help) = ("coredns_proxy_request_duration_seconds", "Time to an upstream's reply");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (zone, to, upstream) in upstreams(groups) {
        for (rcode, histogram) in RCODES.iter().zip(&upstream.replies) {
            if histogram.count == 0 {
                continue;
            }
            let labels =
                vec![("proxy_name", "forward"), ("zone", zone), ("to", to.as_str()), ("rcode", *rcode)];
            let Histogram { count, sum, .. } = *histogram;
            let encoder = &mut family.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets(histogram), None)?;
        }
    }
    Ok(())
}

fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    let above = histogram.count.saturating_sub(histogram.buckets.iter().sum());
    let within = BUCKETS.iter().copied().zip(histogram.buckets.iter().copied());
    within.chain([(f64::MAX, above)]).collect()
}
