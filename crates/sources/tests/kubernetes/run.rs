//! A source that runs against a server, for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use apiserver::Server;
use model::Change;
use serde_json::{Value, json};
use towpath_sources::kubernetes::{Kubernetes, KubernetesError, Limits, Options, Requests, Stats};
use towpath_sources::{Stopper, stop_pair};

/// Nothing takes this long unless it never comes.
pub const LONG: Duration = Duration::from_secs(20);

/// Limits under which faults are found soon.
pub fn limits() -> Limits {
    let ms = Duration::from_millis;
    Limits {
        connect: ms(2000),
        ping_every: ms(300),
        ping_answer: ms(300),
        answer: ms(1500),
        grace: ms(1000),
        list_silence: ms(1000),
        retry_first: ms(50),
        retry_last: ms(200),
        ask_again: ms(100),
        ..Limits::default()
    }
}

/// A directory of its own, removed at the end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("towpath-kubernetes-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Run {
    changes: Receiver<Change>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<Result<(), KubernetesError>>>,
    pub stats: Arc<Stats>,
    pub requests: Requests,
    markers: u32,
}

/// Whether a change brings the Namespace of this name.
pub fn is_namespace(change: &Change, name: &str) -> bool {
    matches!(change, Change::Namespace(namespace) if &*namespace.name == name)
}

/// Options for a server without TLS.
pub fn plain(server: &Server) -> Options {
    let mut options = Options::new("node-a");
    options.master = Some(server.url());
    options.limits = limits();
    options
}

/// Options from a kubeconfig.
pub fn with_file(kubeconfig: &Path) -> Options {
    let mut options = Options::new("node-a");
    options.kubeconfig = Some(kubeconfig.to_owned());
    options.limits = limits();
    options
}

impl Run {
    pub fn start(options: Options) -> Self {
        let source = Kubernetes::open(options).unwrap();
        let (stats, requests) = (source.stats(), source.requests());
        let ((stopper, stop), (sender, changes)) = (stop_pair().unwrap(), channel());
        let thread = std::thread::spawn(move || source.run(&stop, &mut |change| sender.send(change).is_ok()));
        Self { changes, stopper: Some(stopper), thread: Some(thread), stats, requests, markers: 0 }
    }

    /// Starts and takes in the first list.
    pub fn synced(options: Options) -> Self {
        let mut run = Self::start(options);
        run.until("Synced", |change| *change == Change::Synced(Kubernetes::NAME));
        run
    }

    /// Everything up to and with the first change that fits.
    pub fn until(&mut self, what: &str, fits: impl Fn(&Change) -> bool) -> Vec<Change> {
        let mut all = Vec::new();
        loop {
            match self.changes.recv_timeout(LONG) {
                Ok(change) => {
                    all.push(change);
                    if all.last().is_some_and(&fits) {
                        return all;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what}, only {all:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before {what}: {all:#?}"),
            }
        }
    }

    /// The next Problem about this, up to which everything is passed over.
    pub fn problem(&mut self, object: &str) -> String {
        let is_it = |change: &Change| matches!(change, Change::Problem(p) if &*p.subject.object == object);
        match self.until(&format!("Problem with {object}"), is_it).pop() {
            Some(Change::Problem(problem)) => problem.to_string(),
            other => panic!("{other:?}"),
        }
    }

    pub fn solved(&mut self, object: &str) {
        let is_it = |change: &Change| matches!(change, Change::ProblemSolved(s) if &*s.object == object);
        self.until(&format!("end of the Problem with {object}"), is_it);
    }

    /// Everything that was sent about Services before a new Service was, which is made now.
    pub fn before_marker(&mut self, server: &Server) -> Vec<Change> {
        self.markers += 1;
        let name = format!("marker-{}", self.markers);
        server.store().apply(service(&name, 1)).unwrap();
        let mut all = self.until(&name, |change| is_service(change, &name));
        all.pop();
        // The marker itself may be part of a batch.
        all.retain(|change| !matches!(change, Change::BatchBegins | Change::BatchEnds));
        all
    }

    pub fn stop(mut self) {
        drop(self.stopper.take());
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

/// The sum of an error counter.
pub fn errors(stats: &Stats, resource: &str, reason: &str) -> u64 {
    stats.errors().filter(|(r, w, _)| (*r, *w) == (resource, reason)).map(|(_, _, count)| count).sum()
}

/// Does that again and again until the error was counted.
pub fn until_counted(stats: &Stats, resource: &str, reason: &str, cause: impl Fn() -> usize) {
    let begun = std::time::Instant::now();
    while errors(stats, resource, reason) == 0 {
        assert!(begun.elapsed() < LONG, "no error {reason} of {resource}");
        cause();
        std::thread::yield_now();
    }
}

pub fn is_service(change: &Change, name: &str) -> bool {
    matches!(change, Change::Service(service) if &*service.name.name == name)
}

pub fn is_service_gone(change: &Change, name: &str) -> bool {
    matches!(change, Change::ServiceGone(gone) if &*gone.name == name)
}

pub fn service(name: &str, port: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": port}]}})
}

pub fn slice(name: &str, ip: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "web"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-11-21T12:00:00.25Z"}},
        "ports": [{"name": "", "port": 80}], "endpoints": [{"addresses": [ip]}]})
}

pub fn node() -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"},
        "spec": {"taints": [{"key": "towpath/not-ready", "effect": "NoSchedule"}, {"key": "other", "effect": "NoSchedule"}]}})
}

/// A server with a few objects.
pub fn server(options: apiserver::Options) -> Server {
    let server = Server::start(options).unwrap();
    let objects = [service("web", 80), service("gone", 80), slice("web-abcde", "10.0.0.1"), node()];
    server.store().apply_all(objects).unwrap();
    server
}
