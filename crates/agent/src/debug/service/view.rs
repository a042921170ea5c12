//! A Service as the page shows it.

use model::{EndpointAddr, IpFamily, NoLocal, Scheduler, Service};
use page::{
    ENDPOINTS, EndpointView, FrontendView, PORTS, PortView, RulesText, ServiceView, Setting, Share,
    StandingView, UnfitView, WayView,
};
use resolve::{Decision, LocalSource, Member, Mode, Roster, Route, Standing, VipKind, places};

use super::Found;

pub(super) fn service(found: &Found) -> ServiceView {
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
        rules: RulesText::new(&found.rules.lines()),
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
    add("internalTrafficPolicy", page::policy(service.internal_policy).into(), String::new());
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
        internal: way(found, route, &route.internal, internal, Some(&from_cluster(found, route.family))),
        external: is_outside(route).then(|| way(found, route, &route.external, external, None)),
        from_here: route.short_circuit.as_ref().map(|all| {
            let node =
                (true, "What the node itself sends is masqueraded; pods keep their addresses.".to_owned());
            way(found, route, all, "Cluster", Some(&node))
        }),
        endpoints: roster.members.iter().map(endpoint).collect(),
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
    let vips = route.vips.iter().map(|vip| FrontendView {
        kind: match vip.kind {
            VipKind::ClusterIp => "clusterIP",
            VipKind::ExternalIp => "externalIP",
            VipKind::LoadBalancer => "loadBalancer",
        },
        address: EndpointAddr { ip: vip.ip, port: route.port }.to_string(),
        allowed_sources: vip.allowed_sources.as_deref().map(texts),
    });
    let node_port = route.node_port.map(|port| FrontendView {
        kind: "nodePort",
        address: port.to_string(),
        allowed_sources: route.node_port_sources.as_deref().map(texts),
    });
    vips.chain(node_port).collect()
}

fn texts(nets: &[ipnet::IpNet]) -> Vec<String> {
    nets.iter().map(ToString::to_string).collect()
}

/// Whose source is rewritten on the way to the ClusterIP.
fn from_cluster(found: &Found, family: IpFamily) -> (bool, String) {
    if found.config.masquerade_all {
        return (true, "All of it is masqueraded.".into());
    }
    let told = match &found.detectors[usize::from(family == IpFamily::V6)] {
        LocalSource::Unknown => return (false, "Sources stay as they are.".into()),
        LocalSource::Net(net) => format!("sources in {net}"),
        LocalSource::Interface(name) => format!("what comes by link {name}"),
        LocalSource::InterfacePrefix(prefix) => format!("what comes by links {prefix}*"),
    };
    (true, format!("Masqueraded, but for pods ({told})."))
}

fn way(
    found: &Found,
    route: &Route,
    decision: &Decision,
    policy: &'static str,
    masquerade: Option<&(bool, String)>,
) -> WayView {
    let all = (true, "All of it is masqueraded.".to_owned());
    let none = (false, "Sources stay as they are.".to_owned());
    let usual = if route.masquerades_external() { all } else { none };
    let (masquerades, sentence) = masquerade.unwrap_or(&usual).clone();
    let endpoints = decision.endpoints();
    let shown = endpoints.iter().take(ENDPOINTS);
    WayView {
        verdict: match decision {
            Decision::Dnat(_) => "dnat",
            Decision::Reject | Decision::RejectHere => "reject",
            Decision::Drop => "drop",
        },
        elsewhere: matches!(decision, Decision::Drop | Decision::RejectHere),
        policy,
        masquerades: masquerades && !endpoints.is_empty(),
        masquerade: if endpoints.is_empty() { String::new() } else { sentence },
        shares: shown
            .zip(parts(found, route, endpoints))
            .map(|(addr, part)| Share { endpoint: addr.to_string(), part })
            .collect(),
        more: endpoints.len().saturating_sub(ENDPOINTS),
        chosen: chosen(found, route),
    }
}

fn chosen(found: &Found, route: &Route) -> String {
    let way = match found.config.mode {
        Mode::Ipvs => format!("by scheduler {}", scheduler(found, route)),
        Mode::Nftables | Mode::Iptables => "at random".into(),
    };
    match route.affinity_seconds {
        Some(seconds) => format!("{way}, then kept {seconds} s"),
        None => way,
    }
}

fn scheduler(found: &Found, route: &Route) -> Scheduler {
    route.balance.scheduler.unwrap_or(found.config.scheduler)
}

/// Each endpoint's part of new connections, where it is fixed.
fn parts(found: &Found, route: &Route, endpoints: &[EndpointAddr]) -> Vec<Option<f64>> {
    let scheduler = scheduler(found, route);
    let counts: Vec<f64> = match (found.config.mode, scheduler) {
        (Mode::Ipvs, Scheduler::Wrr) => {
            endpoints.iter().map(|addr| f64::from(route.balance.weight(addr.ip))).collect()
        }
        (Mode::Ipvs, Scheduler::Rr) => vec![1.0; endpoints.len()],
        (Mode::Ipvs, _) => return vec![None; endpoints.len()],
        (Mode::Nftables | Mode::Iptables, _) => match places(endpoints, &route.balance) {
            Some(places) => places.into_iter().map(f64::from).collect(),
            None => vec![1.0; endpoints.len()],
        },
    };
    let all: f64 = counts.iter().sum();
    counts.into_iter().map(|count| Some(count / all)).collect()
}

fn endpoint(member: &Member) -> EndpointView {
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
        external: member.external.as_ref().map(standing),
        from_here: member.from_here.as_ref().map(standing),
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
