//! An API server, DNS, and a node with the files that a kubelet would bring.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::{Grant, Options, Server};
use serde_json::{Value, json};
use testkit::netns::NetNs;
use testkit::scratch::Scratch;
use testkit::wait;

use crate::container::{Container, Mount, Plan};
use crate::dns::DnsServer;
use crate::manifest::{self, DAEMONSET};
use crate::rbac::Right;
use crate::{http, rbac};

/// The name of the Node.
pub(crate) const NODE: &str = "n1";
const NODE_IP: &str = "192.168.50.2";
/// The name of the API server.
pub(crate) const HOST: &str = "api.cluster.test";
/// The address of the only Service, and that of its endpoint.
pub(crate) const VIP: &str = "10.96.0.20";
pub(crate) const ENDPOINT: &str = "10.244.1.5";
/// How long something may take to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "the-token-of-the-service-account";
/// Where the kubelet puts the token and the CA.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A node with an API server that is reached by a name.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) dns: DnsServer,
    /// The node's network.
    pub(crate) node: NetNs,
    files: Scratch,
}

impl Cluster {
    /// `by_dns`: DNS knows the name of the API server; otherwise it says that there is no such name.
    pub(crate) fn new(by_dns: bool) -> Result<Self> {
        let node = NetNs::new()?;
        node.ip_batch(&format!(
            "link add name node0 type veth peer name pod0\n\
             address add {NODE_IP}/24 dev node0\nlink set node0 up\nlink set pod0 up\n"
        ))?;
        let dns = DnsServer::start(&node, if by_dns { HOST } else { "nobody.test" })?;
        let options = Options { names: vec![HOST.into()], ..Options::secure(TOKEN) };
        let server = node.run(|| Server::start(options))??;
        objects().into_iter().try_for_each(|object| server.store().apply(object).map(drop))?;
        let files = Scratch::new()?;
        for directory in ["config", "state", "account"] {
            fs::create_dir(files.path().join(directory))?;
        }
        fs::write(files.path().join("xtables.lock"), "")?;
        let cluster = Self { server, dns, node, files };
        cluster.write_account()?;
        cluster.allow(rbac::allowed(DAEMONSET)?);
        Ok(cluster)
    }

    /// From now on, the account may do exactly this.
    pub(crate) fn allow(&self, rights: impl IntoIterator<Item = Right>) {
        let nothing = Grant::nothing("system:serviceaccount:kube-system:towpath");
        let add = |grant: Grant, (group, resource, verb): Right| grant.allow_only(&verb, &group, &resource);
        self.server.tokens().grant(TOKEN, rights.into_iter().fold(nothing, add));
    }

    /// The URL of the API server, by its name.
    pub(crate) fn url(&self) -> String {
        self.server.url_at(HOST)
    }

    /// A directory of the test: `config`, `state` or `account`; or the file `xtables.lock`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write_account(&self) -> Result<()> {
        let tls = self.server.tls().context("the server has TLS")?;
        fs::write(self.path("account/ca.crt"), tls.ca_pem())?;
        fs::write(self.path("account/token"), TOKEN)?;
        Ok(())
    }

    /// The directory with the token, where every pod has it.
    pub(crate) fn account(&self) -> Mount {
        Mount { from: self.path("account"), to: ACCOUNT.into(), read_only: true }
    }

    /// The edit that docs/install.md asks for.
    fn write_config(&self) -> Result<()> {
        for name in ["config.yaml", "kubeconfig.conf"] {
            let text = manifest::config_file(name)?;
            let text = text.replace("https://API-SERVER:6443", &self.url());
            fs::write(self.path("config").join(name), text)?;
        }
        Ok(())
    }

    /// What the DaemonSet means here.
    pub(crate) fn plan(&self, hosts: &str) -> Result<Plan> {
        self.write_config()?;
        let mut plan = Plan::of_daemonset(NODE, self.files.path())?;
        plan.mounts.push(self.account());
        plan.hosts = hosts.to_owned();
        Ok(plan)
    }

    /// Waits until a probe of the container succeeds.
    pub(crate) fn await_probe(&self, container: &mut Container, probe: &str) -> Result<()> {
        let get = manifest::container()?[probe]["httpGet"].take();
        let port =
            get["port"].as_u64().and_then(|port| u16::try_from(port).ok()).context("the probe's port")?;
        let path = manifest::text(&get["path"])?;
        let mut last = None;
        let reached = wait::until(probe, PATIENCE, || {
            container.must_run()?;
            last = http::get(&self.node, SocketAddr::new(NODE_IP.parse()?, port), path)?;
            Ok(last.as_ref().filter(|answer| answer.status == 200).map(drop))
        });
        let last = last.map(|answer| format!("{} {}", answer.status, answer.body));
        reached.with_context(|| format!("last answer: {last:?}\n{}", container.log()))
    }

    /// What the node's kernel has, as nft prints it.
    pub(crate) fn ruleset(&self) -> Result<String> {
        self.node.command("nft", &["list", "ruleset"])
    }
}

/// The Node object.
pub(crate) fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
        "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP}]},
    })
}

fn objects() -> Vec<Value> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": VIP, "clusterIPs": [VIP], "selector": {"app": "web"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": [ENDPOINT], "conditions": {"ready": true}}],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    });
    vec![node(), service, slice]
}
