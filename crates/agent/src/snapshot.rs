//! Writes the last known good state to disk, now and then, so that a node that starts without its API server has rules.
//!
//! Only a state that is wholly programmed is written. A write is asked for at most every [`EVERY`], and never holds a sync up:
//! the sync thread hands out a copy of the store, which shares its objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use model::Store;
use sources::kubernetes::Stats;
use sources::snapshot;

use crate::board::Board;
use crate::metrics::now_seconds;
use crate::self_probe::is_canarys;
use crate::sync::Message;

/// How soon the first snapshot is written, and how soon a failed try is repeated.
const FIRST: Duration = Duration::from_secs(3);
/// How long a change may wait until it is in a snapshot.
const EVERY: Duration = Duration::from_secs(60);
/// The sync thread answers within this time, or is asked again later.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running writer.
pub(crate) struct Writer {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        path: PathBuf,
        sync: SyncSender<Message>,
        board: Arc<Board>,
        api: Arc<Stats>,
    ) -> Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let job = Job { path, sync, board, api, written: None, failing: false };
        let thread = thread::Builder::new().name("snapshot".into()).spawn(move || job.run(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Writes what is new, and ends. The sync thread must still run.
    pub(crate) fn finish(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

struct Job {
    path: PathBuf,
    sync: SyncSender<Message>,
    board: Arc<Board>,
    api: Arc<Stats>,
    /// Number of the state that is on disk.
    written: Option<u64>,
    failing: bool,
}

impl Job {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut wait = FIRST;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
            wait = if self.write() { EVERY } else { FIRST };
        }
        self.write();
        netlink::give_back_memory();
    }

    /// Whether the state on disk is the present one.
    fn write(&mut self) -> bool {
        // What came from the file is not written back as if it were new.
        if self.api.snapshot().is_some() {
            return false;
        }
        let Some(store) = self.store() else { return false };
        if self.written == Some(store.number()) {
            return true;
        }
        let changes = store.changes().filter(|change| !is_canarys(change));
        let result = snapshot::write(&self.path, store.node_name(), changes);
        let metrics = &self.board.metrics;
        match &result {
            Ok(_) => {
                self.written = Some(store.number());
                metrics.snapshot_writes.inc();
                metrics.snapshot_time.set(now_seconds());
                if self.failing {
                    tracing::info!("the snapshot is written again");
                }
            }
            Err(error) => {
                metrics.snapshot_failures.inc();
                if !self.failing {
                    tracing::warn!(
                        "{error}; without it this node has no rules after a reboot until the API server answers \
                         (--snapshot=false turns it off)"
                    );
                }
            }
        }
        self.failing = result.is_err();
        drop(store);
        netlink::give_back_memory();
        // A disk that refuses is not asked more often than one that takes it.
        true
    }

    /// A copy of what is programmed.
    fn store(&self) -> Option<Store> {
        let (reply, answer) = sync_channel(1);
        self.sync.try_send(Message::Store(reply)).ok()?;
        answer.recv_timeout(PATIENCE).ok()?
    }
}

/// Makes the directory of the snapshot, if it can be made; a write says what is wrong otherwise.
pub(crate) fn prepare(path: &Path) {
    if let Some(directory) = path.parent() {
        let _ = std::fs::create_dir_all(directory);
    }
}
