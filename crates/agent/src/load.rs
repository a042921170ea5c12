//! A store filled once from manifests, for the commands that need no kernel.

use anyhow::{Result, bail};
use config::{Settings, TowpathFlags};
use model::{Change, Problem, Store, Touched};
use resolve::ProxyConfig;
use sources::Manifests;

use crate::cli::OfflineArgs;
use crate::modes;
use crate::options::proxy_config;
use crate::settings::load_once;

/// What a command without a kernel works on.
pub(crate) struct Offline {
    pub(crate) store: Store,
    pub(crate) config: ProxyConfig,
    pub(crate) problems: Vec<Problem>,
}

/// Reads everything. Problems of objects are returned, not fatal: each hurts only its object.
pub(crate) fn load(args: &OfflineArgs) -> Result<Offline> {
    let settings = load_once(&args.proxy, &TowpathFlags::default())?;
    let config = proxy_config(&settings, modes::offline(&settings));
    let mut store = Store::new(node(args, &settings)?);
    let mut touched = Touched::default();
    store.set_bind_address(settings.proxy.primary_ip(), &mut touched);
    store.apply(Change::KernelAddresses(args.node_addresses.clone()), &mut touched);
    Manifests::open(&args.manifests)?.load(&mut |change| {
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

/// Not this host's name: it need not be a node of the cluster.
fn node(args: &OfflineArgs, settings: &Settings) -> Result<String> {
    let given = args.node.as_deref().unwrap_or(&settings.proxy.hostname_override).trim().to_lowercase();
    if given.is_empty() {
        bail!("--node NAME says whose eyes to see with; it is missing");
    }
    Ok(given)
}
