//! The server under test, ours or a real one, and what belongs to the run as a whole.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::api::Api;
use crate::ledger::Ledger;
use crate::{namespace, place};

/// Names the kubeconfig of a real server.
const KUBECONFIG: &str = "TOWPATH_CONFORMANCE_KUBECONFIG";
/// Names the Node that may get a taint for a moment.
const TAINT_NODE: &str = "TOWPATH_CONFORMANCE_TAINT_NODE";
/// If set, a Node is made.
const CREATE_NODE: &str = "TOWPATH_CONFORMANCE_CREATE_NODE";

/// Of what is left on the server, so many are named; the outermost come first.
const SHOWN: usize = 10;

/// What all objects are labelled with.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "towpath-conformance");

pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) ledger: Ledger,
    pub(crate) kubeconfig: PathBuf,
    /// `towpath-conformance-<random>`
    pub(crate) namespace: String,
    /// The Node that the source says it runs on. It need not be there.
    pub(crate) node: String,
    /// Whether that Node may get a taint.
    pub(crate) may_taint: bool,
    /// Nothing takes this long unless it never comes.
    pub(crate) patience: Duration,
    /// Our own server.
    pub(crate) own: Option<Server>,
    /// A directory for the files of the run.
    pub(crate) directory: PathBuf,
    version: OnceLock<String>,
    makes_node: bool,
    /// Held by who cleans up; whether that was done.
    cleaned: Mutex<bool>,
}

impl Cluster {
    /// The server that the environment names, or one of our own.
    pub(crate) fn open() -> Result<Self> {
        match env::var_os(KUBECONFIG) {
            Some(path) => Self::real(Path::new(&path)),
            None => Self::own(Options {
                bookmark_every: Duration::from_secs(1),
                ..Options::secure("conformance")
            }),
        }
    }

    /// A server of our own.
    pub(crate) fn own(options: Options) -> Result<Self> {
        let server = Server::start(options)?;
        let id = random()?;
        let directory = directory(&id)?;
        let kubeconfig = server.kubeconfig().write(directory.join("kubeconfig"))?;
        let node = format!("towpath-conformance-{id}");
        let cluster = Self::new(&id, directory, kubeconfig, Some(server))?;
        Ok(Self { node, makes_node: true, may_taint: true, patience: Duration::from_secs(30), ..cluster })
    }

    fn real(kubeconfig: &Path) -> Result<Self> {
        let id = random()?;
        let directory = directory(&id)?;
        let kubeconfig =
            kubeconfig.canonicalize().with_context(|| format!("{KUBECONFIG}: {}", kubeconfig.display()))?;
        let cluster = Self::new(&id, directory, kubeconfig, None)?;
        let (tainted, makes_node) = (env::var(TAINT_NODE).ok(), env::var_os(CREATE_NODE).is_some());
        let may_taint = tainted.is_some() || makes_node;
        let node = match tainted {
            Some(name) => name,
            None if makes_node => format!("towpath-conformance-{id}"),
            None => first_node(&cluster.api)?.unwrap_or_else(|| "towpath-conformance-absent".into()),
        };
        ensure!(!makes_node || node.ends_with(&id), "give either a Node to taint, or one to create");
        Ok(Self { node, makes_node, may_taint, ..cluster })
    }

    fn new(id: &str, directory: PathBuf, kubeconfig: PathBuf, own: Option<Server>) -> Result<Self> {
        Ok(Self {
            api: Api::open(&kubeconfig)?,
            ledger: Ledger::default(),
            kubeconfig,
            namespace: format!("towpath-conformance-{id}"),
            node: String::new(),
            may_taint: false,
            patience: Duration::from_secs(60),
            own,
            directory,
            version: OnceLock::new(),
            makes_node: false,
            cleaned: Mutex::default(),
        })
    }

