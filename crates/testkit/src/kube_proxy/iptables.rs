//! iptables mode: `iptables-restore` text of a full sync, with the jumps that kube-proxy ensures before it.

mod endpoints;
mod filter;

use std::fmt::{Arguments, Write};
use std::net::IpAddr;

use model::IpFamily;

use super::{Cluster, Endpoint, MARK, Port, hash};
use endpoints::{balance, endpoint_chain};
use filter::{forward, refusals};

const NEW: &str = "-m conntrack --ctstate NEW ";

/// Table, from, conditions, comment, to: as `iptablesJumpChains` has them. They are inserted first, one by one.
const JUMPS: [(&str, &str, &str, &str, &str); 12] = [
    ("filter", "INPUT", NEW, "kubernetes externally-visible service portals", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "FORWARD", NEW, "kubernetes externally-visible service portals", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "INPUT", "", "kubernetes health check service ports", "KUBE-NODEPORTS"),
    ("filter", "FORWARD", NEW, "kubernetes service portals", "KUBE-SERVICES"),
    ("filter", "OUTPUT", NEW, "kubernetes service portals", "KUBE-SERVICES"),
    ("filter", "FORWARD", "", "kubernetes forwarding rules", "KUBE-FORWARD"),
    ("filter", "INPUT", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("filter", "OUTPUT", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("filter", "FORWARD", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("nat", "OUTPUT", "", "kubernetes service portals", "KUBE-SERVICES"),
    ("nat", "PREROUTING", "", "kubernetes service portals", "KUBE-SERVICES"),
    ("nat", "POSTROUTING", "", "kubernetes postrouting rules", "KUBE-POSTROUTING"),
];

const FILTER_CHAINS: [&str; 6] = [
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-CANARY",
    "KUBE-PROXY-FIREWALL",
    "KUBE-SERVICES",
];
const NAT_CHAINS: [&str; 5] =
    ["KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-PROXY-CANARY", "KUBE-SERVICES"];

/// The chains and rules of one table being written.
#[derive(Default)]
struct Table {
    chains: String,
    rules: String,
}

impl Table {
    fn chain(&mut self, name: impl std::fmt::Display) {
        // Writing to a String can't fail.
        let _ = writeln!(self.chains, ":{name} - [0:0]");
    }

    fn rule(&mut self, rule: Arguments<'_>) {
        let _ = writeln!(self.rules, "{rule}");
    }

    fn finish(self, name: &str) -> String {
        format!("*{name}\n{}{}COMMIT\n", self.chains, self.rules)
    }
}

impl Cluster {
    /// All of kube-proxy's rules of a family, in iptables mode, for `iptables-restore --noflush`.
    pub fn iptables(&self, family: IpFamily) -> String {
        let mut mangle = Table::default();
        mangle.chain("KUBE-PROXY-CANARY");
        let (mut filter, mut nat) = (Table::default(), Table::default());
        FILTER_CHAINS.iter().for_each(|name| filter.chain(name));
        NAT_CHAINS.iter().for_each(|name| nat.chain(name));
        for (table, from, conditions, comment, to) in JUMPS {
            let table = if table == "nat" { &mut nat } else { &mut filter };
            table.rule(format_args!("-I {from} {conditions}-m comment --comment \"{comment}\" -j {to}"));
        }
        postrouting(&mut nat);
        for port in self.ports(family) {
            let names = Names::of(port);
            refusals(&mut filter, port, &names);
            frontends(&mut nat, port, &names);
            self.service_chains(&mut nat, port, &names);
        }
        node_ports(&mut nat, family);
        forward(&mut filter);
        mangle.finish("mangle") + &filter.finish("filter") + &nat.finish("nat")
    }

    fn service_chains(&self, nat: &mut Table, port: &Port, names: &Names) {
        let pods = self.pod_cidr(port.family());
        if !port.endpoints.is_empty() {
            nat.chain(&names.cluster);
            if let Some(pods) = pods {
                let (chain, to) = (&names.cluster, to(port, port.cluster_ip.ip()));
                nat.rule(format_args!(
                    "-A {chain} -m comment --comment \"{port} cluster IP\" {to} ! -s {pods} -j KUBE-MARK-MASQ"
                ));
            }
            balance(nat, port, &names.cluster, &port.endpoints);
        }
        if port.external_local && port.is_external() && !port.local_endpoints().is_empty() {
            nat.chain(&names.local);
            balance(nat, port, &names.local, &port.local_endpoints());
        }
        if port.is_external() && port.has_external_endpoints() {
            external(nat, port, names, pods);
            firewall(nat, port, names);
        }
        port.endpoints.iter().for_each(|endpoint| endpoint_chain(nat, port, endpoint));
    }
}

/// The chains of one port.
struct Names {
    cluster: String,
    local: String,
    external: String,
    firewall: String,
}

impl Names {
    fn of(port: &Port) -> Self {
        let id = hash(&format!("{port}{}", port.protocol()), 16);
        let [cluster, local, external, firewall] =
            ["SVC", "SVL", "EXT", "FW"].map(|kind| format!("KUBE-{kind}-{id}"));
        Self { cluster, local, external, firewall }
    }
}

fn endpoint_name(port: &Port, endpoint: &Endpoint) -> String {
    format!("KUBE-SEP-{}", hash(&format!("{port}{}{}", port.protocol(), endpoint.address), 16))
}

/// Matches a packet to an address and the Service's port.
fn to(port: &Port, address: IpAddr) -> String {
    let (protocol, number) = (port.protocol(), port.cluster_ip.port());
    format!("-m {protocol} -p {protocol} -d {address} --dport {number}")
}

fn postrouting(nat: &mut Table) {
    nat.rule(format_args!("-A KUBE-POSTROUTING -m mark ! --mark {MARK}/{MARK} -j RETURN"));
    nat.rule(format_args!("-A KUBE-POSTROUTING -j MARK --xor-mark {MARK}"));
    nat.rule(format_args!(
        "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully"
    ));
    nat.rule(format_args!("-A KUBE-MARK-MASQ -j MARK --or-mark {MARK}"));
}

/// The last rule of KUBE-SERVICES.
fn node_ports(nat: &mut Table, family: IpFamily) {
    let not_loopback = if family == IpFamily::V6 { "! -d ::1/128 " } else { "" };
    nat.rule(format_args!(
        "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this \
         chain\" -m addrtype --dst-type LOCAL {not_loopback}-j KUBE-NODEPORTS"
    ));
}

/// Rules by which a frontend is found.
fn frontends(nat: &mut Table, port: &Port, names: &Names) {
    if !port.endpoints.is_empty() {
        dispatch(nat, port, port.cluster_ip.ip(), "cluster IP", &names.cluster);
    }
    if !port.is_external() || !port.has_external_endpoints() {
        return;
    }
    for ip in &port.external_ips {
        dispatch(nat, port, *ip, "external IP", &names.external);
    }
    let chain = if port.is_restricted() { &names.firewall } else { &names.external };
    for ip in &port.load_balancer_ips {
        dispatch(nat, port, *ip, "loadbalancer IP", chain);
    }
    if let Some(number) = port.node_port {
        let (protocol, chain) = (port.protocol(), &names.external);
        nat.rule(format_args!(
            "-A KUBE-NODEPORTS -m comment --comment {port} -m {protocol} -p {protocol} --dport {number} -j {chain}"
        ));
    }
}

fn dispatch(nat: &mut Table, port: &Port, address: IpAddr, what: &str, chain: &str) {
    let to = to(port, address);
    nat.rule(format_args!("-A KUBE-SERVICES -m comment --comment \"{port} {what}\" {to} -j {chain}"));
}

fn external(nat: &mut Table, port: &Port, names: &Names, pods: Option<&str>) {
    let Names { cluster, local, external: chain, .. } = names;
    nat.chain(chain);
    if !port.external_local {
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"masquerade traffic for {port} external destinations\" -j KUBE-MARK-MASQ"
        ));
        return nat.rule(format_args!("-A {chain} -j {cluster}"));
    }
    if let Some(pods) = pods {
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"pod traffic for {port} external destinations\" -s {pods} -j {cluster}"
        ));
    }
    for (what, to) in [("masquerade", "KUBE-MARK-MASQ"), ("route", cluster)] {
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"{what} LOCAL traffic for {port} external destinations\" \
             -m addrtype --src-type LOCAL -j {to}"
        ));
    }
    nat.rule(format_args!("-A {chain} -j {local}"));
}

fn firewall(nat: &mut Table, port: &Port, names: &Names) {
    if !port.is_restricted() || port.load_balancer_ips.is_empty() {
        return;
    }
    let (chain, external) = (&names.firewall, &names.external);
    nat.chain(chain);
    for range in &port.source_ranges {
        nat.rule(format_args!(
            "-A {chain} -m comment --comment \"{port} loadbalancer IP\" -s {range} -j {external}"
        ));
    }
    nat.rule(format_args!(
        "-A {chain} -m comment --comment \"other traffic to {port} will be dropped by KUBE-PROXY-FIREWALL\""
    ));
}
