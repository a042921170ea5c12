//! What one thread counts: plain atomics, no lock, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dns_wire::{rcode, rtype};

use crate::origin::Transport;

/// Zones that are told apart in metrics; the first is "other".
pub(crate) const ZONES: usize = 17;
/// Types that are told apart, as CoreDNS; all others are "other".
pub(crate) const TYPES: [(u16, &str); 13] = [
    (rtype::A, "A"),
    (rtype::AAAA, "AAAA"),
    (rtype::CNAME, "CNAME"),
    (rtype::DS, "DS"),
    (rtype::HTTPS, "HTTPS"),
    (rtype::MX, "MX"),
    (rtype::NS, "NS"),
    (rtype::PTR, "PTR"),
    (rtype::SOA, "SOA"),
    (rtype::SRV, "SRV"),
    (rtype::TXT, "TXT"),
    (rtype::ANY, "ANY"),
    (0, "other"),
];
/// Response codes that are told apart.
pub(crate) const RCODES: [(u16, &str); 8] = [
    (rcode::NOERROR, "NOERROR"),
    (rcode::FORMERR, "FORMERR"),
    (rcode::SERVFAIL, "SERVFAIL"),
    (rcode::NXDOMAIN, "NXDOMAIN"),
    (rcode::NOTIMP, "NOTIMP"),
    (rcode::REFUSED, "REFUSED"),
    (6, "dropped"),
    (7, "other"),
];
/// Upper bounds of durations in seconds: CoreDNS's.
pub(crate) const SECONDS: [f64; 16] = dns_forward::BUCKETS;
/// Upper bounds of sizes in octets: CoreDNS's.
pub(crate) const OCTETS: [f64; 14] = [
    0.0, 100.0, 200.0, 300.0, 400.0, 511.0, 1023.0, 2047.0, 4095.0, 8291.0, 16_000.0, 32_000.0, 48_000.0,
    64_000.0,
];

/// Who answered, by CoreDNS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    Server,
    Local,
    Any,
    Chaos,
    Acl,
    Hosts,
    External,
    Kubernetes,
    Cache,
    Forward,
}

impl Plugin {
    pub(crate) const ALL: [(Self, &'static str); 10] = [
        (Self::Server, ""),
        (Self::Local, "local"),
        (Self::Any, "any"),
        (Self::Chaos, "chaos"),
        (Self::Acl, "acl"),
        (Self::Hosts, "hosts"),
        (Self::External, "k8s_external"),
        (Self::Kubernetes, "kubernetes"),
        (Self::Cache, "cache"),
        (Self::Forward, "forward"),
    ];
}

/// A histogram: a count for each bound, one for what is above all, and the sum.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    buckets: [AtomicU64; N],
    above: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: &'static [f64; N]) -> Self {
        let (above, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { bounds, buckets: std::array::from_fn(|_| AtomicU64::new(0)), above, sum }
    }

    fn observe(&self, value: f64, millionths: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        let bucket = place.and_then(|place| self.buckets.get(place)).unwrap_or(&self.above);
        add(bucket);
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    /// Adds what was observed to `total`.
    pub(crate) fn add_to(&self, total: &mut Total) {
        for (bucket, sum) in self.buckets.iter().chain([&self.above]).zip(&mut total.buckets) {
            sum.1 += bucket.load(Ordering::Relaxed);
        }
        total.sum += self.sum.load(Ordering::Relaxed) as f64 / 1e6;
    }

    /// An empty total with the bounds of this one.
    pub(crate) fn empty(&self) -> Total {
        let bounds = self.bounds.iter().copied().chain([f64::MAX]);
        Total { buckets: bounds.map(|bound| (bound, 0)).collect(), sum: 0.0 }
    }
}

/// Several histograms together.
#[derive(Debug)]
pub(crate) struct Total {
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) sum: f64,
}

