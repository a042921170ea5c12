//! A Service as the page shows it.

use model::{EndpointAddr, IpFamily, NoLocal, Scheduler, Service};
use page::{
    ENDPOINTS, EndpointView, FrontendView, PORTS, PortView, RulesText, ServiceView, Setting, Share,
    StandingView, UnfitView, WayView,
};
use resolve::{Decision, LocalSource, Member, Mode, Roster, Route, Standing, VipKind, places};

use super::Found;
use crate::view::frontends_of;

/// `lines`: its kernel objects.
pub(super) fn service(found: &Found, lines: &[String]) -> ServiceView {
    let service = &*found.service;
    let ports = found.resolved.routes.iter().zip(&found.rosters);
    ServiceView {
        node: found.node.clone(),
        mode: found.config.mode.as_str(),
        place: found.place.clone(),
        synced: found.synced,
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        kind: page::kind(service),
        not_served: not_served(service).map(str::to_owned),
        settings: settings(found),
        problems: found.problems.clone(),
        ports: ports.map(|(route, roster)| port(found, route, roster)).collect(),
        more_ports: found.resolved.routes.len().saturating_sub(PORTS),
        rules: RulesText::new(lines),
        draining: found.draining.clone(),
        more_draining: found.drains - found.draining.len(),
        ..ServiceView::default()
    }
}

fn not_served(service: &Service) -> Option<&'static str> {
    if service.other_proxy {
        return Some("its label service.kubernetes.io/service-proxy-name names another");
    }
    match page::kind(service) {
        "ExternalName" => Some("type ExternalName is an alias in DNS"),
        "Headless" => Some("it is headless, so its name leads to its endpoints"),
        _ if service.cluster_ips.is_empty() => Some("it has no ClusterIP yet"),
        _ if service.ports.is_empty() => Some("it has no ports"),
        _ => None,
    }
}

fn settings(found: &Found) -> Vec<Setting> {
    let service = &*found.service;
    let outside = found.resolved.routes.iter().any(is_outside);
    let mut settings = Vec::new();
    let mut add = |name, value: String, meaning: String| settings.push(Setting { name, value, meaning });
    if service.is_proxied() {
        add("internalTrafficPolicy", page::policy(service.internal_policy).into(), String::new());
    }
    if outside {
        add("externalTrafficPolicy", page::policy(service.external_policy).into(), String::new());
    }
    if let Some(seconds) = service.affinity_seconds {
        let meaning = "a client keeps its endpoint while it comes back within that time".into();
        add("sessionAffinity", format!("ClientIP, {seconds} s"), meaning);
    }
    if !service.source_ranges.is_empty() {
        let ranges: Vec<String> = service.source_ranges.iter().map(ToString::to_string).collect();
        add("loadBalancerSourceRanges", ranges.join(", "), String::new());
    }
    if let Some(check) = found.local.health {
        let ready = check.endpoints.into_iter().flatten().max().unwrap_or(0);
        let code = if ready > 0 { 200 } else { 503 };
        add(
            "healthCheckNodePort",
            check.port.to_string(),
            format!("answers {code}: {ready} ready on this node"),
        );
    }
    if service.prefer_local {
        let meaning = "ready endpoints of this node first; all others where it has none".into();
        add("towpath.dev/prefer-local", "true".into(), meaning);
    }
    if service.no_local == NoLocal::Reject {
        let meaning = "refused, not dropped, where policy Local leaves this node without an endpoint".into();
        add("towpath.dev/no-local", "reject".into(), meaning);
    }
    if service.strict_source_ranges {
        let meaning = "loadBalancerSourceRanges hold for NodePorts and externalIPs too".into();
        add("towpath.dev/strict-source-ranges", "true".into(), meaning);
    }
    if let Some(deadline) = service.drain_deadline {
        let meaning = "after an endpoint has gone, its connections end".into();
        add("towpath.dev/drain-deadline", format!("{} s", deadline.as_secs_f64()), meaning);
    }
    if let Some(scheduler) = service.balance.scheduler {
        let only = if found.config.mode == Mode::Ipvs { "" } else { "counts in mode ipvs only" };
        add("towpath.dev/scheduler", scheduler.to_string(), only.into());
    }
    if !service.balance.weights.is_empty() {
        let weights = service.balance.weights.iter().map(|(net, weight)| format!("{net}={weight}"));
        add("towpath.dev/weights", weights.collect::<Vec<_>>().join(", "), String::new());
    }
    settings
}

