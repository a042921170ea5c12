//! What is given out once: cluster IPs and node ports.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::object::Revision;
use crate::resources::Resource;

/// Node ports that may be chosen.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Addresses and ports in use.
pub(crate) struct Allocators {
    /// Ranges of addresses, the primary family first.
    pools: Vec<Pool>,
    addresses: HashSet<IpAddr>,
    ports: BTreeSet<u16>,
    next_port: u16,
}

struct Pool {
    v6: bool,
    base: u128,
    size: u128,
    next: u128,
}

impl Allocators {
    /// Allocators for these ranges; what is no range is left out.
    pub fn new(cidrs: &[String]) -> Self {
        let pools = cidrs.iter().filter_map(|cidr| Pool::parse(cidr)).collect();
        Self { pools, addresses: HashSet::new(), ports: BTreeSet::new(), next_port: *PORTS.start() }
    }

    /// The families there are addresses of, the primary one first.
    pub fn families(&self) -> Vec<&'static str> {
        self.pools.iter().map(|pool| if pool.v6 { "IPv6" } else { "IPv4" }).collect()
    }

    /// A free address of a family.
    pub fn address(&mut self, family: &str) -> Option<IpAddr> {
        let pool = self.pools.iter_mut().find(|pool| pool.v6 == (family == "IPv6"))?;
        for _ in 0..pool.size.min(1 << 20) {
            let address = pool.next();
            if self.addresses.insert(address) {
                return Some(address);
            }
        }
        None
    }

    /// Takes an address; false if somebody has it.
    pub fn take_address(&mut self, address: IpAddr) -> bool {
        self.addresses.insert(address)
    }

    /// A free node port.
    pub fn port(&mut self) -> Option<u16> {
        for _ in PORTS {
            let port = self.next_port;
            self.next_port = if port == *PORTS.end() { *PORTS.start() } else { port + 1 };
            if self.ports.insert(port) {
                return Some(port);
            }
        }
        None
    }

    /// Takes a node port; one may be shared by two protocols, so nobody is refused.
    pub fn take_port(&mut self, port: u16) {
        self.ports.insert(port);
    }

    /// Takes all that a Service has.
    pub fn remember(&mut self, resource: &Resource, object: &Value) {
        if resource.plural == "services" {
            let (addresses, ports) = used(object);
            self.addresses.extend(addresses);
            self.ports.extend(ports);
        }
    }

    /// Gives back all that a Service has.
    pub fn forget(&mut self, object: &Revision) {
        if object.resource.plural == "services" {
            self.release(&object.value(), &Value::Null);
        }
    }

    /// Gives back what one version of a Service has and another has not.
    pub fn release(&mut self, gone: &Value, kept: &Value) {
        let ((addresses, ports), (kept_addresses, kept_ports)) = (used(gone), used(kept));
        for address in addresses.iter().filter(|address| !kept_addresses.contains(address)) {
            self.addresses.remove(address);
        }
        for port in ports.iter().filter(|port| !kept_ports.contains(port)) {
            self.ports.remove(port);
        }
    }
}

/// The addresses and ports of a Service.
pub(super) fn used(service: &Value) -> (Vec<IpAddr>, Vec<u16>) {
    let spec = &service["spec"];
    let addresses =
        spec["clusterIPs"].as_array().into_iter().flatten().filter_map(|ip| ip.as_str()?.parse().ok());
    let node_ports = spec["ports"].as_array().into_iter().flatten().map(|port| &port["nodePort"]);
    let ports = node_ports.chain([&spec["healthCheckNodePort"]]).filter_map(Value::as_u64);
    (
        addresses.collect(),
        ports.filter_map(|port| u16::try_from(port).ok()).filter(|port| *port != 0).collect(),
    )
}

impl Pool {
    fn parse(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split_once('/')?;
        let (base, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host_bits = width.checked_sub(bits.parse().ok()?)?.min(100);
        Some(Self { v6: width == 128, base, size: 1 << host_bits, next: 10 })
    }

    fn next(&mut self) -> IpAddr {
        let bits = self.base + self.next;
        self.next = if self.next + 1 < self.size { self.next + 1 } else { 1 };
        if self.v6 {
            return Ipv6Addr::from_bits(bits).into();
        }
        Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or_default()).into()
    }
}
