//! `towpath render`.

use std::io::Write;

use anyhow::Result;
use dataplane::{Engine, Operate};
use iptables::Iptables;
use ipvs::Ipvs;
use model::Store;
use nftables::Nftables;
use resolve::{Mode, ProxyConfig};

use crate::cli::{Family, RenderArgs};
use crate::load::{Offline, load};

/// Prints the ruleset to standard output, Problems to standard error.
pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let Offline { store, config, .. } = load(&args.offline)?;
    let text = match config.mode {
        Mode::Nftables => text::<Nftables>(store, config, args.family),
        Mode::Iptables => text::<Iptables>(store, config, args.family),
        Mode::Ipvs => text::<Ipvs>(store, config, args.family),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn text<D: Operate>(store: Store, config: ProxyConfig, family: Option<Family>) -> String {
    let mut engine = Engine::new(store, config, D::offline(), &[]);
    engine.settle();
    for problem in engine.problems() {
        eprintln!("towpath: {problem}");
    }
    let dataplane = engine.dataplane();
    let wanted = |key: &D::Key| family.is_none_or(|family| dataplane.family(key) == family.into());
    let objects = engine.objects().filter(|(key, _)| wanted(key));
    let objects: Vec<_> = objects.map(|(key, value)| (key.clone(), value.clone())).collect();
    dataplane.render(&objects)
}
