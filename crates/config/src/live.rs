//! Which changes of a running program's settings can be applied without a restart.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::load::Settings;
use crate::print::plain;

/// The fields in which two settings differ, by their paths, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveChanges {
    /// Can be applied while running.
    pub live: Vec<String>,
    /// Need a restart.
    pub restart: Vec<String>,
    /// Change nothing: they have no meaning here.
    pub without_effect: Vec<String>,
}

/// A field, or a section with all that is in it.
const LIVE: &[&str] = &[
    "bindAddress",
    "clusterCIDR",
    "conntrack",
    "detectLocal",
    "detectLocalMode",
    "iptables.localhostNodePorts",
    "iptables.masqueradeAll",
    "ipvs.excludeCIDRs",
    "ipvs.scheduler",
    "ipvs.strictARP",
    "ipvs.tcpFinTimeout",
    "ipvs.tcpTimeout",
    "ipvs.udpTimeout",
    "ipvsDrainTimeout",
    "logging.verbosity",
    "mode",
    "nftables.masqueradeAll",
    "nodePortAddresses",
    "oomScoreAdj",
];

const WITHOUT_EFFECT: &[&str] = &[
    "clientConnection.acceptContentTypes",
    "clientConnection.burst",
    "clientConnection.contentType",
    "clientConnection.qps",
    "configSyncPeriod",
    "enableProfiling",
    "iptables.minSyncPeriod",
    "ipvs.minSyncPeriod",
    "logging.flushFrequency",
    "logging.options",
    "logging.vmodule",
    "nftables.minSyncPeriod",
    "portRange",
    "showHiddenMetricsForVersion",
    "windowsRunAsService",
    "winkernel",
];

/// Compares the settings that run with those that shall. What is in neither table above needs a restart.
pub fn live_changes(old: &Settings, new: &Settings) -> LiveChanges {
    let mut paths = BTreeSet::new();
    differences(&plain(&old.proxy), &plain(&new.proxy), "", &mut paths);
    differences(&plain(&old.towpath), &plain(&new.towpath), "", &mut paths);
    let mut changes = LiveChanges::default();
    for path in paths {
        let list = match () {
            () if is_under(&path, LIVE) => &mut changes.live,
            () if is_under(&path, WITHOUT_EFFECT) => &mut changes.without_effect,
            () => &mut changes.restart,
        };
        list.push(path);
    }
    changes
}

fn is_under(path: &str, table: &[&str]) -> bool {
    table
        .iter()
        .any(|name| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The paths of the leaves that differ; lists are leaves.
fn differences(old: &Value, new: &Value, path: &str, paths: &mut BTreeSet<String>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let of = |fields: &serde_json::Map<String, Value>| fields.get(key).cloned().unwrap_or_default();
            differences(&of(old), &of(new), &path, paths);
        }
    } else if old != new {
        paths.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::GoDuration;

    type Change = fn(&mut Settings);

    #[test]
    fn changes_and_what_they_need() {
        let old = Settings::default();
        let change = |change: Change| {
            let mut new = Settings::default();
            change(&mut new);
            live_changes(&old, &new)
        };
        let lists = |c: LiveChanges| (c.live.join(" "), c.restart.join(" "), c.without_effect.join(" "));
        let table: [(Change, &str, &str, &str); 15] = [
            (|_| (), "", "", ""),
            (|s| s.proxy.cluster_cidr = "10.0.0.0/8".into(), "clusterCIDR", "", ""),
            (|s| s.proxy.conntrack.min = 0, "conntrack.min", "", ""),
            (|s| s.proxy.node_port_addresses = vec!["primary".into()], "nodePortAddresses", "", ""),
            (|s| s.proxy.logging.verbosity = 4, "logging.verbosity", "", ""),
            (|s| s.proxy.logging.format = "json".into(), "", "logging.format", ""),
            (|s| s.proxy.mode = "ipvs".into(), "mode", "", ""),
            (|s| s.proxy.ipvs.scheduler = "lc".into(), "ipvs.scheduler", "", ""),
            (|s| s.proxy.ipvs.strict_arp = true, "ipvs.strictARP", "", ""),
            (|s| s.towpath.ipvs_drain_timeout = GoDuration::ZERO, "ipvsDrainTimeout", "", ""),
            (|s| s.proxy.iptables.masquerade_bit = 1, "", "iptables.masqueradeBit", ""),
            (|s| s.proxy.winkernel.enable_dsr = true, "", "", "winkernel.enableDSR"),
            (|s| s.towpath.snapshot.after = GoDuration::ZERO, "", "snapshot.after", ""),
            (|s| s.proxy.feature_gates.extend([("X".into(), true)]), "", "featureGates.X", ""),
            (|s| s.proxy.detect_local.bridge_interface = "br0".into(), "detectLocal.bridgeInterface", "", ""),
        ];
        for (i, (new, live, restart, nothing)) in table.into_iter().enumerate() {
            assert_eq!(lists(change(new)), (live.into(), restart.into(), nothing.into()), "case {i}");
        }
    }

    /// Another value of the same type.
    fn change(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(change),
            Value::Array(items) => items.push(serde_json::json!({"filePattern": "a"})),
            Value::Bool(flag) => *flag = !*flag,
            Value::Number(_) => *value = 77.into(),
            Value::String(text) if text.parse::<GoDuration>().is_ok() => *value = "7s".into(),
            other => *other = "x".into(),
        }
    }

    #[test]
    fn what_has_no_effect_is_called_meaningless() {
        for path in WITHOUT_EFFECT {
            let mut value = plain(&Settings::default().proxy);
            let pointer = format!("/{}", path.replace('.', "/"));
            change(value.pointer_mut(&pointer).unwrap_or_else(|| panic!("{path} is no field")));
            let config = serde_json::from_value(value).unwrap();
            let fields: Vec<String> = crate::meaningless(&config).into_iter().map(|m| m.field).collect();
            assert_eq!(fields, [*path]);
        }
    }
}
