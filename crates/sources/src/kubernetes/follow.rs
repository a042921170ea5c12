//! Following one kind: request after request, as [`Course`] decides them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Response;
use kube::client::Body;
use model::Change;

use super::ask;
use super::backoff::{Backoff, between};
use super::course::{Course, News, Step};
use super::failure::Failure;
use super::hub::Hub;
use super::link::Link;
use super::reason::Reason;
use super::stats::count;
use super::stream::Closed;
use super::trouble::{self, Trouble};
use super::watched::{Selectors, TARGETS, Target};

/// A stream that ends sooner than this was hardly one.
const SHORT: Duration = Duration::from_secs(1);
/// A stream may break this often, one after the other, before that is said.
const BREAKS: u32 = 3;

/// What is not required may be refused this often before the others stop to wait for it.
const REFUSALS: u32 = 4;

/// Follows one kind.
pub(super) struct Follower<'h, 'a> {
    pub(super) hub: &'h Hub<'a>,
    pub(super) link: &'h Link,
    /// Its number in [`TARGETS`].
    pub(super) index: usize,
    pub(super) course: Course,
    pub(super) trouble: Trouble,
    /// When it was last said that something foreign came.
    pub(super) foreign_said: Option<Instant>,
    selectors: Selectors,
    backoff: Backoff,
    breaks: u32,
    refusals: u32,
    /// Why it is done without, if it is.
    without: Option<Reason>,
}

/// What came of a request.
pub(super) enum Outcome {
    /// No success.
    Failed(Failure),
    /// A page of a list was read.
    Listed { version: String, more: Option<String> },
    /// A stream was open for this long.
    Closed { how: Closed, open: Duration, first_missing: bool },
}

impl<'h, 'a> Follower<'h, 'a> {
    /// Nothing is known yet.
    pub(super) fn new(hub: &'h Hub<'a>, link: &'h Link, index: usize, selectors: Selectors) -> Self {
        let limits = &hub.limits;
        let object = format!("watch of {}", TARGETS[index].plural);
        Self {
            hub,
            link,
            index,
            selectors,
            course: Course::default(),
            backoff: Backoff::new(limits.retry_first, limits.retry_last),
            trouble: Trouble::new(object, limits.say_again),
            foreign_said: None,
            breaks: 0,
            refusals: 0,
            without: None,
        }
    }

