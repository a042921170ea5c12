//! The settings of this run: flags and the configuration file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use config::{KubeProxyFlags, Settings, TowpathFlags};

/// Reads flags and the text of the file that they name. All problems are in one error.
pub(crate) fn load(proxy: &KubeProxyFlags, towpath: &TowpathFlags, text: Option<&str>) -> Result<Settings> {
    let origin = || proxy.config.as_ref().map_or(String::new(), |path| format!("{}: ", path.display()));
    config::load(text, proxy, towpath).map_err(|problems| anyhow!("{}{problems}", origin()))
}

/// The text of a configuration file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("--config {}", path.display()))
}

/// Flags and file, read once.
pub(crate) fn load_once(proxy: &KubeProxyFlags, towpath: &TowpathFlags) -> Result<Settings> {
    let text = proxy.config.as_deref().map(read).transpose()?;
    load(proxy, towpath, text.as_deref())
}

/// The name of this node, as kube-proxy: in lower case; it must equal the Node object's name, or nothing is local.
pub(crate) fn node_name(settings: &Settings) -> Result<String> {
    if let Some(name) = settings.proxy.node_name_override() {
        return Ok(name);
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name")?;
    let name = host.trim().to_lowercase();
    ensure!(!name.is_empty(), "the host has no name: give this node's with --hostname-override");
    Ok(name)
}
