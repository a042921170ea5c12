//! The documents of a file, told apart by `apiVersion` and `kind`.

use serde_json::Value;

use crate::problem::Problems;
use crate::tree::{self, Node};

/// What this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    KubeProxy,
    Towpath,
}

impl Kind {
    const ALL: [Self; 2] = [Self::KubeProxy, Self::Towpath];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KubeProxy => "KubeProxyConfiguration",
            Self::Towpath => "TowpathConfiguration",
        }
    }

    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::KubeProxy => "kubeproxy.config.k8s.io/v1alpha1",
            Self::Towpath => "towpath.dev/v1alpha1",
        }
    }
}

/// The documents of a file: at most one of each kind.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) kube_proxy: Option<Node>,
    pub(crate) towpath: Option<Node>,
}

/// Reads all documents. `apiVersion` and `kind` are checked and taken out.
pub(crate) fn read(text: &str, problems: &mut Problems) -> Documents {
    let mut documents = Documents::default();
    let before = problems.0.len();
    let mut count = 0;
    for part in split(text) {
        match tree::read(&part.text) {
            Err(message) => problems.add("the file", "", format!("is not YAML: {message}")),
            Ok(node) if is_blank(&node) => {}
            Ok(node) => {
                count += 1;
                sort(node, part.line, &mut documents, problems);
            }
        }
    }
    if count == 0 && problems.0.len() == before {
        let expected = Kind::KubeProxy;
        let message = format!(
            "has no document: write one that starts with apiVersion: {} and kind: {}",
            expected.api_version(),
            expected.name()
        );
        problems.add("the file", "", message);
    }
    documents
}

fn is_blank(node: &Node) -> bool {
    *node == Node::Scalar(Value::Null)
}

fn sort(node: Node, line: u64, documents: &mut Documents, problems: &mut Problems) {
    let Node::Map(mut entries) = node else {
        return problems.add(
            "the file",
            "",
            format!("has a document that is no mapping of fields (line {line})"),
        );
    };
    let head = |key: &str| entries.iter().rev().find(|e| e.key == key).map(|e| (text(&e.value), e.line));
    let (api_version, kind) = (head("apiVersion"), head("kind"));
    let Some(found) = recognise(api_version, kind, line, problems) else {
        return;
    };
    entries.retain(|entry| entry.key != "apiVersion" && entry.key != "kind");
    let place = match found {
        Kind::KubeProxy => &mut documents.kube_proxy,
        Kind::Towpath => &mut documents.towpath,
    };
    if place.is_some() {
        let message = format!("is there twice (line {line}): a file has at most one document of a kind");
        problems.add("kind", found.name(), message);
    }
    *place = Some(Node::Map(entries));
}

/// The kind that both fields name, or a problem that says which of them is wrong.
fn recognise(
    api_version: Option<(String, u64)>,
    kind: Option<(String, u64)>,
    line: u64,
    problems: &mut Problems,
) -> Option<Kind> {
    let (kind, kind_line) = kind.unwrap_or((String::new(), line));
    let (api_version, version_line) = api_version.unwrap_or((String::new(), line));
    let Some(found) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
        let what = if kind.is_empty() { "is missing" } else { "is not a document for this program" };
        let message =
            format!("{what} (line {kind_line}): write KubeProxyConfiguration or TowpathConfiguration");
        problems.add("kind", kind, message);
        return None;
    };
    if api_version != found.api_version() {
        let what = if api_version.is_empty() { "is missing" } else { "is not a version of this kind" };
        let message = format!("{what} (line {version_line}): for {kind} write {}", found.api_version());
        problems.add("apiVersion", api_version, message);
        return None;
    }
    Some(found)
}

fn text(node: &Node) -> String {
    match node {
        Node::Scalar(Value::String(text)) => text.clone(),
        other => other.to_json().to_string(),
    }
}

/// One document, with empty lines for all that is before it: its lines are those of the file.
struct Part {
    text: String,
    line: u64,
}

/// Splits at `---` and `...` in the first column.
fn split(text: &str) -> Vec<Part> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = vec![Part { text: String::new(), line: 1 }];
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rest) = after_marker(line) {
            parts.push(Part { text: "\n".repeat(i) + rest, line: i as u64 + 1 });
        } else if let Some(part) = parts.last_mut() {
            // A directive such as %YAML is of no document.
            part.text.push_str(if line.starts_with('%') { "\n" } else { line });
        }
    }
    parts
}

/// What follows the marker that a line starts with; it belongs to the next document.
fn after_marker(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."))?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    const TOWPATH: &str = "apiVersion: towpath.dev/v1alpha1\nkind: TowpathConfiguration\n";

    fn found(text: &str) -> (bool, bool, String) {
        let mut problems = Problems::default();
        let documents = read(text, &mut problems);
        (documents.kube_proxy.is_some(), documents.towpath.is_some(), problems.to_string())
    }

    #[test]
    fn documents_of_a_file() {
        let both = format!("# a comment\n---\n{PROXY}---\n{TOWPATH}...\n---\n# nothing\n");
        let json = r#"{"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}"#;
        for (text, proxy, towpath) in
            [(PROXY, true, false), (TOWPATH, false, true), (both.as_str(), true, true), (json, true, false)]
        {
            assert_eq!(found(text), (proxy, towpath, String::new()), "{text}");
        }
    }

    #[test]
    fn what_is_no_document_for_us() {
        let twice = format!("{PROXY}---\n{PROXY}");
        for (text, want) in [
            ("", "the file: has no document"),
            ("---\n# nothing\n", "the file: has no document"),
            ("- a\n", "the file: has a document that is no mapping of fields (line 1)"),
            ("mode: ipvs\n", "kind: is missing (line 1)"),
            ("kind: KubeProxyConfiguration\n", "apiVersion: is missing (line 1)"),
            (
                "\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n",
                "kind: KubeletConfiguration: is not a document for this program (line 3)",
            ),
            (
                "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1\n",
                "apiVersion: kubeproxy.config.k8s.io/v1: is not a version of this kind (line 2): \
                 for KubeProxyConfiguration write kubeproxy.config.k8s.io/v1alpha1",
            ),
            (twice.as_str(), "kind: KubeProxyConfiguration: is there twice (line 3)"),
            ("a: [1\n", "the file: is not YAML: "),
        ] {
            let (_, _, problems) = found(text);
            assert!(problems.starts_with(want), "{text:?}\nwant {want}\nhave {problems}");
        }
    }
}
