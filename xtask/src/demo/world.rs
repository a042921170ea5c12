//! A small cluster on one machine.
//!
//! ```text
//!  client 192.168.50.10 ---- 192.168.50.1 node 10.244.1.1 --+-- 10.244.1.5 pod-a
//!    10.96.0.0/16 via the node            (towpath)         +-- 10.244.1.6 pod-b
//! ```
//!
//! Each is a network namespace; the lines are veth pairs. The node routes and does nothing else by itself.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::background::Conversation;
use super::netns::Namespace;

/// A pod and its address.
#[derive(Clone, Copy, Debug)]
pub struct Pod {
    /// Also what its server answers with.
    pub name: &'static str,
    /// Its address.
    pub address: &'static str,
}

/// The pod that stays, and the one that is scaled away.
pub const PODS: [Pod; 2] =
    [Pod { name: "pod-a", address: "10.244.1.5" }, Pod { name: "pod-b", address: "10.244.1.6" }];

/// The node's address on the client's side.
pub const NODE_ADDRESS: &str = "192.168.50.1";
/// The client's address.
pub const CLIENT_ADDRESS: &str = "192.168.50.10";
/// The Service at its cluster IP.
pub const CLUSTER_IP: &str = "10.96.0.20:80";
/// The Service at its node port.
pub const NODE_PORT: &str = "192.168.50.1:30080";

/// The pods' side of the node.
const GATEWAY: &str = "10.244.1.1";
/// Where the pods' servers listen.
const SERVER_PORT: u16 = 8080;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The namespaces and the pods' servers. Dropped in this order: the servers first.
#[derive(Debug)]
pub struct World {
    servers: Vec<Conversation>,
    /// Kept for their guards.
    _pods: Vec<Namespace>,
    /// Outside of the cluster.
    pub client: Namespace,
    /// Where towpath runs.
    pub node: Namespace,
}

impl World {
    /// Makes the namespaces, links and routes, and starts a server in each pod.
    pub fn build() -> Result<Self> {
        let client = Namespace::new("client")?;
        let node = Namespace::new("node")?;
        connect_client(&node, &client)?;
        node.output("sysctl", &["-q", "-w", "net.ipv4.ip_forward=1"])?;
        let mut world = Self { servers: Vec::new(), _pods: Vec::new(), client, node };
        PODS.iter().try_for_each(|pod| world.add_pod(pod))?;
        Ok(world)
    }

    fn add_pod(&mut self, pod: &Pod) -> Result<()> {
        let namespace = Namespace::new(pod.name)?;
        connect_pod(&self.node, &namespace, pod)?;
        self.servers.push(serve(&namespace, pod)?);
        self._pods.push(namespace);
        Ok(())
    }

    /// What a pod answers when it is asked directly, past every Service.
    pub fn ask_directly(&self, pod: &Pod) -> Result<String> {
        self.node.get(&format!("http://{}:{SERVER_PORT}/", pod.address))
    }
}

fn connect_client(node: &Namespace, client: &Namespace) -> Result<()> {
    node.ip(&format!("link add uplink type veth peer name eth0 netns {}", client.name()))?;
    node.ip(&format!("address add {NODE_ADDRESS}/24 dev uplink"))?;
    node.ip("link set uplink up")?;
    client.ip(&format!("address add {CLIENT_ADDRESS}/24 dev eth0"))?;
    client.ip("link set eth0 up")?;
    client.ip(&format!("route add 10.96.0.0/16 via {NODE_ADDRESS}"))
}

fn connect_pod(node: &Namespace, namespace: &Namespace, pod: &Pod) -> Result<()> {
    let Pod { name, address } = pod;
    node.ip(&format!("link add {name} type veth peer name eth0 netns {}", namespace.name()))?;
    node.ip(&format!("address add {GATEWAY}/32 dev {name}"))?;
    node.ip(&format!("link set {name} up"))?;
    node.ip(&format!("route add {address}/32 dev {name} src {GATEWAY}"))?;
    namespace.ip(&format!("address add {address}/32 dev eth0"))?;
    namespace.ip("link set eth0 up")?;
    namespace.ip(&format!("route add {GATEWAY}/32 dev eth0 scope link"))?;
    namespace.ip(&format!("route add default via {GATEWAY}"))
}

/// Starts a pod's server and waits until it listens.
fn serve(namespace: &Namespace, pod: &Pod) -> Result<Conversation> {
    let own = env::current_exe().context("where this program is")?;
    let listen = format!("0.0.0.0:{SERVER_PORT}");
    let args = ["demo-server", "--name", pod.name, "--listen", &listen];
    let server = Conversation::start(&mut namespace.command(&own.to_string_lossy(), &args))?;
    let first = server.hear(PATIENCE)?;
    ensure!(first == super::server::READY, "the server of {} said {first:?}", pod.name);
    Ok(server)
}
