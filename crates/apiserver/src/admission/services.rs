//! Defaults, addresses and ports of a Service.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::kinds::{default, items};
use super::pool::Allocators;
use crate::object::meta;
use crate::resources::Resource;
use crate::status::ApiError;

/// Completes a Service. What a client leaves out of an update is kept.
pub(super) fn prepare(
    allocators: &mut Allocators,
    resource: &Resource,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), ApiError> {
    default(object, "spec", json!({}));
    set_status(object);
    complete(allocators, resource, old, object)?;
    if let Some(old) = old {
        allocators.release(old, object);
    }
    Ok(())
}

fn complete(
    allocators: &mut Allocators,
    resource: &Resource,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), ApiError> {
    let name = meta(object, "name").to_owned();
    let spec = &mut object["spec"];
    set_plain(spec);
    drop_fields_of_other_types(spec);
    if spec["type"] == "ExternalName" {
        return Ok(());
    }
    let old_spec = old.map_or(&Value::Null, |old| &old["spec"]);
    set_addresses(allocators, old_spec, spec)
        .map_err(|(field, problem)| ApiError::invalid(resource, &name, field, &problem))?;
    set_traffic(spec);
    set_node_ports(allocators, old_spec, spec);
    Ok(())
}

fn set_status(object: &mut Value) {
    default(&mut object["status"], "loadBalancer", json!({}));
    for ingress in items(object, "/status/loadBalancer/ingress") {
        if ingress["ip"].is_string() {
            default(ingress, "ipMode", "VIP".into());
        }
    }
}

fn set_plain(spec: &mut Value) {
    default(spec, "type", "ClusterIP".into());
    default(spec, "sessionAffinity", "None".into());
    if spec["sessionAffinity"] == "ClientIP" {
        default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in items(spec, "/ports") {
        default(port, "protocol", "TCP".into());
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
}

/// What is left of the type that a Service had before.
fn drop_fields_of_other_types(spec: &mut Value) {
    let local = spec["externalTrafficPolicy"] == "Local";
    let (node_port, balancer) = (is_node_port(spec), spec["type"] == "LoadBalancer");
    let external_name = spec["type"] == "ExternalName";
    let Some(fields) = spec.as_object_mut() else { return };
    fields.retain(|name, _| match name.as_str() {
        "clusterIP" | "clusterIPs" | "ipFamilies" | "ipFamilyPolicy" | "internalTrafficPolicy" => {
            !external_name
        }
        "externalTrafficPolicy" => node_port,
        "healthCheckNodePort" => balancer && local,
        "allocateLoadBalancerNodePorts" | "loadBalancerClass" => balancer,
        _ => true,
    });
}

fn is_node_port(spec: &Value) -> bool {
    matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"))
}

fn set_traffic(spec: &mut Value) {
    default(spec, "internalTrafficPolicy", "Cluster".into());
    if is_node_port(spec) {
        default(spec, "externalTrafficPolicy", "Cluster".into());
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true.into());
    }
}

fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

type Problem = (&'static str, String);

fn set_addresses(allocators: &mut Allocators, old: &Value, spec: &mut Value) -> Result<(), Problem> {
    let first = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let was = old["clusterIP"].as_str().unwrap_or_default();
    if !was.is_empty() && (first.is_empty() || first == was) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            default(spec, field, old[field].clone());
        }
        return Ok(());
    }
    if !was.is_empty() {
        let problem = format!("Invalid value: [\"{first}\"]: may not change once set");
        return Err(("spec.clusterIPs[0]", problem));
    }
    let mut addresses = texts(&spec["clusterIPs"]);
    if addresses.is_empty() && !first.is_empty() {
        addresses.push(first);
    }
    let families = families(allocators, spec, &addresses);
    if addresses.first().is_none_or(|address| address != "None") {
        allocate(allocators, &families, &mut addresses)?;
    }
    let policy = if families.len() > 1 { "RequireDualStack" } else { "SingleStack" };
    default(spec, "ipFamilyPolicy", policy.into());
    spec["clusterIP"] = addresses.first().cloned().unwrap_or_default().into();
    spec["clusterIPs"] = addresses.into();
    spec["ipFamilies"] = families.into();
    Ok(())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

/// The families of a Service: those asked for, or those of its addresses, or as many as its policy wants.
fn families(allocators: &Allocators, spec: &Value, addresses: &[String]) -> Vec<String> {
    let mut families = texts(&spec["ipFamilies"]);
    if families.is_empty() {
        let given = addresses.iter().filter(|address| *address != "None");
        families = given.map(|address| family_of(address).to_owned()).collect();
    }
    let there = allocators.families();
    let wanted = match spec["ipFamilyPolicy"].as_str() {
        Some("PreferDualStack" | "RequireDualStack") => 2,
        _ => 1,
    };
    for family in there {
        if families.len() < wanted && !families.iter().any(|other| other == family) {
            families.push(family.to_owned());
        }
    }
    families
}

/// Takes the addresses that were asked for, and finds others for families that have none.
fn allocate(
    allocators: &mut Allocators,
    families: &[String],
    addresses: &mut Vec<String>,
) -> Result<(), Problem> {
    for address in addresses.iter() {
        let parsed: Option<IpAddr> = address.parse().ok();
        if !parsed.is_some_and(|parsed| allocators.take_address(parsed)) {
            let problem = format!(
                "Invalid value: [\"{address}\"]: failed to allocate IP {address}: provided IP is \
                 already allocated or no address"
            );
            return Err(("spec.clusterIPs", problem));
        }
    }
    for family in families.iter().skip(addresses.len()) {
        let found = allocators.address(family);
        let problem = || ("spec.clusterIPs", format!("Internal error: no {family} address is free"));
        addresses.push(found.ok_or_else(problem)?.to_string());
    }
    Ok(())
}

/// Ports of the Node: those asked for, those it had, or free ones.
fn set_node_ports(allocators: &mut Allocators, old: &Value, spec: &mut Value) {
    let wanted = is_node_port(spec) && spec["allocateLoadBalancerNodePorts"] != false;
    let local = spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
    for port in items(spec, "/ports") {
        if !is_zero(&port["nodePort"]) {
            allocators
                .take_port(port["nodePort"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or_default());
        } else if wanted {
            let had = old["ports"].as_array().into_iter().flatten().find(|it| same_port(it, port));
            let had = had.map(|it| it["nodePort"].clone()).filter(|it| !is_zero(it));
            port["nodePort"] = had.unwrap_or_else(|| allocators.port().into());
        } else {
            port.as_object_mut().map(|fields: &mut Map<_, _>| fields.remove("nodePort"));
        }
    }
    if local && is_zero(&spec["healthCheckNodePort"]) {
        let had = Some(&old["healthCheckNodePort"]).filter(|it| !is_zero(it)).cloned();
        spec["healthCheckNodePort"] = had.unwrap_or_else(|| allocators.port().into());
    }
}

fn is_zero(port: &Value) -> bool {
    port.as_u64().unwrap_or_default() == 0
}

fn same_port(one: &Value, other: &Value) -> bool {
    one["port"] == other["port"] && one["protocol"] == other["protocol"]
}
