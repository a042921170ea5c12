//! A question from its first asker to the answer for all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_wire::{Ttls, rcode};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::asking::Key;
use crate::attempt::Heard;
use crate::group::State;
use crate::health::Standing;
use crate::pending::Question;
use crate::{Done, Hit, Resolved, Why, schedule};

/// Asks the upstreams, keeps what they say, and tells all who wait. They are told too if this never runs or is dropped.
pub(crate) fn run(
    group: Arc<State>,
    key: Key,
    question: Question,
    stop: StopFlights,
) -> impl Future<Output = ()> + Send {
    let mut flight = Flight { group, key, question: Arc::new(question), ended: false };
    async move {
        tokio::select! {
            () = flight.run() => return,
            () = stop.wait() => {}
        }
        flight.stop();
    }
}

/// Tells a question that it is not to wait any longer.
pub(crate) struct StopFlights(pub(crate) watch::Receiver<u64>);

impl StopFlights {
    /// Waits for the word. A forwarder that is gone says nothing: its thread ends.
    async fn wait(mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Flight {
    group: Arc<State>,
    key: Key,
    question: Arc<Question>,
    ended: bool,
}

impl Flight {
    async fn run(&mut self) {
        let (group, question) = (self.group.clone(), self.question.clone());
        let asked = schedule::ask(&group, &question);
        tokio::pin!(asked);
        let result = match self.wait() {
            None => asked.await,
            Some(wait) => tokio::select! {
                result = &mut asked => result,
                () = sleep(wait) => {
                    self.give_stale();
                    asked.await
                }
            },
        };
        match result {
            Ok(heard) => self.answer(heard),
            Err(why) => self.fail(why),
        }
    }

    /// How long those who wait get nothing stale: not at all if it is known that all upstreams are down.
    fn wait(&self) -> Option<Duration> {
        let wait = self.group.client_wait()?;
        let down = self.group.remotes.iter().all(|remote| remote.standing() >= Standing::Down);
        Some(if down { Duration::ZERO } else { wait })
    }

    /// The client response timer of RFC 8767 has run out; the question stays under way.
    fn give_stale(&self) {
        if let Some(hit) = self.stale() {
            tell(self.group.take_waiters(&self.key), &Resolved::Answer(hit));
        }
    }

    /// An answer past its life; for a while it is given without asking.
    fn stale(&self) -> Option<Hit> {
        let (asking, now) = (self.question.asking(), Instant::now());
        let hit = self.group.stale(&asking, now)?;
        self.group.recheck_later(&asking, now);
        Some(hit)
    }

    fn answer(&mut self, heard: Heard) {
        let failure = !matches!(heard.message.rcode(), rcode::NOERROR | rcode::NXDOMAIN);
        let (asking, stored) = (self.question.asking(), Arc::new(heard.message));
        let hit = if asking.dnssec_ok && !heard.edns {
            // The upstream was not told of DO: this is no answer to keep for those who set it.
            Hit { stored, ttls: Ttls::KEEP, stale: false, cached: false }
        } else {
            self.group.keep(&asking, stored, Instant::now())
        };
        let stale = if failure { self.stale().filter(|hit| hit.stale) } else { None };
        self.end(&Resolved::Answer(stale.unwrap_or(hit)));
    }

    fn fail(&mut self, why: Why) {
        let resolved = match self.stale() {
            Some(hit) => Resolved::Answer(hit),
            None => {
                self.group.counters.failed.add();
                self.group.remember_failure(self.key.clone(), Instant::now());
                Resolved::Failed(why)
            }
        };
        self.end(&resolved);
    }

    /// Those who wait get what there is.
    fn stop(&mut self) {
        let stale = self.group.stale(&self.question.asking(), Instant::now());
        self.end(&stale.map_or(Resolved::Failed(Why::Stopped), Resolved::Answer));
    }

    fn end(&mut self, resolved: &Resolved) {
        if !std::mem::replace(&mut self.ended, true) {
            tell(self.group.end(&self.key), resolved);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(&Resolved::Failed(Why::Stopped));
    }
}

fn tell(waiters: Vec<Done>, resolved: &Resolved) {
    waiters.into_iter().for_each(|done| done(resolved.clone()));
}
