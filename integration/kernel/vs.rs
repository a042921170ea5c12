//! What the node has of IPVS, as netlink and `ip` tell it: virtual servers, real servers, local routes of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use model::Protocol;
use netlink::NetlinkError;
use netlink::ipvs::{self, Command, Destination, Ipvs, Key, RealServer, VirtualServer};
use testkit::netns::NetNs;

use crate::stage::{Stage, socket};

/// The number by which routes of ours are known (`netlink::route::TOWPATH_PROTOCOL`), as `ip` prints it.
const PROTOCOL: &str = "107";

/// Whether the kernel has IPVS; otherwise the reason to ignore a test.
pub(crate) fn has_ipvs() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(look).clone()
}

/// The other way round.
pub(crate) fn has_no_ipvs() -> Result<(), String> {
    if has_ipvs().is_ok() { Err("this kernel has IPVS".to_owned()) } else { Ok(()) }
}

fn look() -> Result<(), String> {
    let ns = NetNs::new().map_err(|error| format!("needs root: {error:#}"))?;
    match ns.run(ipvs::open) {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(Ok(None)) => Err("the kernel has no IPVS (CONFIG_IP_VS)".to_owned()),
        other => Err(format!("the kernel's IPVS cannot be asked: {other:?}")),
    }
}

/// Whether this is a machine of `cargo xtask vm`: slow, and there for the tests alone.
pub(crate) fn is_virtual_machine() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("virtme")))
}

/// The key of a virtual server at an address.
pub(crate) fn key(at: &str, protocol: Protocol) -> Result<Key> {
    let at = socket(at)?;
    Ok(Key::Address { address: at.ip(), protocol: protocol.number(), port: at.port() })
}

/// Real servers with what the kernel counts, by address.
pub(crate) type Reals = BTreeMap<SocketAddr, Destination>;

impl Stage {
    /// Asks IPVS in the node's namespace.
    pub(crate) fn ipvs<T: Send>(
        &self,
        ask: impl FnOnce(&mut Ipvs) -> Result<T, NetlinkError> + Send,
    ) -> Result<T> {
        let asked = self.node().run(|| {
            let mut ipvs = ipvs::open()?.ok_or(NetlinkError::Malformed("the kernel has no IPVS"))?;
            ask(&mut ipvs)
        })?;
        asked.context("asking IPVS")
    }

    /// Carries out commands as another program would; none may be refused.
    pub(crate) fn ipvs_commands(&self, commands: &[Command]) -> Result<()> {
        let refused = self.ipvs(|ipvs| ipvs::apply(ipvs, commands))?;
        ensure!(refused.is_empty(), "refused: {refused:?}");
        Ok(())
    }

    /// All virtual servers.
    pub(crate) fn virtual_servers(&self) -> Result<BTreeMap<Key, VirtualServer>> {
        let all = self.ipvs(ipvs::services)?;
        Ok(all.into_iter().map(|server| (server.key, server)).collect())
    }

    /// One of them.
    pub(crate) fn virtual_server(&self, at: &str, protocol: Protocol) -> Result<VirtualServer> {
        let key = key(at, protocol)?;
        let found = self.ipvs(|ipvs| ipvs::service(ipvs, &key))?;
        found.with_context(|| format!("no virtual server {at}/{protocol}"))
    }

    /// The real servers of one; none where there is no such virtual server.
    pub(crate) fn reals(&self, at: &str, protocol: Protocol) -> Result<Reals> {
        let key = key(at, protocol)?;
        self.reals_of(&key)
    }

    /// The same by key.
    pub(crate) fn reals_of(&self, key: &Key) -> Result<Reals> {
        let all = self.ipvs(|ipvs| ipvs::destinations(ipvs, key))?;
        Ok(all.into_iter().map(|real| (real.server.address, real)).collect())
    }

    /// The weights of the real servers of one.
    pub(crate) fn weights(&self, at: &str, protocol: Protocol) -> Result<BTreeMap<SocketAddr, u32>> {
        let reals = self.reals(at, protocol)?;
        Ok(reals.into_iter().map(|(address, real)| (address, real.server.weight)).collect())
    }

    /// The weights are these.
    pub(crate) fn has_weights(&self, at: &str, protocol: Protocol, wanted: &[(&str, u32)]) -> Result<()> {
        let wanted: BTreeMap<SocketAddr, u32> =
            wanted.iter().map(|(real, weight)| Ok((socket(real)?, *weight))).collect::<Result<_>>()?;
        let found = self.weights(at, protocol)?;
        ensure!(found == wanted, "{at}/{protocol} has {found:?}, want {wanted:?}");
        Ok(())
    }

    /// The virtual servers that take new connections; the others drain.
    pub(crate) fn balancing(&self) -> Result<Vec<Key>> {
        let mut found = Vec::new();
        for key in self.virtual_servers()?.into_keys() {
            if self.reals_of(&key)?.values().any(|real| real.server.weight > 0) {
                found.push(key);
            }
        }
        Ok(found)
    }

    /// Everything of IPVS: virtual servers, and real servers as somebody wanted them.
    pub(crate) fn ipvs_state(&self) -> Result<BTreeSet<String>> {
        let mut state = BTreeSet::new();
        for (key, server) in self.virtual_servers()? {
            state.insert(format!("{server:?}"));
            state.extend(self.reals_of(&key)?.values().map(|real| format!("{key:?} {:?}", real.server)));
        }
        Ok(state)
    }

    /// The local routes of ours, of both families.
    pub(crate) fn local_routes(&self) -> Result<BTreeSet<String>> {
        let list = |family| {
            self.node().command("ip", &[family, "route", "show", "table", "local", "proto", PROTOCOL])
        };
        let text = list("-4")? + &list("-6")?;
        let words = text.lines().filter_map(|line| line.strip_prefix("local "));
        Ok(words.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    }

    /// One of the settings below `/proc/sys/net` of the node.
    pub(crate) fn sysctl(&self, name: &str) -> Result<String> {
        let path = format!("/proc/sys/net/{name}");
        let text = self.node().run(|| std::fs::read_to_string(&path))?;
        Ok(text.with_context(|| path.clone())?.trim().to_owned())
    }
}

/// A virtual server that somebody else makes, with one real server.
pub(crate) fn foreign(at: &str, scheduler: &str, real: &str, weight: u32) -> Result<[Command; 2]> {
    let key = key(at, Protocol::Tcp)?;
    let prefix = if socket(at)?.is_ipv4() { 32 } else { 128 };
    let server = VirtualServer { key, scheduler: scheduler.to_owned(), flags: 0, timeout: 0, prefix };
    let real = RealServer::masquerade(socket(real)?, weight);
    Ok([Command::Add(server), Command::AddDestination(key, real)])
}
