//! What the index holds for each Service and each ServiceImport.

use std::net::IpAddr;
use std::sync::Arc;

use dns_wire::Name;
use model::{ImportEntry, Service, ServiceEntry, ServiceImport, ServiceType};

use crate::object::{Kind, Object};
use crate::set::{Difference, EndpointSet, Held};

/// What `spec.externalName` says.
#[derive(Debug)]
pub(crate) enum Alias {
    Name(Name),
    /// The API takes addresses too, and warns that no DNS server would answer them.
    Address(IpAddr),
    /// No name: the Service has no records.
    Bad(Arc<str>),
}

impl Alias {
    fn read(text: &Arc<str>) -> Self {
        if let Ok(ip) = model::parse_ip(text) {
            return Self::Address(ip);
        }
        text.parse().map_or_else(|_| Self::Bad(Arc::clone(text)), Self::Name)
    }
}

/// A Service with its endpoints.
#[derive(Debug)]
pub(crate) struct Record {
    pub service: Arc<Service>,
    alias: Option<Alias>,
    /// The first name of the load balancer that is a name: what `k8s_external` answers where there is no address.
    host: Option<Name>,
    pub set: EndpointSet,
}

impl Record {
    pub fn new(service: &Arc<Service>) -> Self {
        let mut record =
            Self { service: Arc::clone(service), alias: None, host: None, set: EndpointSet::default() };
        record.read_names();
        record
    }

    pub fn set_service(&mut self, service: &Arc<Service>) {
        self.service = Arc::clone(service);
        self.read_names();
    }

    pub fn set_slices(&mut self, entry: &ServiceEntry) -> Difference {
        self.set.update(entry.slices.values().map(|slice| Held::Local(Arc::clone(slice))))
    }

    fn read_names(&mut self) {
        let service = &self.service;
        let is_alias = service.kind == ServiceType::ExternalName;
        self.alias = is_alias.then(|| service.external_name.as_ref().map(Alias::read)).flatten();
        let host = |text| if let Alias::Name(name) = Alias::read(text) { Some(name) } else { None };
        self.host = service.load_balancer_hosts.iter().find_map(host);
    }

    /// The Service as the cluster sees it.
    pub fn object(&self) -> Object<'_> {
        let service = &*self.service;
        let kind = match &self.alias {
            Some(alias) => Kind::Alias(alias),
            None if service.kind == ServiceType::ExternalName => Kind::Cluster,
            None if service.headless => Kind::Headless,
            None => Kind::Cluster,
        };
        self.shown_as(kind, [self.cluster_ips(), &[]])
    }

    /// The Service as it is seen from outside; `None` if it is not. With `headless`, headless ones show their endpoints.
    pub fn outside(&self, headless: bool) -> Option<Object<'_>> {
        let service = &*self.service;
        if service.kind == ServiceType::ExternalName {
            return None;
        }
        let ips = [&service.external_ips[..], &service.load_balancer_ips[..]];
        if ips.iter().any(|ips| !ips.is_empty()) {
            return Some(self.shown_as(Kind::Cluster, ips));
        }
        match &self.host {
            Some(host) => Some(self.shown_as(Kind::Host(host), [&[], &[]])),
            None if headless && service.headless => Some(self.shown_as(Kind::Headless, [&[], &[]])),
            None => None,
        }
    }

    /// ClusterIPs: none for an ExternalName Service, whatever its object says.
    pub fn cluster_ips(&self) -> &[IpAddr] {
        if self.service.kind == ServiceType::ExternalName { &[] } else { &self.service.cluster_ips }
    }

    /// Addresses that lead to it from outside.
    pub fn external_ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let shown = self.service.kind != ServiceType::ExternalName;
        let ips = self.service.external_ips.iter().chain(&self.service.load_balancer_ips);
        ips.copied().filter(move |_| shown)
    }

    fn shown_as<'n>(&'n self, kind: Kind<'n>, ips: [&'n [IpAddr]; 2]) -> Object<'n> {
        let Service { name, ports, labels, .. } = &*self.service;
        Object { name, kind, ips, ports, labels, set: &self.set, imported: false }
    }
}

/// A ServiceImport with its endpoints.
#[derive(Debug)]
pub(crate) struct Import {
    pub import: Arc<ServiceImport>,
    pub set: EndpointSet,
}

impl Import {
    pub fn new(import: &Arc<ServiceImport>) -> Self {
        Self { import: Arc::clone(import), set: EndpointSet::default() }
    }

    pub fn set_slices(&mut self, entry: &ImportEntry) -> Difference {
        self.set.update(entry.slices.values().map(|slice| Held::Imported(Arc::clone(slice))))
    }

    pub fn object(&self) -> Object<'_> {
        let ServiceImport { name, headless, ips, ports, labels } = &*self.import;
        let kind = if *headless { Kind::Headless } else { Kind::Cluster };
        Object { name, kind, ips: [ips, &[]], ports, labels, set: &self.set, imported: true }
    }
}
