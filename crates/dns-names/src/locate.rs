//! What a name stands for.

mod missing;
mod outside;
mod service;

use std::net::IpAddr;

use dns_wire::NameRef;

use crate::index::{Role, Space};
use crate::label::undashed;
use crate::object::{Kind, Object, Which};
use crate::path::{Lower, Path};
use crate::record::Record;
use crate::view::{Zone, ZoneKind};
use crate::{External, Names, PodNames, View};

pub(crate) use missing::Missing;

/// What was found for a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'n, 'q> {
    /// The name does not exist.
    Missing(Missing),
    /// The name exists, since names below it do, or can; it has no records.
    Empty,
    /// The zone itself.
    Apex,
    /// `dns-version.<zone>`.
    Version,
    /// The name of this server.
    Server,
    /// A Service or ServiceImport, or a part of it.
    Object(Object<'n>, Which<'q>),
    /// The name of a pod.
    Pod(IpAddr),
    /// The reverse name of an address that a Service has.
    Reverse(IpAddr),
}

/// Where names are looked for: all of them, through the settings of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'n> {
    pub names: &'n Names,
    pub view: &'n View,
    /// Set for names as they are seen from outside.
    pub external: Option<&'n External>,
}

impl<'n> Scope<'n> {
    /// What the name stands for, which is in `zone`.
    pub fn locate<'q>(&self, name: NameRef<'q>, zone: &Zone<'q>) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let path = Path::new(zone.left);
        if path.len() == 0 {
            return Found::Apex;
        }
        if zone.kind == ZoneKind::Reverse {
            return self.reverse(name, &path);
        }
        match self.external {
            Some(external) => self.outside(external, &path),
            None => self.inside(&path, zone.kind),
        }
    }

    fn inside<'q>(&self, path: &Path<'q>, kind: ZoneKind) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let top = Lower::new(path.get(0).unwrap_or_default());
        match (top.text(), path.len()) {
            (Some("svc"), 1) => Found::Empty,
            (Some("dns-version"), 1) => Found::Version,
            (Some("dns"), _) => server(path, "ns"),
            (Some("svc"), _) => self.service(path, kind),
            (Some("pod"), _) if kind == ZoneKind::Cluster => self.pod(path),
            _ => Found::Missing(Missing::Tree),
        }
    }

    /// The namespace of this label, if it is shown.
    fn space(&self, label: &[u8]) -> Option<&'n Space> {
        let lower = Lower::new(label);
        let name = lower.text()?;
        let space = self.names.space(name)?;
        self.shows(name, space).then_some(space)
    }

    fn shows(&self, name: &str, space: &Space) -> bool {
        let listed = |list: &Vec<std::sync::Arc<str>>| list.iter().any(|shown| **shown == *name);
        let labels = space.namespace.as_ref().map(|namespace| &namespace.labels);
        let selected = |selector: &crate::Selector| labels.is_some_and(|labels| selector.matches(labels));
        self.view.namespaces.as_ref().is_none_or(listed)
            && self.view.namespace_labels.as_ref().is_none_or(selected)
    }

    fn pod<'q>(&self, path: &Path<'q>) -> Found<'n, 'q> {
        let Some(namespace) = path.get(1) else { return Found::Empty };
        if self.view.pods == PodNames::Disabled {
            return Found::Missing(Missing::PodsDisabled);
        }
        let Some(space) = self.space(namespace).filter(|space| space.exists()) else {
            return Found::Missing(Missing::Namespace);
        };
        match path.len() {
            2 => Found::Empty,
            3 => self.pod_name(path.get(2).unwrap_or_default(), space, namespace),
            _ => Found::Missing(Missing::TooDeep),
        }
    }

    fn pod_name<'q>(&self, label: &[u8], space: &Space, namespace: &[u8]) -> Found<'n, 'q> {
        let Some(ip) = undashed(label) else { return Found::Missing(Missing::NoAddress) };
        let lower = Lower::new(namespace);
        let name = space.namespace.as_ref().map(|namespace| &*namespace.name).or_else(|| lower.text());
        let lives = || name.is_some_and(|name| self.names.pods().lives_in(name, ip));
        if self.view.pods == PodNames::Verified && !lives() {
            return Found::Missing(Missing::Pod);
        }
        Found::Pod(ip)
    }

    /// The reverse name of an address; or the name of this server, which the SOA record of a reverse zone has too.
    fn reverse<'q>(&self, name: NameRef<'q>, path: &Path<'q>) -> Found<'n, 'q> {
        let (apex, host) = self.external.map_or(("dns", "ns"), |external| (&external.apex, "ns1"));
        if path.is(0, apex) {
            return server(path, host);
        }
        let Some(ip) = name.reverse_address() else { return Found::Missing(Missing::NoAddress) };
        let known = match self.external {
            Some(_) => self.externals_at(ip).next().is_some(),
            None => self.services_at(ip).next().is_some() || self.endpoints_at(ip).next().is_some(),
        };
        if known { Found::Reverse(ip) } else { Found::Missing(Missing::Reverse) }
    }

    /// Shown Services with this ClusterIP.
    pub fn services_at(&self, ip: IpAddr) -> impl Iterator<Item = Object<'n>> + use<'n> {
        let scope = *self;
        self.names.services_at(ip, Role::ClusterIp).filter_map(move |record| scope.shown(record))
    }

    /// Shown Services of which a shown endpoint has this address.
    pub fn endpoints_at(&self, ip: IpAddr) -> impl Iterator<Item = Object<'n>> + use<'n> {
        let scope = *self;
        let shown = self.names.services_at(ip, Role::Endpoint).filter_map(move |record| scope.shown(record));
        shown.filter(move |object| object.set.at_address(ip, scope.view).next().is_some())
    }

    /// Shown Services with this external address.
    pub fn externals_at(&self, ip: IpAddr) -> impl Iterator<Item = Object<'n>> + use<'n> {
        let scope = *self;
        self.names.services_at(ip, Role::External).filter_map(move |record| scope.shown(record))
    }

    /// The Service of a record, if it and its namespace are shown and it has what its kind needs.
    fn shown(&self, record: &'n Record) -> Option<Object<'n>> {
        let namespace = &record.service.name.namespace;
        let space = self.names.space(namespace).filter(|space| self.shows(namespace, space))?;
        let object = record.object();
        (space.exists() && self.judge(&object).is_ok()).then_some(object)
    }

    /// Whether an object is shown and has what its kind needs.
    fn judge(&self, object: &Object<'_>) -> Result<(), Missing> {
        let has_endpoint = || object.set.members(self.view, None).next().is_some();
        if !self.view.shows(object.labels) {
            return Err(Missing::Hidden);
        }
        match object.kind {
            Kind::Headless if !has_endpoint() => Err(Missing::NotReady),
            Kind::Cluster if self.view.ignore_empty && !self.view.noendpoints && !object.imported => {
                if has_endpoint() {
                    Ok(())
                } else {
                    Err(Missing::Ignored)
                }
            }
            Kind::Alias(crate::record::Alias::Bad(_)) => Err(Missing::BadAlias),
            _ => Ok(()),
        }
    }
}

/// Names at and below the label under which the server is `host`.
fn server<'n, 'q>(path: &Path<'q>, host: &str) -> Found<'n, 'q> {
    match path.len() {
        1 => Found::Empty,
        2 if path.is(1, host) => Found::Server,
        _ => Found::Missing(Missing::Tree),
    }
}
