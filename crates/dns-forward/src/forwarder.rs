//! The handle that others hold.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use crate::asking::Key;
use crate::configure::{self, Configured};
use crate::group::{Admission, GroupHandle};
use crate::loops::Loops;
use crate::run::StopFlights;
use crate::{Asking, Done, Group, GroupMetrics, Hit, Refusal, Why, run};

/// Asks upstreams and keeps what they say. A handle: clones are the same forwarder, whose thread ends with the last.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    runtime: Handle,
    loops: Arc<Loops>,
    groups: Mutex<Vec<GroupHandle>>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// Changes when all that is under way has to end.
    flights: watch::Sender<u64>,
}

/// The forwarder's thread cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the DNS forwarder cannot start its thread (are threads or file descriptors limited?): {0}")]
pub struct StartError(#[from] std::io::Error);

impl Forwarder {
    /// Starts the thread. It does nothing until it is [configured](Self::configure).
    pub fn start() -> Result<Self, StartError> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let inner = Inner {
            runtime: runtime.handle().clone(),
            loops: Arc::default(),
            groups: Mutex::default(),
            stop: Mutex::new(Some(stop)),
            flights: watch::Sender::default(),
        };
        thread::Builder::new().name("dns-forward".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self(Arc::new(inner)))
    }

    /// Takes these groups in the place of all others, and says for each, in this order, how to ask it.
    ///
    /// A group that was there by the same name with the same upstreams keeps its cache; an upstream that was there keeps its
    /// health and connections. Handles of before work until they are dropped. Upstreams that are `own` addresses (what this
    /// server listens at), or that nothing good can come of, are left out and named.
    pub fn configure(&self, groups: Vec<Group>, own: &[SocketAddr]) -> Configured {
        let mut current = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let configured = configure::configure(groups, own, &current);
        current.clone_from(&configured.groups);
        drop(current);
        self.check_loops();
        configured
    }

    /// Looks whether an upstream leads back to this server, as [`configure`](Self::configure) does: call it when the server's
    /// sockets listen.
    pub fn check_loops(&self) {
        for group in self.groups() {
            for remote in &group.0.remotes {
                self.0
                    .runtime
                    .spawn(self.0.loops.clone().check(remote.clone(), group.0.settings.zone.clone()));
            }
        }
    }

    /// What the cache has for a question. It asks again by itself what is popular and about to end, and what is past its life
    /// with [`crate::StaleMode::Immediate`]. Does not block.
    pub fn cached(&self, group: &GroupHandle, asking: &Asking<'_>, now: Instant) -> Option<Hit> {
        let (hit, refresh) = group.0.lookup(asking, now)?;
        if refresh {
            self.refresh(group, asking);
        }
        Some(hit)
    }

    /// Asks the upstreams; `done` is called once with what came of it, on the forwarder's thread, unless this is an error, which
    /// is to be answered at once. At most [`crate::DEADLINE`] passes until then. Does not block.
    pub fn resolve(&self, group: &GroupHandle, asking: &Asking<'_>, done: Done) -> Result<(), Refusal> {
        if self.0.loops.came_back(asking) {
            return Err(Refusal { why: Why::Loop, stale: None });
        }
        match group.0.admit(asking, Some(done), Instant::now()) {
            Admission::Start(key) => self.start_flight(group, asking, key),
            Admission::Joined => {}
            Admission::Refused(why) => {
                return Err(Refusal { why, stale: group.0.stale(asking, Instant::now()) });
            }
        }
        Ok(())
    }

    fn refresh(&self, group: &GroupHandle, asking: &Asking<'_>) {
        if let Admission::Start(key) = group.0.admit(asking, None, Instant::now()) {
            self.start_flight(group, asking, key);
        }
    }

    fn start_flight(&self, group: &GroupHandle, asking: &Asking<'_>, key: Key) {
        let stop = StopFlights(self.0.flights.subscribe());
        drop(self.0.runtime.spawn(run::run(group.0.clone(), key, asking.into(), stop)));
    }

    /// Whether this question is under way: whoever asks it now costs the upstreams nothing.
    pub fn is_under_way(&self, group: &GroupHandle, asking: &Asking<'_>) -> bool {
        group.0.is_under_way(asking)
    }

    /// Ends all that is under way, soon, on the forwarder's thread: those who wait get what the cache has, be it past its life, or
    /// [`Why::Stopped`]. What is asked afterwards goes its usual way.
    pub fn stop_flights(&self) {
        self.0.flights.send_modify(|count| *count += 1);
    }

    /// The figures of all groups.
    pub fn metrics(&self) -> Vec<GroupMetrics> {
        self.groups().iter().map(|group| group.0.metrics()).collect()
    }

    fn groups(&self) -> Vec<GroupHandle> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(Some(stop)) = self.stop.get_mut().map(Option::take) {
            let _ = stop.send(());
        }
    }
}
