//! What the forwarder counts, as plain values to be rendered by others.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of [`Histogram::buckets`], in seconds: those of CoreDNS's durations.
pub const BUCKETS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048,
    4.096, 8.192,
];

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A group's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetrics {
    /// [`crate::Group::name`].
    pub name: String,
    /// Questions under way.
    pub in_flight: usize,
    /// Those who wait for them.
    pub waiting: usize,
    /// Questions that joined one under way.
    pub coalesced: u64,
    /// Questions refused because of [`crate::Group::max_concurrent`]: `coredns_forward_max_concurrent_rejects_total`.
    pub overloaded: u64,
    /// Questions that found all upstreams down: `coredns_forward_healthcheck_broken_total`.
    pub all_down: u64,
    /// Questions that nothing came of.
    pub failed: u64,
    /// Second upstreams asked because the first was slow.
    pub hedged: u64,
    /// The cache, if there is one.
    pub cache: Option<CacheMetrics>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamMetrics>,
}

/// A cache's figures: `coredns_cache_*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheMetrics {
    /// Entries with an answer.
    pub success_entries: usize,
    /// Entries without one.
    pub denial_entries: usize,
    /// Memory they take.
    pub bytes: usize,
    /// Hits with an answer.
    pub success_hits: u64,
    /// Hits without one.
    pub denial_hits: u64,
    /// Questions it could not answer.
    pub misses: u64,
    /// Questions asked again before their answer ended.
    pub prefetches: u64,
    /// Answers given past their life.
    pub served_stale: u64,
    /// Entries that made room.
    pub evictions: u64,
    /// Messages that must not be kept.
    pub drops: u64,
}

/// An upstream's figures: `coredns_proxy_*`.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamMetrics {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it is asked by DNS over TLS.
    pub tls: bool,
    /// Neither down nor disabled.
    pub up: bool,
    /// Disabled because it leads back to this server.
    pub looping: bool,
    /// Smoothed time to a reply.
    pub rtt: Option<Duration>,
    /// Replies by response code (NOERROR to REFUSED; the last is any other) with the time they took.
    pub replies: [Histogram; 7],
    /// Attempts without a reply in time.
    pub timeouts: u64,
    /// Failed health probes: `coredns_proxy_healthcheck_failures_total`.
    pub health_failures: u64,
    /// Replies that did not fit any question under way.
    pub mismatched: u64,
    /// Questions sent by a socket or connection that was there: `coredns_proxy_conn_cache_hits_total`.
    pub conn_hits: u64,
    /// Sockets and connections opened: `coredns_proxy_conn_cache_misses_total`.
    pub conn_misses: u64,
}

/// Durations in [`BUCKETS`], not accumulated; what is above the last bound is only in `count`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Histogram {
    /// Observations in each bucket.
    pub buckets: [u64; BUCKETS.len()],
    /// Observations.
    pub count: u64,
    /// Sum of them, in seconds.
    pub sum: f64,
}

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [Counter; BUCKETS.len()],
    count: Counter,
    micros: AtomicU64,
}

impl Durations {
    pub(crate) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].add();
        }
        self.count.add();
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|at| self.buckets[at].get()),
            count: self.count.get(),
            sum: Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}
