//! Why the manifests cannot be used at all.

use std::io;
use std::path::PathBuf;

/// Why [`super::Manifests`] cannot start or go on. Trouble with single files is never an error: it is a
/// `Problem`.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// The path does not exist or cannot be read.
    #[error("cannot read manifests from {}: {source}", path.display())]
    Unreadable {
        /// The path that was given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path cannot be watched; most often `fs.inotify.max_user_watches` or `max_user_instances` is used up.
    #[error("cannot watch {} for changes: {source} (see sysctl fs.inotify)", path.display())]
    Watch {
        /// The path that was given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody takes the changes any more.
    #[error("the receiver of changes is gone")]
    ReceiverGone,
}
