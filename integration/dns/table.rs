//! `tests/cases/dns/cases.yaml`: read strictly, a field that is not known here is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(rename = "version")]
    _version: u32,
    defaults: Options,
    profiles: BTreeMap<String, Profile>,
    /// What the upstream server answers, by `NAME TYPE`.
    pub(crate) upstream_stub: BTreeMap<String, Upstream>,
    /// Queries with the message that is wanted.
    pub(crate) cases: Vec<Case>,
    /// Queries in words.
    pub(crate) protocol_cases: Vec<Words>,
    /// Stories in words.
    pub(crate) scenarios: Vec<Words>,
}

/// How a server is set up. What is absent in a profile is as in the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) zones: Option<Vec<String>>,
    pub(crate) ttl: Option<u32>,
    pub(crate) pods: Option<String>,
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) namespace_labels: Option<BTreeMap<String, String>>,
    pub(crate) endpoint_pod_names: Option<bool>,
    pub(crate) noendpoints: Option<bool>,
    pub(crate) ignore_empty: Option<bool>,
    pub(crate) multicluster: Option<Vec<String>>,
    pub(crate) zonal: Option<bool>,
    pub(crate) fallthrough: Option<Vec<String>>,
    pub(crate) synced: Option<bool>,
    /// Addresses that the server has.
    pub(crate) local_ips: Option<Vec<String>>,
    pub(crate) autopath: Option<bool>,
    /// The search list of the host, which the pods' lists end with.
    pub(crate) autopath_host_search: Option<Vec<String>>,
    pub(crate) external: Option<External>,
}

/// The plugin `k8s_external`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct External {
    pub(crate) zone: String,
    pub(crate) ttl: u32,
    pub(crate) headless: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    options: Options,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// One answer of the upstream server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    pub(crate) rcode: String,
    /// TC=1 over UDP.
    #[serde(default)]
    pub(crate) tc: bool,
    pub(crate) answer: Vec<String>,
}

/// How much a case binds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// A specification asks for it.
    Spec,
    /// Clients rely on it.
    Compat,
    /// There is something better.
    Quirk,
}

/// A query and what is wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) level: Level,
    pub(crate) q: Question,
    pub(crate) want: Want,
    #[serde(rename = "better")]
    _better: Option<String>,
    pub(crate) better_want: Option<Want>,
    #[serde(rename = "note")]
    _note: Option<String>,
    #[serde(rename = "src")]
    _src: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The source address of the query.
    pub(crate) client: Option<std::net::IpAddr>,
}

/// A reply. Only the fields given count.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Want {
    pub(crate) rcode: Option<String>,
    pub(crate) aa: Option<bool>,
    #[serde(default)]
    pub(crate) tc: bool,
    pub(crate) answer: Option<Vec<String>>,
    pub(crate) authority: Option<Vec<String>>,
    pub(crate) additional: Option<Vec<String>>,
}

/// A case that only people can read.
#[derive(Debug, Deserialize)]
pub(crate) struct Words {
    pub(crate) id: String,
}

/// The directory of the tables.
pub(crate) fn directory() -> PathBuf {
    repository().join("tests/cases/dns")
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads the table.
pub(crate) fn load() -> Result<Table> {
    let path = directory().join("cases.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("in {}", path.display()))
}

impl Table {
    /// The names of the profiles.
    pub(crate) fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// The options of a profile, with the defaults filled in.
    pub(crate) fn options(&self, profile: &str) -> Result<Options> {
        let own = &self.profiles.get(profile).with_context(|| format!("no profile {profile}"))?.options;
        Ok(own.clone().or(&self.defaults))
    }
}

impl Options {
    fn or(self, defaults: &Self) -> Self {
        let d = defaults.clone();
        Self {
            zones: self.zones.or(d.zones),
            ttl: self.ttl.or(d.ttl),
            pods: self.pods.or(d.pods),
            namespaces: self.namespaces.or(d.namespaces),
            namespace_labels: self.namespace_labels.or(d.namespace_labels),
            endpoint_pod_names: self.endpoint_pod_names.or(d.endpoint_pod_names),
            noendpoints: self.noendpoints.or(d.noendpoints),
            ignore_empty: self.ignore_empty.or(d.ignore_empty),
            multicluster: self.multicluster.or(d.multicluster),
            zonal: self.zonal.or(d.zonal),
            fallthrough: self.fallthrough.or(d.fallthrough),
            synced: self.synced.or(d.synced),
            local_ips: self.local_ips.or(d.local_ips),
            autopath: self.autopath.or(d.autopath),
            autopath_host_search: self.autopath_host_search.or(d.autopath_host_search),
            external: self.external.or(d.external),
        }
    }
}
