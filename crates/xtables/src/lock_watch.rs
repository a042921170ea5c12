//! Who may have changed a legacy table: every tool of the legacy variant opens the lock file before it does.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchMask};

/// Bytes of events read at once; one without a name has 16.
const BUFFER: usize = 4096;
/// Reads at a time at the most: a program that opens the file without end does not hold the caller up.
const READS: u32 = 64;

/// Watches the lock file by inotify, which tells of programs in other containers too, since they have the same file.
/// Programs that change tables without the lock (before iptables 1.4.20, or by the kernel's interface alone) are not seen.
#[derive(Debug)]
pub struct LockWatch {
    path: PathBuf,
    inotify: Option<Inotify>,
    /// Device and inode of the file that is watched.
    watched: Option<(u64, u64)>,
    told: bool,
}

impl LockWatch {
    pub(crate) fn new(path: &Path) -> Self {
        let inotify = Inotify::init().inspect_err(cannot_watch).ok();
        Self { path: path.to_owned(), told: inotify.is_none(), inotify, watched: None }
    }

    /// Whether the file was opened since the last call, or may have been: also true where it was made or replaced
    /// meanwhile, or events were lost. Without inotify it is never true. Waits for nothing.
    pub fn was_opened(&mut self) -> bool {
        let Some(inotify) = &mut self.inotify else { return false };
        let (opened, gone) = drain(inotify);
        if gone {
            // A new file may have its number.
            self.watched = None;
        }
        self.follow() || opened
    }

    /// Whether opening the file is noticed.
    pub fn works(&self) -> bool {
        self.watched.is_some()
    }

    /// Watches the file that the path leads to now; true: it was another one, or none.
    fn follow(&mut self) -> bool {
        let now = fs::metadata(&self.path).ok().map(|file| (file.dev(), file.ino()));
        let (Some(inotify), true) = (&mut self.inotify, now.is_some() && now != self.watched) else {
            return false;
        };
        match inotify.watches().add(&self.path, WatchMask::OPEN | WatchMask::CLOSE) {
            Ok(_) => self.watched = now,
            Err(error) if !self.told && error.kind() != ErrorKind::NotFound => {
                self.told = true;
                cannot_watch(&error);
            }
            Err(_) => {}
        }
        true
    }
}

/// Whether there was anything, and whether the file is not watched any more.
fn drain(inotify: &mut Inotify) -> (bool, bool) {
    let (mut buffer, mut opened, mut gone) = ([0; BUFFER], false, false);
    for _ in 0..READS {
        // An error: nothing is there any more.
        let Ok(events) = inotify.read_events(&mut buffer) else { return (opened, gone) };
        for event in events {
            opened = true;
            gone |= event.mask.contains(EventMask::IGNORED);
        }
    }
    (true, gone)
}

fn cannot_watch(error: &std::io::Error) {
    tracing::warn!(
        %error,
        "cannot watch the xtables lock, so that some changes of others to our rules are found after 30 s only; \
         raise fs.inotify.max_user_instances"
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fs::File;

    fn watch(name: &str) -> (PathBuf, LockWatch) {
        let path = std::env::temp_dir().join(format!("towpath-lock-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        let watch = LockWatch::new(&path);
        (path, watch)
    }

    #[test]
    fn a_file_that_is_opened_made_and_replaced_is_noticed() {
        let (path, mut watch) = watch("opened");
        assert!(!watch.was_opened() && !watch.works(), "there is none");
        File::create(&path).unwrap();
        assert!(watch.was_opened() && watch.works(), "made");
        assert!(!watch.was_opened());
        drop(File::open(&path).unwrap());
        assert!(watch.was_opened());
        assert!(!watch.was_opened(), "looking is not opening");
        fs::remove_file(&path).unwrap();
        watch.was_opened();
        File::create(&path).unwrap();
        assert!(watch.was_opened(), "another file");
        drop(File::open(&path).unwrap());
        assert!(watch.was_opened() && !watch.was_opened(), "the other file is followed");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn very_many_openings_end() {
        let (path, mut watch) = watch("many");
        File::create(&path).unwrap();
        watch.was_opened();
        (0..20_000).for_each(|_| drop(File::open(&path)));
        assert!(watch.was_opened(), "too many, or the queue is full");
        (0..20).for_each(|_| _ = watch.was_opened());
        assert!(!watch.was_opened());
        fs::remove_file(&path).unwrap();
    }
}