/// Counters of one zone.
#[derive(Debug)]
pub(crate) struct Zone {
    /// By transport, family, type.
    pub(crate) requests: [[[AtomicU64; TYPES.len()]; 2]; 2],
    /// By response code and plugin.
    pub(crate) responses: [[AtomicU64; Plugin::ALL.len()]; RCODES.len()],
    pub(crate) dnssec_ok: AtomicU64,
    pub(crate) seconds: Histogram<{ SECONDS.len() }>,
}

/// Counters of one thread.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) zones: Box<[Zone]>,
    pub(crate) request_octets: [Histogram<{ OCTETS.len() }>; 2],
    pub(crate) response_octets: [Histogram<{ OCTETS.len() }>; 2],
    /// Names such as `localhost.ns.svc.cluster.local.`: a client's search list is wrong.
    pub(crate) localhost: AtomicU64,
    /// Misses refused because their source had too many.
    pub(crate) throttled: AtomicU64,
    /// Queries refused because too many wait for upstreams.
    pub(crate) overloaded: AtomicU64,
    pub(crate) acl_allowed: AtomicU64,
    pub(crate) acl_blocked: AtomicU64,
    pub(crate) acl_filtered: AtomicU64,
    pub(crate) acl_dropped: AtomicU64,
    /// Names completed by the server.
    pub(crate) autopath: AtomicU64,
    /// Messages that were no queries.
    pub(crate) malformed: AtomicU64,
}

/// One query with its reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed {
    pub(crate) zone: usize,
    pub(crate) transport: Transport,
    pub(crate) is_ipv6: bool,
    pub(crate) qtype: u16,
    pub(crate) dnssec_ok: bool,
    pub(crate) plugin: Plugin,
    /// 6: dropped.
    pub(crate) rcode: u16,
    pub(crate) asked_octets: usize,
    pub(crate) reply_octets: usize,
    pub(crate) took: Duration,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let sizes = || std::array::from_fn(|_| Histogram::new(&OCTETS));
        let zero = AtomicU64::default;
        Self {
            zones: (0..ZONES).map(|_| Zone::new()).collect(),
            request_octets: sizes(),
            response_octets: sizes(),
            localhost: zero(),
            throttled: zero(),
            overloaded: zero(),
            acl_allowed: zero(),
            acl_blocked: zero(),
            acl_filtered: zero(),
            acl_dropped: zero(),
            autopath: zero(),
            malformed: zero(),
        }
    }

    pub(crate) fn observe(&self, seen: &Observed) {
        let Some(zone) = self.zones.get(seen.zone).or(self.zones.first()) else { return };
        let transport = usize::from(seen.transport == Transport::Tcp);
        let (family, kind) = (usize::from(seen.is_ipv6), type_place(seen.qtype));
        add(&zone.requests[transport][family][kind]);
        add(&zone.responses[usize::from(seen.rcode.min(7))][seen.plugin as usize]);
        if seen.dnssec_ok {
            add(&zone.dnssec_ok);
        }
        let micros = u64::try_from(seen.took.as_micros()).unwrap_or(u64::MAX);
        zone.seconds.observe(micros as f64 / 1e6, micros);
        self.request_octets[transport].observe_octets(seen.asked_octets);
        self.response_octets[transport].observe_octets(seen.reply_octets);
    }
}

impl Histogram<{ OCTETS.len() }> {
    fn observe_octets(&self, octets: usize) {
        self.observe(octets as f64, octets as u64 * 1_000_000);
    }
}

impl Zone {
    fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| std::array::from_fn(|_| std::array::from_fn(|_| 0.into()))),
            responses: std::array::from_fn(|_| std::array::from_fn(|_| 0.into())),
            dnssec_ok: 0.into(),
            seconds: Histogram::new(&SECONDS),
        }
    }
}

/// Adds one.
pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn type_place(qtype: u16) -> usize {
    TYPES.iter().position(|(known, _)| *known == qtype && qtype != 0).unwrap_or(TYPES.len() - 1)
}
