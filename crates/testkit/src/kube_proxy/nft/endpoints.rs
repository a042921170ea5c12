//! Rules that choose an endpoint, and what they need.

use super::{Endpoint, Port, Text, endpoint_id};

/// The rules that choose an endpoint.
pub(super) fn endpoints(text: &mut Text, port: &Port, id: &str, chain: &str, endpoints: &[Endpoint]) {
    let (ip, count, protocol) = (text.ip, endpoints.len(), port.protocol());
    if port.affinity.is_none() {
        let slot = |(i, e): (usize, &Endpoint)| format!("{i} : {} . {}", e.address.ip(), e.address.port());
        let slots: Vec<String> = endpoints.iter().enumerate().map(slot).collect();
        let slots = slots.join(", ");
        return text.rule(format_args!(
            "{chain} meta l4proto {protocol} dnat {ip} addr . port to numgen random mod {count} map {{ {slots} }}"
        ));
    }
    let ids: Vec<String> = endpoints.iter().map(|endpoint| endpoint_id(id, endpoint)).collect();
    for id in &ids {
        text.rule(format_args!("{chain} {ip} saddr @affinity-{id} goto endpoint-{id}"));
    }
    let slots: Vec<String> =
        ids.iter().enumerate().map(|(i, id)| format!("{i} : goto endpoint-{id}")).collect();
    text.rule(format_args!("{chain} numgen random mod {count} vmap {{ {} }}", slots.join(", ")));
}

/// Hairpins, and with affinity each endpoint's set and chain.
pub(super) fn declare_endpoints(text: &mut Text, port: &Port, id: &str) {
    let (ip, protocol) = (text.ip, port.protocol());
    for endpoint in &port.endpoints {
        let address = endpoint.address.ip();
        if endpoint.local {
            let number = endpoint.address.port();
            text.element(
                "hairpin-connections",
                format_args!("{address} . {address} . {protocol} . {number}"),
            );
        }
        let Some(seconds) = port.affinity else { continue };
        let (id, kind) =
            (endpoint_id(id, endpoint), if address.is_ipv4() { "ipv4_addr" } else { "ipv6_addr" });
        text.declare(
            "set",
            format_args!("affinity-{id} {{ type {kind} ; flags dynamic,timeout ; timeout {seconds}s ; }}"),
        );
        text.chain(&format!("endpoint-{id}"));
        text.rule(format_args!("endpoint-{id} update @affinity-{id} {{ {ip} saddr }}"));
        text.rule(format_args!("endpoint-{id} meta l4proto {protocol} dnat to {}", endpoint.address));
    }
}
