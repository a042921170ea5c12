//! Ctrl-C, and a polite kill: nothing is left behind.

use std::process::exit;
use std::sync::Arc;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;

/// What a shell says of a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The first signal cleans up and ends the program; the second one ends it at once.
pub(crate) fn clean_up_on_signals(cluster: &Arc<Cluster>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupts, mut ends) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let cluster = Arc::clone(cluster);
    std::thread::spawn(move || {
        let mut next = || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = ends.recv() => {}
                }
            });
        };
        next();
        eprintln!("\nconformance: interrupted: deleting what was created; again to leave it and end at once");
        let cleaning = Arc::clone(&cluster);
        std::thread::spawn(move || {
            cleaning.clean_up();
            cleaning.tell();
            exit(INTERRUPTED);
        });
        next();
        cluster.ledger.there().iter().for_each(|path| eprintln!("conformance: left on the server: {path}"));
        exit(INTERRUPTED);
    });
    Ok(())
}
