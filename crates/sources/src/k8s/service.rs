//! Service -> `model::Service`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{IpFamily, NamespacedName, ServicePort, ServiceType, TrafficPolicy, parse_ip, parse_net};

use super::field::{self, FieldError};
use super::kept::Decoder;
use super::time::unix_seconds;
use super::{annotations, balance, drain, labels, strict, types, wishes};

/// Seconds of ClientIP affinity when the Service does not say.
const DEFAULT_AFFINITY: i64 = 10_800;
/// Longest DNS name as text: 255 octets on the wire are at most 253 characters and a dot, unless escaped.
const HOST_LIMIT: usize = 254;

/// Converts a Service. Single bad values of address lists are left out and reported in `warnings`.
pub(super) fn convert(
    name: NamespacedName,
    object: &types::Service,
    decoder: &mut Decoder,
    warnings: &mut Vec<FieldError>,
) -> Result<model::Service, FieldError> {
    let empty = types::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&empty);
    let metadata = object.metadata.as_ref();
    let external = field::entries("spec.externalIPs", spec.external_ips.as_ref());
    let Decoder { names, kept } = decoder;
    let found = metadata.and_then(|m| m.labels.as_ref());
    let written = metadata.and_then(|m| m.annotations.as_ref());
    annotations::tell_unknown(written, warnings);
    let wishes = wishes::read(written, warnings);
    let mut service = model::Service {
        name,
        created: created(metadata, warnings),
        kind: kind(spec)?,
        cluster_ips: cluster_ips(spec, warnings)?,
        external_ips: field::addresses(external, warnings),
        headless: is_headless(spec),
        external_name: external_name(Some(spec).filter(|_| kept.dns), warnings),
        load_balancer_ips: load_balancer_ips(object, warnings),
        load_balancer_hosts: load_balancer_hosts(Some(object).filter(|_| kept.dns), warnings),
        source_ranges: Vec::new(),
        internal_policy: policy("spec.internalTrafficPolicy", spec.internal_traffic_policy.as_deref())?,
        external_policy: policy("spec.externalTrafficPolicy", spec.external_traffic_policy.as_deref())?,
        affinity_seconds: affinity(spec)?,
        health_check_node_port: field::optional_port(
            "spec.healthCheckNodePort",
            spec.health_check_node_port,
        )?,
        drain_deadline: drain::read(written, warnings),
        other_proxy: found.is_some_and(|l| l.has(labels::PROXY_NAME)),
        balance: balance::read(written, warnings),
        prefer_local: wishes.prefer_local,
        no_local: wishes.no_local,
        strict_source_ranges: wishes.strict_source_ranges,
        ports: ports("spec.ports", spec.ports.as_deref().unwrap_or_default())?,
        labels: labels::selectable(found.filter(|_| kept.labels), &[], names, warnings),
    };
    set_source_ranges(&mut service, spec, warnings);
    Ok(service)
}

fn created(metadata: Option<&types::Metadata>, warnings: &mut Vec<FieldError>) -> Option<i64> {
    let text = metadata?.creation_timestamp.as_deref()?;
    let seconds = unix_seconds(text);
    if seconds.is_none() {
        let message = format!("{text:?} is not an RFC 3339 time: the Service counts as one of unknown age");
        warnings.push(FieldError::new("metadata.creationTimestamp", message));
    }
    seconds
}

fn kind(spec: &types::ServiceSpec) -> Result<ServiceType, FieldError> {
    match spec.kind.as_deref() {
        None | Some("" | "ClusterIP") => Ok(ServiceType::ClusterIp),
        Some("NodePort") => Ok(ServiceType::NodePort),
        Some("LoadBalancer") => Ok(ServiceType::LoadBalancer),
        Some("ExternalName") => Ok(ServiceType::ExternalName),
        Some(other) => {
            Err(field::one_of("spec.type", other, "ClusterIP, NodePort, LoadBalancer or ExternalName"))
        }
    }
}

fn policy(field: &str, value: Option<&str>) -> Result<TrafficPolicy, FieldError> {
    match value {
        None | Some("" | "Cluster") => Ok(TrafficPolicy::Cluster),
        Some("Local") => Ok(TrafficPolicy::Local),
        Some(other) => Err(field::one_of(field, other, "Cluster or Local")),
    }
}

fn affinity(spec: &types::ServiceSpec) -> Result<Option<u32>, FieldError> {
    match spec.session_affinity.as_deref() {
        None | Some("" | "None") => return Ok(None),
        Some("ClientIP") => {}
        Some(other) => return Err(field::one_of("spec.sessionAffinity", other, "None or ClientIP")),
    }
    let config = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
    let seconds = config.and_then(|c| c.timeout_seconds).unwrap_or(DEFAULT_AFFINITY);
    u32::try_from(seconds).ok().filter(|s| (1..=86_400).contains(s)).map(Some).ok_or_else(|| {
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        FieldError::new(path, format!("{seconds} is out of range: give 1 to 86400 seconds"))
    })
}

/// `None` in the place of an address.
fn is_headless(spec: &types::ServiceSpec) -> bool {
    let texts = spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten());
    texts.into_iter().any(|text| text == "None")
}

/// What an ExternalName Service stands for; only its length is checked here.
fn external_name(spec: Option<&types::ServiceSpec>, warnings: &mut Vec<FieldError>) -> Option<Arc<str>> {
    let name = spec?.external_name.as_deref().filter(|name| !name.is_empty())?;
    host("spec.externalName", name, warnings)
}

/// A DNS name as written. Too long a one is left out.
fn host(field: &str, name: &str, warnings: &mut Vec<FieldError>) -> Option<Arc<str>> {
    if name.len() <= HOST_LIMIT {
        return Some(Arc::from(name));
    }
    let message = format!("{} characters are too many for a DNS name: left out, mend it", name.len());
    warnings.push(FieldError::new(field, message));
    None
}

