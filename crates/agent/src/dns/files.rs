//! Follows the files that the DNS server is configured by: whichever changes, all are read again.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sources::{FileWatch, StopSignal, Stopper, stop_pair};

/// Files that are followed at the same time; those beyond are read, and a warning names them.
const MOST: usize = 64;

/// Files that are followed.
pub(super) struct Followed {
    news: Receiver<()>,
    tell: SyncSender<()>,
    watching: Option<Watching>,
}

struct Watching {
    files: BTreeSet<PathBuf>,
    stopper: Stopper,
    threads: Vec<JoinHandle<()>>,
}

impl Followed {
    /// Nothing is followed yet.
    pub(super) fn new() -> Self {
        let (tell, news) = sync_channel(1);
        Self { news, tell, watching: None }
    }

    /// Who tells the thread that waits in [`Followed::changed`] to look up.
    pub(super) fn waker(&self) -> SyncSender<()> {
        self.tell.clone()
    }

    /// Follows these files from now on, in the place of those before. Call it before they are read.
    pub(super) fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        if self.watching.as_ref().is_some_and(|watching| watching.files == *files) {
            return;
        }
        self.end();
        match self.watch(files) {
            Ok(watching) => self.watching = Some(watching),
            Err(error) => tracing::warn!("DNS: cannot follow the files of its configuration: {error}"),
        }
    }

    /// One that cannot be followed does not keep the others from it.
    fn watch(&self, files: &BTreeSet<PathBuf>) -> io::Result<Watching> {
        let (stopper, stop) = stop_pair()?;
        for file in files.iter().skip(MOST) {
            tracing::warn!("DNS: {} is one file too many to be followed", file.display());
        }
        let follow_one = |file: &PathBuf| -> io::Result<JoinHandle<()>> {
            let watch = FileWatch::open(file)?.noticing_loss();
            let (stop, tell) = (stop.clone(), self.tell.clone());
            thread::Builder::new().name("dns-file".into()).spawn(move || follow(watch, &stop, &tell))
        };
        let mut threads = Vec::new();
        for file in files.iter().take(MOST) {
            match follow_one(file) {
                Ok(thread) => threads.push(thread),
                Err(error) => tracing::warn!("DNS: {} is not followed: {error}", file.display()),
            }
        }
        Ok(Watching { files: files.clone(), threads, stopper })
    }

    /// Waits until a file may have changed, or somebody wakes it; false: the time is over.
    pub(super) fn changed(&self, until: Option<Instant>) -> bool {
        match until {
            None => self.news.recv().is_ok(),
            Some(at) => {
                let patience = at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                self.news.recv_timeout(patience).is_ok()
            }
        }
    }

    fn end(&mut self) {
        if let Some(Watching { stopper, threads, .. }) = self.watching.take() {
            stopper.stop();
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.end();
    }
}

fn follow(mut watch: FileWatch, stop: &StopSignal, tell: &SyncSender<()>) {
    loop {
        match watch.changed(stop) {
            Ok(true) if matches!(tell.try_send(()), Err(TrySendError::Disconnected(()))) => return,
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                return tracing::warn!("DNS: {} is not followed any more: {error}", watch.path().display());
            }
        }
    }
}
