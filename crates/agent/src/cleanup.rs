//! `towpath cleanup`.

use anyhow::{Context, Result};
use nftables::Nftables;

use crate::cli::CleanupArgs;

/// Removes our tables.
pub(crate) fn cleanup(_: &CleanupArgs) -> Result<()> {
    let mut nftables = Nftables::open().context("cannot talk to nf_tables")?;
    let problem = "cannot delete the tables `ip towpath` and `ip6 towpath` (is this process root?)";
    nftables.cleanup().context(problem)?;
    println!("the tables `ip towpath` and `ip6 towpath` are gone");
    Ok(())
}