    pub(super) fn target(&self) -> &'static Target {
        &TARGETS[self.index]
    }

    /// Goes on for ever.
    pub(super) async fn run(mut self) {
        loop {
            let step = self.course.step();
            let outcome = self.take(&step).await;
            self.hub.stats.kind(self.index).connected.store(false, Relaxed);
            let pause = self.judge(&step, outcome);
            self.hub.count(self.index);
            tokio::time::sleep(pause).await;
            self.link.refresh();
        }
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        self.count_step(step);
        let response = match self.link.send(self.request(step)).await {
            Ok(response) => response,
            Err(failure) => return Outcome::Failed(failure),
        };
        self.without = None;
        match step {
            Step::List { page, .. } => self.list(response, page.is_none()).await,
            Step::Stream { .. } => self.watch(response, true).await,
            Step::Watch { .. } => self.watch(response, false).await,
        }
    }

    async fn watch(&mut self, response: Response<Body>, first: bool) -> Outcome {
        let opened = Instant::now();
        let (how, first_missing) = self.stream(response.into_body(), first).await;
        Outcome::Closed { how, open: opened.elapsed(), first_missing }
    }

    fn count_step(&self, step: &Step) {
        let stats = self.hub.stats.kind(self.index);
        let again = self.hub.books[self.index].borrow().is_complete();
        match step {
            Step::Watch { .. } => count(&stats.watches),
            Step::List { page: Some(_), .. } => {}
            _ if again => count(&stats.relists),
            _ => count(&stats.lists),
        }
    }

    fn request(&self, step: &Step) -> http::Request<Vec<u8>> {
        let mut selectors = self.selectors.clone();
        if !self.course.may_select_fields() {
            selectors.field = None;
        }
        ask::request(self.target(), &selectors, step, self.hub.limits.watch_length)
    }

    /// Learns from what came, says what is to be said, and decides how long to wait.
    fn judge(&mut self, step: &Step, outcome: Outcome) -> Duration {
        if !matches!(outcome, Outcome::Listed { more: Some(_), .. }) {
            self.hub.books[self.index].borrow_mut().abort();
        }
        match outcome {
            Outcome::Failed(failure) => self.failed(step, failure),
            Outcome::Listed { more: Some(more), .. } => {
                self.course.learn(News::Page { more: &more });
                Duration::ZERO
            }
            Outcome::Listed { version, more: None } => {
                self.course.learn(News::Complete { version: &version });
                self.works();
                Duration::ZERO
            }
            Outcome::Closed { how, open, first_missing } => self.closed(step, how, open, first_missing),
        }
    }

    fn closed(&mut self, step: &Step, how: Closed, open: Duration, first_missing: bool) -> Duration {
        self.backoff.was_open(open);
        if open >= SHORT {
            self.breaks = 0;
        }
        match how {
            Closed::Error(failure) => return self.failed(step, failure),
            Closed::Unreadable(why) => return self.unreadable(&why),
            Closed::Broken(failure) => {
                self.count_error(failure.reason);
                self.course.learn(News::Ended);
                return self.broken(step, failure);
            }
            Closed::Silent => self.count_error(Reason::Timeout),
            Closed::Ended => {
                tracing::debug!(
                    resource = self.target().watched.resource,
                    ?open,
                    "the server ended the stream"
                );
            }
        }
        // A server that knows no first events begins with an ordinary watch: nothing says where they end.
        self.course.learn(if first_missing { News::NoEnd } else { News::Ended });
        if open < SHORT { self.backoff.pause() } else { between(Duration::ZERO, Duration::from_millis(50)) }
    }

    /// A stream that breaks is no news; that it breaks again and again is.
    fn broken(&mut self, step: &Step, failure: Failure) -> Duration {
        tracing::debug!(resource = self.target().watched.resource, "stream broke: {}", failure.text);
        self.breaks += 1;
        if self.breaks >= BREAKS {
            self.say(step, &failure);
        }
        self.backoff.pause()
    }

    fn unreadable(&mut self, why: &str) -> Duration {
        self.count_error(Reason::Malformed);
        self.course.learn(News::Unreadable);
        let plural = self.target().plural;
        let change = self.trouble.begin(Reason::Malformed, || {
            format!(
                "the watch of {plural} sent a line that is no event ({why}); asking for it again; is there a proxy \
                 between this node and the API server?"
            )
        });
        self.tell(change);
        self.backoff.pause()
    }

    fn failed(&mut self, step: &Step, failure: Failure) -> Duration {
        self.count_error(failure.reason);
        let may_refuse = matches!(failure.status, 400 | 422);
        if may_refuse && failure.text.contains("field label") && self.course.may_select_fields() {
            self.course.learn(News::SelectorRefused);
            return Duration::ZERO;
        }
        if may_refuse && matches!(step, Step::Stream { .. }) {
            tracing::debug!(
                resource = self.target().watched.resource,
                "no stream of first events: {}",
                failure.text
            );
            self.course.learn(News::StreamRefused);
            return Duration::ZERO;
        }
        if failure.too_new || failure.reason == Reason::Expired {
            self.course.learn(if failure.too_new { News::TooNew } else { News::TooOld });
            tracing::info!(resource = self.target().watched.resource, "listing again: {}", failure.text);
            return self.pause(&failure);
        }
        self.course.learn(if failure.is_answer() { News::Refused } else { News::Away });
        if !self.target().watched.required && failure.is_answer() {
            if matches!(failure.reason, Reason::Forbidden | Reason::NotFound) {
                return self.do_without(step, &failure);
            }
            self.refusals += 1;
            if self.refusals >= REFUSALS {
                self.hub.listed(self.index);
            }
        }
        self.say(step, &failure);
        self.pause(&failure)
    }

    /// What the server wants, but never less than ours.
    fn pause(&mut self, failure: &Failure) -> Duration {
        let ours = self.backoff.pause();
        failure.retry_after.map_or(ours, |theirs| theirs.min(Duration::from_secs(120)).max(ours))
    }

    /// It is absent, or forbidden: nothing needs it.
    fn do_without(&mut self, step: &Step, failure: &Failure) -> Duration {
        if failure.reason == Reason::NotFound {
            let mut book = self.hub.books[self.index].borrow_mut();
            book.begin();
            book.commit(&mut |change| self.hub.send(change));
        }
        if self.without.replace(failure.reason) != Some(failure.reason) {
            let line = self.line(step, failure);
            match failure.reason {
                Reason::NotFound => {
                    tracing::info!("api: {line} (this server has none: they are done without)")
                }
                _ => tracing::warn!("api: {line} (they are done without)"),
            }
        }
        self.works();
        self.hub.listed(self.index);
        let again = self.hub.limits.ask_again;
        between(again, again * 2)
    }

    fn say(&mut self, step: &Step, failure: &Failure) {
        let line = self.line(step, failure);
        let change = self.trouble.begin(failure.reason, || line);
        self.tell(change);
    }

    fn line(&self, step: &Step, failure: &Failure) -> String {
        let verb = if matches!(step, Step::List { .. }) { "list" } else { "watch" };
        trouble::line(self.target(), verb, &self.link.about(), self.link.is_cluster_ip(), failure)
    }

    /// It works: ends what was said.
    pub(super) fn works(&mut self) {
        let change = self.trouble.end();
        self.tell(change);
    }

    fn tell(&self, change: Option<Change>) {
        if let Some(change) = change {
            self.hub.send(change);
        }
    }

    pub(super) fn count_error(&self, reason: Reason) {
        self.hub.stats.kind(self.index).count_error(reason);
    }
}
