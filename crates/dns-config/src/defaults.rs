//! What is served without a Corefile: what kubeadm configures.

use std::path::PathBuf;
use std::time::Duration;

use dns_wire::Name;

use crate::place::Place;
use crate::text::lower_name;
use crate::types::{
    Block, Cache, Config, DNS_PORT, Errors, Forward, Health, HttpAddress, Kubernetes, LoadBalance, PodNames,
    Prometheus, Ready, Reload, To,
};

/// The resolv.conf of the node.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The Corefile that kubeadm writes for a cluster domain; [`Config::default_for`] means the same.
#[must_use]
pub fn kubeadm_corefile(domain: &Name) -> String {
    let domain = domain.to_string();
    let domain = domain.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(&domain);
    format!(
        ".:53 {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success {domain}
       disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    )
}

impl Config {
    /// What is served without a Corefile: what [`kubeadm_corefile`] says. `domain`: the cluster's.
    #[must_use]
    pub fn default_for(domain: &Name) -> Self {
        let at = Place::new("(default)", 0);
        let mut block = Block::new(at.clone(), vec![Name::root()], DNS_PORT);
        let all = |port| HttpAddress { host: None, port };
        block.errors = Some(Errors::default());
        block.health = Some(Health { address: all(8080), lameduck: Duration::from_secs(5) });
        block.ready = Some(Ready { address: all(8181), continuously: false });
        block.prometheus = Some(Prometheus { address: all(9153) });
        block.kubernetes = Some(kubernetes(domain));
        block.forward = vec![forward(at)];
        block.cache = Some(cache(domain));
        block.loop_guard = true;
        block.reload = Some(Reload::default());
        block.loadbalance = Some(LoadBalance {});
        Self { blocks: vec![block], files: vec![PathBuf::from(RESOLV_CONF)], ..Self::default() }
    }
}

fn kubernetes(domain: &Name) -> Kubernetes {
    let reverse: Vec<Name> =
        ["in-addr.arpa.", "ip6.arpa."].iter().filter_map(|text| lower_name(text)).collect();
    let zones = std::iter::once(domain.lower()).chain(reverse.iter().cloned()).collect();
    Kubernetes { ttl: 30, pods: PodNames::Insecure, fallthrough: reverse, ..Kubernetes::new(zones) }
}

fn forward(at: Place) -> Forward {
    let to = vec![To::File(PathBuf::from(RESOLV_CONF))];
    Forward { max_concurrent: Some(1000), ..Forward::new(at, vec![Name::root()], to) }
}

fn cache(domain: &Name) -> Cache {
    let mut cache = Cache::new(vec![Name::root()]);
    cache.success.max_ttl = 30;
    cache.denial.max_ttl = 30;
    cache.disable_success = vec![domain.lower()];
    cache.disable_denial = vec![domain.lower()];
    cache
}
