//! One file that is followed: replaced, rewritten, or swapped behind a symbolic link, as a kubelet does it with ConfigMaps.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::StopSignal;
use crate::manifests::wait::{Wake, wait};
use crate::manifests::watch::{Target, Watcher};

/// How often a file that is not there is looked for, in milliseconds.
const RETRY: u16 = 1000;

/// Follows one file by inotify. It reads nothing.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    watcher: Watcher,
    present: bool,
    notices_loss: bool,
    /// It was there, is gone, and that was not told.
    lost: bool,
}

impl FileWatch {
    /// Begins to watch. Open it before the file is first read, so that no change falls between the two.
    ///
    /// # Errors
    /// When the kernel gives no inotify instance, or a directory on the way cannot be watched.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let mut watcher = Watcher::new()?;
        let present = watcher.watch(&path, false)? != Target::Missing;
        Ok(Self { path, watcher, present, notices_loss: false, lost: false })
    }

    /// Makes [`FileWatch::changed`] tell once, too, that a file has gone and was not replaced within a second.
    #[must_use]
    pub fn noticing_loss(self) -> Self {
        Self { notices_loss: true, ..self }
    }

    /// The path that is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Blocks until there may be another content to read (`true`), or until told to stop (`false`). A file that is
    /// gone or still being written is waited for; see [`FileWatch::noticing_loss`].
    ///
    /// # Errors
    /// When inotify or a directory on the way fails.
    pub fn changed(&mut self, stop: &StopSignal) -> io::Result<bool> {
        loop {
            match wait(stop.as_fd(), self.watcher.as_fd(), (!self.present).then_some(RETRY))? {
                Wake::Stop => return Ok(false),
                Wake::Events => {
                    let pending = self.watcher.drain()?;
                    let returned = (pending.rewatch || !self.present) && self.follow()?;
                    if self.present && (pending.rescan || returned) {
                        return Ok(true);
                    }
                }
                Wake::Quiet if self.follow()? => return Ok(true),
                Wake::Quiet if self.notices_loss && std::mem::take(&mut self.lost) => return Ok(true),
                Wake::Quiet => {}
            }
        }
    }

    /// Watches what the path leads to now; whether it has come back.
    fn follow(&mut self) -> io::Result<bool> {
        let before = self.present;
        self.present = self.watcher.watch(&self.path, false)? != Target::Missing;
        self.lost = !self.present && (before || self.lost);
        Ok(self.present && !before)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::stop_pair;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_loss_is_told_once_and_only_if_wanted() {
        let root = std::env::temp_dir().join(format!("towpath-file-loss-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let path = root.join("config");
        fs::write(&path, "1").unwrap();
        let open = || FileWatch::open(&path).unwrap();
        let (stopper, stop) = stop_pair().unwrap();
        let (tell, seen) = channel();
        std::thread::scope(|scope| {
            for (name, mut watch) in [("silent", open()), ("noticing", open().noticing_loss())] {
                let (tell, stop, path) = (tell.clone(), stop.clone(), &path);
                scope.spawn(move || {
                    while watch.changed(&stop).unwrap() {
                        tell.send((name, fs::read_to_string(path).unwrap_or_default())).unwrap();
                    }
                });
            }
            fs::remove_file(&path).unwrap();
            assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), ("noticing", String::new()));
            assert!(seen.recv_timeout(Duration::from_millis(2_500)).is_err(), "told again");
            fs::write(root.join("new"), "2").unwrap();
            fs::rename(root.join("new"), &path).unwrap();
            let mut both = [(); 2].map(|()| seen.recv_timeout(PATIENCE).unwrap());
            both.sort();
            assert_eq!(both, [("noticing", "2".to_owned()), ("silent", "2".to_owned())]);
            stopper.stop();
        });
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn replaced_swapped_deleted_and_back() {
        let root = std::env::temp_dir().join(format!("towpath-file-watch-{}", std::process::id()));
        fs::create_dir_all(root.join("v1")).unwrap();
        fs::create_dir_all(root.join("v2")).unwrap();
        fs::write(root.join("v1/config"), "1").unwrap();
        fs::write(root.join("v2/config"), "2").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/config", root.join("config")).unwrap();
        let mut watch = FileWatch::open(root.join("config")).unwrap();
        let (stopper, stop) = stop_pair().unwrap();
        let (sender, seen) = channel();
        std::thread::scope(|scope| {
            let path = root.join("config");
            scope.spawn(move || {
                while watch.changed(&stop).unwrap() {
                    sender.send(fs::read_to_string(&path).unwrap()).unwrap();
                }
            });
            let expect = |text: &str| {
                while seen.recv_timeout(PATIENCE).unwrap() != text {}
            };
            symlink("v2", root.join("..next")).unwrap();
            fs::rename(root.join("..next"), root.join("..data")).unwrap();
            expect("2");
            fs::write(root.join("v2/config"), "3").unwrap();
            expect("3");
            fs::remove_file(root.join("config")).unwrap();
            fs::write(root.join("new"), "4").unwrap();
            fs::rename(root.join("new"), root.join("config")).unwrap();
            expect("4");
            stopper.stop();
        });
        fs::remove_dir_all(root).unwrap();
    }
}
