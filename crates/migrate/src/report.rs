//! The answer.

use serde::Serialize;

/// The version of [`Report::json`]: fields may be added to it; with another meaning it gets another name.
pub const SCHEMA: &str = "towpath.dev/migrate-report/v1";

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What is served now is not served any more, what is closed is opened, or towpath does not start.
    Breaks,
    /// It is done in another way: look whether somebody relies on the old one.
    Differs,
    /// Good to know.
    Note,
}

/// Something that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its name, in kebab-case: never changes.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What changes, in one sentence.
    pub title: &'static str,
    /// What it is about: Services as `namespace/name`, or settings, or names. Sorted, each once; empty where it is
    /// about the node as a whole.
    pub subjects: Vec<String>,
    /// Why it changes.
    pub why: &'static str,
    /// What to do; empty where there is nothing to do.
    pub remedy: &'static str,
}

/// kube-proxy's mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FromMode {
    /// The mode that it runs in: `iptables`, `ipvs` or `nftables`.
    pub mode: String,
    /// What the configuration says; empty is iptables, before Kubernetes 1.40.
    pub given: String,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// kube-proxy's mode.
    pub from: FromMode,
    /// towpath's mode.
    pub to: &'static str,
    /// How many Services were looked at: those that kube-proxy serves.
    pub services: usize,
    /// What changes: what matters most comes first, then in the order of the rules.
    pub findings: Vec<Finding>,
    /// What was not looked at, a sentence each.
    pub not_checked: Vec<String>,
}

impl Report {
    /// Whether something breaks.
    pub fn breaks(&self) -> bool {
        self.count(Severity::Breaks) > 0
    }

    /// How many findings matter that much.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The report for programs: one JSON object, with a line break at its end.
    pub fn json(&self) -> String {
        // Strings, numbers and lists of them: nothing that could fail.
        serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
    }
}
