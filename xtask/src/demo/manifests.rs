//! The objects of the demo, as files that towpath watches.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::scratch::Scratch;

/// The file that changes.
const SLICE: &str = "endpointslice.yaml";

/// What is there at the beginning.
const FILES: [(&str, &str); 4] = [
    ("node.yaml", include_str!("../../demo/node.yaml")),
    ("servicecidr.yaml", include_str!("../../demo/servicecidr.yaml")),
    ("service.yaml", include_str!("../../demo/service.yaml")),
    (SLICE, include_str!("../../demo/endpointslice.yaml")),
];

/// The slice without its second endpoint.
const SCALED_DOWN: &str = include_str!("../../demo/after/endpointslice.yaml");

/// A directory of manifests.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
    /// On the same file system, but not watched.
    draft: PathBuf,
}

impl Manifests {
    /// Writes the files.
    pub fn write(scratch: &Scratch) -> Result<Self> {
        let directory = scratch.join("manifests");
        fs::create_dir(&directory).context("making the directory of manifests")?;
        let manifests = Self { directory, draft: scratch.join("draft.yaml") };
        for (name, text) in FILES {
            manifests.put(name, text)?;
        }
        Ok(manifests)
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Takes the second endpoint away.
    pub fn scale_down(&self) -> Result<()> {
        self.put(SLICE, SCALED_DOWN)
    }

    /// Nobody ever sees half a file: it is written elsewhere and renamed into its place.
    fn put(&self, name: &str, text: &str) -> Result<()> {
        fs::write(&self.draft, text).with_context(|| format!("writing {name}"))?;
        fs::rename(&self.draft, self.directory.join(name))
            .with_context(|| format!("renaming {name} into place"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::world;
    use super::*;

    #[test]
    fn the_slices_name_the_pods_of_the_world() {
        let [stays, leaves] = world::PODS;
        let before = FILES.iter().find(|(name, _)| *name == SLICE).unwrap().1;
        for pod in [stays, leaves] {
            assert!(before.contains(&format!("addresses: [{}]", pod.address)), "{}", pod.name);
            assert!(before.contains(&format!("name: {}}}", pod.name)));
        }
        assert!(SCALED_DOWN.contains(stays.address) && !SCALED_DOWN.contains(leaves.address));
    }

    #[test]
    fn the_service_is_where_the_client_looks() {
        let service = FILES.iter().find(|(name, _)| *name == "service.yaml").unwrap().1;
        assert!(service.contains("clusterIP: 10.96.0.20\n") && world::CLUSTER_IP == "10.96.0.20:80");
        assert!(service.contains("port: 80,") && service.contains("nodePort: 30080"));
        assert_eq!(world::NODE_PORT, format!("{}:30080", world::NODE_ADDRESS));
    }
}
