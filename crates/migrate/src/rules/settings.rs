//! Settings that mean something else, or nothing.

use config::{GATES, KubeProxyConfiguration, ModeSettings, meaningless};
use model::IpFamily;

use super::{ANY, IPTABLES, IPTABLES_AND_IPVS, IPVS, NFTABLES, Rule};
use crate::report::Severity::{Breaks, Differs, Note};
use crate::view::{Subjects, View, always, setting, some};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "masquerade-all",
        severity: Breaks,
        from: IPTABLES_AND_IPVS,
        to: NFTABLES,
        title: "masqueradeAll would no longer count",
        why: "Each mode reads its own section. iptables.masqueradeAll is true, nftables.masqueradeAll is not, so \
              endpoints would see the addresses of pods, and replies may take another way.",
        remedy: "Write nftables.masqueradeAll: true.",
        subjects: |view| setting(lost_masquerade_all(view), "iptables.masqueradeAll"),
    },
    Rule {
        id: "masquerade-all",
        severity: Breaks,
        from: NFTABLES,
        to: IPTABLES_AND_IPVS,
        title: "masqueradeAll would no longer count",
        why: "Modes iptables and ipvs read the section iptables. nftables.masqueradeAll is true, iptables.masqueradeAll is not, so \
              endpoints would see the addresses of pods, and replies may take another way.",
        remedy: "Write iptables.masqueradeAll: true.",
        subjects: |view| setting(lost_masquerade_all(view), "nftables.masqueradeAll"),
    },
    Rule {
        id: "masquerade-bit",
        severity: Differs,
        from: IPTABLES_AND_IPVS,
        to: NFTABLES,
        title: "another bit of the packet mark means masquerade",
        why: "Each mode reads its own section: nftables.masqueradeBit is not iptables.masqueradeBit.",
        remedy: "Write the same nftables.masqueradeBit, so that it stays clear of the marks of other programs.",
        subjects: |view| setting(other_bit(view), "iptables.masqueradeBit"),
    },
    Rule {
        id: "masquerade-bit",
        severity: Differs,
        from: NFTABLES,
        to: IPTABLES_AND_IPVS,
        title: "another bit of the packet mark means masquerade",
        why: "Modes iptables and ipvs read the section iptables: iptables.masqueradeBit is not nftables.masqueradeBit.",
        remedy: "Write the same iptables.masqueradeBit, so that it stays clear of the marks of other programs.",
        subjects: |view| setting(other_bit(view), "nftables.masqueradeBit"),
    },
    SYNC_PERIOD,
    Rule { from: IPVS, to: IPTABLES, ..SYNC_PERIOD },
    Rule { from: IPTABLES, to: IPVS, ..SYNC_PERIOD },
    Rule { from: NFTABLES, to: IPTABLES_AND_IPVS, ..SYNC_PERIOD },
    Rule {
        id: "no-detect-local",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "local pods cannot be told from other sources",
        why: "There is no clusterCIDR of this family. Traffic to ClusterIPs is not masqueraded, and under \
              externalTrafficPolicy Local pods reach endpoints of their node only.",
        remedy: "Set clusterCIDR, or another detectLocalMode.",
        subjects: |view| {
            let missing = |family: &IpFamily| view.has_family(*family) && !view.detects_pods(*family);
            some(IpFamily::ALL.iter().filter(|f| missing(f)).map(ToString::to_string).collect())
        },
    },
    Rule {
        id: "settings-without-meaning",
        severity: Note,
        from: ANY,
        to: ANY,
        title: "settings that change nothing in towpath",
        why: "They are accepted, so that the file needs no change; a warning at start names them.",
        remedy: "",
        subjects: without_meaning,
    },
    Rule {
        id: "config-is-followed",
        severity: Differs,
        from: ANY,
        to: ANY,
        title: "an edit of the ConfigMap acts without a restart",
        why: "towpath follows its file. When kubelet brings a new one, every node applies it; what cannot be changed \
              while running ends the process in order, to be started anew.",
        remedy: "Edit it as something that acts on all nodes soon.",
        subjects: always,
    },
];

const SYNC_PERIOD: Rule = Rule {
    id: "sync-period",
    severity: Note,
    from: IPTABLES_AND_IPVS,
    to: NFTABLES,
    title: "/healthz turns to 503 after another time",
    why: "A change may wait twice the syncPeriod of the mode, and each mode reads its own section.",
    remedy: "Write the same syncPeriod in the section of the new mode.",
    subjects: |view| {
        let (before, after) = both(view);
        let differs = before.sync_period != after.sync_period;
        setting(differs, &format!("{}.syncPeriod", view.from))
    },
};

/// The configuration once towpath's mode is written where kube-proxy's was. A mode that is left open stays so: then
/// towpath falls back to the section of iptables.
fn after(view: &View<'_>) -> KubeProxyConfiguration {
    let mut after = view.config.clone();
    if !after.chooses_mode() {
        after.mode = view.to.to_string();
    }
    after
}

/// What kube-proxy takes from its section, and what towpath takes.
fn both(view: &View<'_>) -> (ModeSettings, ModeSettings) {
    (view.config.mode_settings(view.from), after(view).mode_settings(view.to))
}

fn other_bit(view: &View<'_>) -> bool {
    let (before, after) = both(view);
    before.masquerade_bit != after.masquerade_bit
}

fn lost_masquerade_all(view: &View<'_>) -> bool {
    let (before, after) = both(view);
    before.masquerade_all && !after.masquerade_all
}

fn without_meaning(view: &View<'_>) -> Subjects {
    let known = |name: &str| GATES.iter().any(|gate| gate.name == name);
    let unknown = view.config.feature_gates.keys().filter(|name| !known(name));
    let mut all: Vec<String> = unknown.map(|name| format!("featureGates.{name}")).collect();
    // The period of the old mode has a rule of its own.
    let of_old_mode = format!("{}.syncPeriod", view.from);
    all.extend(
        meaningless(&after(view)).into_iter().map(|setting| setting.field).filter(|f| *f != of_old_mode),
    );
    some(all)
}
