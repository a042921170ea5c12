//! The source under test, running, and what it has said so far.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use model::{Change, NamespacedName, Service, Slice};
use sources::kubernetes::{Kubernetes, KubernetesError, Options, Requests, Stats};
use sources::{Stopper, stop_pair};

use crate::cluster::Cluster;

/// How often counters are looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Reader {
    changes: Receiver<Change>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<Result<(), KubernetesError>>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) requests: Requests,
    /// What came, without the Services and slices of others and of other tests.
    pub(crate) log: Vec<Change>,
    namespace: String,
    prefix: String,
    patience: Duration,
}

impl Reader {
    pub(crate) fn start(options: Options, cluster: &Cluster, prefix: &str) -> Result<Self> {
        let source = Kubernetes::open(options).context("opening the source")?;
        let (stats, requests) = (source.stats(), source.requests());
        let ((stopper, stop), (sender, changes)) = (stop_pair()?, channel());
        let thread = std::thread::spawn(move || source.run(&stop, &mut |change| sender.send(change).is_ok()));
        let (stopper, thread) = (Some(stopper), Some(thread));
        let (namespace, prefix, patience) = (cluster.namespace.clone(), prefix.to_owned(), cluster.patience);
        Ok(Self { changes, stopper, thread, stats, requests, log: Vec::new(), namespace, prefix, patience })
    }

    /// Waits until what came gives an answer.
    pub(crate) fn until<T>(&mut self, what: &str, find: impl Fn(&[Change]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(found) = find(&self.log) {
                return Ok(found);
            }
            self.take_one_of_ours(deadline).with_context(|| format!("waiting for {what}"))?;
        }
    }

    fn take_one_of_ours(&mut self, deadline: Instant) -> Result<()> {
        loop {
            let change = self.take(deadline)?;
            if self.is_ours(&change) {
                self.log.push(change);
                return Ok(());
            }
        }
    }

    fn take(&self, deadline: Instant) -> Result<Change> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.changes.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Disconnected => anyhow!("the source has ended; it said {:#?}", self.log),
            RecvTimeoutError::Timeout => {
                let errors: Vec<_> = self.stats.errors().collect();
                anyhow!(
                    "not within {:?}; errors were {errors:?}; what came of ours: {:#?}",
                    self.patience,
                    self.log
                )
            }
        })
    }

    fn is_ours(&self, change: &Change) -> bool {
        let name = match change {
            Change::Service(service) => &service.name,
            Change::Slice(slice) => &slice.name,
            Change::ServiceGone(name) | Change::SliceGone(name) => name,
            _ => return true,
        };
        *name.namespace == *self.namespace && name.name.starts_with(&self.prefix)
    }

    /// Waits for the end of the first list.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.until("Synced", |log| log.contains(&Change::Synced(Kubernetes::NAME)).then_some(()))
    }

    /// Everything up to the end of the first list, also what belongs to others.
    pub(crate) fn sync_all(&mut self) -> Result<Vec<Change>> {
        let (deadline, mut all) = (Instant::now() + self.patience, Vec::new());
        loop {
            match self.take(deadline)? {
                Change::Synced(Kubernetes::NAME) => return Ok(all),
                change => all.push(change),
            }
        }
    }

    /// Waits until the newest state of a Service fits.
    pub(crate) fn service(
        &mut self,
        name: &str,
        what: &str,
        fits: impl Fn(&Service) -> bool,
    ) -> Result<Arc<Service>> {
        self.until(&format!("the Service {name}: {what}"), |log| {
            state_of_service(log, name).filter(|it| fits(it))
        })
    }

    /// Waits until the newest state of a slice fits.
    pub(crate) fn slice(
        &mut self,
        name: &str,
        what: &str,
        fits: impl Fn(&Slice) -> bool,
    ) -> Result<Arc<Slice>> {
        self.until(&format!("the slice {name}: {what}"), |log| {
            state_of_slice(log, name).filter(|it| fits(it))
        })
    }

    /// Waits until a Service, which was there, is gone.
    pub(crate) fn service_gone(&mut self, name: &str) -> Result<()> {
        self.until(&format!("the Service {name} to go"), |log| {
            let last = log.iter().rev().find(|change| is_about_service(change, name));
            matches!(last, Some(Change::ServiceGone(_))).then_some(())
        })
    }

    /// Waits until a slice, which was there, is gone.
    pub(crate) fn slice_gone(&mut self, name: &str) -> Result<()> {
        self.until(&format!("the slice {name} to go"), |log| {
            let last = log.iter().rev().find(|change| is_about_slice(change, name));
            matches!(last, Some(Change::SliceGone(_))).then_some(())
        })
    }

    /// Waits until a counter of one resource fits.
    pub(crate) fn counted(
        &mut self,
        resource: &str,
        what: &str,
        fits: impl Fn(Counts) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        while !fits(self.counts(resource)) {
            if Instant::now() > deadline {
                let errors: Vec<_> = self.stats.errors().collect();
                bail!("no {what} within {:?}: {:?}, {errors:?}", self.patience, self.counts(resource));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The counters of one resource.
    pub(crate) fn counts(&self, resource: &str) -> Counts {
        let found = self.stats.kinds().find(|(name, _)| *name == resource);
        found.map_or_else(Counts::default, |(_, kind)| Counts {
            lists: kind.lists.load(Relaxed),
            relists: kind.relists.load(Relaxed),
            watches: kind.watches.load(Relaxed),
            events: kind.events.load(Relaxed),
        })
    }

    /// Ends the source; it must end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.stopper.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the source panicked"))?.context("the source")
    }
}

/// Counters of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lists: u64,
    pub(crate) relists: u64,
    pub(crate) watches: u64,
    pub(crate) events: u64,
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.stopper.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn is(name: &NamespacedName, wanted: &str) -> bool {
    *name.name == *wanted
}

pub(crate) fn is_about_service(change: &Change, name: &str) -> bool {
    match change {
        Change::Service(service) => is(&service.name, name),
        Change::ServiceGone(gone) => is(gone, name),
        _ => false,
    }
}

pub(crate) fn is_about_slice(change: &Change, name: &str) -> bool {
    match change {
        Change::Slice(slice) => is(&slice.name, name),
        Change::SliceGone(gone) => is(gone, name),
        _ => false,
    }
}

/// The newest state of a Service, if it is there.
pub(crate) fn state_of_service(log: &[Change], name: &str) -> Option<Arc<Service>> {
    match log.iter().rev().find(|change| is_about_service(change, name)) {
        Some(Change::Service(service)) => Some(Arc::clone(service)),
        _ => None,
    }
}

/// The newest state of a slice, if it is there.
pub(crate) fn state_of_slice(log: &[Change], name: &str) -> Option<Arc<Slice>> {
    match log.iter().rev().find(|change| is_about_slice(change, name)) {
        Some(Change::Slice(slice)) => Some(Arc::clone(slice)),
        _ => None,
    }
}
