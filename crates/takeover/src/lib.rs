//! kube-proxy's leftovers on a node: found and removed, and nothing else touched.
//!
//! ```text
//!   tables ip kube-proxy, ip6 kube-proxy ---- nftables --+
//!   chains KUBE-*, the jumps to them -------- iptables --+--> find() -> Leftovers, remove() -> Report
//!     (both variants, both families) -- plan (pure)      |
//!   virtual servers, kube-ipvs0, ipsets ----- ipvs ------+
//! ```
//!
//! Invariants:
//! * names decide, and they are exact: what is kubelet's, a network plugin's or an administrator's stays as it was,
//!   byte for byte;
//! * what something else still uses stays, with all that it needs, and the report says why;
//! * what cannot be looked into is a line of the report, and stops nothing;
//! * looking changes nothing; removing twice is removing once.

mod iptables;
mod ipvs;
mod names;
mod nftables;
mod plan;

use std::collections::BTreeSet;

use netlink::NetlinkError;
use netlink::ipvs::Key;

/// What kube-proxy has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// One line for each kind: `table ip kube-proxy`, `412 chains KUBE-* in iptables nat, filter (nft variant, IPv4)`.
    pub found: Vec<String>,
    /// What could not be looked into, and why.
    pub unread: Vec<String>,
}

impl Leftovers {
    /// Whether nothing was found. What could not be looked into does not count.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// What [`remove`] has done, in lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is gone.
    pub removed: Vec<String>,
    /// What stays because something else uses it, or because the tool to look into it is not installed; and why.
    pub kept: Vec<String>,
    /// What could not be looked into or removed, and why.
    pub failed: Vec<String>,
    /// What stays for now, to be read after "until": "3 connections of 2 virtual servers of kube-proxy end".
    pub draining: Option<String>,
}

/// What becomes of virtual servers that carry connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// They go, and the connections end.
    End,
    /// They get no new connections and stay, with all that they need: the caller comes back later.
    LiveOn,
}

/// Looks for leftovers of all of kube-proxy's modes in this thread's network namespace. Virtual servers in `spared` are
/// the caller's own by now.
pub fn find(spared: &BTreeSet<Key>) -> Leftovers {
    let mut leftovers = Leftovers::default();
    nftables::find(&mut leftovers);
    iptables::find(&mut leftovers);
    ipvs::find(spared, &mut leftovers);
    leftovers
}

/// The virtual servers of IPVS that are kube-proxy's, as its link `kube-ipvs0` and its ipsets show; none where the kernel has
/// no IPVS. Asking loads the module `ip_vs`. Errors: a socket failed, or the kernel refused.
pub fn virtual_servers() -> Result<BTreeSet<Key>, NetlinkError> {
    ipvs::virtual_servers()
}

/// Removes all leftovers: tables of nf_tables, then iptables chains, then what those rules used: virtual servers, the
/// link `kube-ipvs0`, ipsets. Virtual servers in `spared` stay; `connections` says what becomes of others that are in use:
/// nobody may need them for new connections any more. Without permission, or where the kernel says no, a line
/// in [`Report::failed`] says so, and the rest goes on.
pub fn remove(spared: &BTreeSet<Key>, connections: Connections) -> Report {
    let mut report = Report::default();
    nftables::remove(&mut report);
    iptables::remove(&mut report);
    ipvs::remove(spared, connections, &mut report);
    report
}

/// The part of [`remove`] that is about virtual servers, the link and the ipsets: for whoever comes back until they are gone.
pub fn remove_ipvs(spared: &BTreeSet<Key>, connections: Connections) -> Report {
    let mut report = Report::default();
    ipvs::remove(spared, connections, &mut report);
    report
}

/// `1 chain`, `2 chains`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
