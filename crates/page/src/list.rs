//! The searched, sorted and cut list of Services.

mod words;

use model::{IpFamily, NamespacedName, Service, ServicePort, ServiceType, TrafficPolicy};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::catalogue::Entry;
use words::Words;

/// Services on a page of the list.
pub const PAGE: usize = 100;
/// Characters of a search that count.
pub const MAX_QUERY: usize = 200;
/// Frontends of a Service that the list shows.
const FRONTENDS: usize = 4;

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By namespace and name.
    #[default]
    Name,
    /// By type, then name.
    Kind,
    /// Those with the fewest usable endpoints first.
    Endpoints,
    /// Those with the most Problems first.
    Problems,
}

impl Sort {
    /// Every order, with the word of the query.
    pub const ALL: [(&'static str, Sort); 4] = [
        ("name", Sort::Name),
        ("type", Sort::Kind),
        ("endpoints", Sort::Endpoints),
        ("problems", Sort::Problems),
    ];

    /// The word of the query.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, sort)| *sort == self).map_or("name", |(word, _)| word)
    }
}

/// What is asked of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Words, all of which are in a Service's name, type, addresses or ports, or are the address of an endpoint.
    pub query: String,
    /// The order.
    pub sort: Sort,
    /// Which part of [`PAGE`] Services, from 1.
    pub page: usize,
}

impl Search {
    /// From the values of a query. What cannot be read counts as absent; a long search is cut at [`MAX_QUERY`].
    pub fn new(query: Option<String>, sort: Option<&str>, page: Option<&str>) -> Self {
        let known = |word: &str| Sort::ALL.iter().find(|(name, _)| *name == word).map(|(_, sort)| *sort);
        let query: String = query.unwrap_or_default().chars().take(MAX_QUERY).collect();
        Self {
            query: query.trim().to_owned(),
            sort: sort.and_then(known).unwrap_or_default(),
            page: page.and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
        }
    }
}

/// The part of the list that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListView {
    /// What was searched.
    pub query: String,
    /// The word of the order.
    pub sort: &'static str,
    /// Which part this is, from 1.
    pub page: usize,
    /// How many parts there are, 1 or more.
    pub pages: usize,
    /// Services that match.
    pub matched: usize,
    /// Services that there are.
    pub total: usize,
    /// Those of this part.
    pub rows: Vec<RowView>,
}

/// One Service in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RowView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName` or `Headless`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where it wants to be served, at most four.
    pub frontends: Vec<String>,
    /// How many more there are.
    pub more_frontends: usize,
    /// Endpoints to which some traffic of this node goes.
    pub usable: u32,
    /// Endpoints that its slices name.
    pub known: u32,
    /// `Cluster` or `Local`: `internalTrafficPolicy`.
    pub internal_policy: &'static str,
    /// The same of `externalTrafficPolicy`, where something outside can address it.
    pub external_policy: Option<&'static str>,
    /// This proxy serves it.
    pub proxied: bool,
    /// Problems of this Service and its slices.
    pub problems: usize,
}

/// How many Problems each Service has, by `namespace/name`; those without are left out.
pub type Marks = FxHashMap<String, usize>;

/// Puts the list together. `part` reads the entries after a name, as [`Catalogue::after`](crate::Catalogue::after) does,
/// and none at the end.
pub fn list(
    search: &Search,
    marks: &Marks,
    mut part: impl FnMut(Option<&NamespacedName>) -> Vec<Entry>,
) -> ListView {
    let mut words = Words::new(&search.query);
    let (mut matched, mut total, mut last) = (Vec::new(), 0, None);
    loop {
        let entries = part(last.as_ref());
        let Some(end) = entries.last() else { break };
        last = Some(end.service.name.clone());
        total += entries.len();
        matched.extend(entries.into_iter().filter(|entry| words.are_in(entry)));
    }
    sort(&mut matched, search.sort, marks);
    let pages = matched.len().div_ceil(PAGE).max(1);
    let page = search.page.min(pages);
    let rows = matched.iter().skip((page - 1) * PAGE).take(PAGE).map(|entry| row(entry, marks)).collect();
    let (query, sort) = (search.query.clone(), search.sort.as_str());
    ListView { query, sort, page, pages, matched: matched.len(), total, rows }
}

fn sort(entries: &mut [Entry], sort: Sort, marks: &Marks) {
    let problems = |entry: &Entry| marks.get(&entry.service.name.to_string()).copied().unwrap_or(0);
    match sort {
        Sort::Name => {}
        Sort::Kind => entries.sort_by_key(|entry| kind(&entry.service)),
        // What nobody proxies has none, and that is right.
        Sort::Endpoints => entries.sort_by_key(|entry| (!entry.service.is_proxied(), entry.usable)),
        Sort::Problems => entries.sort_by_cached_key(|entry| std::cmp::Reverse(problems(entry))),
    }
}

fn row(entry: &Entry, marks: &Marks) -> RowView {
    let service = &*entry.service;
    let mut frontends = frontends(service);
    let more_frontends = frontends.len().saturating_sub(FRONTENDS);
    frontends.truncate(FRONTENDS);
    let accessible = |family| service.ports.iter().any(|port| service.externally_accessible(port, family));
    RowView {
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        kind: kind(service),
        frontends,
        more_frontends,
        usable: entry.usable,
        known: entry.known,
        internal_policy: policy(service.internal_policy),
        external_policy: service.families().any(accessible).then(|| policy(service.external_policy)),
        proxied: service.is_proxied(),
        problems: marks.get(&service.name.to_string()).copied().unwrap_or(0),
    }
}

/// Every frontend that a Service asks for, as an address with its port and protocol, or `node:` with the nodePort. Another
/// Service may have one of them: a Problem says so.
fn frontends(service: &Service) -> Vec<String> {
    let mut all = Vec::new();
    for port in &service.ports {
        for family in service.families() {
            let vips = service.cluster_ip(family).into_iter().chain(service.external_addresses(family));
            all.extend(vips.map(|ip| vip(ip, port)));
        }
        if port.node_port != 0 && service.is_proxied() {
            all.push(format!("node:{}/{}", port.node_port, port.protocol));
        }
    }
    all
}

fn vip(ip: std::net::IpAddr, port: &ServicePort) -> String {
    match IpFamily::of(ip) {
        IpFamily::V4 => format!("{ip}:{}/{}", port.port, port.protocol),
        IpFamily::V6 => format!("[{ip}]:{}/{}", port.port, port.protocol),
    }
}

/// What kind of Service it is, in Kubernetes' words; a headless one is told apart.
pub fn kind(service: &Service) -> &'static str {
    match service.kind {
        ServiceType::ExternalName => "ExternalName",
        _ if service.headless => "Headless",
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

/// A policy, as Kubernetes writes it.
pub fn policy(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
}

#[cfg(test)]
mod tests;
