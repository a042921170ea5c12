//! Which connections somebody wants to see.

use std::net::{IpAddr, SocketAddr};

use model::{FrontendKey, IpFamily, NamespacedName};
use netlink::conntrack::{DST_NAT, Family, Filter};
use rustc_hash::FxHashSet;

use crate::{Connection, Place};

/// Frontends that are looked up one by one in the kernel; more are cheaper in one dump, which walks the same table.
const ONE_BY_ONE: usize = 3;

/// Which connections; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Of this Service.
    pub service: Option<NamespacedName>,
    /// From this address.
    pub client: Option<IpAddr>,
    /// To this endpoint, on any port or on one.
    pub endpoint: Option<(IpAddr, Option<u16>)>,
    /// To this place.
    pub place: Option<Place>,
}

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// Of `service`.
    #[error("service={0:?} is not NAMESPACE/NAME")]
    Service(String),
    /// Of `client`.
    #[error("client={0:?} is not an IP address")]
    Client(String),
    /// Of `endpoint`.
    #[error("endpoint={0:?} is not IP, IP:PORT or [IPv6]:PORT")]
    Endpoint(String),
}

impl Question {
    /// From texts, as a query or a command has them. An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4
    /// address, which is what the kernel sees. Errors name the one that cannot be read.
    pub fn parse(
        service: Option<&str>,
        client: Option<&str>,
        endpoint: Option<&str>,
    ) -> Result<Self, BadQuestion> {
        let named = |text: &str| {
            let (namespace, name) = text.split_once('/')?;
            let whole = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
            whole.then(|| NamespacedName::new(namespace, name))
        };
        let to = |text: &str| {
            let ported = text.parse::<SocketAddr>().ok().map(|at| (at.ip(), Some(at.port())));
            let (ip, port) = ported.or_else(|| Some((text.trim_matches(['[', ']']).parse().ok()?, None)))?;
            Some((ip.to_canonical(), port))
        };
        let from = |text: &str| text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        Ok(Self {
            service: service.map(|t| named(t).ok_or_else(|| BadQuestion::Service(t.into()))).transpose()?,
            client: client.map(|t| from(t).ok_or_else(|| BadQuestion::Client(t.into()))).transpose()?,
            endpoint: endpoint.map(|t| to(t).ok_or_else(|| BadQuestion::Endpoint(t.into()))).transpose()?,
            place: None,
        })
    }

    /// What to ask conntrack for. `frontends`: those of the Service, if one is asked for. `translated`: only connections whose
    /// destination conntrack has translated.
    pub fn filters(&self, frontends: Option<&FxHashSet<FrontendKey>>, translated: bool) -> Vec<Filter> {
        let bases = [Family::V4, Family::V6].into_iter().filter(|family| self.has(*family));
        let bases = bases.map(|family| Filter {
            original_src: self.client,
            reply_src: self.endpoint.map(|(ip, _)| ip),
            reply_sport: self.endpoint.and_then(|(_, port)| port),
            protocol: self.place.map(|place| place.protocol.number()),
            original_dst: self.place.map(|place| place.at.ip),
            original_dport: self.place.map(|place| place.at.port),
            status: if translated { DST_NAT } else { 0 },
            ..Filter::all(family)
        });
        match frontends.filter(|frontends| frontends.len() <= ONE_BY_ONE) {
            None => bases.collect(),
            Some(few) => {
                bases.flat_map(|base| few.iter().filter_map(move |key| narrow(&base, key))).collect()
            }
        }
    }

    /// Whether a connection is one of them, as far as it can tell without the store. `frontends` as above.
    pub fn takes(&self, connection: &Connection, frontends: Option<&FxHashSet<FrontendKey>>) -> bool {
        let Connection { client, endpoint, place, .. } = connection;
        self.client.is_none_or(|ip| ip == client.ip)
            && self
                .endpoint
                .is_none_or(|(ip, port)| ip == endpoint.ip && port.is_none_or(|p| p == endpoint.port))
            && self.place.is_none_or(|wanted| wanted == *place)
            && frontends.is_none_or(|wanted| place.keys().iter().any(|key| wanted.contains(key)))
    }

    /// Whether there can be connections of a family.
    fn has(&self, family: Family) -> bool {
        let ips = [self.client, self.endpoint.map(|(ip, _)| ip), self.place.map(|place| place.at.ip)];
        ips.into_iter().flatten().all(|ip| Family::of(ip) == family)
    }
}

impl Place {
    /// The frontends that may be meant by it, in the order in which they count.
    pub fn keys(&self) -> [FrontendKey; 2] {
        let Place { protocol, at } = *self;
        [
            FrontendKey::Vip { ip: at.ip, protocol, port: at.port },
            FrontendKey::NodePort { family: IpFamily::of(at.ip), protocol, port: at.port },
        ]
    }
}

