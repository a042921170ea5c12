//! `towpath cleanup`.

use anyhow::{Context, Result, bail, ensure};
use config::Settings;

use crate::cli::CleanupArgs;
use crate::janitor::is_absent;
use crate::modes::Place;
use crate::opened::Opened;
use crate::options::ipvs_settings;
use crate::records;

/// Removes our rules of every mode; or what kube-proxy has left.
pub(crate) fn cleanup(args: &CleanupArgs) -> Result<()> {
    if args.kube_proxy { kube_proxy() } else { ours() }
}

/// Both: what kube-proxy's flag `--cleanup` asks of whoever has its name.
pub(crate) fn everything() -> Result<()> {
    all([ours(), kube_proxy()])
}

fn ours() -> Result<()> {
    all(Place::ALL.map(empty).into_iter().chain([resets(), names()]))
}

/// What answers drained connections. Where nf_tables is missing there is none.
fn resets() -> Result<()> {
    match nftables::remove_resets().map_err(anyhow::Error::new) {
        Ok(true) => println!("drained connections: our tables are gone"),
        Ok(false) => println!("drained connections: nothing of ours is there"),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error.context("drained connections: cannot clean up")),
    }
    Ok(())
}

/// What DNS on the node has.
fn names() -> Result<()> {
    let removed = crate::dns::remove().context("DNS: cannot clean up")?;
    println!(
        "DNS: {}",
        if removed { "our link, routes and rules are gone" } else { "nothing of ours is there" }
    );
    Ok(())
}

/// Every failure, in one error.
fn all(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failed: Vec<String> = results
        .into_iter()
        .filter_map(|result| result.err().map(|error| crate::in_one_line(&error)))
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

fn empty(place: Place) -> Result<()> {
    match remove(place) {
        Ok(0) => println!("{place}: nothing of ours is there"),
        Ok(removed) => println!("{place}: our rules are gone ({removed} objects)"),
        Err(error) if is_absent(&error) => {
            eprintln!("towpath: {place} is not looked at: {}", crate::in_one_line(&error));
        }
        Err(error) => return Err(error.context(format!("{place}: cannot clean up"))),
    }
    Ok(())
}

/// The number of objects that were there. Nothing is waited for.
fn remove(place: Place) -> Result<usize> {
    let mut opened = Opened::at(place, &ipvs_settings(&Settings::default()))?;
    Ok(opened.remove()?)
}

fn kube_proxy() -> Result<()> {
    let report = takeover::remove(&records::virtual_servers()?, takeover::Connections::End);
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
