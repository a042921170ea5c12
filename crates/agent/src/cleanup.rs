//! `towpath cleanup`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::cli::CleanupArgs;
use crate::modes::{Opened, Place};

/// Removes our rules of every mode; or what kube-proxy has left.
pub(crate) fn cleanup(args: &CleanupArgs) -> Result<()> {
    if args.kube_proxy { kube_proxy() } else { ours() }
}

/// Both: what kube-proxy's flag `--cleanup` asks of whoever has its name.
pub(crate) fn everything() -> Result<()> {
    let (ours, theirs) = (ours(), kube_proxy());
    ours.and(theirs)
}

fn ours() -> Result<()> {
    let failed: Vec<_> = Place::ALL.into_iter().filter_map(|place| empty(place).err()).collect();
    match failed.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(()),
    }
}

fn empty(place: Place) -> Result<()> {
    let mut opened = match Opened::at(place) {
        Ok(opened) => opened,
        // Nothing of ours can be where the tool is missing that would have written it.
        Err(error) if matches!(place, Place::Iptables(_)) => {
            eprintln!("towpath: {place} is not looked at: {}", crate::in_one_line(&error));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let removed =
        opened.remove().with_context(|| format!("{place}: cannot clean up (is this process root?)"))?;
    if removed == 0 {
        println!("{place}: nothing of ours is there");
    } else {
        println!("{place}: our rules are gone ({removed} objects)");
    }
    Ok(())
}

fn kube_proxy() -> Result<()> {
    let report = takeover::remove(&BTreeSet::new());
    report.removed.iter().for_each(|what| println!("removed: {what}"));
    report.kept.iter().for_each(|what| println!("left in place: {what}"));
    if report.removed.is_empty() && report.failed.is_empty() {
        println!("kube-proxy has left nothing here");
    }
    if !report.failed.is_empty() {
        bail!("not everything could be removed: {}", report.failed.join("; "));
    }
    Ok(())
}
