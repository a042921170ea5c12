//! What asks the forwarder in the tests.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use dns_wire::{Asked, Name, Relay, Stored, Ttls, class, rtype};
use towpath_dns_forward::{
    Asking, Configured, Forwarder, Group, GroupHandle, GroupMetrics, Hit, Policy, Resolved, Upstream as At,
    Why,
};

use crate::upstream::Upstream;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    pub forwarder: Forwarder,
    pub group: GroupHandle,
}

impl Client {
    /// With these upstreams, in this order.
    pub fn new(upstreams: &[&Upstream]) -> Self {
        Self::with(upstreams, |_| {})
    }

    pub fn with(upstreams: &[&Upstream], change: impl FnOnce(&mut Group)) -> Self {
        let mut settings = group(upstreams);
        change(&mut settings);
        let forwarder = Forwarder::start().unwrap();
        let Configured { mut groups, problems } = forwarder.configure(vec![settings], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        Self { forwarder, group: groups.remove(0) }
    }

    pub fn cached(&self, name: &str, now: Instant) -> Option<Hit> {
        let name = name.parse::<Name>().unwrap();
        self.forwarder.cached(&self.group, &asking(&name, rtype::A), now)
    }

    /// Asks the upstreams, without the cache.
    pub fn resolve(&self, name: &str) -> Pending {
        let name = name.parse::<Name>().unwrap();
        self.resolve_as(&asking(&name, rtype::A))
    }

    pub fn resolve_as(&self, asking: &Asking<'_>) -> Pending {
        let (sender, receiver) = mpsc::channel();
        let done = sender.clone();
        let done = Box::new(move |resolved| done.send(resolved).unwrap_or(()));
        if let Err(refusal) = self.forwarder.resolve(&self.group, asking, done) {
            let resolved = refusal.stale.map_or(Resolved::Failed(refusal.why), Resolved::Answer);
            sender.send(resolved).unwrap();
        }
        Pending(receiver)
    }

    /// As the server does: the cache, then the upstreams.
    pub fn ask(&self, name: &str) -> Resolved {
        match self.cached(name, Instant::now()) {
            Some(hit) => Resolved::Answer(hit),
            None => self.resolve(name).wait(),
        }
    }

    pub fn metrics(&self) -> GroupMetrics {
        self.forwarder.metrics().remove(0)
    }

    /// Looks again and again until it is so.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&GroupMetrics) -> bool) {
        until(what, || is_so(&self.metrics()));
    }
}

pub struct Pending(mpsc::Receiver<Resolved>);

impl Pending {
    pub fn wait(self) -> Resolved {
        self.0.recv_timeout(PATIENCE).expect("done is called")
    }
}

pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::yield_now();
    }
}

pub fn group(upstreams: &[&Upstream]) -> Group {
    let upstreams = upstreams.iter().map(|upstream| At::plain(upstream.address)).collect();
    let mut settings = Group::new("all", Name::root(), upstreams);
    settings.policy = Policy::Sequential;
    settings
}

pub fn asking(name: &Name, qtype: u16) -> Asking<'_> {
    Asking { name: name.as_ref(), qtype, qclass: class::IN, dnssec_ok: false, checking_disabled: false }
}

/// The last octet of the first address.
pub fn last(resolved: &Resolved) -> u8 {
    match resolved {
        Resolved::Answer(hit) => hit.stored.answers().next().map_or(0, |record| record.data[3]),
        Resolved::Failed(why) => panic!("{why}"),
    }
}

pub fn hit(resolved: Resolved) -> Hit {
    match resolved {
        Resolved::Answer(hit) => hit,
        Resolved::Failed(why) => panic!("{why}"),
    }
}

pub fn why(resolved: Resolved) -> Why {
    match resolved {
        Resolved::Failed(why) => why,
        Resolved::Answer(hit) => panic!("answered: {:?}", hit.stored.rcode()),
    }
}

/// A client's query for an A record, with OPT if it has a payload.
pub fn query(id: u16, name: &str, payload: Option<u16>) -> Vec<u8> {
    let name = name.parse::<Name>().unwrap();
    let mut out = Vec::new();
    dns_wire::ask(
        &mut out,
        id,
        name.as_ref(),
        rtype::A,
        class::IN,
        false,
        false,
        false,
        payload.unwrap_or(512),
    );
    if payload.is_none() {
        out.truncate(out.len() - 11);
        out[11] = 0;
    }
    out
}

/// The reply to a client's query.
pub fn reply(hit: &Hit, query: &[u8], limit: usize) -> Vec<u8> {
    let (query, mut out) = (dns_wire::parse_query(query).ok().unwrap(), Vec::new());
    let relay = Relay { ttls: hit.ttls, limit, prefix: &[], options: &[] };
    hit.stored.write(&query, &relay, &mut out);
    out
}

/// The TTLs that a client sees.
pub fn ttls(hit: &Hit) -> Vec<u32> {
    let name = hit.stored.name().to_string();
    let query = query(7, &name, Some(1232));
    let reply = reply(hit, &query, 65_535);
    let question = dns_wire::parse_query(&query).ok().unwrap().question.to_vec();
    let stored: Stored = dns_wire::store(&reply, &Asked { id: 7, question: &question }).unwrap();
    let _: Ttls = hit.ttls;
    stored.records().map(|record| record.ttl).collect()
}