/// `clusterIPs`, or `clusterIP` where that list is empty; at most one a family. `None` means headless.
fn cluster_ips(spec: &types::ServiceSpec, warnings: &mut Vec<FieldError>) -> Result<Vec<IpAddr>, FieldError> {
    let single = spec.cluster_ip.iter().map(|text| ("spec.clusterIP".to_owned(), text.as_str()));
    let mut texts: Vec<_> = field::entries("spec.clusterIPs", spec.cluster_ips.as_ref()).collect();
    if texts.is_empty() {
        texts.extend(single);
    }
    let mut found: Vec<IpAddr> = Vec::new();
    if is_headless(spec) {
        return Ok(found);
    }
    for (path, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let ip = parse_ip(text).map_err(|e| {
            FieldError::new(
                path.as_str(),
                format!("{e}: give the Service's address, or None for a headless one"),
            )
        })?;
        if found.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
            warnings.push(FieldError::new(path, format!("{ip} is a second one of its family: left out")));
        } else {
            found.push(ip);
        }
    }
    Ok(found)
}

/// Ingress entries that are VIPs: with an address, and without `ipMode: Proxy`.
fn load_balancer_ips(object: &types::Service, warnings: &mut Vec<FieldError>) -> Vec<IpAddr> {
    let balancer = object.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten().enumerate();
    let vips = ingress.filter(|(_, entry)| matches!(entry.ip_mode.as_deref(), None | Some("" | "VIP")));
    let texts = vips.filter_map(|(i, entry)| {
        let text = entry.ip.as_deref().filter(|text| !text.is_empty())?;
        Some((format!("status.loadBalancer.ingress[{i}].ip"), text))
    });
    field::addresses(texts, warnings)
}

/// The names of load balancers that are known by name.
fn load_balancer_hosts(object: Option<&types::Service>, warnings: &mut Vec<FieldError>) -> Vec<Arc<str>> {
    let balancer = object.and_then(|object| object.status.as_ref()?.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten().enumerate();
    let named = ingress.filter_map(|(i, entry)| Some((i, entry.hostname.as_deref()?)));
    let named = named.filter(|(_, name)| !name.is_empty());
    named
        .filter_map(|(i, name)| host(&format!("status.loadBalancer.ingress[{i}].hostname"), name, warnings))
        .collect()
}

/// Takes over the source ranges. A range that cannot be read must not open the VIP: when a family has ranges
/// and none of them can be read, "no range" would mean "no filter", so its load balancer addresses are not
/// served at all until the range is mended. ClusterIP, NodePort and externalIPs have no filter and stay.
fn set_source_ranges(
    service: &mut model::Service,
    spec: &types::ServiceSpec,
    warnings: &mut Vec<FieldError>,
) {
    let path = "spec.loadBalancerSourceRanges";
    let mut doubtful = Vec::new();
    for (path, text) in field::entries(path, spec.load_balancer_source_ranges.as_ref()) {
        match parse_net(text) {
            Ok(net) => service.source_ranges.push(net),
            Err(error) => {
                doubtful.extend(IpFamily::ALL.into_iter().filter(|family| may_mean(text, *family)));
                warnings.push(FieldError::new(path, format!("{error}: left out, mend or remove it")));
            }
        }
    }
    if service.strict_source_ranges {
        return strict::hold(service, !doubtful.is_empty(), warnings);
    }
    doubtful.retain(|family| !service.source_ranges.iter().any(|net| family_of(net) == *family));
    let closed = |ip: &IpAddr| doubtful.contains(&IpFamily::of(*ip));
    if service.load_balancer_ips.iter().any(closed) {
        service.load_balancer_ips.retain(|ip| !closed(ip));
        let message = "no range can be read, so the load balancer address is not served";
        warnings.push(FieldError::new(path, message));
    }
}

fn family_of(net: &IpNet) -> IpFamily {
    IpFamily::of(net.addr())
}

/// Which family a bad range was meant for, as far as its spelling tells.
fn may_mean(text: &str, family: IpFamily) -> bool {
    let (v4, v6) = (text.contains('.'), text.contains(':'));
    match family {
        IpFamily::V4 => v4 || !v6,
        IpFamily::V6 => v6 || !v4,
    }
}

/// The ports of a Service, or of a ServiceImport; `list` is the path of the list.
pub(super) fn ports(list: &str, entries: &[types::Port]) -> Result<Vec<ServicePort>, FieldError> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let path = |name: &str| format!("{list}[{i}].{name}");
        let name = entry.name.as_deref().unwrap_or_default();
        field::check_name(&path("name"), name)?;
        let port = ServicePort {
            name: Arc::from(name),
            protocol: field::protocol(&path("protocol"), entry.protocol.as_deref())?,
            port: field::port(&path("port"), entry.port)?,
            node_port: field::optional_port(&path("nodePort"), entry.node_port)?,
        };
        refuse_repetition(&path, &port, &ports)?;
        ports.push(port);
    }
    Ok(ports)
}

fn refuse_repetition(
    path: &dyn Fn(&str) -> String,
    port: &ServicePort,
    earlier: &[ServicePort],
) -> Result<(), FieldError> {
    let same_protocol = || earlier.iter().filter(|other| other.protocol == port.protocol);
    if same_protocol().any(|other| other.name == port.name) {
        let message = format!("{:?} is the name of an earlier port: give each port its own", port.name);
        return Err(FieldError::new(path("name"), message));
    }
    if same_protocol().any(|other| other.port == port.port) {
        let message = format!("{}/{} is there twice: remove one", port.port, port.protocol);
        return Err(FieldError::new(path("port"), message));
    }
    Ok(())
}
