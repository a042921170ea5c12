//! nftables mode: `nft -f` text of a full sync.

mod endpoints;
mod layout;

use std::fmt::{Arguments, Write};
use std::net::IpAddr;

use model::IpFamily;

use super::{Cluster, Endpoint, MARK, Port, hash, of_family};
use endpoints::{declare_endpoints, endpoints};
use layout::{declare_table, masquerading};

/// Text of one table: what must be there first, then rules, then elements.
struct Text {
    /// `ip` or `ip6`: the table's family, and the word for the header.
    ip: &'static str,
    declarations: String,
    rules: String,
    elements: String,
}

impl Text {
    fn declare(&mut self, what: &str, rest: Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = writeln!(self.declarations, "add {what} {} kube-proxy {rest}", self.ip);
    }

    fn chain(&mut self, name: &str) {
        self.declare("chain", format_args!("{name}"));
    }

    fn rule(&mut self, rule: Arguments<'_>) {
        let _ = writeln!(self.rules, "add rule {} kube-proxy {rule}", self.ip);
    }

    fn element(&mut self, set: &str, element: Arguments<'_>) {
        let _ = writeln!(self.elements, "add element {} kube-proxy {set} {{ {element} }}", self.ip);
    }
}

impl Cluster {
    /// kube-proxy's whole table of a family, in nftables mode, for `nft -f`.
    pub fn nft(&self, family: IpFamily) -> String {
        let ip = if family == IpFamily::V4 { "ip" } else { "ip6" };
        let mut text =
            Text { ip, declarations: String::new(), rules: String::new(), elements: String::new() };
        declare_table(&mut text, family);
        self.ground_rules(&mut text, family);
        for node_ip in self.node_ips.iter().filter(|ip| IpFamily::of(**ip) == family) {
            text.element("nodeport-ips", format_args!("{node_ip}"));
        }
        self.ports(family).for_each(|port| self.port(&mut text, port));
        text.declarations + &text.rules + &text.elements
    }

    fn ground_rules(&self, text: &mut Text, family: IpFamily) {
        let ip = text.ip;
        if let Some(pods) = self.pod_cidr(family) {
            text.rule(format_args!(
                "services {ip} daddr @cluster-ips {ip} saddr != {pods} mark set mark or {MARK}"
            ));
        }
        text.rule(format_args!("services {ip} daddr . meta l4proto . th dport vmap @service-ips"));
        text.rule(format_args!(
            "services {ip} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports"
        ));
        masquerading(text);
        text.rule(format_args!("firewall-check {ip} daddr . meta l4proto . th dport vmap @firewall-ips"));
        text.rule(format_args!(
            "nodeport-endpoints-check {ip} daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports"
        ));
        text.rule(format_args!(
            "service-endpoints-check {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services"
        ));
        text.rule(format_args!(
            "cluster-ips-check {ip} daddr @cluster-ips reject comment \"Reject traffic to invalid ports of ClusterIPs\""
        ));
        let ranges: Vec<&str> = of_family(&self.service_cidrs, family).collect();
        if !ranges.is_empty() {
            text.rule(format_args!(
                "cluster-ips-check {ip} daddr {{ {} }} drop comment \"Drop traffic to unallocated ClusterIPs\"",
                ranges.join(", ")
            ));
        }
        text.rule(format_args!("reject-chain reject"));
    }

    fn port(&self, text: &mut Text, port: &Port) {
        let names = Names::of(port);
        text.element("cluster-ips", format_args!("{}", port.cluster_ip.ip()));
        if port.endpoints.is_empty() {
            refuse(text, port, port.cluster_ip.ip());
        } else {
            let key = key(port, port.cluster_ip.ip());
            text.element("service-ips", format_args!("{key} : goto {}", names.cluster));
            text.chain(&names.cluster);
            endpoints(text, port, &names.id, &names.cluster, &port.endpoints);
            declare_endpoints(text, port, &names.id);
        }
        if port.is_external() {
            self.external(text, port, &names);
        }
    }

