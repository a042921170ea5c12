//! A store filled once from manifests, for the commands that need no kernel.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use config::{Settings, TowpathFlags};
use model::{Change, Problem, Store, Touched};
use resolve::ProxyConfig;
use sources::{Addresses, Manifests};

use crate::cli::OfflineArgs;
use crate::modes;
use crate::options::proxy_config;
use crate::settings::{load_once, node_name};

/// The error of a command without objects to work on.
const NO_OBJECTS: &str = "--manifests PATH says which objects to work on (a directory or a file); explain --live and diff can ask the \
                          agent of this node instead";

/// What a command without a kernel works on.
pub(crate) struct Offline {
    pub(crate) store: Store,
    pub(crate) config: ProxyConfig,
    pub(crate) problems: Vec<Problem>,
}

/// Reads everything. Problems of objects are returned, not fatal: each hurts only its object.
pub(crate) fn load(args: &OfflineArgs) -> Result<Offline> {
    let settings = load_once(&args.proxy, &TowpathFlags::default())?;
    let name = node(args, &settings);
    ensure!(args.manifests.is_some(), "{NO_OBJECTS}");
    if name.is_empty() {
        bail!("--node NAME says whose eyes to see with; it is missing");
    }
    read(args, &settings, &name, args.node_addresses.clone())
}

/// The same with the eyes of this host: its name and its kernel's addresses, unless others are given.
pub(crate) fn load_here(args: &OfflineArgs) -> Result<(Offline, Settings)> {
    let settings = load_once(&args.proxy, &TowpathFlags::default())?;
    let given = node(args, &settings);
    let name = if given.is_empty() { node_name(&settings)? } else { given };
    let addresses = if args.node_addresses.is_empty() { addresses()? } else { args.node_addresses.clone() };
    Ok((read(args, &settings, &name, addresses)?, settings))
}

fn read(args: &OfflineArgs, settings: &Settings, node: &str, addresses: Vec<IpAddr>) -> Result<Offline> {
    let manifests = args.manifests.as_deref().context(NO_OBJECTS)?;
    let config = proxy_config(settings, modes::offline(settings));
    let mut store = Store::new(node);
    let mut touched = Touched::default();
    store.set_bind_address(settings.proxy.primary_ip(), &mut touched);
    store.apply(Change::KernelAddresses(addresses), &mut touched);
    Manifests::open(manifests)?.load(&mut |change| {
        store.apply(change, &mut touched);
        true
    })?;
    if store.facts().node.is_none() {
        eprintln!(
            "towpath: no Node object is named {:?}: its zone and addresses are not known",
            &**store.node_name()
        );
    }
    let problems = store.problems().cloned().collect();
    Ok(Offline { store, config, problems })
}

/// The name that was given, or "". Not this host's name: it need not be a node of the cluster.
fn node(args: &OfflineArgs, settings: &Settings) -> String {
    args.node.as_deref().unwrap_or(&settings.proxy.hostname_override).trim().to_lowercase()
}

/// What this kernel answers for.
fn addresses() -> Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    Addresses::open()?.load(&mut |change| {
        if let Change::KernelAddresses(list) = change {
            found = list;
        }
        true
    })?;
    Ok(found)
}
