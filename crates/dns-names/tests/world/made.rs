//! Services and slices that a test makes itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use model::{
    Endpoint, EndpointDns, IpFamily, NamespacedName, Protocol, Service, ServiceEntry, ServicePort, Slice,
    SlicePort,
};
use towpath_dns_names::{Names, Update};

const PORT: u16 = 5432;

fn name(text: &str) -> NamespacedName {
    let (namespace, name) = text.split_once('/').unwrap();
    NamespacedName::new(namespace, name)
}

pub fn headless(service: &str) -> Arc<Service> {
    let ports = vec![ServicePort { name: "pg".into(), protocol: Protocol::Tcp, port: PORT, node_port: 0 }];
    Arc::new(Service { name: name(service), headless: true, ports, ..Service::default() })
}

pub fn cluster(service: &str, ip: &str) -> Arc<Service> {
    Arc::new(Service { name: name(service), cluster_ips: vec![ip.parse().unwrap()], ..Service::default() })
}

/// A slice of endpoints: hostname (or none) and the last part of the address, with a minus where it is not ready.
pub fn slice(service: &str, own: &str, endpoints: &[(&str, i64)]) -> Arc<Slice> {
    let service = name(service);
    let own = NamespacedName::new(Arc::clone(&service.namespace), own);
    let mut slice = Slice::new(own, service, IpFamily::V4);
    slice.ports = vec![SlicePort { name: "pg".into(), protocol: Protocol::Tcp, port: PORT }];
    slice.endpoints = endpoints.iter().map(|(hostname, last)| endpoint(hostname, *last)).collect();
    Arc::new(slice)
}

fn endpoint(hostname: &str, last: i64) -> Endpoint {
    let ip = Ipv4Addr::from(0x0a00_0000 + u32::try_from(last.abs()).unwrap());
    let mut endpoint = Endpoint::new(IpAddr::V4(ip));
    let hostname = (!hostname.is_empty()).then(|| hostname.into());
    endpoint.dns = EndpointDns { hostname, ..EndpointDns::default() }.boxed();
    endpoint.conditions.ready = last >= 0;
    endpoint
}

pub fn entry(service: &Arc<Service>, slices: &[Arc<Slice>]) -> Arc<ServiceEntry> {
    let slices: BTreeMap<_, _> = slices.iter().map(|s| (Arc::clone(&s.name.name), Arc::clone(s))).collect();
    Arc::new(ServiceEntry { service: Some(Arc::clone(service)), slices })
}

pub fn set(names: &mut Names, service: &Arc<Service>, slices: &[Arc<Slice>]) {
    names.apply(Update::Service(service.name.clone(), Some(entry(service, slices))));
}
