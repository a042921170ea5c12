//! One question to several upstreams: the first at once, the next when it fails or is slow, until one answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dns_wire::Stored;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Attempt, attempt};
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

/// Asks the upstreams of a group.
pub(crate) async fn ask(group: &State, question: &Arc<Question>) -> Result<Stored, Why> {
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

struct Schedule<'a> {
    group: &'a State,
    remotes: Vec<Arc<Remote>>,
    question: Arc<Question>,
    running: JoinSet<Attempt>,
    /// Which upstreams have not answered, by their places, and when they should have.
    silent: Vec<(usize, Instant)>,
    sent: usize,
    next: Instant,
    /// A message that says SERVFAIL or the like, for when there is no better one.
    poor: Option<Stored>,
    fault: Fault,
}

impl<'a> Schedule<'a> {
    fn new(group: &'a State, remotes: Vec<Arc<Remote>>, question: Arc<Question>) -> Self {
        let (running, silent, next) = (JoinSet::new(), Vec::new(), Instant::now());
        Self { group, remotes, question, running, silent, sent: 0, next, poor: None, fault: Fault::Timeout }
    }

    async fn run(mut self) -> Result<Stored, Why> {
        let deadline = Instant::now() + DEADLINE;
        self.send();
        loop {
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
        self.silent.len() < MAX_ATTEMPTS && self.sent < MAX_ATTEMPTS.max(self.remotes.len()) && !again
    }

    /// Asks the next upstream, or the first once more when all were asked: a packet may be lost.
    fn send(&mut self) {
        let at = self.sent % self.remotes.len();
        let remote = &self.remotes[at];
        let again = self.sent + 1 >= self.remotes.len(); // the next one will have been asked already
        self.next = Instant::now() + hedge_delay(remote.health.usual(), self.sent, again);
        self.running.spawn(attempt(at, remote.clone(), self.question.clone()));
        self.silent.push((at, self.next));
        self.sent += 1;
    }

    /// Takes what came of one attempt; gives what came of all, if that is clear now.
    fn take(&mut self, ended: Attempt) -> Option<Result<Stored, Why>> {
        if let Some(place) = self.silent.iter().position(|(at, _)| *at == ended.at) {
            self.silent.remove(place);
        }
        match ended.result {
            Ok(message) if self.group.settings.failover.contains(&message.rcode()) => {
                self.poor = Some(message)
            }
            Ok(message) => {
                self.silent.retain(|(at, _)| *at != ended.at);
                self.blame();
                return Some(Ok(message));
            }
            Err(fault) => {
                self.fault = fault;
                self.remotes[ended.at].failed(fault);
            }
        }
        if self.sent < self.remotes.len() {
            self.send();
        } else if self.silent.is_empty() {
            return Some(self.give_up_now());
        }
        None
    }

    fn give_up_now(&mut self) -> Result<Stored, Why> {
        self.poor.take().ok_or(match self.fault {
            Fault::Timeout | Fault::Full => Why::Timeout,
            Fault::Closed | Fault::Unreachable => Why::Unreachable,
            Fault::Broken => Why::Broken,
        })
    }

    fn give_up(mut self) -> Result<Stored, Why> {
        self.give_up_now()
    }

    /// Those who should have answered by now are asked last from now on.
    fn blame(&mut self) {
        let now = Instant::now();
        let mut late: Vec<usize> =
            self.silent.iter().filter(|(_, due)| *due <= now).map(|(at, _)| *at).collect();
        late.sort_unstable();
        late.dedup();
        late.into_iter().for_each(|at| self.remotes[at].failed(Fault::Timeout));
    }
}
