//! Whether others have changed what the node has for DNS, without reading it.

use netlink::nft::{Family, ObjectNews, Sentry, Writing};
use netlink::route::{RouteOwner, RouteWatch};
use netlink::{NetlinkError, Socket};

use crate::link::LINK;
use crate::table::TABLE;

/// Watches the tables by the ruleset's generation, and what routing has by its news.
#[derive(Debug)]
pub struct NodeWatch {
    sentry: Sentry,
    /// `None`: the kernel gave no socket.
    routing: Option<RouteWatch>,
    /// Commits of ours before those that are being made.
    commits: u32,
}

impl NodeWatch {
    /// `writer` is the socket by which we change links, addresses and routes.
    pub fn open(writer: &Socket) -> Self {
        let routing = RouteWatch::open_with_link(writer, RouteOwner::Dns, LINK);
        let unwatched = |error: &NetlinkError| {
            tracing::warn!(%error, "DNS: changes of others to links and routes are not noticed at once");
        };
        Self { sentry: Sentry::default(), routing: routing.inspect_err(unwatched).ok(), commits: 0 }
    }

    /// To be called before everything is read and written: what others change from now on counts.
    pub fn know(&mut self, nft: &mut Socket) {
        if let Some(routing) = &mut self.routing {
            let _ = routing.changed();
        }
        if let Err(error) = self.sentry.know(nft) {
            tracing::debug!(%error, "the ruleset's generation cannot be read");
        }
        self.commits = nft.commits();
        // At most two tables.
        self.sentry.before(Writing::Objects(2), &is_ours);
    }

    /// To be called when it was written.
    pub fn wrote(&mut self, nft: &mut Socket) {
        let own = nft.commits().wrapping_sub(self.commits);
        self.sentry.after(nft, Some(own));
    }

    /// Whether others may have changed something.
    pub fn is_touched(&mut self, nft: &mut Socket) -> bool {
        let routing = self.routing.as_mut().is_some_and(|routing| routing.changed().unwrap_or(true));
        self.sentry.is_touched(nft, &is_ours) || routing
    }

    /// Who has changed a table, where that is known.
    pub fn by(&self) -> Option<String> {
        self.sentry.culprit().map(ToString::to_string)
    }
}

fn is_ours(news: &ObjectNews<'_>) -> bool {
    [Family::Ip, Family::Ip6].iter().any(|family| *family as u8 == news.family) && news.table == TABLE
}
