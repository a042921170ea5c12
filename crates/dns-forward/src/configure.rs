//! From settings to groups: keeps what goes on as it was, and says what cannot be used.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::cache::Cache;
use crate::group::{GroupHandle, State};
use crate::remote::{Remote, Terms};
use crate::{Group, MAX_UPSTREAMS, Upstream};

/// What became of settings.
#[derive(Debug, Default)]
pub struct Configured {
    /// The groups, in the order of the settings.
    pub groups: Vec<GroupHandle>,
    /// Upstreams that are left out.
    pub problems: Vec<Problem>,
}

/// An upstream that is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("forward {group}: upstream {upstream} is not used: {reason}")]
pub struct Problem {
    /// [`Group::name`].
    pub group: String,
    /// Its address.
    pub upstream: SocketAddr,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Where systemd-resolved's stub listens.
const STUB: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);

pub(crate) fn configure(groups: Vec<Group>, own: &[SocketAddr], current: &[GroupHandle]) -> Configured {
    let mut configured = Configured::default();
    for group in groups {
        let old = current.iter().find(|old| old.0.settings.name == group.name);
        let remotes = remotes(&group, own, old, &mut configured.problems);
        configured.groups.push(GroupHandle(Arc::new(state(group, remotes, old))));
    }
    configured
}

fn state(group: Group, remotes: Vec<Arc<Remote>>, old: Option<&GroupHandle>) -> State {
    let counters = old.map(|old| old.0.counters.clone()).unwrap_or_default();
    let cache = group.cache.as_ref().map(|settings| {
        let kept = old.filter(|old| is_same(&group, &old.0.settings)).and_then(|old| old.0.cache.clone());
        kept.unwrap_or_else(|| Arc::new(Cache::new(settings.max_bytes, Instant::now())))
    });
    State::new(group, cache, remotes, counters)
}

/// Whether what the one has in its cache is good for the other: the same upstreams say what they said.
fn is_same(new: &Group, old: &Group) -> bool {
    let bytes = |group: &Group| group.cache.as_ref().map(|cache| cache.max_bytes);
    new.zone == old.zone && bytes(new) == bytes(old) && sorted(new) == sorted(old)
}

fn sorted(group: &Group) -> Vec<&Upstream> {
    let mut upstreams: Vec<&Upstream> = group.upstreams.iter().collect();
    upstreams.sort_by_key(|upstream| upstream.address);
    upstreams
}

fn remotes(
    group: &Group,
    own: &[SocketAddr],
    old: Option<&GroupHandle>,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Remote>> {
    let mut remotes: Vec<Arc<Remote>> = Vec::new();
    for upstream in &group.upstreams {
        let made = match unusable(upstream, own, &remotes) {
            None => remote(Terms::new(group, upstream), old),
            Some(reason) => Err(reason),
        };
        match made {
            Ok(remote) => remotes.push(remote),
            Err(reason) => {
                problems.push(Problem { group: group.name.clone(), upstream: upstream.address, reason });
            }
        }
    }
    remotes
}

fn remote(terms: Terms, old: Option<&GroupHandle>) -> Result<Arc<Remote>, String> {
    let mut known = old.into_iter().flat_map(|old| &old.0.remotes);
    match known.find(|remote| remote.terms == terms) {
        Some(remote) => Ok(remote.clone()),
        None => Remote::new(terms).map(Arc::new).map_err(|error| error.to_string()),
    }
}

fn unusable(upstream: &Upstream, own: &[SocketAddr], taken: &[Arc<Remote>]) -> Option<String> {
    let address = upstream.address;
    let reason = if address == STUB {
        "it is systemd-resolved's stub, which may ask this server (a loop); give the servers of /run/systemd/resolve/resolv.conf"
    } else if own.contains(&address) {
        "this server listens there itself (a loop); give another server"
    } else if address.ip().is_unspecified() || address.port() == 0 {
        "nobody can be asked there; give a server's address and port"
    } else if taken.iter().any(|remote| remote.terms.upstream == *upstream) {
        "it is named twice; name it once"
    } else if taken.len() >= MAX_UPSTREAMS {
        "there are 15 before it, which is the limit; name fewer"
    } else {
        return None;
    };
    Some(reason.into())
}

#[cfg(test)]
mod tests;
