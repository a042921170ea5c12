//! inotify: which of the watched files may have changed.
//!
//! Files count as changed when they were closed after writing, moved in or out, deleted, or linked in. A file
//! that is still being written is never reported.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{chain, file, listing};

/// Room for some dozens of events with the longest names.
const BUFFER: usize = 64 * 1024;

type Watched = FxHashMap<WatchDescriptor, PathBuf>;
type Links = FxHashSet<(WatchDescriptor, OsString)>;

/// What may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Manifest files of the directory by name, and whether there is something complete to read. If not, the
    /// file was taken away; a new one in its place is still being written.
    pub(crate) names: BTreeMap<OsString, bool>,
    /// Anything may have changed: compare everything.
    pub(crate) rescan: bool,
    /// The path may lead elsewhere now.
    pub(crate) rewatch: bool,
}

/// What a watched path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing, or not to what it should be.
    Missing,
    /// The directory that it led to before; or a single file, whichever it is.
    Same,
    /// Another directory than before.
    Other,
}

/// Watches a directory, or the links and the name that lead to a single file.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: Inotify,
    buffer: Vec<u8>,
    /// Watched directories, by descriptor.
    watched: Watched,
    /// The directory whose manifests are read.
    directory: Option<WatchDescriptor>,
    /// Names that decide where the path leads.
    links: Links,
    /// Names in the directory that its manifests are links through (`..data`).
    through: FxHashSet<OsString>,
}

impl Watcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::init()?,
            buffer: vec![0; BUFFER],
            watched: Watched::default(),
            directory: None,
            links: Links::default(),
            through: FxHashSet::default(),
        })
    }

    /// Watches what `path` leads to now; `contents`: it is a directory, and what is in it counts.
    /// When it leads to nothing, its return is watched for as far as that can be done.
    pub(crate) fn watch(&mut self, path: &Path, contents: bool) -> io::Result<Target> {
        let chain = chain::resolve(path)?;
        let target = chain.target.filter(|target| target.is_dir() == contents);
        let (mut watched, links) = self.watch_links(chain.links, contents)?;
        let directory = match target.as_ref().filter(|_| contents) {
            Some(directory) => Some(self.add(directory)?),
            None => None,
        };
        watched.extend(directory.clone().zip(target.clone()));
        self.links = links;
        self.replace(watched);
        let before = std::mem::replace(&mut self.directory, directory);
        Ok(match target {
            None => Target::Missing,
            Some(_) if before == self.directory => Target::Same,
            Some(_) => Target::Other,
        })
    }

    /// Watches the directories of the links. Where the contents of a directory are what counts, it is enough
    /// to watch that one: a parent that may not be read is passed over.
    fn watch_links(&self, chain: Vec<(PathBuf, OsString)>, contents: bool) -> io::Result<(Watched, Links)> {
        let (mut watched, mut links) = (Watched::default(), Links::default());
        for (directory, name) in chain {
            match self.add(&directory) {
                Ok(descriptor) => {
                    watched.insert(descriptor.clone(), directory);
                    links.insert((descriptor, name));
                }
                Err(error) if contents || is_absence(&error) => {
                    tracing::debug!(path = %directory.display(), %error, "cannot watch");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((watched, links))
    }

    fn add(&self, directory: &Path) -> io::Result<WatchDescriptor> {
        let names = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVED_FROM | WatchMask::MOVED_TO;
        let itself = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
        self.inotify.watches().add(directory, names | itself | WatchMask::CLOSE_WRITE)
    }

    /// Stops watching what is not needed any more.
    fn replace(&mut self, watched: Watched) {
        for old in std::mem::replace(&mut self.watched, watched).into_keys() {
            if !self.watched.contains_key(&old) {
                // Fails when the directory is gone, and the watch with it.
                let _ = self.inotify.watches().remove(old);
            }
        }
    }

    /// Sets the names that manifests are links through.
    pub(super) fn set_through(&mut self, through: FxHashSet<OsString>) {
        self.through = through;
    }

    /// Adds the name that one manifest is a link through, if it is one.
    pub(super) fn note_link(&mut self, path: &Path) {
        self.through.extend(listing::link_through(path));
    }

    /// Takes all events that are waiting.
    pub(crate) fn drain(&mut self) -> io::Result<Pending> {
        let mut pending = Pending::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match self.inotify.read_events(&mut buffer) {
                Ok(events) => events.for_each(|event| self.classify(&event, &mut pending)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(pending),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        result
    }

    fn classify(&self, event: &Event<&OsStr>, pending: &mut Pending) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            (pending.rescan, pending.rewatch) = (true, true);
        }
        let Some(directory) = self.watched.get(&event.wd) else {
            return;
        };
        let Some(name) = event.name else {
            pending.rewatch = true;
            return;
        };
        let complete = is_complete(event.mask, &directory.join(name));
        if self.links.contains(&(event.wd.clone(), name.to_owned())) {
            pending.rewatch = true;
            pending.rescan |= complete;
        }
        if self.directory.as_ref() == Some(&event.wd) {
            if file::is_manifest(name) {
                pending.names.insert(name.to_owned(), complete);
            }
            pending.rescan |= complete && self.through.contains(name);
        }
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether an event says that something can be read now. Links are complete at once; whoever created an
/// ordinary file will close it, and whoever created a directory will fill it.
fn is_complete(mask: EventMask, path: &Path) -> bool {
    if !mask.contains(EventMask::CREATE) {
        return mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO);
    }
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink() || (found.is_file() && found.nlink() > 1))
}
