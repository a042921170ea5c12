//! Reading the bodies of lists and watches into the book of their kind.

use std::time::Instant;

use super::course::News;
use super::event::{self, Event, Line};
use super::failure::Failure;
use super::follow::{Follower, Outcome};
use super::link::{Answer, Silence};
use super::objects::Verdict;
use super::pieces::{Lines, Piece};
use super::reason::Reason;
use super::scan::text_at;
use super::splitter::{ListSplitter, NotAList};

/// First events may take this many times the longest silence; a list has no such limit, and is asked for instead.
const FIRST_EVENTS: u32 = 4;

/// How a stream came to its end.
#[derive(Debug)]
pub(super) enum Closed {
    /// The server ended it.
    Ended {
        /// Nothing had come.
        fruitless: bool,
    },
    /// Nothing came for too long.
    Silent,
    /// It broke off.
    Broken(Failure),
    /// It broke off, or ended, in the middle of a line.
    CutOff(Failure),
    /// A line is no event.
    Unreadable(String),
    /// The server said that it is over.
    Error(Failure),
}

impl Follower<'_, '_> {
    /// Reads a watch. `first`: it begins with the whole state. Returns whether the end of that is missing, too.
    pub(super) async fn stream(&mut self, mut body: Answer, first: bool) -> (Closed, bool) {
        let (mut first_missing, opened) = (first, Instant::now());
        let patience = self.hub.limits.list_silence * FIRST_EVENTS;
        if first {
            self.hub.books[self.index].borrow_mut().begin();
        }
        let mut fruitless = true;
        let mut lines = Lines::new(self.hub.limits.object);
        self.hub.stats.kind(self.index).connected.store(true, std::sync::atomic::Ordering::Relaxed);
        loop {
            let bytes = match self.next(&mut body, first_missing).await {
                Err(Closed::Broken(why)) if lines.is_inside() => return (cut_off(Some(&why)), first_missing),
                Err(closed) => return (closed, first_missing),
                // A server that does not know of first events, and always has events.
                _ if first_missing && opened.elapsed() > patience => return (Closed::Silent, true),
                Ok(None) if lines.is_inside() => return (cut_off(None), first_missing),
                Ok(None) => return (Closed::Ended { fruitless }, first_missing),
                Ok(Some(bytes)) => bytes,
            };
            fruitless = false;
            let result = lines.feed(&bytes, |piece| self.line_of_watch(piece, &mut first_missing));
            self.hub.count(self.index);
            if let Err(closed) = result {
                return (closed, first_missing);
            }
            if !first_missing && opened.elapsed() >= self.settles_after() {
                self.settled();
            }
        }
    }

    /// The next bytes of a body.
    async fn next(&mut self, body: &mut Answer, is_list: bool) -> Result<Option<hyper::body::Bytes>, Closed> {
        let limits = &self.hub.limits;
        let limit = if is_list { limits.list_silence } else { limits.watch_silence };
        let (since, settles) = (Instant::now(), self.settles_after());
        loop {
            let quiet_is_good = !is_list && !self.course.is_silent();
            let settling = quiet_is_good && self.is_unsettled() && since.elapsed() < settles;
            let left = limit.saturating_sub(since.elapsed());
            match self.link.read(body, if settling { left.min(settles) } else { left }).await {
                Ok(Ok(bytes)) => {
                    self.hub.receive(self.index, bytes.as_ref().map_or(0, |bytes| bytes.len()), is_list);
                    return Ok(bytes);
                }
                Ok(Err(failure)) => return Err(Closed::Broken(failure)),
                Err(Silence) if settling && since.elapsed() < limit => self.settled(),
                Err(Silence) => return Err(Closed::Silent),
            }
        }
    }

    fn line_of_watch(&mut self, piece: Piece<'_>, first_missing: &mut bool) -> Result<(), Closed> {
        self.hub.stats.kind(self.index).count_event();
        let text = match piece {
            Piece::TooLarge { head, size } => {
                self.large_line(head, size);
                return Ok(());
            }
            Piece::Whole(bytes) => std::str::from_utf8(bytes),
        };
        let text = text.map_err(|_| Closed::Unreadable("it is not UTF-8".into()))?;
        let parsed = event::parse(self.target().kind, text);
        let Line { event, version } = parsed.map_err(|error| Closed::Unreadable(error.to_string()))?;
        match event {
            Event::Error(status) => return Err(Closed::Error(Failure::of_status(&status))),
            Event::Bookmark { first_complete: true } if *first_missing => {
                let version =
                    version.ok_or_else(|| Closed::Unreadable("a bookmark without a version".into()))?;
                self.complete();
                self.course.learn(News::Complete { version: &version });
                *first_missing = false;
                return Ok(());
            }
            Event::Bookmark { .. } => {}
            Event::Upsert(json) => self.object(json, false),
            Event::Deleted(json) => self.object(json, true),
            Event::Foreign(what) => self.foreign(&what),
        }
        if let Some(version) = version {
            self.course.advance(version);
        }
        Ok(())
    }

