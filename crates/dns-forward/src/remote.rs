//! One upstream: how to reach it, how it is, what it counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_wire::Stored;
use tokio::time::{sleep, timeout};

use crate::health::{Health, Standing};
use crate::metrics::{Counter, Durations};
use crate::pending::{Fault, Question, Reply};
use crate::stream::Streams;
use crate::tls::{Secure, TlsError};
use crate::udp::{Counters, Udp};
use crate::{Group, Upstream, UpstreamMetrics};

/// What a group wants of an upstream. When that is the same as before, the upstream goes on as it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) upstream: Upstream,
    force_tcp: bool,
    max_fails: u32,
    expire: Duration,
    health_interval: Duration,
}

impl Terms {
    pub(crate) fn new(group: &Group, upstream: &Upstream) -> Self {
        Self {
            upstream: upstream.clone(),
            force_tcp: group.force_tcp,
            max_fails: group.max_fails,
            expire: group.expire,
            health_interval: group.health_interval.max(Duration::from_millis(10)),
        }
    }
}

/// The upstream.
pub(crate) struct Remote {
    pub(crate) terms: Terms,
    pub(crate) health: Health,
    udp: Option<Udp>,
    streams: Streams,
    sockets: Arc<Counters>,
    replies: [Durations; 7],
    timeouts: Counter,
    health_failures: Counter,
}

impl Remote {
    /// Reads what TLS needs; sends nothing.
    pub(crate) fn new(terms: Terms) -> Result<Self, TlsError> {
        let secure = Secure::read(&terms.upstream)?;
        let (address, sockets) = (terms.upstream.address, Arc::<Counters>::default());
        let streams_only = terms.force_tcp || secure.is_some();
        Ok(Self {
            udp: (!streams_only).then(|| Udp::new(address, sockets.clone())),
            streams: Streams::new(address, secure, terms.expire, sockets.clone()),
            terms,
            health: Health::default(),
            sockets,
            replies: Default::default(),
            timeouts: Counter::default(),
            health_failures: Counter::default(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.terms.upstream.address
    }

    pub(crate) fn standing(&self) -> Standing {
        self.health.standing(self.terms.max_fails)
    }

    /// Asked by TCP or TLS only.
    pub(crate) fn is_stream(&self) -> bool {
        self.udp.is_none()
    }

    /// Asks, and once more by TCP if the reply did not fit. The time is the caller's; so is [`failed`](Self::failed).
    pub(crate) async fn exchange(&self, question: &Arc<Question>, edns: bool) -> Result<Stored, Fault> {
        let start = Instant::now();
        let reply = match &self.udp {
            Some(udp) => udp.exchange(question, edns).await?,
            None => Reply::Truncated,
        };
        let message = match reply {
            Reply::Message(message) => message,
            Reply::Truncated => match self.streams.exchange(question, edns).await? {
                Reply::Message(message) => message,
                Reply::Truncated => return Err(Fault::Broken),
            },
        };
        self.heard(&message, start.elapsed());
        Ok(message)
    }

    fn heard(&self, message: &Stored, took: Duration) {
        self.health.succeeded(took);
        let at = usize::from(message.rcode()).min(self.replies.len() - 1);
        self.replies[at].observe(took);
    }

    /// A question was not answered, or another upstream was faster by far: it is probed until it answers.
    pub(crate) fn failed(self: &Arc<Self>, fault: Fault) {
        if fault == Fault::Full {
            return; // our own bound
        }
        if fault == Fault::Timeout {
            self.timeouts.add();
        }
        if self.health.failed() {
            tokio::spawn(probe(Arc::downgrade(self), self.terms.health_interval));
        }
    }

    /// Asks for the root's NS; any reply is good.
    async fn is_well(&self) -> bool {
        let question = Arc::new(Question::probe());
        let well =
            timeout(PROBE_TIMEOUT, self.exchange(&question, self.health.edns.is_known(Instant::now()))).await;
        let well = matches!(well, Ok(Ok(_)));
        if !well {
            self.health_failures.add();
        }
        well
    }

    pub(crate) fn metrics(&self) -> UpstreamMetrics {
        UpstreamMetrics {
            address: self.address(),
            tls: self.terms.upstream.tls.is_some(),
            up: self.standing() < Standing::Down,
            looping: self.health.is_looping(),
            rtt: self.health.rtt(),
            replies: std::array::from_fn(|at| self.replies[at].get()),
            timeouts: self.timeouts.get(),
            health_failures: self.health_failures.get(),
            mismatched: self.sockets.mismatched.get(),
            conn_hits: self.sockets.reused.get(),
            conn_misses: self.sockets.opened.get(),
        }
    }
}

/// Time for the reply to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Probes come less and less often, down to one in this many intervals.
const SLOWEST: u32 = 8;

/// Probes an upstream until it answers or is not configured any more. The first probe is sent at once.
async fn probe(remote: std::sync::Weak<Remote>, interval: Duration) {
    let mut wait = interval;
    loop {
        let Some(remote) = remote.upgrade() else { return };
        if remote.is_well().await {
            remote.health.probe_ended();
            return;
        }
        drop(remote);
        sleep(wait).await;
        wait = (wait * 2).min(interval * SLOWEST);
    }
}
