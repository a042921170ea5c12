//! `towpath render`.

use std::io::Write;

use anyhow::{Result, bail};
use dataplane::{Engine, Operate};
use iptables::Iptables;
use model::Store;
use nftables::Nftables;
use resolve::{Mode, ProxyConfig};

use crate::cli::RenderArgs;
use crate::load::{Offline, load};

/// Prints the ruleset to standard output, Problems to standard error.
pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let Offline { store, config, .. } = load(&args.offline)?;
    let text = match config.mode {
        Mode::Nftables => text::<Nftables>(store, config),
        Mode::Iptables => text::<Iptables>(store, config),
        Mode::Ipvs => bail!("render: mode ipvs is not built yet, only nftables and iptables"),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn text<D: Operate>(store: Store, config: ProxyConfig) -> String {
    let mut engine = Engine::new(store, config, D::offline(), &[]);
    engine.settle();
    for problem in engine.problems() {
        eprintln!("towpath: {problem}");
    }
    let objects: Vec<_> = engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
    engine.dataplane().render(&objects)
}
