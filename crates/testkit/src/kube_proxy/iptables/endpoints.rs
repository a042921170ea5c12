//! Rules that choose an endpoint, and those that lead to it.

use super::{Endpoint, Port, Table, endpoint_name};

/// The rules that choose an endpoint.
pub(super) fn balance(nat: &mut Table, port: &Port, chain: &str, endpoints: &[Endpoint]) {
    for endpoint in endpoints.iter().filter(|_| port.affinity.is_some()) {
        let (name, seconds) = (endpoint_name(port, endpoint), port.affinity.unwrap_or_default());
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"{port} -> {}\" -m recent --name {name} --rcheck --seconds {seconds} --reap -j {name}",
            endpoint.address
        ));
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        let (name, left) = (endpoint_name(port, endpoint), endpoints.len() - i);
        let chance = match left {
            1 => String::new(),
            _ => format!(" -m statistic --mode random --probability {:.10}", 1.0 / left as f64),
        };
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"{port} -> {}\"{chance} -j {name}",
            endpoint.address
        ));
    }
}

pub(super) fn endpoint_chain(nat: &mut Table, port: &Port, endpoint: &Endpoint) {
    let (name, protocol) = (endpoint_name(port, endpoint), port.protocol());
    let (ip, address) = (endpoint.address.ip(), endpoint.address);
    nat.chain(&name);
    nat.rule(format_args!("-A {name} -m comment --comment {port} -s {ip} -j KUBE-MARK-MASQ"));
    let remember = port.affinity.map(|_| format!("-m recent --name {name} --set ")).unwrap_or_default();
    nat.rule(format_args!(
        "-A {name} -m comment --comment {port} {remember}-m {protocol} -p {protocol} -j DNAT --to-destination {address}"
    ));
}
