//! Kubernetes manifests, as `kubectl get -o json` prints them: of a case, one file for each kind.

mod objects;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cases::{FlowCase, NodeConfig, SliceSpec};

pub use objects::{node, node_object, service, service_cidr, service_cidr_object, slice};

/// A directory of manifests. The slices can be replaced while someone watches.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
}

impl Manifests {
    /// Writes everything of a case but its slices.
    pub fn write(directory: &Path, case: &FlowCase, config: &NodeConfig) -> Result<Self> {
        let this = Self { directory: directory.to_owned() };
        this.replace("node.json", &node(config))?;
        this.replace("servicecidrs.json", &list([service_cidr(config)]))?;
        this.replace("services.json", &list(case.services.iter().map(service)))?;
        Ok(this)
    }

    /// Where the manifests are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Replaces all slices at once; no slices, no file.
    pub fn set_slices(&self, slices: &[SliceSpec]) -> Result<()> {
        const FILE: &str = "endpointslices.json";
        let path = self.directory.join(FILE);
        match (slices.is_empty(), path.exists()) {
            (true, true) => fs::remove_file(&path).with_context(|| format!("removing {}", path.display())),
            (true, false) => Ok(()),
            _ => self.replace(FILE, &list(slices.iter().enumerate().map(|(i, s)| slice(s, i)))),
        }
    }

    fn replace(&self, file: &str, content: &Value) -> Result<()> {
        replace(&self.directory, file, &serde_json::to_string_pretty(content)?)
    }
}

/// Writes a file beside its final name and renames it: a reader sees the old one or the new one.
pub fn replace(directory: &Path, file: &str, text: &str) -> Result<()> {
    let target = directory.join(file);
    let draft = directory.join(format!(".{file}.new"));
    fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
    fs::rename(&draft, &target).with_context(|| format!("replacing {}", target.display()))
}

/// A `v1` List of objects.
pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.into_iter().collect();
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{Mode, load_flows, table_path};
    use crate::scratch::Scratch;

    #[test]
    fn slices_come_and_go() {
        let table = load_flows(&table_path("flows.yaml")).unwrap();
        let case = table.cases.iter().find(|c| c.id == "itp-local-one").unwrap();
        let scratch = Scratch::new().unwrap();
        let manifests = Manifests::write(scratch.path(), case, &table.config(case, Mode::Nftables)).unwrap();
        for phase in case.phases() {
            manifests.set_slices(phase.slices).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["node.json", "servicecidrs.json", "services.json"]);
    }
}
