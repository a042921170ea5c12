//! What a server block of a Corefile says about cluster names: plain settings.

use std::sync::Arc;

use dns_wire::{Name, NameRef};
use model::Labels;

use crate::Selector;

/// Which names under `pod.<zone>` are answered (option `pods` of CoreDNS's kubernetes plugin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodNames {
    /// None.
    #[default]
    Disabled,
    /// Any address in a namespace that exists.
    Insecure,
    /// The addresses of living pods of that namespace. Needs the pods of all nodes.
    Verified,
}

/// One `kubernetes` block of a Corefile. The defaults are CoreDNS's, with the zone `cluster.local.`.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The zones, forward and reverse; the longest that fits a name counts. The first that is neither reverse nor of
    /// `multicluster` is the primary one: targets of PTR and NS records are in it.
    pub zones: Vec<Name>,
    /// TTL of the records in seconds, 0 to 3600.
    pub ttl: u32,
    /// Names of pods.
    pub pods: PodNames,
    /// The only namespaces that are shown; `None`: all.
    pub namespaces: Option<Vec<Arc<str>>>,
    /// Which namespaces are shown, by their labels.
    pub namespace_labels: Option<Selector>,
    /// Which Services, ServiceImports and slices are shown, by their labels.
    pub labels: Option<Selector>,
    /// An endpoint without a hostname is called as its Pod, where that is a label of at most 63 octets.
    pub endpoint_pod_names: bool,
    /// No endpoints are shown: headless Services and names of endpoints do not exist.
    pub noendpoints: bool,
    /// A Service with a ClusterIP and without a ready endpoint does not exist. Without meaning where `noendpoints` is set.
    pub ignore_empty: bool,
    /// Names under these that do not exist are passed on; `.` is all.
    pub fallthrough: Vec<Name>,
    /// Zones of ServiceImports; each must be one of `zones` too.
    pub multicluster: Vec<Name>,
    /// Names of the endpoints of one topology zone: `<zone>.pin._zone.<service>...` and `prefer`.
    pub zonal: bool,
}

impl Default for View {
    fn default() -> Self {
        Self {
            zones: "cluster.local.".parse().into_iter().collect(),
            ttl: 5,
            pods: PodNames::Disabled,
            namespaces: None,
            namespace_labels: None,
            labels: None,
            endpoint_pod_names: false,
            noendpoints: false,
            ignore_empty: false,
            fallthrough: Vec::new(),
            multicluster: Vec::new(),
            zonal: false,
        }
    }
}

/// What kind of names a zone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZoneKind {
    Cluster,
    ClusterSet,
    Reverse,
}

/// A zone that a name is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone<'q> {
    pub kind: ZoneKind,
    /// The zone in the letter case of the question.
    pub name: NameRef<'q>,
    /// The labels left of it, in wire form without the root label.
    pub left: &'q [u8],
}

impl View {
    /// The longest zone that the name is in.
    pub(crate) fn zone_of<'q>(&self, name: NameRef<'q>) -> Option<Zone<'q>> {
        let (left, suffix) = longest(&self.zones, name)?;
        let is_set = |zone: &Name| zone.as_ref().eq_ignore_case(suffix);
        let kind = if suffix.is_reverse() {
            ZoneKind::Reverse
        } else if self.multicluster.iter().any(is_set) {
            ZoneKind::ClusterSet
        } else {
            ZoneKind::Cluster
        };
        Some(Zone { kind, name: suffix, left: name.wire().get(..left)? })
    }

    /// The zone in which targets of PTR and NS records are.
    pub(crate) fn primary(&self) -> Option<NameRef<'_>> {
        let fits = |zone: &&Name| !zone.as_ref().is_reverse() && !self.multicluster.contains(zone);
        self.zones.iter().find(fits).map(Name::as_ref)
    }

    /// Whether a name that does not exist is passed on.
    pub(crate) fn falls_through(&self, name: NameRef<'_>) -> bool {
        self.fallthrough.iter().any(|zone| name.ends_with(zone.as_ref()))
    }

    /// Whether an object with these labels is shown.
    pub(crate) fn shows(&self, labels: &Labels) -> bool {
        self.labels.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

/// The longest zone that a name is in: octets left of it, and the zone in the name's letter case.
pub(crate) fn longest<'q>(zones: &[Name], name: NameRef<'q>) -> Option<(usize, NameRef<'q>)> {
    let left = zones.iter().filter_map(|zone| name.strip(zone.as_ref())).min()?;
    Some((left, NameRef::read(name.wire().get(left..)?)?))
}

/// One `k8s_external` block of a Corefile: names of what Services show to the outside.
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    /// The zones. Reverse zones among them get PTR records of external addresses, with targets in the first zone that is not reverse.
    pub zones: Vec<Name>,
    /// TTL of the records in seconds. CoreDNS's default is 5.
    pub ttl: u32,
    /// The label under which the names of the server itself are: `ns1.<apex>.<zone>`. CoreDNS's default is `dns`.
    pub apex: Box<str>,
    /// Ready endpoints of headless Services are shown too.
    pub headless: bool,
    /// Names under these that do not exist are passed on.
    pub fallthrough: Vec<Name>,
}

impl Default for External {
    fn default() -> Self {
        Self { zones: Vec::new(), ttl: 5, apex: "dns".into(), headless: false, fallthrough: Vec::new() }
    }
}
