//! What is asked of the server next, for one kind: decided from what came of the last request. No I/O.
//!
//! ```text
//!            +-----------> Stream --first events complete--+
//!  (start) --+   refused: v                                +--> Watch --ended, cut--> Watch
//!            +-----------> List ---------last page---------+      |
//!            ^                                                    | 410, unreadable twice, fruitless
//!            +----------------------------------------------------+
//! ```
//!
//! Why it asks what it asks:
//! * A first list names no exact version: a stream from `""` is made from the server's watch cache once that has caught
//!   up with etcd; a LIST takes `resourceVersion=0`, whatever the watch cache has. Neither reads all of etcd: ten thousand
//!   nodes that start after a power failure must not.
//! * A later list is never older than what is known (`NotOlderThan`): going back in time would bring deleted objects
//!   back to life when another, lagging API server answers.
//! * Only a server that does not get to the known version (504 "Too large resource version", again and again) is
//!   asked for its newest state from etcd, in pages: it was restored from a backup, and its versions began again.
//! * Watches that bring nothing again and again become a list: such a server knows the version no more, and does not say
//!   so. A server that cannot be reached, or that is overloaded, is no such server: an outage ends without lists.

/// Versions may be too large for this many times before the newest state is asked for.
const TOO_LARGE_TWICE: u8 = 2;
/// Watches from one version, one after the other, may be fruitless up to this before there is a list; see [`Barren`].
const FRUITLESS: u8 = 6;
/// From here on it is worth a word.
const FRUITLESS_SAID: u8 = 3;

/// The next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A watch that begins with the whole state (`sendInitialEvents`).
    Stream {
        /// Not older than this; the newest when empty.
        version: String,
    },
    /// A list.
    List {
        /// From where.
        from: From,
        /// The continue token of the page before.
        page: Option<String>,
    },
    /// A watch from a version at which the state is known.
    Watch {
        /// The version.
        version: String,
    },
}

/// Which state a list must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Any, whole, from the watch cache.
    Cache,
    /// Not older than this, from the watch cache.
    NotOlder(String),
    /// The newest, from etcd, in pages.
    Newest,
}

/// How a watch was fruitless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barren {
    /// The server refused it, though it can be reached.
    Refused,
    /// It ended at once.
    Ended,
    /// An ERROR event.
    Error,
    /// Nothing came, not even a bookmark.
    Silent,
}

impl Barren {
    /// A stream that was accepted, and says an error or nothing, says more about its version than a refusal does.
    fn weight(self) -> u8 {
        match self {
            Self::Refused | Self::Ended => 1,
            Self::Error | Self::Silent => 2,
        }
    }
}

/// What came of a request, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News<'a> {
    /// One page was read; there is more behind the token.
    Page { more: &'a str },
    /// The whole state at this version is known.
    Complete { version: &'a str },
    /// The stream ended or broke off; it goes on where it was.
    Ended,
    /// A stream of first events went silent, or ended, without their end.
    NoEnd,
    /// The server takes no `sendInitialEvents`.
    StreamRefused,
    /// The server knows no field selector for this kind.
    SelectorRefused,
    /// 410.
    TooOld,
    /// 504 "Too large resource version".
    TooNew,
    /// A line that is no event.
    Unreadable,
    /// No answer at all: another server may answer next time.
    Away,
    /// Any other refusal.
    Refused,
    /// The watch was good for nothing.
    Fruitless(Barren),
    /// The kind is gone from the server.
    Absent,
}

/// How far one kind has got.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    version: String,
    watching: bool,
    newest: bool,
    stream_refused: bool,
    selector_refused: bool,
    page: Option<String>,
    too_new: u8,
    unreadable_at: Option<String>,
    fruitless: u8,
    silent: bool,
}

impl Course {
    /// The next request.
    pub(super) fn step(&self) -> Step {
        let version = self.version.clone();
        if self.watching {
            return Step::Watch { version };
        }
        if !self.stream_refused {
            return Step::Stream { version: if self.newest { String::new() } else { version } };
        }
        let from = match (self.newest, version.is_empty()) {
            (true, _) => From::Newest,
            (false, true) => From::Cache,
            (false, false) => From::NotOlder(version),
        };
        Step::List { from, page: self.page.clone() }
    }

