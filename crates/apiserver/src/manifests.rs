//! Manifests from files: YAML with several documents, or JSON, or lists of either.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::patch::from_yaml;
use crate::store::Store;

impl Store {
    /// Applies all manifests of a file, or of the files `*.yaml`, `*.yml` and `*.json` of a directory.
    pub fn load(&self, path: &Path) -> Result<()> {
        for file in files(path)? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            let objects = objects(&text).with_context(|| format!("read {}", file.display()))?;
            self.apply_all(objects).with_context(|| format!("apply {}", file.display()))?;
        }
        Ok(())
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| matches!(file.extension().and_then(|it| it.to_str()), Some("yaml" | "yml" | "json")));
    files.sort_unstable();
    Ok(files)
}

/// The objects of a text.
fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in documents(text) {
        match from_yaml(&document)? {
            Value::Null => {}
            list if list["items"].is_array() => {
                objects.extend(list["items"].as_array().into_iter().flatten().cloned());
            }
            object => objects.push(object),
        }
    }
    Ok(objects)
}

/// The texts between lines of `---` that say something.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        match (line.trim_end(), documents.last_mut()) {
            ("---", _) => documents.push(String::new()),
            (_, Some(document)) => {
                document.push_str(line);
                document.push('\n');
            }
            (_, None) => {}
        }
    }
    let says = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    documents.retain(|document| document.lines().any(says));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists() {
        let text = "# nothing\n---\nkind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n";
        let kinds: Vec<Value> = objects(text).unwrap().iter().map(|it| it["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }
}
