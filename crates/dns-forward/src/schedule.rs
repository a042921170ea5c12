//! One question to several upstreams: the first at once, the next when it fails or is slow, until one answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Attempt, Heard, attempt};
use crate::choose::{hedge_delay, order};
use crate::group::State;
use crate::health::Standing;
use crate::pending::{Fault, Question};
use crate::remote::Remote;
use crate::{Policy, Why, random};

/// Time for a question, all in all: less than the 5 s that a client waits.
pub const DEADLINE: Duration = Duration::from_secs(4);
/// Time for one upstream.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Messages sent for one question while none was answered.
pub const MAX_ATTEMPTS: usize = 4;

/// While there is a SERVFAIL or the like to give, an upstream that is well is waited for this long at least: it may have to ask
/// others itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the upstreams of a group.
pub(crate) async fn ask(group: &State, question: &Arc<Question>) -> Result<Heard, Why> {
    let remotes = remotes(group);
    if remotes.is_empty() {
        let looping = group.remotes.iter().all(|remote| remote.standing() == Standing::Looping);
        return Err(if looping { Why::Loop } else { Why::Unreachable });
    }
    Schedule::new(group, remotes, question.clone()).run().await
}

fn remotes(group: &State) -> Vec<Arc<Remote>> {
    let standings: Vec<Standing> = group.remotes.iter().map(|remote| remote.standing()).collect();
    if standings.iter().all(|standing| *standing >= Standing::Down) {
        group.counters.all_down.add();
    }
    let turn = match group.settings.policy {
        Policy::Random => random::below(group.remotes.len()),
        _ => group.turn.fetch_add(1, Ordering::Relaxed),
    };
    let order = order(&standings, group.settings.policy, turn, group.settings.fail_fast);
    order.into_iter().map(|at| group.remotes[at].clone()).collect()
}

/// A message that was sent and not answered yet.
struct Silent {
    /// The upstream, by its place.
    at: usize,
    /// When the answer should have come.
    due: Instant,
    /// Until when it is waited for, although there is something poor to give.
    hope: Instant,
}

struct Schedule<'a> {
    group: &'a State,
    remotes: Vec<Arc<Remote>>,
    question: Arc<Question>,
    running: JoinSet<Attempt>,
    silent: Vec<Silent>,
    sent: usize,
    next: Instant,
    /// A message that says SERVFAIL or the like, for when there is no better one.
    poor: Option<Heard>,
    fault: Fault,
}

impl<'a> Schedule<'a> {
    fn new(group: &'a State, remotes: Vec<Arc<Remote>>, question: Arc<Question>) -> Self {
        let (running, silent, next) = (JoinSet::new(), Vec::new(), Instant::now());
        Self { group, remotes, question, running, silent, sent: 0, next, poor: None, fault: Fault::Timeout }
    }

    async fn run(mut self) -> Result<Heard, Why> {
        let deadline = Instant::now() + DEADLINE;
        self.send();
        loop {
            let hope = self.hope().min(deadline);
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    if let Ok(ended) = ended && let Some(result) = self.take(ended) {
                        return result;
                    }
                }
                () = sleep_until(self.next), if self.may_hedge() => {
                    self.group.counters.hedged.add();
                    self.send();
                }
                () = sleep_until(hope), if self.is_settled() => {
                    self.blame();
                    return self.give_up();
                }
                () = sleep_until(deadline) => {
                    self.blame();
                    return self.give_up();
                }
            }
        }
    }

    /// Whether a further message may help: not by the same TCP, where nothing is lost, and not without end.
    fn may_hedge(&self) -> bool {
        let at = self.sent % self.remotes.len();
        let again = self.sent >= self.remotes.len() && self.remotes[at].is_stream();
        !self.is_settled()
            && self.silent.len() < MAX_ATTEMPTS
            && self.sent < MAX_ATTEMPTS.max(self.remotes.len())
            && !again
    }

    /// Whether there is an upstream that was not asked and is to be: not one that is down, while there is something to give.
    fn has_next(&self) -> bool {
        let next = self.remotes.get(self.sent);
        next.is_some_and(|next| self.poor.is_none() || next.standing() < Standing::Down)
    }

    /// Something poor is at hand, and nobody else is to be asked.
    fn is_settled(&self) -> bool {
        self.poor.is_some() && !self.has_next()
    }

    /// Until when something better may come.
    fn hope(&self) -> Instant {
        self.silent.iter().map(|silent| silent.hope).max().unwrap_or_else(Instant::now)
    }

    /// Asks the next upstream, or the first once more when all were asked: a packet may be lost.
    fn send(&mut self) {
        let at = self.sent % self.remotes.len();
        let remote = &self.remotes[at];
        let again = self.sent + 1 >= self.remotes.len(); // the next one will have been asked already
        let now = Instant::now();
        let due = now + hedge_delay(self.usual(at, again), self.sent, again);
        let hope = if remote.standing() == Standing::Good { due.max(now + PATIENCE) } else { due };
        self.next = due;
        self.running.spawn(attempt(at, remote.clone(), self.question.clone()));
        self.silent.push(Silent { at, due, hope });
        self.sent += 1;
    }

    /// By when the upstream at this place answers, as a rule; where the next one is asked once more, by when both do.
    fn usual(&self, at: usize, again: bool) -> Option<Duration> {
        let usual = self.remotes[at].health.usual();
        let next = &self.remotes[(self.sent + 1) % self.remotes.len()];
        if again { usual.max(next.health.usual()) } else { usual }
    }

    /// Takes what came of one attempt; gives what came of all, if that is clear now.
    fn take(&mut self, ended: Attempt) -> Option<Result<Heard, Why>> {
        if let Some(place) = self.silent.iter().position(|silent| silent.at == ended.at) {
            self.silent.remove(place);
        }
        match ended.result {
            Ok(heard) if self.group.settings.failover.contains(&heard.message.rcode()) => {
                self.poor = Some(heard)
            }
            Ok(heard) => {
                self.silent.retain(|silent| silent.at != ended.at);
                self.blame();
                return Some(Ok(heard));
            }
            Err(fault) => {
                self.fault = fault;
                self.remotes[ended.at].failed(fault);
            }
        }
        if self.has_next() {
            self.send();
        } else if self.silent.is_empty() {
            return Some(self.give_up_now());
        }
        None
    }

    fn give_up_now(&mut self) -> Result<Heard, Why> {
        self.poor.take().ok_or(match self.fault {
            Fault::Timeout | Fault::Full => Why::Timeout,
            Fault::Closed | Fault::Unreachable => Why::Unreachable,
            Fault::Broken => Why::Broken,
        })
    }

    fn give_up(mut self) -> Result<Heard, Why> {
        self.give_up_now()
    }

    /// Those who should have answered by now are asked last from now on.
    fn blame(&mut self) {
        let now = Instant::now();
        let late = self.silent.iter().filter(|silent| silent.due <= now);
        let mut late: Vec<usize> = late.map(|silent| silent.at).collect();
        late.sort_unstable();
        late.dedup();
        late.into_iter().for_each(|at| self.remotes[at].failed(Fault::Timeout));
    }
}
