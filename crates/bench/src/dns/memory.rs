//! Resident memory of `towpath dns`: with nothing, with a cluster, with a full cache.
//!
//! The difference to "with nothing" is an upper bound of what DNS adds to the proxy: it contains the store, which both share.

use std::time::Duration;

use anyhow::Result;
use testkit::netns::NetNs;

use crate::dns::perf::Load;
use crate::dns::server::Server;
use crate::dns::upstream;
use crate::dns::world::{MARKER, World};

const UPSTREAM: u16 = 5303;
/// Less than what one source may ask of upstreams in a second; the file of names is passed once in this time.
const SECONDS: u32 = 12;
const RATE: u32 = 900;

/// Measures it.
pub(crate) fn measure(namespace: &NetNs, world: &World) -> Result<()> {
    upstream::answering(namespace, UPSTREAM, Duration::from_millis(1))?;
    let corefile = world.corefile(&[UPSTREAM])?;
    let empty = Server::towpath(namespace, &world.no_manifests(), &corefile, MARKER)?;
    let nothing = empty.status("VmRSS:")?;
    drop(empty);
    let full = Server::towpath(namespace, &world.manifests(), &corefile, &world.known())?;
    let (cluster, reading) = (full.status("VmRSS:")?, full.status("VmHWM:")?);
    let cached = world.queries("cached");
    full.load(Load { rate: Some(RATE), ..Load::of(&cached, SECONDS) })?;
    let after = full.status("VmRSS:")?;
    println!(
        "dns: resident with nothing {} MiB; with the cluster {} MiB (peak while reading {} MiB); with the names cached {} MiB; \
         together {:.1} MiB more than with nothing, the store included",
        nothing / 1024,
        cluster / 1024,
        reading / 1024,
        after / 1024,
        after.saturating_sub(nothing) as f64 / 1024.0
    );
    Ok(())
}
