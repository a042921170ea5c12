//! Removes what nobody needs any more, in a thread of its own: rules of ours in another mode, and what kube-proxy has left.
//!
//! Only once rules that do the same work are in force. Rules of ours that nobody maintains any more do harm: they lead to
//! endpoints that are gone. So their removal is tried until it succeeds, and pages say so meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use netlink::NetlinkError;
use xtables::ToolError;

use crate::board::Board;
use crate::driver::Driver;
use crate::modes::{Opened, Place};

/// Waits between tries; the last one repeats.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

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

#[derive(Default)]
struct State {
    chores: VecDeque<Chore>,
    /// The place that is being emptied at this moment.
    at_work: Option<Place>,
    /// That place is wanted again: it is not tried a second time.
    dropped: bool,
    /// Why places are not empty yet.
    trouble: Vec<(Place, String)>,
}

/// Something to remove.
struct Chore {
    /// `None`: kube-proxy's.
    place: Option<Place>,
    work: Box<dyn FnMut() -> Result<()> + Send>,
    at: Instant,
    tries: usize,
}

impl Janitor {
    /// Starts the thread.
    pub(crate) fn start(board: Arc<Board>, takeover: bool) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), board });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("janitor".into()).spawn(move || own.run())?;
        Ok(Self { shared, takeover })
    }

    /// What a start finds: rules of ours in other modes than the one in force, and kube-proxy's.
    pub(crate) fn at_start(&self, in_force: Place) {
        self.look_around(in_force);
        if self.takeover {
            let mut said = BTreeSet::new();
            self.shared.add(None, Box::new(move || take_over(&mut said)));
        }
    }

    /// Looks for rules of ours in other modes than the one in force. Another process of ours may have written them since: one
    /// that was about to end when this one began.
    pub(crate) fn look_around(&self, in_force: Place) {
        let waiting: Vec<Option<Place>> = self.shared.lock().chores.iter().map(|chore| chore.place).collect();
        let others =
            Place::ALL.into_iter().filter(|place| *place != in_force && !waiting.contains(&Some(*place)));
        others.for_each(|place| self.shared.add(Some(place), Box::new(move || empty(place))));
    }

    /// Removes the rules of an engine that was replaced.
    pub(crate) fn remove(&self, mut left: Box<dyn Driver>) {
        let place = left.place();
        let work = move || {
            let removed = left.remove()?;
            tracing::info!(objects = removed, "removed the rules of {place}");
            Ok(())
        };
        self.shared.add(Some(place), Box::new(work));
    }

    /// Says that a place is wanted again: what is there is no leftover any more. False while it is being emptied at this
    /// moment; then it must not be written yet.
    pub(crate) fn leave(&self, place: Place) -> bool {
        let mut state = self.shared.lock();
        state.chores.retain(|chore| chore.place != Some(place));
        state.trouble.retain(|(of, _)| *of != place);
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

    fn add(&self, place: Option<Place>, work: Box<dyn FnMut() -> Result<()> + Send>) {
        self.lock().chores.push_back(Chore { place, work, at: Instant::now(), tries: 0 });
        self.wake.notify_one();
    }

    fn show(&self, state: &State) {
        let lines = state
            .trouble
            .iter()
            .map(|(place, why)| format!("the old rules of {place} are still there: {why}"));
        self.board.state().leftovers = lines.collect();
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

    fn done(&self, mut chore: Chore, result: Result<()>) {
        let mut state = self.lock();
        state.at_work = None;
        let dropped = std::mem::take(&mut state.dropped);
        state.trouble.retain(|(place, _)| Some(*place) != chore.place);
        if let (Err(error), false) = (result, dropped) {
            let why = crate::in_one_line(&error);
            if chore.fail(&why) {
                state.trouble.extend(chore.place.map(|place| (place, why)));
                state.chores.push_back(chore);
            }
        }
        self.show(&state);
    }
}

impl Chore {
    /// Whether it is tried again. It is said a few times, and then shown only.
    fn fail(&mut self, why: &str) -> bool {
        let what = self.place.map_or_else(|| "kube-proxy".to_owned(), |place| place.to_string());
        let wait = AGAIN[self.tries.min(AGAIN.len() - 1)];
        self.tries += 1;
        self.at = Instant::now() + wait;
        if self.tries <= AGAIN.len() {
            tracing::warn!("cannot remove the old rules of {what}: {why}; trying again in {wait:?}");
            return true;
        }
        if self.place.is_none() {
            tracing::error!(
                "the old rules of kube-proxy stay: {why}; `towpath cleanup --kube-proxy` removes them"
            );
        }
        self.place.is_some()
    }
}

/// Empties a place where rules of ours may be.
fn empty(place: Place) -> Result<()> {
    match look(place) {
        Ok(Some(mut opened)) => {
            let removed = opened.remove()?;
            tracing::info!(objects = removed, "removed rules of ours that were left in {place}");
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) if is_absent(&error) => {
            tracing::debug!("{place} is not looked at: {}", crate::in_one_line(&error));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What is at a place, if rules of ours are.
fn look(place: Place) -> Result<Option<Opened>> {
    let mut opened = Opened::at(place)?;
    Ok(opened.is_installed()?.then_some(opened))
}

/// Whether a place cannot be looked at because the kernel does not have it, or nobody has the tools for it here.
pub(crate) fn is_absent(error: &anyhow::Error) -> bool {
    let no_part = |error: &NetlinkError| {
        matches!(
            error.errno(),
            Some(libc_errno::ENOENT | libc_errno::EPROTONOSUPPORT | libc_errno::EOPNOTSUPP)
        )
    };
    error.chain().any(|cause| {
        cause.downcast_ref::<NetlinkError>().is_some_and(no_part)
            || matches!(cause.downcast_ref::<ToolError>(), Some(ToolError::Missing { .. }))
    })
}

/// Numbers of errors that say that the kernel lacks something.
mod libc_errno {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EOPNOTSUPP: i32 = 95;
}

/// Removes what kube-proxy has left. What stays is said once.
fn take_over(said: &mut BTreeSet<String>) -> Result<()> {
    let report = takeover::remove(&BTreeSet::new());
    report.removed.iter().for_each(|what| tracing::info!("removed what kube-proxy has left: {what}"));
    let news: Vec<String> = report.kept.into_iter().filter(|what| said.insert(what.clone())).collect();
    news.iter().for_each(|what| tracing::warn!("left in place: {what}"));
    if report.failed.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{}", report.failed.join("; "))) }
}
