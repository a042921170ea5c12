//! What the sync thread tells the pages: small, always current, never the engine itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use model::{Problem, Store};
use prometheus_client::collector::Collector;
use resolve::{Mode, ProxyConfig};
use sources::kubernetes::Stats;

use crate::audit::Trail;
use crate::health::Health;
use crate::listing::Listing;
use crate::metrics::{Api, Counted, Metrics};
use crate::repair::Repair;
use crate::rules_view::RulesView;
use crate::traffic::Traffic;

/// The board. One for the process.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    pub(crate) metrics: Metrics,
    /// Connections and bytes by Service, where somebody wants to know.
    pub(crate) traffic: Arc<Traffic>,
    /// Every Service, in a line.
    pub(crate) listing: Listing,
    /// The last changes.
    pub(crate) trail: Arc<Trail>,
}

/// What is written on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) health: Health,
    pub(crate) last_error: Option<String>,
    /// Why the mode is not the one that was asked for.
    pub(crate) move_error: Option<String>,
    /// Rules that should be gone and are not, a line each.
    pub(crate) leftovers: Vec<String>,
    /// Why the configuration file, as it is now, is not in force.
    pub(crate) config_error: Option<String>,
    /// The mode that is in force.
    pub(crate) mode: Mode,
    /// The first sync has succeeded.
    pub(crate) synced_once: bool,
    /// The last sync that succeeded.
    pub(crate) last_sync: Option<LastSync>,
    /// The last repair of what others had changed.
    pub(crate) last_repair: Option<Repair>,
    /// Such repairs since the start.
    pub(crate) repairs: u64,
    /// Why the mode is the one that is in force; a sentence.
    pub(crate) why: String,
    /// When the process began to work.
    pub(crate) started: Option<SystemTime>,
}

/// A sync, in numbers.
#[derive(Clone, Debug)]
pub(crate) struct LastSync {
    /// When it ended.
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    /// Objects that it wrote.
    pub(crate) writes: usize,
    /// Services that it resolved.
    pub(crate) services: usize,
    /// It compared everything with the kernel.
    pub(crate) full: bool,
}

impl Board {
    /// `late`: how long a change may wait while the program still counts as healthy.
    /// `dns`: figures of the DNS server.
    pub(crate) fn new(late: Duration, api: Option<Arc<Stats>>, dns: Option<Box<dyn Collector>>) -> Arc<Self> {
        let mut metrics = Metrics::new();
        let traffic = Arc::<Traffic>::default();
        metrics.add(Box::new(Counted(Arc::clone(&traffic))));
        if let Some(dns) = dns {
            metrics.add_dns(dns);
        }
        if let Some(stats) = api {
            metrics.add(Box::new(Api(stats)));
        }
        let started = Some(SystemTime::now());
        let state = State { health: Health::new(late), started, ..State::default() };
        let (listing, trail) = (Listing::default(), Arc::default());
        Arc::new(Self { state: Mutex::new(state), metrics, traffic, listing, trail })
    }

    /// Says which mode is in force from now on.
    pub(crate) fn set_mode(&self, mode: Mode, late: Duration) {
        let mut state = self.state();
        state.mode = mode;
        state.health.set_late(late);
        drop(state);
        self.metrics.build(mode);
    }

    /// The state, for a moment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of all that the engine knows, for pages that show much.
pub(crate) struct Copy {
    pub(crate) store: Store,
    pub(crate) rules: Box<dyn RulesView>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) synced: bool,
    pub(crate) config: ProxyConfig,
    /// How long the sync thread made copies.
    pub(crate) took: Duration,
}
