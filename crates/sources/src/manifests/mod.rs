//! Manifests as a source: a directory of YAML and JSON files, or a single file.
//!
//! ```text
//! inotify --names--> Manifests --files--> Catalog --objects--> Change
//!                       |                    |
//!                  the path itself      claims, problems
//! ```
//!
//! Invariants:
//! * an event that names a file costs the reading of that file, not a scan of the directory;
//! * what cannot be read keeps what it defined before: a syntax error, an unreadable file, a directory that
//!   vanished. Only what a good reading no longer has is gone;
//! * of files that define the same object the first in path order wins; within a file, the first definition;
//! * a file that is still being written is not read.
//!
//! In a directory, a file that is a link out of it is read, but changes at the far end are seen only when
//! the link itself, or a name in the directory that it leads through (`..data` of a mounted ConfigMap), changes.

mod catalog;
mod chain;
mod claims;
mod documents;
mod error;
mod file;
mod listing;
mod objects;
mod problems;
pub(crate) mod wait;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use model::{Change, Problem, Subject};

use crate::StopSignal;
use crate::k8s::Kept;
use catalog::Catalog;
pub use error::ManifestsError;
use wait::Wake;
use watch::{Pending, Target, Watcher};

/// Takes changes; `false` says that nobody wants them any more.
type Sink<'a> = dyn FnMut(Change) -> bool + 'a;

fn send(sink: &mut Sink<'_>, change: Change) -> Result<(), ManifestsError> {
    if sink(change) { Ok(()) } else { Err(ManifestsError::ReceiverGone) }
}

/// Brackets what `work` sends: files that are read together changed together.
fn in_batch(
    sink: &mut Sink<'_>,
    work: impl FnOnce(&mut Sink<'_>) -> Result<(), ManifestsError>,
) -> Result<(), ManifestsError> {
    let mut open = false;
    let result = work(&mut |change| {
        let begun = open || sink(Change::BatchBegins);
        open = true;
        begun && sink(change)
    });
    if open {
        send(sink, Change::BatchEnds)?;
    }
    result
}

/// How often a path that is not there is looked for, and how long one that came back must be quiet before
/// what it lacks is taken as deleted. Milliseconds.
const RETRY: u16 = 1000;

/// Where the path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There and watched.
    Present,
    /// Not there, or it cannot be listed or watched: everything stays in force.
    Missing,
    /// It came back, or leads to another directory than before, and may be filled at this moment: nothing is
    /// compared without need, and nothing deleted, until it has been quiet for a while.
    Returning,
}

/// A directory of manifests, or a single manifest file.
#[derive(Debug)]
pub struct Manifests {
    path: Arc<Path>,
    is_directory: bool,
    watcher: Watcher,
    catalog: Catalog,
    standing: Standing,
    /// What was last told about the path as a whole.
    trouble: Option<String>,
    /// Whether it is said which object a change is about, once everything was loaded.
    causes: bool,
}

impl Manifests {
    /// The name under which [`Change::Synced`] is sent.
    pub const NAME: &'static str = "manifests";

