//! Manifests against the kernel here, without an agent.

use anyhow::{Context, Result, bail, ensure};
use config::{ProxyMode, Settings};
use dataplane::Start;
use model::NamespacedName;
use xtables::Variant;

use super::DiffView;
use crate::cli::OfflineArgs;
use crate::compare::Compared;
use crate::load::{Offline, load_here};
use crate::modes::Place;
use crate::opened::Opened;
use crate::options::{ipvs_settings, proxy_config};

/// Reads the manifests as an agent on this node would after a restart, and compares.
pub(super) fn compare(args: &OfflineArgs, service: Option<&NamespacedName>) -> Result<DiffView> {
    let (Offline { store, problems, .. }, settings) = load_here(args)?;
    problems.iter().for_each(|problem| eprintln!("towpath: {}", admin::in_one_line(&problem.to_string())));
    if let Some(name) = service {
        ensure!(store.entry(name).is_some(), "the manifests have no Service {name}");
    }
    let place = place(&settings)?;
    let node = store.node_name().to_string();
    let config = proxy_config(&settings, place.mode());
    let opened = Opened::at(place, &ipvs_settings(&settings))?;
    let mut engine = opened.engine(Start::new(store, &[]), config);
    engine.settle().context("cannot read the kernel's rules")?;
    let mut rules = engine.rules(service.map(std::slice::from_ref));
    let differences = rules.differences().context("cannot read the kernel's rules")?;
    let found = Compared { objects: rules.len(), differences, synced: true, ..Compared::default() };
    Ok(DiffView::new(node, place.mode().as_str(), service, found))
}

/// Where the rules are: in the mode of the settings, or where they leave it open, in the one mode that has rules of ours.
fn place(settings: &Settings) -> Result<Place> {
    let places = candidates(settings.proxy.proxy_mode());
    let own = ipvs_settings(settings);
    let is_used = |place: &Place| {
        let opened = Opened::at(*place, &own);
        opened.is_ok_and(|mut opened| opened.is_installed().unwrap_or(false))
    };
    let used: Vec<Place> = places.iter().copied().filter(is_used).collect();
    match (&*used, &*places) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], _) => bail!(
            "no rules of ours can be read here, in no mode: run it on a node, as root (CAP_NET_ADMIN), or name the mode with \
             --proxy-mode"
        ),
        (several, _) => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            bail!("there are rules of ours in {}: name the mode with --proxy-mode", names.join(" and "))
        }
    }
}

fn candidates(mode: Option<ProxyMode>) -> Vec<Place> {
    match mode {
        Some(ProxyMode::Nftables) => vec![Place::Nftables],
        Some(ProxyMode::Ipvs) => vec![Place::Ipvs],
        Some(ProxyMode::Iptables) => vec![Place::Iptables(Variant::Legacy), Place::Iptables(Variant::Nft)],
        None => Place::ALL.to_vec(),
    }
}
