//! The objects of a test behind an API server of its own, and the file that configures the program to read them there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apiserver::{Options, Server};
use serde_json::{Value, json};
use testkit::manifest::replace;
use testkit::netns::NetNs;

/// What the program has to show to be let in.
pub(crate) const TOKEN: &str = "let-me-in";

/// Kind, namespace, name.
type Identity = (String, String, String);

/// An API server in the node's namespace.
pub(crate) struct Cluster {
    /// The server, with its faults and its log of requests.
    pub(crate) server: Server,
    published: BTreeMap<Identity, Value>,
    directory: PathBuf,
}

impl Cluster {
    /// Starts it, HTTPS with a token, and writes the kubeconfig: CA and token in files beside it.
    pub(crate) fn start(node: &NetNs, directory: &Path) -> Result<Self> {
        Self::start_with(node, directory, Self::options())
    }

    /// HTTPS with a token, and no objects.
    pub(crate) fn options() -> Options {
        Options { system_objects: false, ..Options::secure(TOKEN) }
    }

    /// The same with other options.
    pub(crate) fn start_with(node: &NetNs, directory: &Path, options: Options) -> Result<Self> {
        let server = node.run(|| Server::start(options))??;
        let cluster = Self { server, published: BTreeMap::new(), directory: directory.to_owned() };
        cluster.write_token(TOKEN)?;
        cluster.write_kubeconfig()?;
        Ok(cluster)
    }

    /// Writes the kubeconfig again, with the server's present CA.
    pub(crate) fn write_kubeconfig(&self) -> Result<PathBuf> {
        let at = |name: &str| self.directory.join(name);
        let config = self.server.kubeconfig().token_file(&at("token")).ca_file(&at("ca.crt"))?;
        // The token is in its file alone.
        let mut value: Value = serde_json::from_str(&config.text()).context("the kubeconfig")?;
        if let Some(user) = value["users"][0]["user"].as_object_mut() {
            user.remove("token");
        }
        fs::write(at("kubeconfig"), value.to_string()).context("writing the kubeconfig")?;
        Ok(at("kubeconfig"))
    }

    /// What the program shows from now on.
    pub(crate) fn write_token(&self, token: &str) -> Result<()> {
        fs::write(self.directory.join("token"), token).context("writing the token")
    }

    /// Makes the server hold these objects, exactly as they are (nothing is allocated for them), by what differs from what
    /// it was given before.
    pub(crate) fn publish(&mut self, manifest: &Value) -> Result<()> {
        let items = manifest["items"].as_array().context("a manifest is a list")?;
        let wanted: BTreeMap<Identity, Value> =
            items.iter().map(|item| (identity(item), item.clone())).collect();
        let namespaces: BTreeSet<&str> = wanted.keys().map(|(_, namespace, _)| namespace.as_str()).collect();
        for name in namespaces.into_iter().filter(|name| !name.is_empty()).chain(["default"]) {
            let metadata = json!({ "name": name });
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata });
            self.server.store().apply(namespace).map_err(|e| anyhow::anyhow!("{name}: {e:?}"))?;
        }
        for (who, object) in &wanted {
            if self.published.get(who) != Some(object) {
                self.server.store().import(object.clone()).map_err(|e| anyhow::anyhow!("{who:?}: {e:?}"))?;
            }
        }
        for (kind, namespace, name) in self.published.keys().filter(|who| !wanted.contains_key(who)) {
            let deleted = self.server.store().delete(&plural(kind), namespace, name);
            deleted.map_err(|e| anyhow::anyhow!("{kind} {namespace}/{name}: {e:?}"))?;
        }
        self.published = wanted;
        Ok(())
    }

    /// Puts one more object there, which [`Self::publish`] leaves alone.
    pub(crate) fn apply(&self, object: Value) -> Result<()> {
        self.server.store().import(object).map(drop).map_err(|e| anyhow::anyhow!("{e:?}"))
    }

    /// The file that configures the program.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("config.conf")
    }

    /// Where the program keeps the last known good state.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.directory.join("snapshot")
    }

    /// Changes the file that configures the program: kube-proxy's document in it, as JSON. The file is replaced at once.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let text = fs::read_to_string(self.config()).context("reading the configuration")?;
        let (proxy, own) = text.split_once("\n---\n").context("the configuration has two documents")?;
        let mut proxy: Value = serde_json::from_str(proxy).context("the configuration")?;
        change(&mut proxy);
        replace(&self.directory, "config.conf", &format!("{proxy:#}\n---\n{own}"))
    }

    /// Writes the program's configuration, and says with which arguments it is started. Flags that have no field stay
    /// flags.
    pub(crate) fn configure(&self, flags: &[String]) -> Result<Vec<String>> {
        let path = self.config();
        let (proxy, rest) = configuration(flags, &self.directory.join("kubeconfig"));
        let own = json!({
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "TowpathConfiguration",
            "snapshot": { "path": self.snapshot() },
        });
        let text = format!("{proxy:#}\n---\n{own:#}\n");
        fs::write(&path, text).context("writing the configuration")?;
        let path = path.to_str().context("the directory's name")?;
        Ok([format!("--config={path}")].into_iter().chain(rest).collect())
    }
}

fn identity(object: &Value) -> Identity {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

/// The fields that flags stand for.
const FIELDS: &[(&str, &[&str])] = &[
    ("--proxy-mode", &["mode"]),
    ("--cluster-cidr", &["clusterCIDR"]),
    ("--hostname-override", &["hostnameOverride"]),
    ("--detect-local-mode", &["detectLocalMode"]),
    ("--pod-bridge-interface", &["detectLocal", "bridgeInterface"]),
    ("--pod-interface-name-prefix", &["detectLocal", "interfaceNamePrefix"]),
    ("--bind-address", &["bindAddress"]),
    ("--ipvs-scheduler", &["ipvs", "scheduler"]),
    ("--healthz-bind-address", &["healthzBindAddress"]),
    ("--metrics-bind-address", &["metricsBindAddress"]),
];

/// A `KubeProxyConfiguration` that means what the flags mean, and the flags that are left.
fn configuration(flags: &[String], kubeconfig: &Path) -> (Value, Vec<String>) {
    let mut config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig },
        "nftables": {},
        "iptables": {},
        "ipvs": {},
    });
    let mut rest = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| flags.next().cloned()).unwrap_or_default();
        match name {
            "--masquerade-all" => {
                // Mode ipvs takes it from the section of mode iptables, as kube-proxy does.
                let section = if config["mode"] == "nftables" { "nftables" } else { "iptables" };
                config[section]["masqueradeAll"] = true.into();
            }
            "--iptables-localhost-nodeports" => {
                config["iptables"]["localhostNodePorts"] = (value() == "true").into();
            }
            "--nodeport-addresses" => {
                config["nodePortAddresses"] = value().split(',').map(str::to_owned).collect();
            }
            name => match FIELDS.iter().find(|(known, _)| *known == name) {
                Some((_, path)) => {
                    let mut place = &mut config;
                    for step in *path {
                        place = &mut place[*step];
                    }
                    *place = value().into();
                }
                None => rest.push(flag.clone()),
            },
        }
    }
    (config, rest)
}
