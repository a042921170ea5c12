//! A small cluster.

use std::net::IpAddr;
use std::sync::Arc;

use dns_names::{Names, Update};
use model::{Endpoint, IpFamily, Namespace, NamespacedName, Pod, Service, ServiceEntry, ServiceType, Slice};

/// Synced, with some Services in `default`, `shop` and `data`.
pub fn names() -> Names {
    let mut names = Names::new();
    for namespace in ["default", "shop", "data", "empty"] {
        let namespace: Arc<str> = namespace.into();
        names.apply(Update::Namespace(Arc::clone(&namespace), Some(Arc::new(Namespace::new(namespace)))));
    }
    add(&mut names, cluster_ip("default", "kubernetes", &["10.96.0.1"]), Vec::new());
    add(&mut names, cluster_ip("shop", "web", &["10.96.10.1"]), Vec::new());
    add(&mut names, cluster_ip("shop", "dual", &["10.96.10.3", "fd00:10:96::a003"]), Vec::new());
    for (name, target) in [
        ("ext", "www.example.net"),
        ("ext-v4only", "v4only.example.net"),
        ("ext-in", "web.shop.svc.cluster.local"),
        ("ext-nowhere", "nowhere.example.net"),
    ] {
        add(&mut names, alias(name, target), Vec::new());
    }
    let wide = (1..=40).map(|last| IpAddr::from([10, 244, 9, last])).collect();
    add(&mut names, headless("data", "wide"), wide);
    names.apply(Update::Synced);
    names
}

/// A Pod of a namespace.
pub fn pod(namespace: &str, ip: &str) -> Update {
    Update::Pod(Arc::new(Pod {
        name: NamespacedName::new(namespace, "client"),
        ips: vec![ip.parse().unwrap()],
        ..Pod::default()
    }))
}

/// A headless Service with these addresses.
pub fn add_headless(names: &mut Names, namespace: &str, name: &str, addresses: Vec<IpAddr>) {
    add(names, headless(namespace, name), addresses);
}

fn add(names: &mut Names, service: Service, addresses: Vec<IpAddr>) {
    let name = service.name.clone();
    let mut entry = ServiceEntry { service: Some(Arc::new(service)), slices: Default::default() };
    if !addresses.is_empty() {
        let own = NamespacedName::new(Arc::clone(&name.namespace), "slice-1");
        let mut slice = Slice::new(own, name.clone(), IpFamily::V4);
        slice.endpoints = addresses.into_iter().map(Endpoint::new).collect();
        entry.slices.insert("slice-1".into(), Arc::new(slice));
    }
    names.apply(Update::Service(name, Some(Arc::new(entry))));
}

fn cluster_ip(namespace: &str, name: &str, ips: &[&str]) -> Service {
    let cluster_ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Service { name: NamespacedName::new(namespace, name), cluster_ips, ..Service::default() }
}

fn headless(namespace: &str, name: &str) -> Service {
    Service { name: NamespacedName::new(namespace, name), headless: true, ..Service::default() }
}

fn alias(name: &str, target: &str) -> Service {
    Service {
        name: NamespacedName::new("shop", name),
        kind: ServiceType::ExternalName,
        external_name: Some(target.into()),
        ..Service::default()
    }
}
