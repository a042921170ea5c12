//! A Kubernetes API server as a source: Services, EndpointSlices, this Node, ServiceCIDRs and Namespaces; for DNS also Pods
//! and ServiceImports.
//!
//! ```text
//!  kubeconfig, pod --> Access --> Maker --> Link (kube's credentials; HTTP/2, limits of time)
//!                                  |
//!      one Follower a kind:  Course (what to ask next) --> request --> body
//!                                                                       |
//!                             Pieces: an object at a time, never a whole list
//!                                                                       v
//!  Change <-- Hub <-- Book (fingerprints of what is known; what differs) <-- k8s::decode
//!              ^
//!              +-- restore: the last known good state, when there is no server at the start
//! ```
//!
//! Invariants:
//! * an upsert is sent only when the object differs from what was sent; objects themselves are not kept;
//! * after the first list, a list is taken over wholly, as one batch, or not at all;
//! * whatever the server does, what is known stays in force; only a complete list, or a DELETED event, removes an object;
//! * nothing needs a restart: credentials, CAs and the kubeconfig are read again when they change or are refused; until
//!   they can be read, the ones of before stay in use;
//! * one request that hangs, and a kind that is not required, hold nothing else up;
//! * memory is bounded by names and fingerprints, and one object at a time (16 MiB at the most) while it is read;
//! * everything runs on the one thread that [`Kubernetes::run`] blocks; a sink that waits makes the server wait.

mod access;
mod ask;
mod backoff;
mod book;
mod connect;
mod course;
mod error;
mod event;
mod failure;
mod follow;
mod grace;
mod hub;
mod limits;
mod link;
mod maker;
mod objects;
mod pieces;
mod posts;
mod problems;
mod reason;
mod requests;
mod restore;
mod scan;
mod splitter;
mod stats;
mod stream;
mod trouble;
mod watched;
mod worker;

use std::fmt;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::Change;
use tokio::net::unix::pipe;

use crate::StopSignal;
use crate::k8s::{Kept, Kind};
use access::{Access, Surroundings};
use follow::Follower;
use hub::Hub;
use link::Link;
use watched::{Selectors, TARGETS};

pub use error::KubernetesError;
pub use limits::Limits;
pub use reason::Reason;
pub use requests::{About, EventRequest, Requests};
pub use stats::{KindStats, Stats};
pub use watched::{Pods, WATCHED, Watched};

/// Threads for names that are looked up, and for credential plugins. Of the latter, those that hang hold one each, see
/// [`maker::Maker`]; else two are in use, and the others are never made.
const BLOCKING: usize = 16;

/// What to watch, and how to get there.
#[derive(Debug)]
pub struct Options {
    /// The kubeconfig file, if there is one.
    pub kubeconfig: Option<PathBuf>,
    /// The server's URL; goes before what the kubeconfig or the environment say.
    pub master: Option<String>,
    /// The name of this Node.
    pub node_name: Arc<str>,
    /// The last known good state, and when to use it.
    pub snapshot: Option<Snapshot>,
    /// Watch Namespaces too.
    pub namespaces: bool,
    /// Watch headless Services with their slices, and Services of other proxies too, as DNS needs them.
    pub headless: bool,
    /// Which Pods to watch.
    pub pods: Pods,
    /// Watch ServiceImports too. A cluster without their CRD is asked now and then whether it has it.
    pub imports: bool,
    /// What is kept of objects for DNS.
    pub kept: Kept,
    /// Say with [`Change::Cause`] which object each change is about, after the first list.
    pub causes: bool,
    /// Limits of time and memory.
    pub limits: Limits,
}

impl Options {
    /// What a proxy without DNS needs, from inside a cluster.
    pub fn new(node_name: impl Into<Arc<str>>) -> Self {
        Self {
            kubeconfig: None,
            master: None,
            node_name: node_name.into(),
            snapshot: None,
            namespaces: false,
            headless: false,
            pods: Pods::None,
            imports: false,
            kept: Kept::NOTHING,
            causes: false,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Whether objects of a kind are to be watched.
    fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Namespace => self.namespaces,
            Kind::Pod => self.pods != Pods::None,
            Kind::ServiceImport => self.imports,
            Kind::Service | Kind::EndpointSlice | Kind::Node | Kind::ServiceCidr => true,
        }
    }
}