    /// Whether the field selector may be used.
    pub(super) fn may_select_fields(&self) -> bool {
        !self.selector_refused
    }

    /// An event or bookmark has moved the watch on.
    pub(super) fn advance(&mut self, version: String) {
        if self.watching {
            self.version = version;
            (self.fruitless, self.silent) = (0, false);
        }
    }

    /// Whether the last watch was silent, so that the silence of the next one is no good sign.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether watches have been fruitless so often that it should be said.
    pub(super) fn is_barren(&self) -> bool {
        self.fruitless >= FRUITLESS_SAID
    }

    fn was_fruitless(&mut self, how: Barren) {
        self.fruitless += how.weight();
        self.silent = how == Barren::Silent;
        if self.fruitless >= FRUITLESS {
            // A stream of first events is a watch, too: a proxy may let none through.
            self.stream_refused |= !self.watching;
            self.watching = false;
            self.fruitless = 0;
        }
    }

    /// Takes in what came of the request.
    pub(super) fn learn(&mut self, news: News<'_>) {
        // Whatever is not the next page ends the list: its pages belong together.
        let page = self.page.take();
        match news {
            News::Page { more } => self.page = Some(more.to_owned()),
            News::Complete { version } => {
                let (stream_refused, selector_refused) = (self.stream_refused, self.selector_refused);
                let unreadable_at = self.unreadable_at.take();
                let version = version.to_owned();
                *self = Self { version, watching: true, stream_refused, selector_refused, ..Self::default() };
                self.unreadable_at = unreadable_at;
            }
            News::NoEnd | News::StreamRefused => self.stream_refused = true,
            News::SelectorRefused => self.selector_refused = true,
            News::TooOld if self.watching => self.watching = false,
            // The token of a page is too old: from the beginning. Any other list: what is known is no start any more.
            News::TooOld => self.newest |= page.is_none(),
            News::TooNew => {
                self.watching = false;
                self.too_new = self.too_new.saturating_add(1);
                self.newest |= self.too_new >= TOO_LARGE_TWICE;
            }
            // Once may be the wire's fault. At the same place again, it is what the server has there: go around it.
            News::Unreadable if self.unreadable_at.as_ref() == Some(&self.version) => {
                // In a list, one bad object can be told from the others.
                self.stream_refused |= !self.watching;
                self.watching = false;
                self.unreadable_at = None;
            }
            News::Unreadable => self.unreadable_at = Some(self.version.clone()),
            News::Away => self.stream_refused = false,
            News::Fruitless(how) if self.watching || !self.stream_refused => self.was_fruitless(how),
            News::Absent => *self = Self::default(),
            News::Ended | News::Refused | News::Fruitless(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(from: From, page: Option<&str>) -> Step {
        Step::List { from, page: page.map(str::to_owned) }
    }

    fn stream(version: &str) -> Step {
        Step::Stream { version: version.into() }
    }

    fn watch(version: &str) -> Step {
        Step::Watch { version: version.into() }
    }

    fn not_older(version: &str) -> From {
        From::NotOlder(version.into())
    }

    #[test]
    fn courses() {
        use News::{
            Absent, Away, Complete, Ended, Fruitless, NoEnd, Page, Refused, StreamRefused, TooNew, TooOld,
            Unreadable,
        };
        let five = Complete { version: "5" };
        let listed = [StreamRefused, five];
        let with = |more: &[News<'static>]| [&listed[..], more].concat();
        for (news, expected) in [
            (vec![], stream("")),
            (vec![Refused], stream("")),
            (vec![Ended], stream("")),
            (vec![five], watch("5")),
            (vec![five, Ended], watch("5")),
            (vec![five, Away], watch("5")),
            (vec![five, TooOld], stream("5")),
            (vec![five, TooOld, Refused], stream("5")),
            (vec![five, TooOld, TooOld], stream("")),
            (vec![five, TooOld, TooNew], stream("5")),
            (vec![five, TooOld, TooNew, TooNew], stream("")),
            (vec![five, TooOld, TooNew, TooNew, Complete { version: "2" }], watch("2")),
            (vec![five, TooOld, TooNew, TooNew, Complete { version: "2" }, TooOld], stream("2")),
            (vec![NoEnd], list(From::Cache, None)),
            (vec![StreamRefused], list(From::Cache, None)),
            (vec![StreamRefused, Refused], list(From::Cache, None)),
            (vec![StreamRefused, Away], stream("")),
            (vec![StreamRefused, Page { more: "t" }], list(From::Cache, Some("t"))),
            (vec![StreamRefused, Page { more: "t" }, TooOld], list(From::Cache, None)),
            (vec![StreamRefused, Page { more: "t" }, five], watch("5")),
            (vec![StreamRefused, Page { more: "t" }, Refused], list(From::Cache, None)),
            (vec![StreamRefused, Page { more: "t" }, Page { more: "u" }], list(From::Cache, Some("u"))),
            (with(&[TooOld]), list(not_older("5"), None)),
            (with(&[TooOld, TooOld]), list(From::Newest, None)),
            (with(&[TooOld, TooNew]), list(not_older("5"), None)),
            (with(&[TooOld, TooNew, TooNew]), list(From::Newest, None)),
            (with(&[TooOld, TooNew, TooNew, Page { more: "t" }, TooOld]), list(From::Newest, None)),
            (with(&[TooNew]), list(not_older("5"), None)),
            (with(&[Unreadable]), watch("5")),
            (with(&[Unreadable, Unreadable]), list(not_older("5"), None)),
            (with(&[Unreadable, Unreadable, five]), watch("5")),
            (vec![Unreadable], stream("")),
            (vec![Unreadable, Unreadable], list(From::Cache, None)),
            (vec![five, Unreadable, Unreadable], stream("5")),
            (vec![five, Unreadable, Unreadable, Unreadable, Unreadable], list(not_older("5"), None)),
            (with(&[Fruitless(Barren::Refused); 5]), watch("5")),
            (with(&[Fruitless(Barren::Refused); 6]), list(not_older("5"), None)),
            (with(&[Fruitless(Barren::Ended); 6]), list(not_older("5"), None)),
            (with(&[Fruitless(Barren::Silent); 2]), watch("5")),
            (with(&[Fruitless(Barren::Silent); 3]), list(not_older("5"), None)),
            (with(&[Fruitless(Barren::Error); 3]), list(not_older("5"), None)),
            (with(&[Away; 20]), watch("5")),
            (with(&[Refused; 20]), watch("5")),
            (vec![Fruitless(Barren::Refused); 5], stream("")),
            (vec![Fruitless(Barren::Refused); 6], list(From::Cache, None)),
            (vec![Fruitless(Barren::Refused); 20], list(From::Cache, None)),
            (vec![five, Absent], stream("")),
            (with(&[TooOld, TooNew, Absent]), stream("")),
        ] {
            let mut course = Course::default();
            news.iter().for_each(|one| course.learn(*one));
            assert_eq!(course.step(), expected, "{news:?}");
        }
    }

    #[test]
    fn progress_between_two_unreadable_lines_counts() {
        let mut course = Course::default();
        course.advance("1".into());
        assert_eq!(course.step(), stream(""), "first events move nothing before they are complete");
        course.learn(News::Complete { version: "5" });
        course.learn(News::Unreadable);
        course.advance("6".into());
        course.learn(News::Unreadable);
        assert_eq!(course.step(), watch("6"));
        course.learn(News::Unreadable);
        assert_eq!(course.step(), stream("6"));
    }

    #[test]
    fn whatever_comes_makes_a_watch_fruitful() {
        let mut course = Course::default();
        course.learn(News::Complete { version: "5" });
        for version in ["6", "7"] {
            (0..2).for_each(|_| course.learn(News::Fruitless(Barren::Silent)));
            assert!(course.is_barren() && course.is_silent());
            course.advance(version.into());
            assert!(!course.is_barren() && !course.is_silent());
            assert_eq!(course.step(), watch(version));
        }
    }

    #[test]
    fn any_number_of_versions_may_be_too_large() {
        let mut course = Course::default();
        (0..1000).for_each(|_| course.learn(News::TooNew));
        assert_eq!(course.step(), stream(""));
    }

    #[test]
    fn a_refused_field_selector_is_not_asked_for_again() {
        let mut course = Course::default();
        assert!(course.may_select_fields());
        course.learn(News::SelectorRefused);
        course.learn(News::Complete { version: "5" });
        assert!(!course.may_select_fields());
    }
}
