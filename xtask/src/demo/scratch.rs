//! The demo's own directory, and the lock that lets only one demo run at a time.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::{env, process};

use anyhow::{Context, Result};

/// What the names of all our files start with.
const PREFIX: &str = "towpath-demo-";

/// A directory that is gone when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Held while the demo runs.
    _lock: UnixListener,
}

impl Scratch {
    /// Takes the lock, removes what an earlier demo left, and makes the directory.
    pub fn new() -> Result<Self> {
        let parent = env::temp_dir();
        let lock = lock()?;
        remove_leftovers(&parent)?;
        let path = parent.join(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("could not remove {}: {error}", self.path.display());
        }
    }
}

/// A name that only one process can have, and that is free again when the process is gone. No file stays behind.
fn lock() -> Result<UnixListener> {
    let name = SocketAddr::from_abstract_name("towpath-demo").context("the name of the lock")?;
    UnixListener::bind_addr(&name).context("taking the demo's lock: is another demo running?")
}

/// With the lock in hand, no such directory is in use.
fn remove_leftovers(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).with_context(|| format!("listing {}", parent.display()))? {
        let entry = entry.with_context(|| format!("listing {}", parent.display()))?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