/// The last known good state, for a start without an API server.
pub struct Snapshot {
    /// The file that [`crate::snapshot::write`] wrote.
    pub path: PathBuf,
    /// How long the API server is waited for before.
    pub after: Duration,
    /// Asked before it is used, each second: whether the agent wants it.
    pub allowed: Box<dyn FnMut() -> bool + Send>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("path", &self.path).field("after", &self.after).finish()
    }
}

/// What [`Options`] name of a Kubernetes API server.
#[derive(Debug)]
pub struct Kubernetes {
    options: Options,
    access: Access,
    stats: Arc<Stats>,
    requests: Requests,
    waiting: requests::Waiting,
}

impl Kubernetes {
    /// The name under which [`Change::Synced`] is sent.
    pub const NAME: &'static str = "kubernetes";

    /// Reads the files that say where the server is and who we are. No request is made yet.
    ///
    /// # Errors
    /// When a file is missing or makes no sense, or nothing says where the server is.
    pub fn open(options: Options) -> Result<Self, KubernetesError> {
        Self::open_in(options, &Surroundings::real())
    }

    fn open_in(options: Options, around: &Surroundings) -> Result<Self, KubernetesError> {
        let access = Access::choose(&options, around)?;
        connect::check(&access)?;
        let (requests, waiting) = Requests::pair();
        Ok(Self { options, access, stats: Arc::default(), requests, waiting })
    }

    /// Counters, for metrics.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Takes requests for Events and for taints.
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Sends the whole state, [`Change::Synced`], and then what changes, until told to stop. Blocks the thread.
    ///
    /// # Errors
    /// When `sink` returned `false`, or the operating system has no resources left. Never because of the API server.
    pub fn run(self, stop: &StopSignal, sink: &mut dyn FnMut(Change) -> bool) -> Result<(), KubernetesError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .build()
            .map_err(KubernetesError::Runtime)?;
        let result = runtime.block_on(self.run_until(stop, sink));
        // A name that is being looked up, or a plugin that runs, is not waited for.
        runtime.shutdown_background();
        result
    }

    async fn run_until(
        self,
        stop: &StopSignal,
        sink: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), KubernetesError> {
        let stop = stop.as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
        let stop = stop.map_err(KubernetesError::Runtime)?;
        let Self { options, access, stats, requests: _, waiting } = self;
        let followed = TARGETS.each_ref().map(|target| options.wants(target.kind));
        let hub = Hub::new(sink, followed, options.kept, options.causes, stats, options.limits.clone());
        let link = Link::new(access, options.limits);
        let node = Arc::clone(&options.node_name);
        let follow = |index: usize| {
            let selectors = Selectors::of(TARGETS[index].kind, &node, options.headless, options.pods);
            let follower = Follower::new(&hub, &link, index, selectors);
            Box::pin(async move {
                if followed[index] {
                    follower.run().await;
                }
                std::future::pending::<()>().await;
            })
        };
        let restoring = async {
            if let Some(snapshot) = options.snapshot {
                restore::restore(&hub, &node, snapshot, options.kept).await;
            }
        };
        let work = async {
            tokio::join!(
                follow(0),
                follow(1),
                follow(2),
                follow(3),
                follow(4),
                follow(5),
                follow(6),
                Box::pin(restoring),
                Box::pin(grace::wait(&hub)),
                Box::pin(worker::serve(&link, &hub.limits, &node, waiting)),
            )
        };
        tokio::select! {
            biased;
            _ = stop.readable() => Ok(()),
            () = hub.ended() => Err(KubernetesError::ReceiverGone),
            _ = work => Ok(()),
        }
    }
}

/// Asks once for one object by its path, as JSON; for tools that look at a cluster from outside. Blocks.
///
/// # Errors
/// When it is not known where the server is, or it does not give the object.
pub fn get(options: Options, path: &str) -> Result<serde_json::Value, KubernetesError> {
    let access = Access::choose(&options, &Surroundings::real())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(KubernetesError::Runtime)?;
    let link = Link::new(access, options.limits);
    let result = runtime.block_on(worker::get(&link, path));
    // A plugin that hangs is not waited for.
    runtime.shutdown_background();
    result.map_err(|failure| KubernetesError::Answer {
        url: link.about().url,
        path: path.to_owned(),
        why: failure.text,
    })
}

#[cfg(test)]
mod pod_tests;
