//! Elements as bytes, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use model::{EndpointAddr, IpFamily, Protocol};
use netlink::nft::{Element, ElementData, Verdict};

use crate::ids::{ChainId, SetId};
use crate::objects::{ElementKey, PortKey, Target, Value, VipKey};
use crate::rule::octets;

/// An element of one of our sets as the kernel shall have it.
pub fn kernel_element(set: SetId, key: &ElementKey, value: &Value) -> Element {
    let (start, key_end) = key_bytes(set, key);
    Element { key: start, key_end, data: data(value) }
}

fn data(value: &Value) -> ElementData {
    match value {
        Value::Member | Value::Definition(_) => ElementData::None,
        Value::Verdict(Target::Drop) => ElementData::Verdict(Verdict::Drop),
        Value::Verdict(Target::Goto(chain)) => ElementData::Verdict(Verdict::Goto(chain.to_string())),
        Value::Endpoint(endpoint) => {
            ElementData::Value(Bytes::default().addr(endpoint.ip).port(endpoint.port).0)
        }
    }
}

/// The first and, for prefixes, the last key of an element as the kernel has it.
pub fn key_bytes(set: SetId, key: &ElementKey) -> (Vec<u8>, Option<Vec<u8>>) {
    let vip = |v: &VipKey| Bytes::default().addr(v.ip).protocol(v.protocol).port(v.port);
    let port = |p: &PortKey| Bytes::default().protocol(p.protocol).port(p.port);
    match key {
        ElementKey::Vip(endpoint) if set == SetId::Hairpin => (hairpin_key(endpoint), None),
        ElementKey::Addr(ip) => (Bytes::default().addr(*ip).0, None),
        ElementKey::Vip(v) => (vip(v).0, None),
        ElementKey::Port(p) => (port(p).0, None),
        ElementKey::VipSlot(v, slot) => (vip(v).slot(*slot).0, None),
        ElementKey::PortSlot(p, slot) => (port(p).slot(*slot).0, None),
        ElementKey::Source(source) => {
            let (v, net) = source.as_ref();
            (vip(v).addr(net.network()).0, Some(vip(v).addr(net.broadcast()).0))
        }
        ElementKey::PortSource(source) => {
            let (p, net) = source.as_ref();
            (port(p).addr(net.network()).0, Some(port(p).addr(net.broadcast()).0))
        }
    }
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn addr(mut self, ip: IpAddr) -> Self {
        self.0.extend(octets(ip));
        self
    }

    fn protocol(mut self, protocol: Protocol) -> Self {
        self.0.extend([protocol.number(), 0, 0, 0]);
        self
    }

    fn port(mut self, port: u16) -> Self {
        self.0.extend(port.to_be_bytes());
        self.0.extend([0, 0]);
        self
    }

    /// numgen writes its number in host byte order.
    fn slot(mut self, slot: u16) -> Self {
        self.0.extend(u32::from(slot).to_ne_bytes());
        self
    }
}

/// Reads an element of one of our sets; `None` if it is none that we could have written.
pub fn decode(set: SetId, family: IpFamily, element: &Element) -> Option<(ElementKey, Value)> {
    let mut reader = Reader { bytes: &element.key, family };
    let key = read_key(set, &mut reader, element.key_end.as_deref())?;
    let value = match &element.data {
        ElementData::None => Value::Member,
        ElementData::Verdict(Verdict::Drop) => Value::Verdict(Target::Drop),
        ElementData::Verdict(Verdict::Goto(chain)) => Value::Verdict(Target::Goto(ChainId::parse(chain)?)),
        ElementData::Verdict(_) => return None,
        ElementData::Value(bytes) => {
            let mut reader = Reader { bytes, family };
            Value::Endpoint(EndpointAddr { ip: reader.addr()?, port: reader.port()? })
        }
    };
    reader.bytes.is_empty().then_some((key, value))
}

fn read_key(set: SetId, r: &mut Reader<'_>, end: Option<&[u8]>) -> Option<ElementKey> {
    Some(match set {
        SetId::ClusterIps | SetId::NodePortIps | SetId::RoutedVips => ElementKey::Addr(r.addr()?),
        SetId::Hairpin => {
            let source = r.addr()?;
            let vip = r.vip()?;
            (source == vip.ip).then_some(ElementKey::Vip(vip))?
        }
        SetId::AllowedSources => {
            let vip = r.vip()?;
            let first = r.addr()?;
            let mut end = Reader { bytes: end?, family: r.family };
            (end.vip()? == vip).then_some(())?;
            ElementKey::Source(Box::new((vip, net_of(first, end.addr()?)?)))
        }
        SetId::NodePortSources => {
            let port = r.port_key()?;
            let first = r.addr()?;
            let mut end = Reader { bytes: end?, family: r.family };
            (end.port_key()? == port).then_some(())?;
            ElementKey::PortSource(Box::new((port, net_of(first, end.addr()?)?)))
        }
        SetId::VipSlots(_) => ElementKey::VipSlot(r.vip()?, r.slot()?),
        SetId::PortSlots(_) => ElementKey::PortSlot(r.port_key()?, r.slot()?),
        SetId::NodePorts
        | SetId::RestrictedNodePorts
        | SetId::HealthPorts
        | SetId::PodNodePorts
        | SetId::NodeNodePorts
        | SetId::OutsideNodePorts
        | SetId::IdleNodePorts
        | SetId::AffinityNodePorts => ElementKey::Port(r.port_key()?),
        SetId::Affinity(_) => return None,
        _ => ElementKey::Vip(r.vip()?),
    })
}

/// A client's remembered choice: an element of an affinity map.
pub fn decode_affinity(family: IpFamily, element: &Element) -> Option<(VipKey, EndpointAddr)> {
    let mut key = Reader { bytes: &element.key, family };
    key.addr()?;
    let vip = key.vip()?;
    let ElementData::Value(bytes) = &element.data else { return None };
    let mut data = Reader { bytes, family };
    Some((vip, EndpointAddr { ip: data.addr()?, port: data.port()? }))
}

/// The key in the hairpin set for an endpoint: the connection's source is the endpoint itself.
fn hairpin_key(endpoint: &VipKey) -> Vec<u8> {
    let bytes = Bytes::default().addr(endpoint.ip).addr(endpoint.ip);
    bytes.protocol(endpoint.protocol).port(endpoint.port).0
}

/// The prefix from its first and last address.
fn net_of(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let common = match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return None,
    };
    let net = IpNet::new(first, common as u8).ok()?;
    (net.network() == first && net.broadcast() == last).then_some(net)
}

struct Reader<'a> {
    bytes: &'a [u8],
    family: IpFamily,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    fn addr(&mut self) -> Option<IpAddr> {
        Some(match self.family {
            IpFamily::V4 => Ipv4Addr::from(self.take::<4>()?).into(),
            IpFamily::V6 => Ipv6Addr::from(self.take::<16>()?).into(),
        })
    }

    fn protocol(&mut self) -> Option<Protocol> {
        Protocol::from_number(self.take::<4>()?[0])
    }

    fn port(&mut self) -> Option<u16> {
        let [high, low, ..] = self.take::<4>()?;
        Some(u16::from_be_bytes([high, low]))
    }

    fn slot(&mut self) -> Option<u16> {
        u32::from_ne_bytes(self.take::<4>()?).try_into().ok()
    }

    fn vip(&mut self) -> Option<VipKey> {
        Some(VipKey { ip: self.addr()?, protocol: self.protocol()?, port: self.port()? })
    }

    fn port_key(&mut self) -> Option<PortKey> {
        Some(PortKey { protocol: self.protocol()?, port: self.port()? })
    }
}
