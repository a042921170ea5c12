//! Removes what nobody needs any more, in a thread of its own: rules of ours in another mode, and what kube-proxy has left.
//!
//! Only once rules that do the same work are in force. Rules of ours that nobody maintains any more do harm: they lead to
//! endpoints that are gone. So their removal is tried until it succeeds, and pages say so meanwhile. Rules that only wait for
//! their connections to end do none: they are asked every second, and pages say what they wait for.

mod work;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use config::Settings;
use dataplane::Retired;
use netlink::ipvs::Key;

use crate::board::Board;
use crate::driver::Driver;
use crate::modes::Place;
use crate::options::ipvs_settings;
pub(crate) use work::is_absent;
use work::{Takeover, Work, emptying, retire};

/// Waits between tries; the last one repeats.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// How soon rules that wait for their connections are asked again.
const DRAINING: Duration = Duration::from_secs(1);

/// Hands chores to the thread.
#[derive(Clone)]
pub(crate) struct Janitor {
    shared: Arc<Shared>,
    /// Whether what kube-proxy has left is removed.
    takeover: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    board: Arc<Board>,
}

struct State {
    chores: VecDeque<Chore>,
    /// The place that is being emptied at this moment.
    at_work: Option<Place>,
    /// That place is wanted again: it is not tried a second time.
    dropped: bool,
    /// Places that are not empty yet, each with a line that says why.
    trouble: Vec<(Option<Place>, String)>,
    /// With what mode ipvs is emptied.
    ipvs: ipvs::Settings,
}

/// Something to remove.
struct Chore {
    /// `None`: kube-proxy's.
    place: Option<Place>,
    work: Work,
    at: Instant,
    tries: usize,
    /// It is known that it waits.
    draining: bool,
}

impl Janitor {
    /// Starts the thread.
    pub(crate) fn start(board: Arc<Board>, settings: &Settings) -> std::io::Result<Self> {
        let state = Mutex::new(State::new(ipvs_settings(settings)));
        let shared = Arc::new(Shared { state, wake: Condvar::new(), board });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("janitor".into()).spawn(move || own.run())?;
        Ok(Self { shared, takeover: settings.towpath.takeover })
    }

    /// Takes in other settings.
    pub(crate) fn set(&self, settings: &Settings) {
        self.shared.lock().ipvs = ipvs_settings(settings);
    }

    /// What a start finds: rules of ours in other modes than the one in force, and kube-proxy's. `spared`: virtual servers of
    /// kube-proxy that are ours by now.
    pub(crate) fn at_start(&self, in_force: Place, spared: BTreeSet<Key>) {
        self.look_around(in_force);
        if self.takeover {
            let mut takeover = Takeover::new(spared, &self.shared.lock().ipvs);
            self.shared.add(None, Box::new(move || takeover.go_on()));
        }
    }

    /// Looks for rules of ours in other modes than the one in force. Another process of ours may have written them since: one
    /// that was about to end when this one began.
    pub(crate) fn look_around(&self, in_force: Place) {
        let others = Place::ALL.into_iter().filter(|place| *place != in_force);
        for place in others {
            let state = self.shared.lock();
            let known = state.knows(place);
            let own = state.ipvs.clone();
            drop(state);
            if !known {
                self.shared.add(Some(place), emptying(place, own));
            }
        }
    }

    /// Removes the rules of an engine that was replaced.
    pub(crate) fn remove(&self, left: Box<dyn Driver>) {
        let place = left.place();
        let (mut left, mut held) = (Some(left), None);
        let work = move || {
            // What it knew of the cluster goes at once, and in this thread: it may be much.
            held = left.take().map(Driver::into_opened).or(held.take());
            held.as_mut().map_or(Ok(Retired::Gone(0)), |opened| retire(opened, "removed the rules of"))
        };
        self.shared.add(Some(place), Box::new(work));
    }

    /// Says that a place is wanted again: what is there is no leftover any more. False while it is being emptied at this
    /// moment; then it must not be written yet.
    pub(crate) fn leave(&self, place: Place) -> bool {
        let mut state = self.shared.lock();
        state.chores.retain(|chore| chore.place != Some(place));
        state.trouble.retain(|(of, _)| *of != Some(place));
        let at_work = state.at_work == Some(place);
        state.dropped |= at_work;
        self.shared.show(&state);
        !at_work
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, place: Option<Place>, work: Work) {
        self.lock().chores.push_back(Chore { place, work, at: Instant::now(), tries: 0, draining: false });
        self.wake.notify_one();
    }

    fn show(&self, state: &State) {
        self.board.state().leftovers = state.trouble.iter().map(|(_, line)| line.clone()).collect();
    }

    fn run(&self) {
        loop {
            let mut chore = self.next();
            let result = (chore.work)();
            self.done(chore, result);
        }
    }

    /// Waits for the next chore whose time has come.
    fn next(&self) -> Chore {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(chore) =
                state.chores.iter().position(|chore| chore.at <= now).and_then(|i| state.chores.remove(i))
            {
                state.at_work = chore.place;
                return chore;
            }
            let until = state.chores.iter().map(|chore| chore.at).min();
            let wait = until.map_or(Duration::from_secs(3600), |at| at - now);
            state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn done(&self, mut chore: Chore, result: Result<Retired>) {
        let mut state = self.lock();
        state.at_work = None;
        let dropped = std::mem::take(&mut state.dropped);
        state.trouble.retain(|(place, _)| *place != chore.place);
        let again = match result {
            _ if dropped => None,
            Ok(Retired::Gone(_)) => None,
            Ok(Retired::Draining(until)) => Some(chore.drain(&until)),
            Err(error) => chore.fail(&crate::in_one_line(&error)),
        };
        if let Some(line) = again {
            state.trouble.push((chore.place, line));
            state.chores.push_back(chore);
        }
        self.show(&state);
    }
}

impl State {
    fn new(ipvs: ipvs::Settings) -> Self {
        Self { chores: VecDeque::new(), at_work: None, dropped: false, trouble: Vec::new(), ipvs }
    }

    /// Whether a place is to be emptied already.
    fn knows(&self, place: Place) -> bool {
        self.at_work == Some(place) || self.chores.iter().any(|chore| chore.place == Some(place))
    }
}

impl Chore {
    fn whose(&self) -> String {
        self.place.map_or_else(|| "kube-proxy".to_owned(), |place| place.to_string())
    }

    /// The line for a chore that waits. This is as it should be: it is said once.
    fn drain(&mut self, until: &str) -> String {
        let line = format!("the old rules of {} stay until {until}", self.whose());
        if !std::mem::replace(&mut self.draining, true) {
            tracing::info!("{line}");
        }
        (self.at, self.tries) = (Instant::now() + DRAINING, 0);
        line
    }

    /// The line for a chore that is tried again. It is said a few times, and then shown only.
    fn fail(&mut self, why: &str) -> Option<String> {
        let what = self.whose();
        let line = format!("the old rules of {what} are still there: {why}");
        let wait = AGAIN[self.tries.min(AGAIN.len() - 1)];
        self.tries += 1;
        self.at = Instant::now() + wait;
        if self.tries <= AGAIN.len() {
            tracing::warn!("cannot remove the old rules of {what}: {why}; trying again in {wait:?}");
            return Some(line);
        }
        if self.place.is_none() {
            tracing::error!(
                "the old rules of kube-proxy stay: {why}; `towpath cleanup --kube-proxy` removes them"
            );
        }
        self.place.map(|_| line)
    }
}

#[cfg(test)]
mod tests;
