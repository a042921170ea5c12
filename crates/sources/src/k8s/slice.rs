//! EndpointSlice -> `model::Slice`, of a Service or of a ServiceImport.

use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Change, Conditions, Endpoint, EndpointDns, Hints, Interner, IpFamily, NamespacedName, Slice, SlicePort,
    parse_ip,
};

use super::field::{self, FieldError};
use super::import::Membership;
use super::kept::{Decoder, Kept};
use super::{labels, types};

/// Labels that are no part of [`Slice::labels`].
const APART: [&str; 2] = [labels::SERVICE_NAME, labels::MANAGED_BY];

/// Converts a slice; `Ok(None)` for one that is ignored: of names (FQDN), or of no Service and no ServiceImport.
/// Endpoints without a usable address are left out and reported in `warnings`.
pub(super) fn convert(
    name: NamespacedName,
    object: &types::EndpointSlice,
    decoder: &mut Decoder,
    warnings: &mut Vec<FieldError>,
) -> Result<Option<Change>, FieldError> {
    let family = match object.address_type.as_deref() {
        Some("IPv4") => IpFamily::V4,
        Some("IPv6") => IpFamily::V6,
        Some("FQDN") => return Ok(None),
        None | Some("") => return Err(FieldError::new("addressType", "missing: give IPv4 or IPv6")),
        Some(other) => return Err(field::one_of("addressType", other, "IPv4 or IPv6")),
    };
    let labels = object.metadata.as_ref().and_then(|m| m.labels.as_ref());
    let Decoder { names, kept } = &mut *decoder;
    let own = field::shared(labels.and_then(|l| l.get(labels::SERVICE_NAME)), names);
    let membership = Membership::read(labels, names)?;
    let for_service = own.is_some();
    let Some(service) = own.or_else(|| Some(membership.as_ref()?.name())) else { return Ok(None) };
    field::check_name("metadata.labels[kubernetes.io/service-name]", &service)?;
    let service = NamespacedName { namespace: Arc::clone(&name.namespace), name: service };
    let slice = Slice {
        ports: ports(object, names)?,
        labels: labels::selectable(labels.filter(|_| kept.labels), &APART, names, warnings),
        endpoints: endpoints(object, family, decoder, warnings),
        ..Slice::new(name, service, family)
    };
    Ok(Some(match membership {
        Some(membership) => Change::ImportSlice(Arc::new(membership.of(slice, for_service))),
        None => Change::Slice(Arc::new(slice)),
    }))
}

/// The ports; one without a number is ignored. An absent name is an empty one: clients that print objects
/// leave out empty names.
fn ports(object: &types::EndpointSlice, names: &mut Interner) -> Result<Vec<SlicePort>, FieldError> {
    let mut ports = Vec::new();
    for (i, entry) in object.ports.iter().flatten().enumerate() {
        let path = |name: &str| format!("ports[{i}].{name}");
        let port = field::optional_port(&path("port"), entry.port)?;
        let protocol = field::protocol(&path("protocol"), entry.protocol.as_deref())?;
        let name = entry.name.as_deref().unwrap_or_default();
        field::check_name(&path("name"), name)?;
        if port != 0 {
            ports.push(SlicePort { name: names.get(name), protocol, port });
        }
    }
    Ok(ports)
}

fn endpoints(
    object: &types::EndpointSlice,
    family: IpFamily,
    decoder: &mut Decoder,
    warnings: &mut Vec<FieldError>,
) -> Vec<Endpoint> {
    let Decoder { names, kept } = decoder;
    let list = object.endpoints.as_deref().unwrap_or_default();
    let mut endpoints = Vec::with_capacity(list.len());
    for (i, entry) in list.iter().enumerate() {
        match address(entry, family) {
            Ok(ip) => endpoints.push(Endpoint {
                ip,
                conditions: conditions(entry.conditions.as_ref()),
                node: field::shared(entry.node_name.as_ref(), names),
                hints: hints(entry.hints.as_ref(), names),
                dns: for_dns(i, entry, *kept, names, warnings),
            }),
            Err(message) => {
                let message = format!("{message}: the endpoint is left out");
                warnings.push(FieldError::new(format!("endpoints[{i}].addresses[0]"), message));
            }
        }
    }
    endpoints
}

/// What only DNS reads, as far as it is kept. The hostname and the Pod's name are not interned, since few repeat; in a
/// StatefulSet both are the same.
fn for_dns(
    i: usize,
    entry: &types::Endpoint,
    kept: Kept,
    names: &mut Interner,
    warnings: &mut Vec<FieldError>,
) -> Option<Box<EndpointDns>> {
    if !kept.dns {
        return None;
    }
    let mut good = |field: &str, name: Option<&String>| -> Option<Arc<str>> {
        let name = name.filter(|name| !name.is_empty())?;
        match field::check_name(&format!("endpoints[{i}].{field}"), name) {
            Ok(()) => Some(Arc::from(name.as_str())),
            Err(error) => {
                warnings.push(error);
                None
            }
        }
    };
    let hostname = good("hostname", entry.hostname.as_ref());
    let target =
        entry.target_ref.as_ref().filter(|target| kept.pod_names && target.kind.as_deref() == Some("Pod"));
    let name = target.and_then(|target| target.name.as_ref());
    let pod = match (&hostname, name) {
        (Some(hostname), Some(name)) if **hostname == **name => Some(Arc::clone(hostname)),
        _ => good("targetRef.name", name),
    };
    let zone = entry.zone.as_ref().filter(|_| kept.zones);
    EndpointDns { hostname, pod, zone: field::shared(zone, names) }.boxed()
}

fn address(entry: &types::Endpoint, family: IpFamily) -> Result<IpAddr, String> {
    let text = entry.addresses.as_ref().and_then(|list| list.first());
    let ip = parse_ip(text.ok_or("missing")?).map_err(|e| e.to_string())?;
    if IpFamily::of(ip) == family { Ok(ip) } else { Err(format!("{ip} is not {family}, the slice's type")) }
}

fn conditions(found: Option<&types::Conditions>) -> Conditions {
    let default = Conditions::default();
    found.map_or(default, |c| Conditions {
        ready: c.ready.unwrap_or(default.ready),
        serving: c.serving.unwrap_or(default.serving),
        terminating: c.terminating.unwrap_or(default.terminating),
    })
}

fn hints(found: Option<&types::Hints>, names: &mut Interner) -> Option<Box<Hints>> {
    let found = found?;
    let mut all = |list: Option<&Vec<types::Named>>| -> Vec<Arc<str>> {
        list.into_iter().flatten().filter_map(|named| field::shared(named.name.as_ref(), names)).collect()
    };
    let hints = Hints { zones: all(found.for_zones.as_ref()), nodes: all(found.for_nodes.as_ref()) };
    (hints != Hints::default()).then(|| Box::new(hints))
}
