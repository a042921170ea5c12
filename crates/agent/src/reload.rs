//! Follows the configuration file: what can be changed while running is changed, for the rest the process ends in order,
//! to be started anew. A file that cannot be honoured changes nothing.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Result;
use config::{KubeProxyFlags, LiveChanges, Settings, TowpathFlags, live_changes};
use sources::{FileWatch, StopSignal};

use crate::board::Board;
use crate::settings::{load, read};

/// What follows from a new file.
pub(crate) trait Apply: Send {
    /// Takes over what can change while running.
    fn live(&mut self, settings: &Settings, changes: &LiveChanges);
    /// Whether these settings can be honoured: by this process, or by a new one where one is needed. Comes before the
    /// other two.
    fn check(&mut self, settings: &Settings, changes: &LiveChanges) -> Result<()>;
    /// These fields need a new process.
    fn restart(&mut self, fields: &[String]);
}

/// Follows one file.
pub(crate) struct Reload<A> {
    pub(crate) watch: FileWatch,
    pub(crate) proxy: KubeProxyFlags,
    pub(crate) towpath: TowpathFlags,
    pub(crate) current: Settings,
    pub(crate) board: Arc<Board>,
    pub(crate) apply: A,
}

impl<A: Apply + 'static> Reload<A> {
    /// Starts the thread; it ends when told to, or when it has asked for a restart.
    pub(crate) fn start(mut self, stop: StopSignal) -> Result<JoinHandle<()>> {
        let work = move || {
            loop {
                match self.watch.changed(&stop) {
                    Ok(true) => {
                        if self.changed() {
                            return;
                        }
                    }
                    Ok(false) => return,
                    Err(error) => {
                        tracing::error!(
                            "--config {}: cannot follow it: {error}",
                            self.watch.path().display()
                        );
                        return;
                    }
                }
            }
        };
        Ok(thread::Builder::new().name("config".into()).spawn(work)?)
    }

    /// Whether a restart was asked for.
    fn changed(&mut self) -> bool {
        let loaded = read(self.watch.path()).and_then(|text| load(&self.proxy, &self.towpath, Some(&text)));
        let new = match loaded {
            Ok(new) => new,
            Err(error) => return self.refuse(&error),
        };
        let changes = live_changes(&self.current, &new);
        if let Err(error) = self.apply.check(&new, &changes) {
            // Leaving for settings with which nobody can start would leave the node without an agent.
            return self.refuse(&error);
        }
        self.board.state().config_error = None;
        if changes.live.is_empty() && changes.restart.is_empty() {
            return false;
        }
        new.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        if !changes.restart.is_empty() {
            self.apply.restart(&changes.restart);
            return true;
        }
        self.board.metrics.config_reloads.inc();
        self.apply.live(&new, &changes);
        self.current = new;
        false
    }

    fn refuse(&self, error: &anyhow::Error) -> bool {
        tracing::error!("{error:#}; the settings before it stay in force");
        self.tell(format!("{error:#}"));
        false
    }

    fn tell(&self, error: String) {
        self.board.metrics.config_refused.inc();
        self.board.state().config_error = Some(error);
    }
}