    fn object(&self, json: &str, deleted: bool) {
        let (mut book, mut decoder) =
            (self.hub.books[self.index].borrow_mut(), self.hub.decoder.borrow_mut());
        let at_once = self.is_at_once(book.is_complete());
        let out = &mut |change| self.hub.send(change);
        let verdict = if deleted {
            book.deleted(json, at_once, &mut decoder, out)
        } else {
            book.upsert(json, at_once, &mut decoder, out)
        };
        self.count_verdict(verdict);
    }

    /// Before anything is programmed, objects need not wait for the end of their list.
    fn is_at_once(&self, is_complete: bool) -> bool {
        !is_complete && !self.hub.is_synced()
    }

    fn large_line(&mut self, head: &[u8], size: usize) {
        let mut book = self.hub.books[self.index].borrow_mut();
        let name = book.name_in(head, &["object"]);
        let out = &mut |change| self.hub.send(change);
        let at_once = self.is_at_once(book.is_complete());
        let version = || text_at(head, &["object", "metadata", "resourceVersion"]);
        match (text_at(head, &["type"]).as_deref(), name) {
            (Some("DELETED"), Some(name)) => book.gone(name, version().map(Into::into), at_once, out),
            (_, name) => self.count_verdict(book.too_large(name, size, out)),
        }
        drop(book);
        if let Some(version) = version() {
            self.course.advance(version);
        }
    }

    /// Something that was not asked for: said now and then, and passed over.
    fn foreign(&mut self, what: &str) {
        self.count_error(Reason::UnknownKind);
        let again = self.hub.limits.say_again;
        if self.foreign_said.is_none_or(|said| said.elapsed() >= again) {
            self.foreign_said = Some(Instant::now());
            let plural = self.target().plural;
            tracing::warn!(
                "api: the watch of {plural} sent {what}: passed over; is the server newer than this program?"
            );
        }
    }

    fn count_verdict(&self, verdict: Verdict) {
        match verdict {
            Verdict::Fine => {}
            Verdict::Malformed => self.count_error(Reason::Malformed),
            Verdict::TooLarge => self.count_error(Reason::TooLarge),
        }
    }

    /// The whole state is there.
    fn complete(&mut self) {
        self.hub.books[self.index].borrow_mut().commit(&mut |change| self.hub.send(change));
        self.listed();
    }

    /// Reads a list, or a page of one.
    pub(super) async fn list(&mut self, answer: Answer, first_page: bool) -> Outcome {
        if first_page {
            self.hub.books[self.index].borrow_mut().begin();
        }
        match self.pages(answer).await {
            Ok(listed) => listed,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn pages(&mut self, mut body: Answer) -> Result<Outcome, Failure> {
        let mut splitter = ListSplitter::new(self.hub.limits.object);
        let bad = |error: NotAList| {
            let text = format!("what came is no list: byte {}: expected {}", error.offset, error.expected);
            Failure::new(Reason::Malformed, text)
        };
        loop {
            let bytes = match self.next(&mut body, true).await {
                Ok(bytes) => bytes,
                Err(Closed::Broken(failure)) => return Err(failure),
                Err(_) => {
                    let text = format!("the list stopped for {:?}", self.hub.limits.list_silence);
                    return Err(Failure::new(Reason::Timeout, text));
                }
            };
            let Some(bytes) = bytes else { break };
            splitter.feed(&bytes, |piece| self.element(&piece)).map_err(bad)?;
            self.hub.count(self.index);
        }
        let head = splitter.finish().map_err(bad)?;
        let kind = head.kind.unwrap_or_default();
        if !event::is_list_of(self.target().kind, &kind) {
            let text = format!("what came is of kind {kind:?}, not the list that was asked for");
            return Err(Failure::new(Reason::UnknownKind, text));
        }
        let missing = || Failure::new(Reason::Malformed, "the list has no metadata.resourceVersion");
        let version = head.version.ok_or_else(missing)?;
        if head.more.is_none() {
            self.complete();
        }
        Ok(Outcome::Listed { version, more: head.more })
    }

    fn element(&self, piece: &Piece<'_>) {
        let (mut book, mut decoder) =
            (self.hub.books[self.index].borrow_mut(), self.hub.decoder.borrow_mut());
        let at_once = self.is_at_once(book.is_complete());
        let verdict = book.piece(piece, at_once, &mut decoder, &mut |change| self.hub.send(change));
        self.count_verdict(verdict);
    }
}

fn cut_off(why: Option<&Failure>) -> Closed {
    let why = why.map(|failure| format!(" ({})", failure.text)).unwrap_or_default();
    Closed::CutOff(Failure::new(Reason::Cut, format!("the stream ended in the middle of an object{why}")))
}
