//! Kubeconfigs for the server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// What a kubeconfig will say; JSON, which is YAML too.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    server: String,
    ca: Option<Value>,
    ca_pem: Option<String>,
    user: Map<String, Value>,
}

impl Kubeconfig {
    pub(crate) fn new(server: String, ca_pem: Option<String>) -> Self {
        Self { server, ca: None, ca_pem, user: Map::new() }
    }

    /// Another URL for the server, such as by a name or in another network.
    pub fn server(mut self, url: &str) -> Self {
        url.clone_into(&mut self.server);
        self
    }

    /// With this token in it, and no file.
    pub fn token(mut self, token: &str) -> Self {
        self.user.remove("tokenFile");
        self.user.insert("token".into(), token.into());
        self
    }

    /// With the path of a file that has the token, and no token.
    pub fn token_file(mut self, path: &Path) -> Self {
        self.user.remove("token");
        self.user.insert("tokenFile".into(), path.to_string_lossy().into());
        self
    }

    /// With the path of a file for the CA's certificate, which is written too, instead of the certificate itself.
    pub fn ca_file(mut self, path: &Path) -> Result<Self> {
        let pem = self.ca_pem.clone().unwrap_or_default();
        std::fs::write(path, pem).with_context(|| format!("write {}", path.display()))?;
        self.ca = Some(path.to_string_lossy().into());
        Ok(self)
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut cluster = Map::from_iter([("server".into(), self.server.as_str().into())]);
        match (&self.ca, &self.ca_pem) {
            (Some(path), _) => drop(cluster.insert("certificate-authority".into(), path.clone())),
            (None, Some(pem)) => {
                cluster.insert("certificate-authority-data".into(), STANDARD.encode(pem).into());
            }
            (None, None) => {}
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": self.user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        format!("{config:#}\n")
    }

    /// Writes it.
    pub fn write(&self, path: impl Into<PathBuf>) -> Result<PathBuf> {
        let path = path.into();
        std::fs::write(&path, self.text()).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
