//! The input, as rules ask for it.

use config::{KubeProxyConfiguration, LocalMode, NodePortAddress, ProxyMode};
use model::{FrontendKey, IpFamily, Service, Store, TrafficPolicy};
use resolve::Mode;

/// What is found: nothing, or that the rule applies, and to what.
pub(crate) type Subjects = Option<Vec<String>>;

/// A configuration and what it is used for.
pub(crate) struct View<'a> {
    pub(crate) config: &'a KubeProxyConfiguration,
    pub(crate) store: &'a Store,
    /// The mode in which kube-proxy runs.
    pub(crate) from: ProxyMode,
    /// The mode in which towpath is to run.
    pub(crate) to: ProxyMode,
    /// The Services that kube-proxy serves, by name.
    pub(crate) services: Vec<&'a Service>,
}

impl<'a> View<'a> {
    pub(crate) fn new(config: &'a KubeProxyConfiguration, to: Mode, store: &'a Store) -> Self {
        let found = store.entries().filter_map(|(_, entry)| entry.service.as_deref());
        let mut services: Vec<&Service> = found.filter(|service| service.is_proxied()).collect();
        services.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let from = config.proxy_mode().unwrap_or(ProxyMode::Iptables);
        Self { config, store, from, to: proxy_mode(to), services }
    }

    /// The Services for which `test` holds; nothing if there is none.
    pub(crate) fn services(&self, test: impl Fn(&Service) -> bool) -> Subjects {
        let found = self.services.iter().filter(|service| test(service));
        some(found.map(|service| service.name.to_string()).collect())
    }

    /// The same, if a condition of the configuration holds.
    pub(crate) fn services_if(&self, condition: bool, test: impl Fn(&Service) -> bool) -> Subjects {
        condition.then(|| self.services(test)).flatten()
    }

    /// Whether NodePorts answer where the mode has it by default.
    pub(crate) fn default_node_ports(&self) -> bool {
        self.config.node_port_addresses.is_empty()
    }

    /// Whether `nodePortAddresses` names an address of this family.
    pub(crate) fn selects(&self, family: IpFamily) -> bool {
        let of_family = |item: &NodePortAddress| match item {
            NodePortAddress::Primary => true,
            NodePortAddress::Net(net) => IpFamily::of(net.addr()) == family,
        };
        self.config.node_port_selectors().iter().any(of_family)
    }

    /// Whether local pods can be told from other sources, in this family.
    pub(crate) fn detects_pods(&self, family: IpFamily) -> bool {
        let nets = self.config.cluster_cidrs();
        self.config.local_mode() != LocalMode::ClusterCidr
            || nets.iter().any(|net| IpFamily::of(net.addr()) == family)
    }

    /// Services that ask for a frontend that another one asks for too.
    pub(crate) fn competes(&self, service: &Service) -> bool {
        let others = |key: &FrontendKey| self.store.claimants(key).len() > 1;
        service.frontend_keys().iter().any(others)
    }

    /// Whether any Service exists in the family.
    pub(crate) fn has_family(&self, family: IpFamily) -> bool {
        self.services.iter().any(|service| service.families().any(|f| f == family))
    }
}

/// kube-proxy's word for a mode of towpath.
pub(crate) fn proxy_mode(mode: Mode) -> ProxyMode {
    match mode {
        Mode::Nftables => ProxyMode::Nftables,
        Mode::Iptables => ProxyMode::Iptables,
        Mode::Ipvs => ProxyMode::Ipvs,
    }
}

/// The list, unless it is empty.
pub(crate) fn some(list: Vec<String>) -> Subjects {
    (!list.is_empty()).then_some(list)
}

/// One setting, or none.
pub(crate) fn setting(found: bool, name: &str) -> Subjects {
    found.then(|| vec![name.to_owned()])
}

/// Of these names, those that are found.
pub(crate) fn settings<const N: usize>(found: [(bool, &str); N]) -> Subjects {
    some(found.into_iter().filter(|(found, _)| *found).map(|(_, name)| name.to_owned()).collect())
}

/// The rule applies to every node.
pub(crate) fn always(_: &View<'_>) -> Subjects {
    Some(Vec::new())
}

pub(crate) fn has_node_port(service: &Service) -> bool {
    service.ports.iter().any(|port| port.node_port != 0)
}

/// Whether it has an externalIP or a load balancer's address.
pub(crate) fn has_external_address(service: &Service) -> bool {
    service.families().any(|family| !service.external_addresses(family).is_empty())
}

/// Whether somebody outside of the cluster can address one of its ports.
pub(crate) fn is_external(service: &Service) -> bool {
    has_node_port(service) || has_external_address(service)
}

pub(crate) fn is_local(policy: TrafficPolicy) -> bool {
    policy == TrafficPolicy::Local
}

/// Whether one port has several frontends in one family.
pub(crate) fn has_several_frontends(service: &Service) -> bool {
    let vips = |family| 1 + service.external_addresses(family).len();
    service.families().any(|family| vips(family) > 1) || has_node_port(service)
}
