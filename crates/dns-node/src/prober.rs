//! Asks our own server, so that the kernel sees it answer.

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use model::Protocol;

use crate::ends::ProbeEnd;
use crate::error::NodeError;
use crate::probe::{Answer, ask_tcp, ask_udp};

/// How often each VIP is asked, by UDP and TCP.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// How long nobody is asked after a wrong answer: the kernel takes any for a sign of life.
const AFTER_WRONG: Duration = Duration::from_secs(10);
/// How long the thread sleeps at most while nobody is to be asked.
const IDLE: Duration = Duration::from_secs(60);

/// How one frontend answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The VIP.
    pub vip: IpAddr,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// Right answers so far.
    pub answered: u64,
    /// Probes without a right answer so far.
    pub lost: u64,
    /// Why the last probe failed; `None`: it did not.
    pub failure: Option<String>,
}

/// Asks each VIP from its [`ProbeEnd`] while it may. It begins paused, and ends with the value.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    query: Vec<u8>,
    ends: Vec<Arc<ProbeEnd>>,
    asks: bool,
    ended: bool,
    health: Vec<Health>,
    /// Nobody is asked until then.
    quiet_until: Option<Instant>,
}

impl State {
    fn is_quiet(&self) -> bool {
        self.quiet_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Prober {
    /// Starts the thread. `query` is a whole DNS query, without the two octets of length, for a name that the server surely
    /// has; its ID is replaced. A right answer is NOERROR or NXDOMAIN. Errors: the system gives no thread.
    pub fn start(query: &[u8]) -> Result<Self, NodeError> {
        let (query, ends, health) = (query.to_vec(), Vec::new(), Vec::new());
        let state = State { query, ends, asks: false, ended: false, health, quiet_until: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("dns-probe".to_owned()).spawn(move || theirs.work());
        Ok(Self { shared, thread: Some(thread.map_err(NodeError::Thread)?) })
    }

    /// Whom to ask from now on ([`crate::DnsNode::ends`]).
    pub fn set(&self, ends: Vec<Arc<ProbeEnd>>) {
        self.shared.change(|state| {
            state.health.retain(|health| ends.iter().any(|end| end.own().ip() == health.vip));
            state.ends = ends;
        });
    }

    /// What to ask from now on: the server was configured anew. It is asked again even if its last answer was wrong.
    pub fn set_query(&self, query: &[u8]) {
        self.shared.change(|state| {
            state.query = query.to_vec();
            state.quiet_until = None;
        });
    }

    /// Asks from now on: the server knows the cluster. Changes nothing where it asks already.
    pub fn resume(&self) {
        self.shared.change(|state| {
            if !std::mem::replace(&mut state.asks, true) {
                state.quiet_until = None;
            }
        });
    }

    /// Asks no more: interception ends [`crate::LIFE`] later, or at once with [`crate::DnsNode::flip_back`].
    pub fn pause(&self) {
        self.shared.change(|state| state.asks = false);
    }

    /// How each frontend answered so far.
    pub fn health(&self) -> Vec<Health> {
        self.shared.lock().health.clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut id = 0u16;
        while let Some((mut query, ends)) = self.next() {
            let began = Instant::now();
            for end in &ends {
                id = id.wrapping_add(1);
                if let [high, low, ..] = query.as_mut_slice() {
                    [*high, *low] = id.to_be_bytes();
                }
                if !self.ask(end, &query) {
                    break;
                }
            }
            self.rest(INTERVAL.saturating_sub(began.elapsed()));
        }
    }

    /// Asks one VIP; `false`: the answer was wrong, so nobody is to be asked.
    fn ask(&self, end: &ProbeEnd, query: &[u8]) -> bool {
        let udp = self.learn(end, Protocol::Udp, ask_udp(end, query));
        udp && self.learn(end, Protocol::Tcp, ask_tcp(end, query))
    }

    /// Waits until there is somebody to ask. `None`: it is over.
    fn next(&self) -> Option<(Vec<u8>, Vec<Arc<ProbeEnd>>)> {
        let mut state = self.lock();
        while !state.ended && (!state.asks || state.ends.is_empty() || state.is_quiet()) {
            let pause = if state.is_quiet() { INTERVAL } else { IDLE };
            let woken = self.changed.wait_timeout(state, pause);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        (!state.ended).then(|| (state.query.clone(), state.ends.clone()))
    }

    /// Waits for the next round. A change does not shorten it, but for the end.
    fn rest(&self, pause: Duration) {
        let goes_on = |state: &mut State| !state.ended;
        drop(self.changed.wait_timeout_while(self.lock(), pause, goes_on));
    }

    fn learn(&self, end: &ProbeEnd, protocol: Protocol, answer: Answer) -> bool {
        let vip = end.own().ip();
        let mut state = self.lock();
        let wrong = matches!(answer, Answer::Wrong(_));
        if wrong {
            state.quiet_until = Some(Instant::now() + AFTER_WRONG);
        }
        let place = state.health.iter().position(|h| h.vip == vip && h.protocol == protocol);
        let place = place.unwrap_or_else(|| {
            state.health.push(Health { vip, protocol, answered: 0, lost: 0, failure: None });
            state.health.len() - 1
        });
        if let Some(health) = state.health.get_mut(place) {
            health.take(answer);
        }
        !wrong
    }
}

impl Health {
    fn take(&mut self, answer: Answer) {
        let failure = match answer {
            Answer::Right => None,
            Answer::Wrong(why) => Some(why),
            Answer::None(error) => Some(error.to_string()),
        };
        *(if failure.is_none() { &mut self.answered } else { &mut self.lost }) += 1;
        let (vip, protocol) = (self.vip, self.protocol);
        match (&self.failure, &failure) {
            (None, Some(why)) => {
                tracing::warn!(%vip, ?protocol, %why, "our DNS server does not answer its probe")
            }
            (Some(_), None) => tracing::info!(%vip, ?protocol, "our DNS server answers its probe again"),
            _ => {}
        }
        self.failure = failure;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_wrong_answer_only_another_configuration_breaks_the_silence() {
        let Ok(prober) = Prober::start(&[0; 17]) else { panic!("no thread") };
        let be_quiet =
            || prober.shared.change(|state| state.quiet_until = Some(Instant::now() + AFTER_WRONG));
        let is_quiet = || prober.shared.lock().is_quiet();
        prober.resume();
        be_quiet();
        prober.resume();
        assert!(is_quiet(), "the same again is nothing new");
        prober.set_query(&[0; 18]);
        assert!(!is_quiet());
        be_quiet();
        prober.pause();
        prober.resume();
        assert!(!is_quiet());
    }

    #[test]
    fn a_prober_without_anybody_to_ask_ends_at_once() {
        let began = Instant::now();
        for asks in [false, true] {
            let Ok(prober) = Prober::start(&[0; 17]) else { panic!("no thread") };
            if asks {
                prober.resume();
            }
            assert_eq!(prober.health(), []);
        }
        assert!(began.elapsed() < IDLE / 10);
    }
}