fn is_outside(route: &Route) -> bool {
    route.node_port.is_some() || route.vips.iter().any(|vip| vip.kind != VipKind::ClusterIp)
}

fn port(found: &Found, route: &Route, roster: &Roster) -> PortView {
    let service = &*found.service;
    let internal = page::policy(service.internal_policy);
    let external = page::policy(service.external_policy);
    let lost = found
        .resolved
        .conflicts
        .iter()
        .filter(|conflict| conflict.frontend.protocol() == route.name.protocol);
    let shown = roster.members.len();
    PortView {
        port: route.name.port.to_string(),
        protocol: route.name.protocol.as_str(),
        family: route.family.as_str(),
        frontends: frontends(route),
        lost: lost
            .filter(|conflict| is_of(&conflict.frontend, route, service))
            .map(|conflict| format!("{}: {} has it", conflict.frontend, conflict.winner))
            .collect(),
        internal: way(found, route, &route.internal, internal, from_cluster(found, route.family)),
        external: is_outside(route).then(|| {
            let sources = if route.masquerades_external() { Sources::Rewritten } else { Sources::Kept };
            way(found, route, &route.external, external, sources)
        }),
        from_here: route.short_circuit.as_ref().filter(|_| is_outside(route)).map(|all| {
            let node = "What the node itself sends is masqueraded; pods keep their addresses.";
            way(found, route, all, "Cluster", Sources::Some(node.to_owned()))
        }),
        endpoints: roster.members.iter().map(|member| endpoint(member, is_outside(route))).collect(),
        more_endpoints: roster.known - shown,
        unfit: roster
            .unfit
            .iter()
            .filter(|one| !is_elsewhere(service, route.family, &one.endpoint))
            .map(|one| UnfitView { address: one.endpoint.clone(), reason: one.reason.clone() })
            .collect(),
    }
}

/// Whether an endpoint is of the other family, in which the Service has a port of its own.
fn is_elsewhere(service: &Service, family: IpFamily, endpoint: &str) -> bool {
    let other = endpoint.parse().map(IpFamily::of).ok().filter(|other| *other != family);
    other.is_some_and(|other| service.cluster_ip(other).is_some())
}

/// Whether a contested frontend is one of this Route's port.
fn is_of(frontend: &model::FrontendKey, route: &Route, service: &Service) -> bool {
    match frontend {
        model::FrontendKey::Vip { ip, port, .. } => IpFamily::of(*ip) == route.family && *port == route.port,
        model::FrontendKey::NodePort { family, port, .. } => {
            *family == route.family
                && service.ports.iter().any(|p| p.node_port == *port && p.name == route.name.port)
        }
    }
}

fn frontends(route: &Route) -> Vec<FrontendView> {
    let view = |(kind, address, allowed_sources)| FrontendView { kind, address, allowed_sources };
    frontends_of(route).map(view).collect()
}

/// Whose source becomes the node's.
enum Sources {
    Rewritten,
    Kept,
    /// Of some; which, in a sentence.
    Some(String),
}

/// Whose source is rewritten on the way to the ClusterIP.
fn from_cluster(found: &Found, family: IpFamily) -> Sources {
    if found.config.masquerade_all {
        return Sources::Rewritten;
    }
    let told = match &found.detectors[usize::from(family == IpFamily::V6)] {
        LocalSource::Unknown => return Sources::Kept,
        LocalSource::Net(net) => format!("sources in {net}"),
        LocalSource::Interface(name) => format!("what comes by link {name}"),
        LocalSource::InterfacePrefix(prefix) => format!("what comes by links {prefix}*"),
    };
    Sources::Some(format!("Masqueraded, but for pods ({told})."))
}

impl Sources {
    /// In words, where these endpoints can be reached.
    fn sentence(&self, route: &Route, endpoints: &[EndpointAddr]) -> String {
        if endpoints.is_empty() {
            return String::new();
        }
        let itself = endpoints.iter().any(|endpoint| route.hairpin.contains(endpoint));
        match self {
            Self::Rewritten => "All of it is masqueraded.".into(),
            Self::Kept => "Sources stay as they are.".into(),
            Self::Some(sentence) if itself => {
                format!("{sentence} A pod that gets to itself is masqueraded too.")
            }
            Self::Some(sentence) => sentence.clone(),
        }
    }
}

