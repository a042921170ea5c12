//! What the janitor does: looks, empties, takes over.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Result;
use dataplane::Retired;
use ipnet::IpNet;
use netlink::NetlinkError;
use netlink::ipvs::Key;
use takeover::Connections;
use xtables::ToolError;

use crate::modes::Place;
use crate::opened::Opened;
use crate::records;

/// What a chore does, and what has come of it. It is called until it is gone.
pub(super) type Work = Box<dyn FnMut() -> Result<Retired> + Send>;

/// Empties a place where rules of ours may be.
pub(super) fn emptying(place: Place, own: ipvs::Settings) -> Work {
    // Held from one call to the next, while it waits for connections.
    let mut held = None;
    Box::new(move || {
        let found = match held.take() {
            None => look(place, &own)?,
            found => found,
        };
        let Some(mut opened) = found else { return Ok(Retired::Gone(0)) };
        let retired = retire(&mut opened, "removed rules of ours that were left in")?;
        held = matches!(retired, Retired::Draining(_)).then_some(opened);
        Ok(retired)
    })
}

/// Empties what was opened, once nobody uses it any more; says `done` and where, when it is.
pub(super) fn retire(opened: &mut Opened, done: &str) -> Result<Retired> {
    let retired = opened.retire()?;
    if let Retired::Gone(removed) = retired {
        tracing::info!(objects = removed, "{done} {}", opened.place());
    }
    Ok(retired)
}

/// What is at a place, if rules of ours are.
fn look(place: Place, own: &ipvs::Settings) -> Result<Option<Opened>> {
    match found(place, own) {
        Err(error) if is_absent(&error) => {
            tracing::debug!("{place} is not looked at: {}", crate::in_one_line(&error));
            Ok(None)
        }
        found => found,
    }
}

fn found(place: Place, own: &ipvs::Settings) -> Result<Option<Opened>> {
    let mut opened = Opened::at(place, own)?;
    Ok(opened.is_installed()?.then_some(opened))
}

/// Whether a place cannot be looked at because the kernel does not have it, or nobody has the tools for it here.
pub(crate) fn is_absent(error: &anyhow::Error) -> bool {
    let no_part = |error: &NetlinkError| {
        matches!(
            error.errno(),
            Some(libc_errno::ENOENT | libc_errno::EPROTONOSUPPORT | libc_errno::EOPNOTSUPP)
        )
    };
    error.chain().any(|cause| {
        cause.downcast_ref::<NetlinkError>().is_some_and(no_part)
            || matches!(cause.downcast_ref::<ToolError>(), Some(ToolError::Missing { .. }))
    })
}

/// Numbers of errors that say that the kernel lacks something.
mod libc_errno {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EOPNOTSUPP: i32 = 95;
}

/// The takeover: what kube-proxy has left goes, but virtual servers that are ours by now.
pub(super) struct Takeover {
    spared: BTreeSet<Key>,
    /// Virtual servers at these addresses stay (`--ipvs-exclude-cidrs`).
    excluded: Vec<IpNet>,
    /// What stays is said once.
    said: BTreeSet<String>,
    /// Until then connections of kube-proxy's IPVS live on.
    until: Instant,
    /// Only virtual servers are left to wait for.
    rules_gone: bool,
}

impl Takeover {
    /// Begins one; connections have the drain timeout to end.
    pub(super) fn new(spared: BTreeSet<Key>, own: &ipvs::Settings) -> Self {
        let (until, excluded) = (Instant::now() + own.drain, own.exclude.clone());
        Self { spared, excluded, said: BTreeSet::new(), until, rules_gone: false }
    }

    fn excludes(&self, key: &Key) -> bool {
        let Key::Address { address, .. } = key else { return false };
        self.excluded.iter().any(|net| net.contains(address))
    }

    /// Removes what can go.
    pub(super) fn go_on(&mut self) -> Result<Retired> {
        let mut spared: BTreeSet<Key> = records::virtual_servers()?.union(&self.spared).copied().collect();
        if !self.excluded.is_empty() {
            spared.extend(takeover::virtual_servers()?.into_iter().filter(|key| self.excludes(key)));
        }
        let connections = if Instant::now() < self.until { Connections::LiveOn } else { Connections::End };
        let remove = if self.rules_gone { takeover::remove_ipvs } else { takeover::remove };
        let report = remove(&spared, connections);
        report.removed.iter().for_each(|what| tracing::info!("removed what kube-proxy has left: {what}"));
        let news: Vec<String> =
            report.kept.into_iter().filter(|what| self.said.insert(what.clone())).collect();
        news.iter().for_each(|what| tracing::warn!("left in place: {what}"));
        if !report.failed.is_empty() {
            return Err(anyhow::anyhow!("{}", report.failed.join("; ")));
        }
        self.rules_gone = true;
        Ok(report.draining.map_or(Retired::Gone(report.removed.len()), Retired::Draining))
    }
}
