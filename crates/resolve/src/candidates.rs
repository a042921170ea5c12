//! The endpoints of one ServicePort, gathered from the Service's slices.

use model::{Endpoint, EndpointAddr, IpFamily, ServiceEntry, ServicePort};

/// One endpoint that a ServicePort could use.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Where it listens.
    pub addr: EndpointAddr,
    /// What its slice says of it.
    pub endpoint: &'a Endpoint,
    /// It is on this node.
    pub local: bool,
}

impl Candidate<'_> {
    /// Whether it could be on this node: it is, or nobody says where it is.
    pub fn may_be_local(&self) -> bool {
        self.local || self.endpoint.node.is_none()
    }
}

/// Every endpoint of a port, each address once, sorted by address. Slices are joined by port name and protocol,
/// so that a named targetPort may differ between slices. Of two entries for one address, the one that does not
/// terminate counts (a pod's address was reused), else the later one in slice order.
pub fn candidates<'a>(
    entry: &'a ServiceEntry,
    port: &ServicePort,
    family: IpFamily,
    node_name: &str,
) -> Vec<Candidate<'a>> {
    let slices = entry.slices.values().filter(|slice| slice.family == family);
    let mut found: Vec<Candidate<'a>> = slices
        .flat_map(|slice| {
            let ports = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
            ports.flat_map(|p| slice.endpoints.iter().map(|e| candidate(e, p.port, node_name)))
        })
        .collect();
    found.sort_by_key(|c| c.addr);
    found.dedup_by(|later, kept| {
        let same = later.addr == kept.addr;
        if same && (kept.endpoint.conditions.terminating || !later.endpoint.conditions.terminating) {
            *kept = *later;
        }
        same
    });
    found
}

fn candidate<'a>(endpoint: &'a Endpoint, port: u16, node_name: &str) -> Candidate<'a> {
    let addr = EndpointAddr { ip: endpoint.ip, port };
    Candidate { addr, endpoint, local: endpoint.node.as_deref() == Some(node_name) }
}
