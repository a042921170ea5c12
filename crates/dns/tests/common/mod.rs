//! A server with a small cluster, its clients, and an upstream to ask.

#![allow(dead_code, unused_imports, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod upstream;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use dns_config::{FixedEnv, parse, read};
use dns_forward::Forwarder;
use dns_names::Names;
use towpath_dns::{Options, Server};

pub use client::{Answer, Client, framed, query};
pub use upstream::{Upstream, records};
pub use world::{add_headless, names, pod};

/// A running server.
pub struct Running {
    pub server: Server,
    pub names: Arc<RwLock<Names>>,
    pub address: SocketAddr,
    pub env: FixedEnv,
}

impl Running {
    /// One that reads this Corefile, on a free port of the loopback address.
    pub fn new(corefile: &str) -> Self {
        Self::with(corefile, Options::new(vec!["127.0.0.1:0".parse().unwrap()]), names())
    }

    pub fn with(corefile: &str, mut options: Options, names: Names) -> Self {
        let env = FixedEnv::default();
        let config = read(&parse(corefile, "Corefile", &env).unwrap(), &env).unwrap();
        let names = Arc::new(RwLock::new(names));
        options.node = "node-1".into();
        let forwarder = Forwarder::start().unwrap();
        let (server, notes) = Server::start(options, Arc::clone(&names), forwarder, &config, &env).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        let address = server.addresses()[0];
        Self { server, names, address, env }
    }

    pub fn reconfigure(&self, corefile: &str) -> Vec<String> {
        let config = read(&parse(corefile, "Corefile", &self.env).unwrap(), &self.env).unwrap();
        self.server.reconfigure(&config, &self.env)
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }
}

/// The cluster alone, as `base` of the protocol cases.
pub const CLUSTER: &str = ".:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa
    loadbalance
}";

/// The server's metrics as text.
pub fn metrics(running: &Running) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(running.server.metrics());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}
