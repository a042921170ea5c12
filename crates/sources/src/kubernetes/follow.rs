//! Following one kind: request after request, as [`Course`] decides them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use model::Change;

use super::ask;
use super::backoff::{Backoff, HEALTHY, between};
use super::course::{Barren, Course, News, Step};
use super::failure::Failure;
use super::hub::Hub;
use super::link::{Answer, Link};
use super::reason::Reason;
use super::stats::count;
use super::stream::Closed;
use super::trouble::{self, Trouble};
use super::watched::{Selectors, TARGETS, Target};

/// A stream that ends sooner than this was hardly one.
const SHORT: Duration = Duration::from_secs(1);
/// A stream may break this often, one after the other, before that is said.
const BREAKS: u32 = 3;
/// A version may be too old, or too new, this often, one time after the other, before that is said.
const EXPIRIES: u32 = 2;
/// A kind whose objects are known must be absent this often, and for as long as [`super::Limits::ask_again`], before
/// they are given up: one server of several may be older, or not know all kinds yet.
const ABSENCES: u32 = 3;

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
    /// The number of the version that is asked for.
    version: usize,
    backoff: Backoff,
    breaks: u32,
    expiries: u32,
    absences: u32,
    absent_since: Option<Instant>,
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
            version: 0,
            course: Course::default(),
            backoff: Backoff::new(limits.retry_first, limits.retry_last),
            trouble: Trouble::new(object, limits.say_again),
            foreign_said: None,
            breaks: 0,
            expiries: 0,
            absences: 0,
            absent_since: None,
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
            self.hub.request_ended(self.index);
            let pause = self.judge(&step, outcome);
            self.hub.count(self.index);
            tokio::time::sleep(pause).await;
            self.link.refresh();
        }
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        self.count_step(step);
        let sent = self.link.send(self.request(step)).await;
        if sent.as_ref().map_or_else(|failure| failure.is_answer() && !failure.of_link, |_| true) {
            let change = self.hub.link_trouble.borrow_mut().end();
            self.tell(change);
        }
        let answer = match sent {
            Ok(answer) => answer,
            Err(failure) => return Outcome::Failed(failure),
        };
        self.without = None;
        (self.absences, self.absent_since) = (0, None);
        match step {
            Step::List { page, .. } => self.list(answer, page.is_none()).await,
            Step::Stream { .. } => self.watch(answer, true).await,
            Step::Watch { .. } => self.watch(answer, false).await,
        }
    }

    async fn watch(&mut self, answer: Answer, first: bool) -> Outcome {
        let opened = Instant::now();
        let (how, first_missing) = self.stream(answer, first).await;
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
        let version = self.target().watched.versions.get(self.version).copied().unwrap_or("v1");
        ask::request(self.target(), version, &selectors, step, self.hub.limits.watch_length)
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
                Duration::ZERO
            }
            Outcome::Closed { how, open, first_missing } => self.closed(step, how, open, first_missing),
        }
    }

    fn closed(&mut self, step: &Step, how: Closed, open: Duration, first_missing: bool) -> Duration {
        if self.backoff.was_open(open) {
            self.breaks = 0;
        }
        let barren = match how {
            Closed::Error(failure) => return self.refused(step, failure, Barren::Error),
            Closed::Unreadable(why) => return self.unreadable(&why),
            Closed::Broken(failure) => {
                self.count_error(failure.reason);
                self.course.learn(News::Ended);
                return self.broken(step, failure);
            }
            // Unlike a stream that ends between two events, this is no part of an ordinary day.
            Closed::CutOff(failure) => {
                self.count_error(failure.reason);
                self.course.learn(News::Ended);
                self.say(step, &failure);
                return self.backoff.pause();
            }
            Closed::Silent => {
                self.count_error(Reason::Timeout);
                Some(Barren::Silent)
            }
            Closed::Ended { fruitless } => {
                let resource = self.target().watched.resource;
                tracing::debug!(resource, ?open, "the server ended the stream");
                (fruitless && open < SHORT).then_some(Barren::Ended)
            }
        };
        match barren {
            // A server that knows no first events begins with an ordinary watch: nothing says where they end.
            _ if first_missing => self.course.learn(News::NoEnd),
            None => self.course.learn(News::Ended),
            Some(barren) => self.fruitless(step, barren),
        }
        if open < SHORT { self.backoff.pause() } else { between(Duration::ZERO, Duration::from_millis(50)) }
    }

    /// Nothing came of a watch. Once is no news.
    fn fruitless(&mut self, step: &Step, how: Barren) {
        self.course.learn(News::Fruitless(how));
        if self.course.is_barren() {
            let what = match how {
                Barren::Silent => "nothing comes, not even a bookmark",
                _ => "the server ends it at once",
            };
            let text = format!("{what}, again and again; if that goes on, a new list is asked for");
            self.say(step, &Failure::new(Reason::Server, text));
        }
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
        self.refused(step, failure, Barren::Refused)
    }

    /// No success; `barren` is what it means if it was a watch.
    fn refused(&mut self, step: &Step, failure: Failure, barren: Barren) -> Duration {
        self.count_error(failure.reason);
        if self.adapts(step, &failure) {
            return Duration::ZERO;
        }
        if failure.too_new || failure.reason == Reason::Expired {
            return self.expired(step, &failure);
        }
        let is_optional = !self.target().watched.required;
        match failure.reason {
            Reason::NotFound if is_optional => return self.absent(step, &failure),
            Reason::Forbidden if is_optional => {
                self.course.learn(News::Refused);
                return self.do_without(step, &failure);
            }
            _ => {}
        }
        self.course.learn(match barren {
            Barren::Error if !failure.is_outage() => News::Fruitless(Barren::Error),
            _ if !failure.is_answer() => News::Away,
            barren if failure.reason == Reason::Server && !failure.is_outage() => News::Fruitless(barren),
            _ => News::Refused,
        });
        self.say(step, &failure);
        self.pause(&failure)
    }

    /// Whether the server refuses a way of asking, and there is another one.
    fn adapts(&mut self, step: &Step, failure: &Failure) -> bool {
        let may_refuse = matches!(failure.status, 400 | 422);
        if may_refuse && failure.text.contains("field label") && self.course.may_select_fields() {
            self.course.learn(News::SelectorRefused);
            return true;
        }
        let refused = may_refuse && matches!(step, Step::Stream { .. });
        if refused {
            let resource = self.target().watched.resource;
            tracing::debug!(resource, "no stream of first events: {}", failure.text);
            self.course.learn(News::StreamRefused);
        }
        refused
    }

    /// The server does not know the version any more, or not yet.
    fn expired(&mut self, step: &Step, failure: &Failure) -> Duration {
        self.course.learn(if failure.too_new { News::TooNew } else { News::TooOld });
        tracing::info!(resource = self.target().watched.resource, "listing again: {}", failure.text);
        self.expiries = self.expiries.saturating_add(1);
        if self.expiries >= EXPIRIES {
            self.say(step, failure);
        }
        self.pause(failure)
    }

    /// What the server wants, but never less than ours.
    fn pause(&mut self, failure: &Failure) -> Duration {
        let ours = self.backoff.pause();
        failure.retry_after.map_or(ours, |theirs| theirs.min(Duration::from_secs(120)).max(ours))
    }

    /// Whether there is another version of the kind to ask for; once all were asked for, the first is the next again.
    fn next_version(&mut self) -> bool {
        self.version = (self.version + 1) % self.target().watched.versions.len().max(1);
        self.version != 0
    }

    /// The server knows no such kind, which is not needed.
    fn absent(&mut self, step: &Step, failure: &Failure) -> Duration {
        if self.next_version() {
            self.course.learn(News::Refused);
            return Duration::ZERO;
        }
        self.absences = self.absences.saturating_add(1);
        let since = self.absent_since.get_or_insert_with(Instant::now).elapsed();
        let is_sure = self.absences >= ABSENCES && since >= self.hub.limits.ask_again;
        if self.hub.books[self.index].borrow().len() > 0 && !is_sure {
            self.course.learn(News::Refused);
            self.say(step, failure);
            return self.pause(failure);
        }
        let mut book = self.hub.books[self.index].borrow_mut();
        book.begin();
        book.commit(&mut |change| self.hub.send(change));
        drop(book);
        // A watch that went on from where it was would not bring back what was given up.
        self.course.learn(News::Absent);
        self.do_without(step, failure)
    }

    /// It is absent, or forbidden: nothing needs it.
    fn do_without(&mut self, step: &Step, failure: &Failure) -> Duration {
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
        let change = if failure.of_link {
            self.hub.link_trouble.borrow_mut().begin(failure.reason, || line)
        } else {
            self.trouble.begin(failure.reason, || line)
        };
        self.tell(change);
    }

    fn line(&self, step: &Step, failure: &Failure) -> String {
        let verb = if matches!(step, Step::List { .. }) { "list" } else { "watch" };
        trouble::line(self.target(), verb, &self.link.about(), self.link.is_cluster_ip(), failure)
    }

    /// How long a stream must not have failed before it works. One that has broken again and again must last longer:
    /// else each break would be said, and each time that it works again.
    pub(super) fn settles_after(&self) -> Duration {
        if self.breaks >= BREAKS { HEALTHY } else { SHORT }
    }

    /// Whether something is to be taken back once a watch works.
    pub(super) fn is_unsettled(&self) -> bool {
        self.trouble.is_on() || self.expiries > 0
    }

    /// A whole list came. That ends what was said, but for versions that are refused again and again: whether this one
    /// is good shows only in a watch.
    pub(super) fn listed(&mut self) {
        if self.expiries < EXPIRIES {
            self.works();
        }
        self.hub.listed(self.index);
    }

    /// A watch has not failed for long enough.
    pub(super) fn settled(&mut self) {
        self.expiries = 0;
        self.works();
    }

    /// It works: ends what was said.
    fn works(&mut self) {
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