fn narrow(base: &Filter, frontend: &FrontendKey) -> Option<Filter> {
    let family = if frontend.family() == IpFamily::V4 { Family::V4 } else { Family::V6 };
    let original_dst = match frontend {
        FrontendKey::Vip { ip, .. } => Some(*ip),
        FrontendKey::NodePort { .. } => None,
    };
    (base.family == family).then(|| Filter {
        protocol: Some(frontend.protocol().number()),
        original_dst,
        original_dport: Some(frontend.port()),
        ..*base
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::connection;
    use model::Protocol;

    #[test]
    fn questions_are_read() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let asked = Question::parse(Some("ns/web"), Some("10.0.0.1"), Some("[fd00::1]:80")).unwrap();
        assert_eq!(asked.service, Some(NamespacedName::new("ns", "web")));
        let mapped = Question::parse(None, Some("::ffff:10.0.0.1"), None).unwrap();
        assert_eq!(mapped.client, Some(ip("10.0.0.1")));
        assert_eq!((asked.client, asked.endpoint), (Some(ip("10.0.0.1")), Some((ip("fd00::1"), Some(80)))));
        for (text, expected) in [
            ("10.1.1.1", Some((ip("10.1.1.1"), None))),
            ("10.1.1.1:80", Some((ip("10.1.1.1"), Some(80)))),
            ("fd00::1", Some((ip("fd00::1"), None))),
            ("[fd00::1]", Some((ip("fd00::1"), None))),
            ("::ffff:10.1.1.1", Some((ip("10.1.1.1"), None))),
            ("[::ffff:10.1.1.1]:80", Some((ip("10.1.1.1"), Some(80)))),
            ("web", None),
            ("10.1.1.1:99999", None),
            ("", None),
        ] {
            assert_eq!(Question::parse(None, None, Some(text)).ok().map(|q| q.endpoint), expected.map(Some));
        }
        for text in ["web", "/web", "ns/", "a/b/c", ""] {
            assert_eq!(Question::parse(Some(text), None, None), Err(BadQuestion::Service(text.into())));
        }
        assert_eq!(Question::parse(None, Some("x"), None), Err(BadQuestion::Client("x".into())));
    }

    #[test]
    fn the_kernel_is_asked_for_as_little_as_it_can_tell() {
        let vip =
            |ip: &str, port| FrontendKey::Vip { ip: ip.parse().unwrap(), protocol: Protocol::Tcp, port };
        let node_port = FrontendKey::NodePort { family: IpFamily::V4, protocol: Protocol::Udp, port: 30_000 };
        let any = Question::default();
        assert_eq!(any.filters(None, true).len(), 2, "both families");
        assert!(any.filters(None, true).iter().all(|filter| filter.status == DST_NAT));
        assert!(any.filters(None, false).iter().all(|filter| filter.status == 0));
        let client = Question::parse(None, Some("10.0.0.1"), None).unwrap();
        let [only] = client.filters(None, true)[..] else { panic!("one family") };
        assert_eq!((only.family, only.original_src), (Family::V4, client.client));
        let few = FxHashSet::from_iter([vip("10.96.0.1", 80), vip("fd00:96::1", 80), node_port]);
        let filters = any.filters(Some(&few), true);
        assert_eq!(filters.len(), 3);
        assert!(filters.iter().all(|f| f.protocol.is_some() && f.original_dport.is_some()));
        assert_eq!(filters.iter().filter(|f| f.original_dst.is_none()).count(), 1);
        let many: FxHashSet<_> = (1..9).map(|port| vip("10.96.0.1", port)).collect();
        assert_eq!(any.filters(Some(&many), true).len(), 2);
        assert_eq!(
            any.filters(Some(&FxHashSet::default()), true),
            [],
            "a Service without frontends has none"
        );
    }

    #[test]
    fn every_part_of_a_question_counts() {
        let connection = connection("10.0.0.1:40000", "10.96.0.1:80", "10.1.1.1:8080");
        let parse = |client, endpoint| Question::parse(None, client, endpoint).unwrap();
        for (question, taken) in [
            (parse(None, None), true),
            (parse(Some("10.0.0.1"), Some("10.1.1.1:8080")), true),
            (parse(Some("10.0.0.2"), None), false),
            (parse(None, Some("10.1.1.1")), true),
            (parse(None, Some("10.1.1.1:80")), false),
            (parse(None, Some("10.1.1.2")), false),
        ] {
            assert_eq!(question.takes(&connection, None), taken, "{question:?}");
        }
        let any = Question::default();
        for (at, taken) in [("10.96.0.1:80", true), ("10.96.0.1:81", false)] {
            let place = Place { protocol: Protocol::Tcp, at: crate::testing::address(at) };
            let question = Question { place: Some(place), ..Question::default() };
            assert_eq!(question.takes(&connection, None), taken, "{at}");
            let [only] = question.filters(None, true)[..] else { panic!("one family") };
            assert_eq!((only.original_dst, only.original_dport), (Some(place.at.ip), Some(place.at.port)));
        }
        let keys = connection.place.keys();
        assert!(any.takes(&connection, Some(&FxHashSet::from_iter([keys[0]]))));
        assert!(any.takes(&connection, Some(&FxHashSet::from_iter([keys[1]]))));
        assert!(!any.takes(&connection, Some(&FxHashSet::default())));
    }
}