    /// Opens a directory (its `*.yaml`, `*.yml` and `*.json` files that are not hidden; not its
    /// sub-directories) or a single file, and begins to watch it. Nothing is read yet.
    ///
    /// # Errors
    /// When the path does not exist, cannot be read, or cannot be watched.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ManifestsError> {
        let path: Arc<Path> = Arc::from(path.as_ref());
        let unreadable = |source| ManifestsError::Unreadable { path: path.to_path_buf(), source };
        let unwatched = |source| ManifestsError::Watch { path: path.to_path_buf(), source };
        let is_directory = fs::metadata(&path).map_err(unreadable)?.is_dir();
        if is_directory {
            fs::read_dir(&path).map(drop).map_err(unreadable)?;
        } else {
            fs::File::open(&path).map(drop).map_err(unreadable)?;
        }
        let mut watcher = Watcher::new().map_err(unwatched)?;
        if watcher.watch(&path, is_directory).map_err(unwatched)? == Target::Missing {
            return Err(unreadable(io::ErrorKind::NotFound.into()));
        }
        let (catalog, standing) = (Catalog::default(), Standing::Present);
        Ok(Self { path, is_directory, watcher, catalog, standing, trouble: None, causes: false })
    }

    /// Has this kept of objects for DNS; nothing, where it is not called. Call it before [`Self::load`].
    #[must_use]
    pub fn keeping(self, kept: Kept) -> Self {
        Self { catalog: Catalog::keeping(kept), ..self }
    }

    /// Says with [`Change::Cause`] which object each change is about, after [`Self::load`].
    #[must_use]
    pub fn with_causes(self, causes: bool) -> Self {
        Self { causes, ..self }
    }

    /// Sends everything that is there now, then [`Change::Synced`]. Call it once, before [`Self::run`].
    ///
    /// # Errors
    /// When the path cannot be read, or `sink` returned `false`.
    pub fn load(&mut self, sink: &mut dyn FnMut(Change) -> bool) -> Result<(), ManifestsError> {
        if self.is_directory {
            let files = self.list().map_err(|source| self.unreadable(source))?;
            self.catalog.refresh(files, false, sink)?;
        } else {
            fs::metadata(&self.path).map_err(|source| self.unreadable(source))?;
            self.catalog.refresh([Arc::clone(&self.path)], true, sink)?;
        }
        self.catalog.tell_causes(self.causes);
        send(sink, Change::Synced(Self::NAME))
    }

    /// Sends what changes, until told to stop. Blocks the thread.
    ///
    /// # Errors
    /// When waiting for events fails, or `sink` returned `false`.
    pub fn run(
        &mut self,
        stop: &StopSignal,
        sink: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), ManifestsError> {
        loop {
            match self.wait(stop).map_err(|source| self.unwatched(source))? {
                Wake::Stop => return Ok(()),
                Wake::Events => {
                    let pending = self.watcher.drain().map_err(|source| self.unwatched(source))?;
                    in_batch(sink, |sink| self.react(pending, sink))?;
                }
                Wake::Quiet => in_batch(sink, |sink| self.look_again(sink))?,
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> ManifestsError {
        ManifestsError::Unreadable { path: self.path.to_path_buf(), source }
    }

    fn unwatched(&self, source: io::Error) -> ManifestsError {
        ManifestsError::Watch { path: self.path.to_path_buf(), source }
    }

    fn wait(&self, stop: &StopSignal) -> io::Result<Wake> {
        let settled = self.standing == Standing::Present;
        wait::wait(stop.as_fd(), self.watcher.as_fd(), (!settled).then_some(RETRY))
    }

    fn react(&mut self, pending: Pending, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        if pending.rewatch || self.standing == Standing::Missing {
            return self.follow_path(pending.rescan, sink);
        }
        if pending.rescan {
            return self.scan(self.standing == Standing::Present, sink);
        }
        self.read_named(pending.names, sink)
    }

    /// Nothing happened for a while, and the path is not settled.
    fn look_again(&mut self, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        match self.standing {
            Standing::Present => Ok(()),
            Standing::Missing => self.follow_path(false, sink),
            Standing::Returning => self.scan(true, sink),
        }
    }

    /// Watches what the path leads to now. `rescan`: what is there is complete and may be compared at once.
    fn follow_path(&mut self, rescan: bool, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        match self.watcher.watch(&self.path, self.is_directory) {
            Ok(Target::Missing) => return self.missing("is not there any more", sink),
            Ok(Target::Same) if self.standing == Standing::Present => {}
            Ok(Target::Same | Target::Other) => self.standing = Standing::Returning,
            Err(error) => return self.missing(&format!("cannot be watched: {error}"), sink),
        }
        if rescan { self.scan(self.standing == Standing::Present, sink) } else { Ok(()) }
    }

    /// Compares everything, and reads what differs. With `prune`, what is not there any more is forgotten.
    fn scan(&mut self, prune: bool, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        if !self.is_directory {
            self.catalog.refresh([Arc::clone(&self.path)], true, sink)?;
            return self.settled(sink);
        }
        let files = match self.list() {
            Ok(files) => files,
            Err(error) => return self.missing(&format!("cannot be listed: {error}"), sink),
        };
        if self.standing == Standing::Returning && prune && files.is_empty() && !self.catalog.is_empty() {
            return self.tell(Some("was replaced by an empty directory"), sink);
        }
        let gone = if prune { self.catalog.absent_from(&files) } else { Vec::new() };
        let changed: Vec<_> = files.into_iter().filter(|path| !self.catalog.is_current(path)).collect();
        self.catalog.refresh(changed.into_iter().chain(gone), !prune, sink)?;
        if prune { self.settled(sink) } else { Ok(()) }
    }

    /// Reads the files of these names in the directory, as far as they are complete.
    fn read_named(
        &mut self,
        names: BTreeMap<OsString, bool>,
        sink: &mut Sink<'_>,
    ) -> Result<(), ManifestsError> {
        if names.is_empty() {
            return Ok(());
        }
        if !self.path.is_dir() {
            return self.follow_path(false, sink);
        }
        let paths = names.into_iter().map(|(name, complete)| (self.path.join(name), complete));
        let ready = paths.filter(|(path, complete)| *complete || fs::symlink_metadata(path).is_err());
        let ready: Vec<Arc<Path>> = ready.map(|(path, _)| Arc::from(path)).collect();
        ready.iter().for_each(|path| self.watcher.note_link(path));
        self.catalog.refresh(ready, false, sink)
    }

    fn list(&mut self) -> io::Result<BTreeSet<Arc<Path>>> {
        let (files, through) = listing::list(&self.path)?;
        self.watcher.set_through(through);
        Ok(files)
    }

    fn missing(&mut self, why: &str, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        self.standing = Standing::Missing;
        self.tell(Some(why), sink)
    }

    fn settled(&mut self, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        self.standing = Standing::Present;
        self.tell(None, sink)
    }

    /// Tells what is wrong with the path as a whole, if that is news.
    fn tell(&mut self, why: Option<&str>, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        let subject = Subject { origin: Arc::from(self.path.to_string_lossy()), object: Arc::from("path") };
        let message = why.map(|why| format!("{why}; what was read from it stays in force"));
        if self.trouble == message {
            return Ok(());
        }
        self.trouble.clone_from(&message);
        send(
            sink,
            match message {
                Some(message) => Change::Problem(Problem { subject, field: String::new(), message }),
                None => Change::ProblemSolved(subject),
            },
        )
    }
}
