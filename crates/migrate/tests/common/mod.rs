//! Services and configurations of tests.

#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;

use config::{KubeProxyConfiguration, KubeProxyFlags, TowpathFlags};
use model::{
    Change, NamespacedName, Problem, Protocol, Service, ServicePort, ServiceType, Store, Subject, Touched,
    TrafficPolicy, parse_net,
};
use resolve::Mode;
use towpath_migrate::Report;

/// A Service in the making; its ClusterIP follows from its name.
#[derive(Clone)]
pub struct S(pub Service);

pub fn service(name: &str) -> S {
    let number = name.bytes().fold(7, |n: u32, byte| (n * 31 + u32::from(byte)) % 65_521);
    let port = ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 0 };
    S(Service {
        name: NamespacedName::new("shop", name),
        cluster_ips: vec![format!("10.96.{}.{}", number / 256, number % 256).parse().unwrap()],
        ports: vec![port],
        ..Service::default()
    })
}

impl S {
    fn with(mut self, edit: impl FnOnce(&mut Service)) -> Self {
        edit(&mut self.0);
        self
    }

    pub fn node_port(self, port: u16) -> Self {
        self.with(|s| {
            s.kind = ServiceType::NodePort;
            s.ports[0].node_port = port;
        })
    }

    pub fn external(self, ip: &str) -> Self {
        self.with(|s| s.external_ips.push(ip.parse().unwrap()))
    }

    pub fn load_balancer(self, ip: &str) -> Self {
        self.with(|s| {
            s.kind = ServiceType::LoadBalancer;
            s.load_balancer_ips.push(ip.parse().unwrap());
        })
    }

    pub fn local_health(self, port: u16) -> Self {
        self.with(|s| {
            s.external_policy = TrafficPolicy::Local;
            s.health_check_node_port = port;
        })
    }

    pub fn range(self, net: &str) -> Self {
        self.with(|s| s.source_ranges.push(parse_net(net).unwrap()))
    }

    pub fn internal(self, policy: TrafficPolicy) -> Self {
        self.with(|s| s.internal_policy = policy)
    }

    pub fn scheduled(self, scheduler: model::Scheduler) -> Self {
        self.with(|s| s.balance.scheduler = Some(scheduler))
    }

    pub fn sticky(self) -> Self {
        self.with(|s| s.affinity_seconds = Some(10_800))
    }

    pub fn udp(self) -> Self {
        self.with(|s| s.ports[0].protocol = Protocol::Udp)
    }

    pub fn headless(self) -> Self {
        self.node_port(30081).with(|s| s.cluster_ips.clear())
    }

    pub fn of_other_proxy(self) -> Self {
        self.node_port(30082).with(|s| s.other_proxy = true)
    }
}

/// kube-proxy's configuration of this text, read as towpath reads it.
pub fn config(text: &str) -> KubeProxyConfiguration {
    let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    let text = format!("{head}{text}\n");
    let read = config::load(Some(&text), &KubeProxyFlags::default(), &TowpathFlags::default());
    read.unwrap_or_else(|problems| panic!("{text}: {problems:?}")).proxy
}

pub fn store(services: &[S], cidrs: &[&str]) -> Store {
    let (mut store, mut touched) = (Store::new("node"), Touched::default());
    for service in services {
        store.apply(Change::Service(Arc::new(service.0.clone())), &mut touched);
    }
    let cidrs: Vec<_> = cidrs.iter().map(|net| parse_net(net).unwrap()).collect();
    if !cidrs.is_empty() {
        store.apply(Change::ServiceCidr { name: "kubernetes".into(), cidrs }, &mut touched);
    }
    store
}

pub fn problem(object: &str, field: &str, message: &str) -> Change {
    let subject = Subject { origin: "".into(), object: object.into() };
    Change::Problem(Problem { subject, field: field.into(), message: message.into() })
}

pub fn report(text: &str, to: Mode, services: &[S]) -> Report {
    towpath_migrate::check(&config(text), to, &store(services, &[]))
}
