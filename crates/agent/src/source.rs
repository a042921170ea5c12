//! Where Services come from, in threads of their own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};

use anyhow::Result;
use config::{Settings, Source};
use model::Change;
use sources::kubernetes::{self, Kubernetes, Pods, Requests, Stats};
use sources::{Addresses, Kept, Manifests, StopSignal};

use crate::modes;
use crate::sync::Message;

/// What is watched and kept for DNS, beside headless Services and their slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsNeeds {
    /// Which Pods: those of this Node for search by the server and pods that opt out, all for names that are verified.
    pub(crate) pods: Pods,
    /// Whether ServiceImports are.
    pub(crate) imports: bool,
    /// What is kept of objects.
    pub(crate) kept: Kept,
}

/// The source of Services that the settings name, opened.
pub(crate) enum Objects {
    /// Files.
    Manifests(Box<Manifests>),
    /// An API server.
    Kubernetes(Box<Kubernetes>),
}

impl Objects {
    /// Opens it: whatever is wrong with files or addresses is said here.
    /// `dns`: what DNS on the node needs, if it is on.
    pub(crate) fn open(
        settings: &Settings,
        proxy: &config::KubeProxyFlags,
        node: &str,
        dns: Option<DnsNeeds>,
    ) -> Result<Self> {
        let kept = dns.map_or(Kept::NOTHING, |dns| dns.kept);
        let causes = settings.towpath.audit_entries > 0;
        if settings.towpath.source == Source::Manifests {
            let manifests = Manifests::open(&settings.towpath.manifests)?.keeping(kept).with_causes(causes);
            return Ok(Self::Manifests(Box::new(manifests)));
        }
        let given = &settings.proxy.client_connection.kubeconfig;
        let options = kubernetes::Options {
            kubeconfig: (!given.is_empty()).then(|| PathBuf::from(given)),
            master: proxy.master.clone().filter(|master| !master.is_empty()),
            snapshot: snapshot(settings),
            namespaces: true,
            headless: dns.is_some(),
            pods: dns.map_or(Pods::None, |dns| dns.pods),
            imports: dns.is_some_and(|dns| dns.imports),
            kept,
            causes,
            ..kubernetes::Options::new(node)
        };
        Ok(Self::Kubernetes(Box::new(Kubernetes::open(options)?)))
    }

    /// The name under which it says that it has delivered its first list.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Manifests(_) => Manifests::NAME,
            Self::Kubernetes(_) => Kubernetes::NAME,
        }
    }

    /// Who takes Events and looks after the start-up taint; nobody without an API server.
    pub(crate) fn requests(&self) -> Option<Requests> {
        match self {
            Self::Manifests(_) => None,
            Self::Kubernetes(source) => Some(source.requests()),
        }
    }

    /// Counters of the API server's source.
    pub(crate) fn stats(&self) -> Option<Arc<Stats>> {
        match self {
            Self::Manifests(_) => None,
            Self::Kubernetes(source) => Some(source.stats()),
        }
    }

    fn run(self, stop: &StopSignal, sink: &mut dyn FnMut(Change) -> bool) -> Result<(), String> {
        match self {
            Self::Manifests(mut source) => {
                source.load(sink).and_then(|()| source.run(stop, sink)).map_err(|e| e.to_string())
            }
            Self::Kubernetes(source) => source.run(stop, sink).map_err(|e| e.to_string()),
        }
    }
}

/// The last known good state, for a kernel that has no rules of ours. Rules that it has are newer than any file.
fn snapshot(settings: &Settings) -> Option<kubernetes::Snapshot> {
    let wanted = &settings.towpath.snapshot;
    let allowed = || !modes::any_installed();
    wanted.enabled.then(|| kubernetes::Snapshot {
        path: wanted.path.clone(),
        after: wanted.after.as_std(),
        allowed: Box::new(allowed),
    })
}

/// Starts the threads that deliver changes.
pub(crate) fn start(
    objects: Objects,
    mut addresses: Addresses,
    sync: &SyncSender<Message>,
    stop: &StopSignal,
) -> Result<Vec<JoinHandle<()>>> {
    let (to_sync, signal, name) = (sync.clone(), stop.clone(), objects.name());
    let objects = thread::Builder::new().name(name.into()).spawn(move || {
        let mut sink = |change| to_sync.send(Message::Change(change)).is_ok();
        report(name, objects.run(&signal, &mut sink).err());
    })?;
    let (to_sync, signal) = (sync.clone(), stop.clone());
    let links = thread::Builder::new().name("addresses".into()).spawn(move || {
        let mut sink = |change: Change| to_sync.send(Message::Change(change)).is_ok();
        let result = addresses.load(&mut sink).and_then(|()| addresses.run(&signal, &mut sink));
        report("addresses", result.err().map(|e| e.to_string()));
    })?;
    Ok(vec![objects, links])
}

fn report(source: &str, error: Option<String>) {
    if let Some(error) = error {
        tracing::error!(source, "{error}");
    }
}
