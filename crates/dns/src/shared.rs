//! What all threads of the server share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use dns_forward::Forwarder;
use dns_names::Names;

use crate::chain::Chain;
use crate::log::QueryLog;
use crate::metrics::{Counters, ZONES};
use crate::pending::Waiting;

/// Names, forwarder, the current chain, counters.
pub(crate) struct Shared {
    names: Arc<RwLock<Names>>,
    pub(crate) forwarder: Forwarder,
    chain: Mutex<Arc<Chain>>,
    generation: AtomicU64,
    /// Labels of zones in metrics, by place. They only grow, up to a bound.
    labels: Mutex<Vec<String>>,
    counters: Mutex<Vec<Arc<Counters>>>,
    /// Configurations that were refused.
    pub(crate) refused: AtomicU64,
    pub(crate) waiting: Waiting,
    pub(crate) log: QueryLog,
    pub(crate) errors: QueryLog,
}

impl Shared {
    pub(crate) fn new(names: Arc<RwLock<Names>>, forwarder: Forwarder) -> Self {
        Self {
            names,
            forwarder,
            chain: Mutex::default(),
            generation: AtomicU64::new(0),
            labels: Mutex::new(vec!["other".to_owned()]),
            counters: Mutex::default(),
            refused: AtomicU64::new(0),
            waiting: Waiting::default(),
            log: QueryLog::default(),
            errors: QueryLog::default(),
        }
    }

    /// The cluster's names. To be held for one answer only: a writer waits.
    pub(crate) fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn chain(&self) -> Arc<Chain> {
        Arc::clone(&self.chain.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another chain; threads see it at their next query.
    pub(crate) fn set_chain(&self, mut chain: Chain) {
        chain.blocks.iter_mut().for_each(|block| block.zone_label = self.label(&block.label));
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(chain);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes with each chain.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The place of a zone's counters.
    fn label(&self, label: &str) -> usize {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = labels.iter().position(|known| known == label) {
            return place;
        }
        if labels.len() >= ZONES {
            return 0;
        }
        labels.push(label.to_owned());
        labels.len() - 1
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counters for one more thread.
    pub(crate) fn new_counters(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::new());
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    /// The counters of all threads.
    pub(crate) fn all_counters(&self) -> Vec<Arc<Counters>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
