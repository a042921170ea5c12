//! The server: a thread with a runtime of its own, listeners, connections.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::watch;

use crate::api::Shared;
use crate::auth::Tokens;
use crate::connections;
use crate::faults::Faults;
use crate::kubeconfig::Kubeconfig;
use crate::options::Options;
use crate::requests::Requests;
use crate::store::Store;
use crate::tls::{self, Tls};

/// A server that runs until it is dropped.
pub struct Server {
    shared: Shared,
    addresses: Vec<SocketAddr>,
    control: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds on the calling thread, and so in its network namespace, and serves on a thread of its own, which inherits
    /// the namespace.
    pub fn start(options: Options) -> Result<Self> {
        anyhow::ensure!(!options.listen.is_empty(), "a server must listen somewhere");
        let listeners = options.listen.iter().map(|address| bind(*address)).collect::<Result<Vec<_>>>()?;
        let control = options.control.map(bind).transpose()?;
        let addresses = listeners.iter().map(StdListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let control_address = control.as_ref().map(StdListener::local_addr).transpose()?;
        let shared = share(options, &addresses)?;
        let (stop, stopped) = watch::channel(false);
        let serving = shared.clone();
        shared.faults.listening.set(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("apiserver".into())
            .spawn(move || runtime.block_on(connections::serve(serving, listeners, control, stopped)))?;
        Ok(Self { shared, addresses, control: control_address, stop, thread: Some(thread) })
    }

    /// Where it listens first.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Everywhere it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The listener that no fault touches.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control
    }

    /// `http://127.0.0.1:1234`
    pub fn url(&self) -> String {
        self.url_at(&self.address().ip().to_string())
    }

    /// The URL with another host: a name, or another address of this one.
    pub fn url_at(&self, host: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{scheme}://{host}:{}", self.address().port())
    }

    /// The objects.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What can go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was asked.
    pub fn requests(&self) -> &Requests {
        &self.shared.requests
    }

    /// Who is let in.
    pub fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// The CA and the certificate, with HTTPS.
    pub fn tls(&self) -> Option<&Tls> {
        self.shared.tls.as_ref()
    }

    /// A kubeconfig for this server, with the CA as it is now and the first token of the options.
    pub fn kubeconfig(&self) -> Kubeconfig {
        let config = Kubeconfig::new(self.url(), self.tls().map(Tls::ca_pem));
        match self.shared.options.tokens.first() {
            Some(token) => config.token(token),
            None => config,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> Result<StdListener> {
    let listener = StdListener::bind(address).with_context(|| format!("listen at {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn share(options: Options, addresses: &[SocketAddr]) -> Result<Shared> {
    let store = Store::new(&options);
    populate(&store, &options)?;
    let tokens = Tokens::default();
    options.tokens.iter().for_each(|token| tokens.add(token));
    let names = || tls::names(&options.names, addresses.iter().map(SocketAddr::ip));
    let tls = options.tls.then(|| Tls::new(names())).transpose()?;
    let faults = Faults::new(&store);
    Ok(Shared { store, tokens, faults, requests: Requests::default(), options: Arc::new(options), tls })
}

/// What is there in a new cluster.
fn populate(store: &Store, options: &Options) -> Result<()> {
    if options.system_objects {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            store.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
        }
        let cidrs = &options.service_cidrs;
        store.apply(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": cidrs}, "status": {"conditions": [{"type": "Ready", "status": "True",
                "reason": "", "message": "Kubernetes default Service CIDR is ready",
                "lastTransitionTime": crate::ids::now()}]},
        }))?;
    }
    if options.kubernetes_service {
        store.apply(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        }))?;
    }
    Ok(())
}
