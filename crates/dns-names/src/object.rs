//! A Service or ServiceImport as a question sees it, and which part of it a name means.

use std::net::IpAddr;

use dns_wire::Name;
use model::{Labels, NamespacedName, Protocol, ServicePort, SlicePort};

use crate::View;
use crate::record::Alias;
use crate::set::{EndpointSet, Member, Turn, turned};

/// What the bare name of an object leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'n> {
    /// Its own addresses.
    Cluster,
    /// Its ready endpoints.
    Headless,
    /// Another name.
    Alias(&'n Alias),
    /// The name of its load balancer, behind its own ports.
    Host(&'n Name),
}

/// A Service, a ServiceImport, or a Service as seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'n> {
    pub name: &'n NamespacedName,
    pub kind: Kind<'n>,
    /// Its own addresses, in two parts.
    pub ips: [&'n [IpAddr]; 2],
    pub ports: &'n [ServicePort],
    pub labels: &'n Labels,
    pub set: &'n EndpointSet,
    /// It is a ServiceImport: names of endpoints have their cluster in them.
    pub imported: bool,
}

impl<'n> Object<'n> {
    /// Its own addresses, each once.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'n> {
        let [first, second] = self.ips;
        let second = second.iter().filter(|ip| !first.contains(ip));
        first.iter().chain(second).copied()
    }

    /// Its ready endpoints that a name means; with `turn` another one first each time.
    pub fn members<'v>(
        &self,
        which: Which<'v>,
        view: &'v View,
        turn: Option<Turn>,
    ) -> impl Iterator<Item = Member<'n>> + use<'n, 'v> {
        let set = self.set;
        let counts = move |member: &Member<'_>| {
            which.takes(member) && turn.and_then(|turn| turn.family).is_none_or(|f| f == member.slice.family)
        };
        let named = match which {
            Which::Host(host) => Some(turned(turn, move || set.named(host.label, view), counts)),
            _ => None,
        };
        let zonal = matches!(which, Which::Zone(_));
        let zonal = zonal.then(|| turned(turn, move || set.members(view, None), counts));
        let all = (named.is_none() && zonal.is_none()).then(|| set.members(view, turn));
        let found = named.into_iter().flatten().chain(zonal.into_iter().flatten());
        found.chain(all.into_iter().flatten()).filter(move |member| which.takes(member))
    }

    /// Whether a port of this protocol has a name: then there is a name `_protocol` below the object's.
    pub fn has_named_port(&self, protocol: Protocol, view: &View) -> bool {
        let own = self.ports.iter().any(|port| port.protocol == protocol && !port.name.is_empty());
        let of_slice = |port: &SlicePort| port.protocol == protocol && !port.name.is_empty();
        match self.kind {
            Kind::Cluster | Kind::Host(_) => own,
            Kind::Headless => {
                self.set.members(view, None).any(|member| member.slice.ports.iter().any(of_slice))
            }
            Kind::Alias(_) => false,
        }
    }

    /// Whether a port of this name and protocol is there.
    pub fn has_port(&self, port: PortName<'_>, view: &View) -> bool {
        match self.kind {
            Kind::Cluster | Kind::Host(_) => self.ports.iter().any(|own| port.is(&own.name, own.protocol)),
            Kind::Headless => self.members(Which::Port(port), view, None).next().is_some(),
            Kind::Alias(_) => false,
        }
    }
}

/// Which part of an object a name means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'q> {
    /// The object itself.
    All,
    /// `_port._protocol`.
    Port(PortName<'q>),
    /// One endpoint.
    Host(Host<'q>),
    /// The endpoints of one topology zone: labels in wire form.
    Zone(&'q [u8]),
}

impl Which<'_> {
    /// Whether a name means this endpoint, as far as its own name does not tell.
    pub fn takes(self, member: &Member<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Port(port) => member.slice.ports.iter().any(|own| port.is(&own.name, own.protocol)),
            Self::Host(host) => match (host.cluster, member.cluster) {
                (Some(asked), Some(own)) => asked.eq_ignore_ascii_case(own.as_bytes()),
                (asked, own) => asked.is_none() && own.is_none(),
            },
            Self::Zone(labels) => member.endpoint.zone().is_some_and(|zone| spells(labels, zone)),
        }
    }

    /// Whether a name means this port of the Service or of a slice.
    pub fn takes_port(self, name: &str, protocol: Protocol) -> bool {
        match self {
            Self::Port(port) => port.is(name, protocol),
            _ => true,
        }
    }
}

/// Whether labels in wire form, with dots between them, are this text; ignores ASCII case.
fn spells(labels: &[u8], text: &str) -> bool {
    let (mut labels, mut parts) = (labels, text.as_bytes());
    while let Some((length, rest)) = labels.split_first() {
        let Some((label, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        let Some((part, after)) = parts.split_at_checked(label.len()) else { return false };
        if !part.eq_ignore_ascii_case(label) {
            return false;
        }
        (labels, parts) = (rest, after);
        if !labels.is_empty() {
            let Some(after) = parts.strip_prefix(b".") else { return false };
            parts = after;
        }
    }
    parts.is_empty()
}

/// A port by name and protocol, as in SRV owners.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortName<'q> {
    /// Without the underscore; not empty.
    pub name: &'q [u8],
    pub protocol: Protocol,
}

impl PortName<'_> {
    fn is(&self, name: &str, protocol: Protocol) -> bool {
        self.protocol == protocol && self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// An endpoint by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host<'q> {
    pub label: &'q [u8],
    /// Its cluster, in a zone of ServiceImports.
    pub cluster: Option<&'q [u8]>,
}

/// `_tcp`, `_udp`, `_sctp`, in any letter case.
pub(crate) fn protocol(label: &[u8]) -> Option<Protocol> {
    Protocol::parse(std::str::from_utf8(label.strip_prefix(b"_")?).ok()?)
}

/// A port's label, without its underscore; `None` for anything else and for `_` alone.
pub(crate) fn port(label: &[u8]) -> Option<&[u8]> {
    label.strip_prefix(b"_").filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::spells;

    #[test]
    fn zone_labels_spell_a_text() {
        let table: [(&[u8], &str, bool); 8] = [
            (b"\x05eu-1a", "eu-1a", true),
            (b"\x05EU-1a", "eu-1A", true),
            (b"\x04rack\x017", "Rack.7", true),
            (b"\x06rack.7", "Rack.7", true),
            (b"\x04rack", "Rack.7", false),
            (b"\x04rack\x017\x018", "Rack.7", false),
            (b"\x05eu-1a", "eu-1", false),
            (b"\x05eu-1a", "eu-1aa", false),
        ];
        for (labels, text, want) in table {
            assert_eq!(spells(labels, text), want, "{text}");
        }
    }
}
