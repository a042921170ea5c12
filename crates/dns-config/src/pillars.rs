//! The placeholders of NodeLocal DNSCache's Corefile.
//!
//! Its manifest has five. Whoever installs it replaces some with `sed`; its program replaces the others at its start, and in
//! iptables mode leaves `__PILLAR__DNS__SERVER__` empty. Source: kubernetes/dns, `cmd/node-cache/app/configmap.go`.

use std::net::{IpAddr, SocketAddr};

use dns_wire::Name;

use crate::defaults::RESOLV_CONF;
use crate::place::{Place, Problem};

/// The placeholders.
pub const PILLARS: [&str; 5] = [LOCAL, SERVER, CLUSTER, UPSTREAM, DOMAIN];

const LOCAL: &str = "__PILLAR__LOCAL__DNS__";
const SERVER: &str = "__PILLAR__DNS__SERVER__";
const CLUSTER: &str = "__PILLAR__CLUSTER__DNS__";
const UPSTREAM: &str = "__PILLAR__UPSTREAM__SERVERS__";
const DOMAIN: &str = "__PILLAR__DNS__DOMAIN__";

/// What the placeholders stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pillars {
    /// `__PILLAR__LOCAL__DNS__`: the addresses to listen on. (`__PILLAR__DNS__SERVER__` becomes nothing: it is among these, if it is listened on.)
    pub local: Vec<IpAddr>,
    /// `__PILLAR__CLUSTER__DNS__`: the cluster's DNS servers.
    pub cluster: Vec<IpAddr>,
    /// `__PILLAR__UPSTREAM__SERVERS__`: `upstreamNameservers`. Empty: the node's resolv.conf.
    pub upstream: Vec<SocketAddr>,
    /// `__PILLAR__DNS__DOMAIN__`: the cluster domain.
    pub domain: Option<Name>,
}

impl Pillars {
    /// The text with its placeholders filled in; lines keep their numbers.
    ///
    /// With upstream nameservers of its own, a `forward` to them that has only `force_tcp` asks over UDP, as in NodeLocal DNSCache.
    ///
    /// # Errors
    /// A placeholder in the text (comments included) for which there is no value.
    pub fn fill(&self, text: &str, file: &str) -> Result<String, Problem> {
        let text = if self.upstream.is_empty() { text.to_owned() } else { without_force_tcp(text) };
        let values = self.values();
        for (number, line) in (1..).zip(text.lines()) {
            let missing = values.iter().find(|(name, value)| value.is_none() && line.contains(name));
            if let Some((name, _)) = missing {
                return Err(Problem::new(
                    &Place::new(file, number),
                    format!("{name} has no value here: write it out"),
                ));
            }
        }
        let fill = |text: String, (name, value): &(&str, Option<String>)| match value {
            Some(value) => text.replace(name, value),
            None => text,
        };
        Ok(values.iter().fold(text, fill))
    }

    fn values(&self) -> [(&'static str, Option<String>); 5] {
        let upstream = if self.upstream.is_empty() { RESOLV_CONF.to_owned() } else { joined(&self.upstream) };
        [
            (LOCAL, filled(joined(&self.local))),
            (SERVER, Some(String::new())),
            (CLUSTER, filled(joined(&self.cluster))),
            (UPSTREAM, Some(upstream)),
            (DOMAIN, self.domain.as_ref().map(|domain| domain.to_string().trim_end_matches('.').to_owned())),
        ]
    }
}

fn joined(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Empties the line `force_tcp` of each `forward . __PILLAR__UPSTREAM__SERVERS__ { force_tcp }`.
fn without_force_tcp(text: &str) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    for at in 2..lines.len() {
        let opens = lines[at - 2].contains(UPSTREAM) && lines[at - 2].trim_end().ends_with('{');
        if opens && lines[at - 1].trim() == "force_tcp" && lines[at].trim() == "}" {
            lines[at - 1] = "";
        }
    }
    lines.join("\n")
}