    /// What every Event's reason of this run begins with.
    pub(crate) fn reason(&self) -> String {
        let id = self.namespace.rsplit('-').next().unwrap_or_default();
        format!("TowpathConformance{id}")
    }

    /// Says where the tests run.
    pub(crate) fn introduce(&self) -> Result<()> {
        let found = self.api.get("/version").context("asking for the version")?.unwrap_or_default();
        let version =
            self.version.get_or_init(|| found["gitVersion"].as_str().unwrap_or("unknown").to_owned());
        println!("conformance: the server {} is {version}", self.api.url);
        println!("conformance: the namespace is {}, the Node {}", self.namespace, self.node);
        Ok(())
    }

    /// Makes what all tests share.
    pub(crate) fn prepare(&self) -> Result<()> {
        namespace::create(self, &self.namespace)?;
        if self.makes_node {
            let metadata = json!({"name": self.node, "labels": {MANAGED_BY.0: MANAGED_BY.1}});
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"unschedulable": true}});
            self.ledger.create(&self.api, place::NODES, &node)?;
        }
        Ok(())
    }

    /// Deletes everything that was made. Done once, however often it is asked for; whether nothing is left.
    pub(crate) fn clean_up(&self) -> bool {
        let mut cleaned = self.cleaned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !std::mem::replace(&mut cleaned, true) {
            self.ledger.close();
            self.api.try_again();
            self.delete_all();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
        self.ledger.there().is_empty()
    }

    fn delete_all(&self) {
        let mut failures = 0;
        let mut told = |result: Result<()>| {
            if let Err(error) = result {
                failures += 1;
                if failures <= SHOWN {
                    eprintln!("conformance: cleaning up: {error:#}");
                }
            }
        };
        told(self.ledger.remove_taints(&self.api));
        told(self.find_events().map(drop));
        for path in self.ledger.there() {
            let namespace = path.strip_prefix(place::NAMESPACES).map(|rest| rest.trim_start_matches('/'));
            told(match namespace {
                Some(name) if !name.contains('/') => namespace::remove(self, name).map(drop),
                _ => self.ledger.delete(&self.api, &path),
            });
        }
    }

    /// The Events that the source has written for this run, which are ours to delete.
    pub(crate) fn find_events(&self) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for namespace in ["default", &self.namespace] {
            let path = place::events(namespace);
            let begins =
                |event: &Value| event["reason"].as_str().is_some_and(|r| r.starts_with(&self.reason()));
            for event in self.api.list(&format!("{path}?fieldSelector=source%3Dtowpath"))? {
                if begins(&event) {
                    self.ledger
                        .adopt(format!("{path}/{}", event["metadata"]["name"].as_str().unwrap_or_default()));
                    found.push(event);
                }
            }
        }
        Ok(found)
    }

    /// Says how much was made, how much of it is deleted, and what is not.
    pub(crate) fn tell(&self) {
        let (counts, left) = (self.ledger.counts(), self.ledger.there());
        let version = self.version.get().map_or("unknown", String::as_str);
        println!(
            "conformance: server {version}: {} objects created, {} deleted, {} left",
            counts.created,
            counts.deleted,
            left.len()
        );
        for path in left.iter().rev().take(SHOWN) {
            println!("conformance: left on the server: {path}");
        }
        if left.len() > SHOWN {
            println!("conformance: left on the server: and {} more", left.len() - SHOWN);
        }
    }
}

fn first_node(api: &Api) -> Result<Option<String>> {
    let nodes = api.list(&format!("{}?limit=1", place::NODES)).context("looking for a Node")?;
    Ok(nodes.first().and_then(|node| node["metadata"]["name"].as_str()).map(str::to_owned))
}

fn random() -> Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("a random number")?;
    Ok(uuid.chars().take(8).collect())
}

fn directory(id: &str) -> Result<PathBuf> {
    let path = env::temp_dir().join(format!("towpath-conformance-{id}"));
    // Ours alone: there may be a token in it.
    DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}