fn way(found: &Found, route: &Route, decision: &Decision, policy: &'static str, sources: Sources) -> WayView {
    let endpoints = decision.endpoints();
    let shown = endpoints.iter().take(ENDPOINTS);
    let scheduler = scheduler(found, route, decision);
    WayView {
        verdict: match decision {
            Decision::Dnat(_) => "dnat",
            Decision::Reject | Decision::RejectHere => "reject",
            Decision::Drop => "drop",
        },
        elsewhere: matches!(decision, Decision::Drop | Decision::RejectHere),
        policy,
        masquerades: !matches!(sources, Sources::Kept) && !endpoints.is_empty(),
        masquerade: sources.sentence(route, endpoints),
        shares: shown
            .zip(parts(route, endpoints, scheduler))
            .map(|(addr, part)| Share { endpoint: addr.to_string(), part })
            .collect(),
        more: endpoints.len().saturating_sub(ENDPOINTS),
        chosen: chosen(route, scheduler),
    }
}

fn chosen(route: &Route, scheduler: Option<Scheduler>) -> String {
    let way = scheduler.map_or("at random".into(), |scheduler| format!("by scheduler {scheduler}"));
    match route.affinity_seconds {
        Some(seconds) => format!("{way}, then kept {seconds} s"),
        None => way,
    }
}

/// The scheduler that chooses, if IPVS does: as [`resolve::explain`] says it. What local pods and the node itself send under
/// `externalTrafficPolicy: Local` is chosen by nf_tables where it may go elsewhere than what comes from outside.
fn scheduler(found: &Found, route: &Route, decision: &Decision) -> Option<Scheduler> {
    let is_from_here = route.short_circuit.as_ref().is_some_and(|all| std::ptr::eq(all, decision));
    let is_same = !is_from_here || route.external.endpoints() == decision.endpoints();
    let by_ipvs = found.config.mode == Mode::Ipvs && !route.by_rules && is_same;
    by_ipvs.then(|| route.balance.scheduler.unwrap_or(found.config.scheduler))
}

/// Each endpoint's part of new connections, where it is fixed.
fn parts(route: &Route, endpoints: &[EndpointAddr], scheduler: Option<Scheduler>) -> Vec<Option<f64>> {
    let even = || vec![1.0; endpoints.len()];
    let counts: Vec<f64> = match scheduler {
        None => match places(endpoints, &route.balance) {
            Some(places) => places.into_iter().map(f64::from).collect(),
            None => even(),
        },
        Some(Scheduler::Wrr) => {
            endpoints.iter().map(|addr| f64::from(route.balance.weight(addr.ip))).collect()
        }
        Some(Scheduler::Rr) => even(),
        Some(_) => return vec![None; endpoints.len()],
    };
    let all: f64 = counts.iter().sum();
    counts.into_iter().map(|count| Some(count / all)).collect()
}

/// `outside`: the port has a frontend for traffic from outside; another Service may have won all of them.
fn endpoint(member: &Member, outside: bool) -> EndpointView {
    EndpointView {
        address: member.addr.to_string(),
        node: member.node.as_deref().map(str::to_owned),
        zone: member.zone.as_deref().map(str::to_owned),
        local: member.local,
        ready: member.conditions.ready,
        serving: member.conditions.serving,
        terminating: member.conditions.terminating,
        hints: hints(member),
        internal: standing(&member.internal),
        external: member.external.as_ref().filter(|_| outside).map(standing),
        from_here: member.from_here.as_ref().filter(|_| outside).map(standing),
    }
}

fn hints(member: &Member) -> String {
    let Some(hints) = &member.hints else { return String::new() };
    let zones = hints.zones.iter().map(|zone| format!("zone {zone}"));
    let nodes = hints.nodes.iter().map(|node| format!("node {node}"));
    zones.chain(nodes).collect::<Vec<_>>().join(", ")
}

fn standing(standing: &Standing) -> StandingView {
    match standing {
        Standing::Used => StandingView { used: true, reason: String::new() },
        Standing::Left(reason) => StandingView { used: false, reason: reason.clone() },
    }
}
