//! The command line that a case's settings mean.

use crate::cases::{Mode, NodeConfig};

/// Flags of `towpath run` for a case. `--nodeport-addresses` is there only when the case itself says it:
/// what the table gives as a dataplane's default must be the program's own default.
pub fn run_flags(config: &NodeConfig, mode: Mode) -> Vec<String> {
    let node = &config.node;
    let mut flags = vec!["--hostname-override".to_owned(), node.node_name.clone()];
    let mut add = |name: &str, value: &str| flags.extend([name.to_owned(), value.to_owned()]);
    add("--proxy-mode", mode.as_str());
    if !node.local_pod_cidrs.is_empty() {
        add("--cluster-cidr", &node.local_pod_cidrs.join(","));
    }
    if config.nodeport_addresses_given && !config.nodeport_addresses.is_empty() {
        add("--nodeport-addresses", &config.nodeport_addresses.join(","));
    }
    if node.masquerade_all {
        flags.push("--masquerade-all".to_owned());
    }
    if !node.localhost_nodeports {
        flags.push("--iptables-localhost-nodeports=false".to_owned());
    }
    flags
}

/// Flags of `towpath explain`: it can't ask a kernel for the node's addresses.
pub fn explain_flags(config: &NodeConfig, mode: Mode) -> Vec<String> {
    let addresses: Vec<String> = config.node.node_ips.iter().map(ToString::to_string).collect();
    let mut flags = run_flags(config, mode);
    flags.extend(["--node-addresses".to_owned(), addresses.join(",")]);
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{load_flows, table_path};

    fn flags_of(id: &str, mode: Mode) -> String {
        let table = load_flows(&table_path("flows.yaml")).unwrap();
        let case = table.cases.iter().find(|c| c.id == id).unwrap();
        run_flags(&table.config(case, mode), mode).join(" ")
    }

    #[test]
    fn defaults_say_little() {
        assert_eq!(
            flags_of("etp-cluster", Mode::Nftables),
            "--hostname-override test-node --proxy-mode nftables --cluster-cidr 10.0.0.0/8,fd00:10::/64"
        );
    }

    #[test]
    fn overrides_are_said() {
        let listed = flags_of("nodeport-v4-ipt-localhost-off-but-listed", Mode::Iptables);
        assert!(listed.contains("--nodeport-addresses 192.168.0.0/24,127.0.0.1/32"), "{listed}");
        assert!(listed.ends_with("--iptables-localhost-nodeports=false"), "{listed}");
        let bare = flags_of("masquerade-matrix-masquerade-all-no-detector", Mode::Nftables);
        assert_eq!(bare, "--hostname-override test-node --proxy-mode nftables --masquerade-all");
    }
}
