//! `towpath render`.

use std::io::Write;

use anyhow::{Result, ensure};
use dataplane::Engine;
use nftables::Nftables;
use resolve::Mode;

use crate::cli::RenderArgs;
use crate::load::{Offline, load};

/// Prints the ruleset to standard output, Problems to standard error.
pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let Offline { store, config, .. } = load(&args.offline)?;
    ensure!(
        config.mode == Mode::Nftables,
        "render: mode {} is not built yet, only nftables",
        config.mode.as_str()
    );
    let mut engine = Engine::new(store, config, Nftables::offline(), &[]);
    engine.settle();
    for problem in engine.problems() {
        eprintln!("towpath: {problem}");
    }
    let text = engine.dataplane().render(engine.objects());
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
