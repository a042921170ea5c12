//! Moving from one mode to another while running: the other mode's engine, until its rules are complete.
//!
//! ```text
//! begin     a second engine with the same state; every change goes to both
//! advance   it loads in a thread of its own, so that the mode in force is never kept waiting; changes wait for it
//! arrival   it takes in what waited, and is the engine from then on; the rules of the first go
//! ```

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use config::Settings;
use dataplane::{ApplyError, SyncReport};
use model::Change;

use crate::driver::Driver;
use crate::modes::Place;
use crate::sync::set as apply;

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// Changes that may wait while the engine loads. With more the move begins anew: what is programmed already stays.
const QUEUE: usize = 20_000;

/// A move that is under way, or none.
#[derive(Default)]
pub(crate) struct Switch {
    next: Option<Next>,
}

struct Next {
    place: Place,
    state: State,
    /// Not before this moment.
    at: Instant,
    wait: Duration,
    /// A change that waits longer than this makes the node unhealthy, once this mode is in force.
    late: Duration,
}

enum State {
    /// It waits for its turn.
    Here(Box<dyn Driver>),
    /// It loads.
    Away { back: Receiver<Loaded>, waiting: Vec<Change>, settings: Option<Box<Settings>> },
}

type Loaded = (Box<dyn Driver>, Result<SyncReport, ApplyError>, Duration);

/// What came of a step.
pub(crate) enum Progress {
    /// Its rules are complete.
    Arrived(Box<Arrival>),
    /// It cannot load. It is tried again.
    Failed(ApplyError),
    /// Too much happened meanwhile, or its thread failed: the move has to begin anew.
    Lost(Option<Box<dyn Driver>>),
}

/// An engine whose rules are complete.
pub(crate) struct Arrival {
    pub(crate) engine: Box<dyn Driver>,
    /// What its first sync did.
    pub(crate) report: SyncReport,
    /// How long that took.
    pub(crate) took: Duration,
    pub(crate) late: Duration,
}

impl Switch {
    /// Begins a move; there must be none.
    pub(crate) fn begin(&mut self, engine: Box<dyn Driver>, late: Duration) {
        let (place, at) = (engine.place(), Instant::now());
        self.next = Some(Next { place, state: State::Here(engine), at, wait: RETRY_FIRST, late });
    }

    /// Where it leads.
    pub(crate) fn target(&self) -> Option<Place> {
        self.next.as_ref().map(|next| next.place)
    }

    /// Other settings, in the same mode. While it loads they wait for it.
    pub(crate) fn set(&mut self, settings: &Settings) {
        match self.next.as_mut().map(|next| &mut next.state) {
            None => {}
            Some(State::Here(engine)) => apply(engine.as_mut(), settings),
            Some(State::Away { settings: waiting, .. }) => *waiting = Some(Box::new(settings.clone())),
        }
    }

    /// Hands on a change.
    pub(crate) fn handle(&mut self, change: &Change) {
        match self.next.as_mut().map(|next| &mut next.state) {
            None => {}
            Some(State::Here(engine)) => engine.handle(change.clone()),
            // One more than fits says that something is missing.
            Some(State::Away { waiting, .. }) if waiting.len() <= QUEUE => waiting.push(change.clone()),
            Some(State::Away { .. }) => {}
        }
    }

    /// Gives up a move that does not load; what may have been programmed has to be removed.
    pub(crate) fn abandon(&mut self) -> Option<Box<dyn Driver>> {
        match self.next.take_if(|next| matches!(next.state, State::Here(_)))?.state {
            State::Here(engine) => Some(engine),
            State::Away { .. } => None,
        }
    }

    /// Whether it may still be writing to the kernel.
    pub(crate) fn is_loading(&self) -> bool {
        self.next.as_ref().is_some_and(|next| matches!(next.state, State::Away { .. }))
    }

    /// When it wants to go on.
    pub(crate) fn due(&self) -> Option<Instant> {
        let next = self.next.as_ref()?;
        match &next.state {
            State::Here(engine) => engine.has_work().then_some(next.at),
            State::Away { .. } => Some(Instant::now() + Duration::from_millis(50)),
        }
    }

    /// Goes on, if there is a move and it is time. Never waits for the kernel, but for the last few changes.
    pub(crate) fn advance(&mut self) -> Option<Progress> {
        let next = self.next.as_ref()?;
        match &next.state {
            State::Here(engine) if engine.has_work() && next.at <= Instant::now() => self.depart(),
            State::Here(_) => None,
            State::Away { back, .. } => match back.try_recv() {
                Ok(loaded) => Some(self.returned(loaded)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    self.next = None;
                    Some(Progress::Lost(None))
                }
            },
        }
    }

    /// Sends the engine away to load.
    fn depart(&mut self) -> Option<Progress> {
        let next = self.next.as_mut()?;
        let (send, back) = sync_channel(1);
        let away = State::Away { back, waiting: Vec::new(), settings: None };
        let State::Here(mut engine) = std::mem::replace(&mut next.state, away) else { return None };
        let load = move || {
            let started = Instant::now();
            let result = engine.sync();
            let _ = send.send((engine, result, started.elapsed()));
        };
        match thread::Builder::new().name("switch".into()).spawn(load) {
            Ok(_) => None,
            Err(error) => {
                self.next = None;
                tracing::error!(%error, "cannot start a thread for the rules of the other mode");
                Some(Progress::Lost(None))
            }
        }
    }

    /// It is back: what waited is taken in.
    fn returned(&mut self, (mut engine, result, took): Loaded) -> Progress {
        let Some(mut next) = self.next.take() else { return Progress::Lost(Some(engine)) };
        let State::Away { waiting, settings, .. } = next.state else { return Progress::Lost(Some(engine)) };
        if waiting.len() > QUEUE {
            return Progress::Lost(Some(engine));
        }
        waiting.into_iter().for_each(|change| engine.handle(change));
        settings.iter().for_each(|settings| apply(engine.as_mut(), settings));
        match result {
            Ok(report) => Progress::Arrived(Box::new(Arrival { engine, report, took, late: next.late })),
            Err(error) => {
                next.at = Instant::now() + next.wait;
                next.wait = (next.wait * 2).min(RETRY_LAST);
                next.state = State::Here(engine);
                self.next = Some(next);
                Progress::Failed(error)
            }
        }
    }
}
