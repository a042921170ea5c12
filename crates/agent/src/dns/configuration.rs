//! What the DNS server is configured by: a Corefile or the default, and the ConfigMap kube-dns.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use dns_config::{Config, Env, KubeDns, Pillars, SystemEnv, parse, read};
use dns_wire::Name;

/// Where the configuration is.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// A Corefile; empty: the default one.
    pub(super) corefile: PathBuf,
    /// A directory with the keys of the ConfigMap kube-dns; empty: none.
    pub(super) stub_domains: PathBuf,
    /// The cluster's domain, for the default and for placeholders.
    pub(super) domain: String,
    /// Addresses of ours, for a placeholder.
    pub(super) local: Vec<IpAddr>,
    /// Addresses of the cluster's DNS Service, for a placeholder.
    pub(super) cluster: Vec<IpAddr>,
}

/// What was read.
pub(super) struct Reading {
    pub(super) config: Config,
    /// What the operator should know, a line each.
    pub(super) notes: Vec<String>,
}

impl Origin {
    /// Reads everything anew.
    pub(super) fn read(&self) -> Result<Reading> {
        let domain = self.domain.parse::<Name>().map_err(|error| anyhow!("{}: {error}", self.domain))?;
        let (kube_dns, source) = self.kube_dns()?;
        let mut config = if self.corefile.as_os_str().is_empty() {
            Config::default_for(&domain)
        } else {
            self.corefile(domain, &kube_dns)?
        };
        kube_dns.add_to(&mut config, &[], &source);
        kube_dns.replace_resolv_conf(&mut config);
        let unsupported = config.unsupported.iter().map(|remark| format!("without effect: {remark}"));
        let differs = config.differs.iter().map(|remark| format!("done in another way: {remark}"));
        let notes = unsupported.chain(differs).collect();
        Ok(Reading { config, notes })
    }

    fn corefile(&self, domain: Name, kube_dns: &KubeDns) -> Result<Config> {
        let file = self.corefile.display().to_string();
        let text = SystemEnv.file(&self.corefile).with_context(|| format!("the Corefile {file}"))?;
        let pillars = Pillars {
            local: self.local.clone(),
            cluster: self.cluster.clone(),
            upstream: kube_dns.upstream_nameservers.clone(),
            domain: Some(domain),
        };
        let corefile = parse(&pillars.fill(&text, &file)?, &file, &SystemEnv)?;
        Ok(read(&corefile, &SystemEnv)?)
    }

    /// The ConfigMap, if there is one, and its name for messages.
    fn kube_dns(&self) -> Result<(KubeDns, String)> {
        let source = self.stub_domains.display().to_string();
        if self.stub_domains.as_os_str().is_empty() {
            return Ok((KubeDns::default(), source));
        }
        let [stub_domains, upstreams] = self.keys().map(|file| text_of(&file));
        Ok((KubeDns::read(stub_domains?.as_deref(), upstreams?.as_deref(), &source)?, source))
    }

    fn keys(&self) -> [PathBuf; 2] {
        ["stubDomains", "upstreamNameservers"].map(|key| self.stub_domains.join(key))
    }

    /// The files that are to be followed: those that are always read, and what the last reading named.
    pub(super) fn files(&self, config: Option<&Config>) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        if !self.corefile.as_os_str().is_empty() {
            files.insert(self.corefile.clone());
        }
        if !self.stub_domains.as_os_str().is_empty() {
            files.extend(self.keys());
        }
        if let Some(config) = config {
            files.extend(config.files.iter().chain(&config.directories).cloned());
            files.extend(dns::files(config));
        }
        files.into_iter().filter(|file| *file != Path::new("(default)")).collect()
    }
}

/// The text of a file that may be missing.
fn text_of(file: &Path) -> Result<Option<String>> {
    match SystemEnv.file(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}
