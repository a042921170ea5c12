//! Mode ipvs: what only it has.
//!
//! ```text
//! Cast: clients, three endpoints with a server each, and three that hold connections open
//!   schedulers, balance, modules   who gets the next connection
//!   persistence                    who comes back
//!   draining, ends, rolling        endpoints and Services that go
//!   foreign, tamper, lifecycle     other people's virtual servers, other people's hands in ours, start and end
//!   policies, node                 traffic policies, addresses, settings of the kernel
//! ```

pub(crate) mod balance;
pub(crate) mod draining;
pub(crate) mod ends;
pub(crate) mod foreign;
pub(crate) mod held;
pub(crate) mod lifecycle;
pub(crate) mod modules;
pub(crate) mod node;
pub(crate) mod persistence;
pub(crate) mod policies;
pub(crate) mod rolling;
pub(crate) mod schedulers;
pub(crate) mod tamper;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Result;
use model::Protocol;
use testkit::scene::Scene;

use crate::lifecycle::POD;
use crate::plan::Plan;
use crate::stage::Stage;

/// The annotation that names a Service's scheduler.
pub(crate) const SCHEDULER: &str = "towpath.dev/scheduler";
/// The annotation with the weights of its endpoints.
pub(crate) const WEIGHTS: &str = "towpath.dev/weights";

/// ns/web is answered by servers; ns/held is left to listeners of the tests ([`held`]).
pub(crate) const SCENE: &str = "
services:
- name: ns/web
  type: LoadBalancer
  cluster_ips: [10.96.0.10, 'fd00:96::10']
  lb_ingress: [{ip: 198.51.100.10}]
  ports:
  - {name: p, port: 80, node_port: 30010}
  - {name: u, port: 53, node_port: 30011, protocol: UDP}
slices:
- service: ns/web
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 10.244.1.1}, {ip: 10.244.1.2}, {ip: 10.244.1.3}]
- service: ns/web
  family: 6
  ports: [{name: p, port: 8080}, {name: u, port: 5353, protocol: UDP}]
  endpoints: [{ip: 'fd00:244:0:1::1'}, {ip: 'fd00:244:0:1::2'}, {ip: 'fd00:244:0:1::3'}]
";

/// The endpoints of ns/web, TCP.
pub(crate) const ENDPOINTS: [&str; 3] = ["10.244.1.1:8080", "10.244.1.2:8080", "10.244.1.3:8080"];
pub(crate) const ENDPOINTS6: [&str; 3] =
    ["[fd00:244:0:1::1]:8080", "[fd00:244:0:1::2]:8080", "[fd00:244:0:1::3]:8080"];
pub(crate) const VIP: &str = "10.96.0.10:80";
pub(crate) const VIP6: &str = "[fd00:96::10]:80";
pub(crate) const BALANCER: &str = "198.51.100.10:80";
pub(crate) const NODE_PORT: &str = "192.168.0.2:30010";
pub(crate) const POD6: &str = "fd00:244::5";

/// Hosts outside.
pub(crate) const CLIENTS: [&str; 8] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "203.0.113.4",
    "203.0.113.5",
    "203.0.113.6",
    "203.0.113.7",
    "203.0.113.8",
];

/// The scene with clients of both families.
pub(crate) fn plan() -> Result<Plan> {
    Plan::new(SCENE)?.hosts(&[POD, POD6])?.outside(&CLIENTS)
}

/// Which endpoint gets how many of so many connections.
pub(crate) fn tally(
    stage: &Stage,
    from: &str,
    to: &str,
    protocol: Protocol,
    count: usize,
) -> Result<BTreeMap<SocketAddr, usize>> {
    let mut tally = BTreeMap::new();
    for _ in 0..count {
        *tally.entry(stage.reach(from, to, protocol)?.endpoint).or_default() += 1;
    }
    Ok(tally)
}

/// Sets or removes an annotation of a Service.
pub(crate) fn annotate(scene: &mut Scene, service: &str, name: &str, value: Option<&str>) {
    let Ok(service) = scene.service(service) else { return };
    match value {
        Some(value) => drop(service.annotations.insert(name.to_owned(), value.to_owned())),
        None => drop(service.annotations.remove(name)),
    }
}
