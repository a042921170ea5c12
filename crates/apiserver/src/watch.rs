//! Watches: what is known already, then what happens, with bookmarks, until the time is over.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::body::{Closed, Writer};
use crate::feed::Message;
use crate::query::Query;
use crate::render::View;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Store;
use crate::subscribe::Subscription;

/// How many bytes are gathered, at most, before they are sent.
const PIECE: usize = 64 * 1024;
/// How long before its end a watch gets a last bookmark.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// A watch that was asked for.
pub(crate) struct Watch {
    pub resource: &'static Resource,
    store: Store,
    subscription: Result<Subscription, ApiError>,
    view: View,
    bookmarks: bool,
    /// The bookmark that ends the initial events is wanted.
    initial_end: bool,
    deadline: Instant,
    every: Duration,
    /// Whether a table has said its columns.
    columns_said: bool,
}

/// The times of a watch that the server chooses.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub bookmark_every: Duration,
    pub timeout: Duration,
}

impl Watch {
    /// Begins a watch; what cannot be known any more is said in the stream, as the real server does.
    pub fn new(
        store: &Store,
        resource: &'static Resource,
        selector: &Selector,
        query: &Query,
        view: View,
        times: Times,
    ) -> Result<Self, ApiError> {
        check_options(query)?;
        let version = query.number("resourceVersion")?.filter(|version| *version > 0);
        let initial = query.flag("sendInitialEvents");
        let without_initial = query.has("sendInitialEvents") && !initial;
        let current = store.version();
        let from = match version {
            Some(version) if initial && version > current => {
                return Err(ApiError::version_too_large(version, current));
            }
            // Not older than this: everything as it is now is so.
            Some(_) if initial => None,
            None if without_initial => Some(current),
            other => other,
        };
        let timeout = query.number("timeoutSeconds")?.map_or(times.timeout, Duration::from_secs);
        Ok(Self {
            resource,
            store: store.clone(),
            subscription: store.watch(resource, selector, from),
            view,
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_end: initial,
            deadline: Instant::now() + timeout,
            every: times.bookmark_every,
            columns_said: false,
        })
    }

    /// Lets the watch say this error and end.
    pub fn fail(&mut self, error: ApiError) {
        self.subscription = Err(error);
    }

    /// Serves the watch to its end.
    pub async fn run(mut self, writer: &mut Writer) {
        let placeholder = Err(ApiError::too_old(0, 0));
        let outcome = match std::mem::replace(&mut self.subscription, placeholder) {
            Ok(subscription) => timeout_at(self.deadline, self.serve(subscription, writer)).await,
            Err(error) => {
                let line = format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", error.text());
                Ok(writer.send(line).await)
            }
        };
        // The time is over, the reader is gone or too slow: in any case this is the end.
        drop(outcome);
    }

    async fn serve(&mut self, mut subscription: Subscription, writer: &mut Writer) -> Result<(), Closed> {
        self.send_first(&mut subscription, writer).await?;
        let mut bookmark = self.next_bookmark();
        loop {
            tokio::select! {
                biased;
                message = subscription.queue.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    self.send_all(message, &mut subscription, writer).await?;
                }
                () = sleep_until(bookmark), if self.bookmarks => {
                    self.store.bookmark_for(self.resource, Some(subscription.id));
                    bookmark = self.next_bookmark();
                }
                () = writer.closed() => return Err(Closed),
            }
        }
    }

    /// Sends what was known when the watch began.
    async fn send_first(
        &mut self,
        subscription: &mut Subscription,
        writer: &mut Writer,
    ) -> Result<(), Closed> {
        let mut lines = Vec::new();
        for (change, object) in std::mem::take(&mut subscription.first) {
            self.view.event(&mut lines, change, &object, !self.columns_said);
            self.columns_said = true;
            if lines.len() >= PIECE {
                writer.send(std::mem::take(&mut lines)).await?;
            }
        }
        if self.initial_end && self.bookmarks {
            lines.extend_from_slice(self.view.bookmark(self.resource, subscription.version, true).as_bytes());
        }
        writer.send(lines).await
    }

    /// Sends a message, and what else is there already.
    async fn send_all(
        &mut self,
        first: Message,
        subscription: &mut Subscription,
        writer: &mut Writer,
    ) -> Result<(), Closed> {
        let mut lines = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Event(change, object) => {
                    self.view.event(&mut lines, change, &object, !self.columns_said);
                    self.columns_said = true;
                }
                Message::Bookmark(version) if self.bookmarks => {
                    lines.extend_from_slice(self.view.bookmark(self.resource, version, false).as_bytes());
                }
                Message::Bookmark(_) => {}
                Message::Raw(bytes) => lines.extend_from_slice(&bytes),
                Message::Break(bytes) => {
                    lines.extend_from_slice(&bytes);
                    writer.send(lines).await?;
                    writer.abort().await;
                    return Err(Closed);
                }
                Message::End => {
                    writer.send(lines).await?;
                    return Err(Closed);
                }
            }
            next = if lines.len() < PIECE { subscription.queue.try_recv().ok() } else { None };
        }
        writer.send(lines).await
    }

    /// Regularly, and once shortly before the end.
    fn next_bookmark(&self) -> Instant {
        let now = Instant::now();
        let regular = now + self.every;
        match self.deadline.checked_sub(LAST_BOOKMARK) {
            Some(last) if last > now + Duration::from_secs(1) => regular.min(last),
            _ => regular,
        }
    }
}

/// The rules for `sendInitialEvents` and `resourceVersionMatch` of a watch.
fn check_options(query: &Query) -> Result<(), ApiError> {
    let forbidden = |why: &str| Err(ApiError::forbidden_option("resourceVersionMatch", why));
    match (query.has("sendInitialEvents"), query.get("resourceVersionMatch")) {
        (true, "NotOlderThan") | (false, "") => Ok(()),
        (true, "") => forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (true, _) => forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (false, _) => {
            forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        }
    }
}
