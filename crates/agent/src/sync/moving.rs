//! Moving to another mode: what the sync thread does for it.

use std::time::Instant;

use config::Settings;

use super::share::Share;
use super::tending::Tending;
use super::{SyncLoop, set};
use crate::audit::Because;
use crate::opened::Opened;
use crate::options::{late, proxy_config, warnings};
use crate::switch::{Arrival, Progress};

impl SyncLoop {
    /// Begins to move to another mode. What is in force stays so until the rules of the other are complete; all other
    /// settings are in force at once.
    pub(super) fn begin_switch(&mut self, opened: Opened, settings: &Settings) {
        let place = opened.place();
        self.audit.because(Because::Settings);
        set(self.engine.as_mut(), settings);
        self.janitor.set(settings);
        self.note_work();
        if self.switch.is_loading() {
            // One move at a time; of those that wait, the last one counts.
            self.pending_move = Some((opened, Box::new(settings.clone())));
            return;
        }
        if let Some(abandoned) = self.switch.abandon() {
            self.janitor.remove(abandoned);
        }
        self.board.state().move_error = None;
        if place == self.engine.place() {
            tracing::info!("{place} stays in force");
            return;
        }
        let config = proxy_config(settings, place.mode());
        warnings(&config).iter().for_each(|warning| tracing::warn!("{warning}"));
        tracing::info!("moving from {} to {place}", self.engine.place());
        let mut next = opened.engine(self.engine.handover(), config);
        next.set_bind_address(settings.proxy.primary_ip());
        self.switch.begin(next, late(&settings.proxy, place.mode()));
    }

    /// Goes on with the move to another mode: its rules first, then those of the mode before go.
    pub(super) fn advance_switch(&mut self) {
        let Some(target) = self.switch.target() else { return };
        // What is there of old is adopted, unless it is being removed at this very moment.
        if !self.switch.is_loading() && !self.janitor.leave(target) {
            return;
        }
        match self.switch.advance() {
            None => return,
            Some(Progress::Failed(error)) => {
                let text =
                    format!("cannot move to another mode: {error}; {} stays in force", self.engine.place());
                tracing::error!("{text}; trying again");
                self.board.metrics.failed(target.mode());
                self.board.state().move_error = Some(text);
            }
            Some(Progress::Lost(engine)) => {
                let text = format!(
                    "too much happened while the rules of {target} were written; {} stays in force",
                    self.engine.place()
                );
                tracing::error!("{text}; change the mode again");
                self.board.state().move_error = Some(text);
                engine.into_iter().for_each(|engine| self.janitor.remove(engine));
            }
            Some(Progress::Arrived(arrival)) => self.arrive(*arrival),
        }
        if let Some((opened, settings)) = self.pending_move.take() {
            self.begin_switch(opened, &settings);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { engine, report, took, late } = arrival;
        let started = Instant::now();
        let left = std::mem::replace(&mut self.engine, engine);
        tracing::info!("{} is in force; the rules of {} go", self.engine.place(), left.place());
        self.board.set_mode(self.engine.config().mode, late);
        let mut state = self.board.state();
        state.move_error = None;
        state.why = "the configuration has changed to it".into();
        drop(state);
        (self.retry, self.rested, self.share) = (None, started, Share::new(started));
        self.tending = Tending::default();
        self.audit.because(Because::Mode);
        self.foreign = None;
        self.succeeded(report, took);
        // The last changes first: the old rules have them already.
        if self.engine.has_work() {
            self.sync();
        }
        self.janitor.remove(left);
    }
}
