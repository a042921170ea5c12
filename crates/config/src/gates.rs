//! Feature gates: which of kube-proxy's mean something here.

use crate::proxy::KubeProxyConfiguration;

/// What a feature gate of kube-proxy is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its name in `featureGates`.
    pub name: &'static str,
    /// What it is when nobody gives it (Kubernetes 1.36; those of 1.37 as there).
    pub default: bool,
    /// Why it changes nothing here; `None` = it is honoured.
    pub no_effect: Option<&'static str>,
}

const fn honoured(name: &'static str, default: bool) -> Gate {
    Gate { name, default, no_effect: None }
}

const fn ignored(name: &'static str, default: bool, reason: &'static str) -> Gate {
    Gate { name, default, no_effect: Some(reason) }
}

const NO_GO: &str = "is about Go's log library";

/// The gates that kube-proxy asks for. Others of Kubernetes are of other components.
pub const GATES: &[Gate] = &[
    // Hints that name nodes; the caller gives it to resolve.
    honoured("PreferSameTrafficDistribution", true),
    ignored("AllowServiceExternalIPs", true, "externalIPs are always served"),
    ignored("KubeProxyIPVS", true, "mode ipvs needs no gate"),
    ignored("KubeProxyNFTablesLocalhostNodePorts", false, "there is no userspace proxy for 127.0.0.1"),
    ignored("NFTablesProxyMode", true, "mode nftables needs no gate"),
    ignored("ServiceTrafficDistribution", true, "hints are always read"),
    ignored("MultiCIDRServiceAllocator", true, "ServiceCIDRs are watched where there are any"),
    ignored("ComponentFlagz", false, "there is no such page"),
    ignored("ComponentStatusz", false, "there is no such page"),
    ignored("NativeHistograms", false, "histograms have fixed buckets"),
    ignored("ContextualLogging", true, NO_GO),
    ignored("LoggingAlphaOptions", false, NO_GO),
    ignored("LoggingBetaOptions", true, NO_GO),
    ignored("AllAlpha", false, "gates are taken one by one"),
    ignored("AllBeta", false, "gates are taken one by one"),
    ignored("WinDSR", false, "is about Windows"),
    ignored("WinOverlay", true, "is about Windows"),
];

/// One sentence for each given gate that nothing here and nothing in kube-proxy asks for.
pub(crate) fn unknown(config: &KubeProxyConfiguration) -> Vec<String> {
    let names = config.feature_gates.keys();
    names
        .filter(|name| GATES.iter().all(|gate| gate.name != *name))
        .map(|name| format!("featureGates.{name}: no such gate is known here, it is ignored"))
        .collect()
}

/// Given gates that would change something in kube-proxy and change nothing here.
pub(crate) fn without_effect(
    config: &KubeProxyConfiguration,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    GATES.iter().filter_map(|gate| {
        let reason = gate.no_effect?;
        config.gate(gate.name).filter(|given| *given != gate.default).map(|_| (gate.name, reason))
    })
}