    fn external(&self, text: &mut Text, port: &Port, names: &Names) {
        let frontends: Vec<IpAddr> =
            port.external_ips.iter().chain(&port.load_balancer_ips).copied().collect();
        if !port.has_external_endpoints() {
            frontends.iter().for_each(|address| refuse(text, port, *address));
            return refuse_node_port(text, port);
        }
        for address in frontends {
            let key = key(port, address);
            text.element("service-ips", format_args!("{key} : goto {}", names.external));
        }
        if let Some(number) = port.node_port {
            let (protocol, chain) = (port.protocol(), &names.external);
            text.element("service-nodeports", format_args!("{protocol} . {number} : goto {chain}"));
        }
        self.external_chain(text, port, names);
        firewall(text, port, names);
    }

    fn external_chain(&self, text: &mut Text, port: &Port, names: &Names) {
        let Names { cluster, local, external: chain, .. } = names;
        text.chain(chain);
        if !port.external_local {
            text.rule(format_args!("{chain} mark set mark or {MARK}"));
            return text.rule(format_args!("{chain} goto {cluster}"));
        }
        if let Some(pods) = self.pod_cidr(port.family()) {
            let ip = text.ip;
            text.rule(format_args!(
                "{chain} {ip} saddr {pods} goto {cluster} comment \"short-circuit pod traffic\""
            ));
        }
        text.rule(format_args!(
            "{chain} fib saddr type local mark set mark or {MARK} comment \"masquerade local traffic\""
        ));
        text.rule(format_args!(
            "{chain} fib saddr type local goto {cluster} comment \"short-circuit local traffic\""
        ));
        text.chain(local);
        text.rule(format_args!("{chain} goto {local}"));
        endpoints(text, port, &names.id, local, &port.local_endpoints());
    }
}

/// The chains of one port.
struct Names {
    id: String,
    cluster: String,
    local: String,
    external: String,
    firewall: String,
}

impl Names {
    fn of(port: &Port) -> Self {
        let text = format!("{}/{}/{}", port.service, port.protocol(), port.name);
        let id = format!("{}-{text}", hash(&text, 8));
        let [cluster, local, external, firewall] =
            ["service", "local", "external", "firewall"].map(|kind| format!("{kind}-{id}"));
        Self { id, cluster, local, external, firewall }
    }
}

/// `HASH8-ns/svc/proto/port__ip/port`, IPv6 with dots, as names may hold no colon.
fn endpoint_id(id: &str, endpoint: &Endpoint) -> String {
    let text = id.split_once('-').map_or(id, |(_, text)| text);
    let address = endpoint.address.ip().to_string().replace(':', ".");
    let text = format!("{text}__{address}/{}", endpoint.address.port());
    format!("{}-{text}", hash(&text, 8))
}

fn key(port: &Port, address: IpAddr) -> String {
    format!("{address} . {} . {}", port.protocol(), port.cluster_ip.port())
}

/// What happens to packets for a frontend without endpoints.
fn refusal(port: &Port) -> &'static str {
    if port.endpoints.is_empty() { "goto reject-chain" } else { "drop" }
}

fn refuse(text: &mut Text, port: &Port, address: IpAddr) {
    let (key, verdict) = (key(port, address), refusal(port));
    text.element("no-endpoint-services", format_args!("{key} comment \"{port}\" : {verdict}"));
}

fn refuse_node_port(text: &mut Text, port: &Port) {
    let (protocol, verdict) = (port.protocol(), refusal(port));
    if let Some(number) = port.node_port {
        text.element(
            "no-endpoint-nodeports",
            format_args!("{protocol} . {number} comment \"{port}\" : {verdict}"),
        );
    }
}

fn firewall(text: &mut Text, port: &Port, names: &Names) {
    if !port.is_restricted() || port.load_balancer_ips.is_empty() {
        return;
    }
    let (ip, chain) = (text.ip, &names.firewall);
    text.chain(chain);
    text.rule(format_args!("{chain} {ip} saddr != {{ {} }} drop", port.source_ranges.join(", ")));
    for address in &port.load_balancer_ips {
        let key = key(port, *address);
        text.element("firewall-ips", format_args!("{key} comment \"{port}\" : goto {chain}"));
    }
}
