//! Rules of the filter table.

use super::{MARK, Names, Port, Table, to};

pub(super) fn forward(filter: &mut Table) {
    filter.rule(format_args!("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"));
    filter.rule(format_args!(
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark {MARK}/{MARK} -j ACCEPT"
    ));
    filter.rule(format_args!(
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" \
         -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    ));
}

/// Rules of the filter table: what has no endpoint, what no source range allows, the health check's port.
pub(super) fn refusals(filter: &mut Table, port: &Port, names: &Names) {
    if port.endpoints.is_empty() {
        let to = to(port, port.cluster_ip.ip());
        filter.rule(format_args!(
            "-A KUBE-SERVICES -m comment --comment \"{port} has no endpoints\" {to} -j REJECT"
        ));
    }
    if port.is_external() && !port.has_external_endpoints() {
        external_refusals(filter, port);
    }
    if port.is_restricted() && port.has_external_endpoints() {
        for to in port.load_balancer_ips.iter().map(|ip| to(port, *ip)) {
            let chain = &names.firewall;
            filter.rule(format_args!(
                "-A KUBE-PROXY-FIREWALL -m comment --comment \"{port} traffic not accepted by {chain}\" {to} -j DROP"
            ));
        }
    }
    if let Some(number) = port.health_check_node_port {
        filter.rule(format_args!(
            "-A KUBE-NODEPORTS -m comment --comment \"{port} health check node port\" -m tcp -p tcp --dport {number} -j ACCEPT"
        ));
    }
}

fn external_refusals(filter: &mut Table, port: &Port) {
    let (what, target) = match port.endpoints.is_empty() {
        true => ("has no endpoints", "REJECT"),
        false => ("has no local endpoints", "DROP"),
    };
    for to in port.external_ips.iter().chain(&port.load_balancer_ips).map(|ip| to(port, *ip)) {
        filter.rule(format_args!(
            "-A KUBE-EXTERNAL-SERVICES -m comment --comment \"{port} {what}\" {to} -j {target}"
        ));
    }
    if let Some(number) = port.node_port {
        let protocol = port.protocol();
        filter.rule(format_args!(
            "-A KUBE-EXTERNAL-SERVICES -m comment --comment \"{port} {what}\" -m addrtype --dst-type LOCAL \
             -m {protocol} -p {protocol} --dport {number} -j {target}"
        ));
    }
}
