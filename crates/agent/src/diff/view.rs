//! How a comparison looks: JSON and text.

use std::fmt::Write;

use model::NamespacedName;
use serde::{Deserialize, Serialize};

use crate::compare::Compared;
use crate::rules_view::Difference;

/// What the kernel should have, against what it has.
// The fields are a contract: scripts read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DiffView {
    /// Whose eyes it was seen with.
    node: String,
    /// The mode whose rules were compared: nftables, iptables or ipvs.
    mode: String,
    /// The Service that was asked for, as `NAMESPACE/NAME`; null: everything was compared.
    service: Option<String>,
    /// All that the agent knows is programmed. Of manifests: always true.
    synced: bool,
    /// Number of objects that the kernel should have.
    objects: usize,
    /// Nothing differs.
    equal: bool,
    /// What differs, sorted.
    differences: Vec<Difference>,
}

impl DiffView {
    /// Of a comparison.
    pub(crate) fn new(node: String, mode: &str, service: Option<&NamespacedName>, found: Compared) -> Self {
        Self {
            node,
            mode: mode.to_owned(),
            service: service.map(ToString::to_string),
            synced: found.synced,
            objects: found.objects,
            equal: found.differences.is_empty(),
            differences: found.differences,
        }
    }

    /// Whether nothing differs.
    pub(crate) fn equal(&self) -> bool {
        self.equal
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The differences, a line each; then a sentence.
    pub(crate) fn text(&self) -> String {
        let mut out: String = self.differences.iter().map(|difference| format!("{difference}\n")).collect();
        let of = self.service.as_ref().map_or(String::new(), |name| format!(" of {name}"));
        let (mode, node, objects) = (&self.mode, &self.node, self.objects);
        let _ = match self.differences.len() {
            0 if objects == 0 => {
                writeln!(out, "nothing is wanted{of} on {node} in mode {mode}, and nothing of it is there")
            }
            0 => {
                writeln!(out, "the kernel has all {objects} objects{of} as {node} wants them in mode {mode}")
            }
            differ => writeln!(out, "{differ} objects differ; {node} wants {objects}{of} in mode {mode}"),
        };
        if !self.synced {
            out += "changes wait to be programmed\n";
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(synced: bool, objects: usize, differences: Vec<Difference>) -> DiffView {
        let found = Compared { objects, differences, synced, ..Compared::default() };
        DiffView::new("n1".into(), "nftables", Some(&NamespacedName::new("shop", "web")), found)
    }

    #[test]
    fn schema_of_diff() {
        testkit::schema::current::<DiffView>("diff").unwrap();
        let [wanted, found] = ["a", "b"].map(str::to_owned);
        let all = vec![
            Difference::Missing { wanted: wanted.clone() },
            Difference::Changed { wanted, found: found.clone() },
            Difference::Foreign { found },
        ];
        for view in [view(true, 3, Vec::new()), view(false, 3, all)] {
            let json = view.json();
            testkit::schema::conforms("diff", &serde_json::from_str(&json).unwrap()).unwrap();
            assert_eq!(serde_json::from_str::<DiffView>(&json).unwrap(), view);
        }
    }

    #[test]
    fn text_of_a_comparison() {
        let changed = Difference::Changed { wanted: "a".into(), found: "b".into() };
        for (view, text) in [
            (
                view(true, 0, Vec::new()),
                "nothing is wanted of shop/web on n1 in mode nftables, and nothing of it is there\n",
            ),
            (
                view(true, 2, Vec::new()),
                "the kernel has all 2 objects of shop/web as n1 wants them in mode nftables\n",
            ),
            (
                view(false, 2, vec![changed]),
                "! a (has b)\n1 objects differ; n1 wants 2 of shop/web in mode nftables\nchanges wait to be programmed\n",
            ),
        ] {
            assert_eq!(view.text(), text);
        }
    }
}
