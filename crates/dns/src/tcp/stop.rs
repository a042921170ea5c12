//! The word that the server drains.

use std::time::Duration;

use tokio::sync::watch;

/// How long connections and queries that are on their way when the word comes are still taken: to close a socket that has
/// something unread resets its connection, and the client loses what it asked.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Told once that no new query is to be taken.
#[derive(Debug, Clone)]
pub(crate) struct Stop(pub(crate) watch::Receiver<bool>);

impl Stop {
    /// Waits for the word; a server that is gone counts as one.
    pub(crate) async fn wait(&mut self) {
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
