//! Why the source cannot start, or cannot go on.

use std::io;

/// Why [`super::Kubernetes`] cannot start or go on. What the API server answers is never one: it is said, counted and
/// tried again.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// It is not known where the API server is.
    #[error("{0}")]
    NoServer(String),
    /// A file with an address or with credentials cannot be used.
    #[error("{what}: {why}")]
    Credentials {
        /// What was read: the kubeconfig's path, or "in-cluster credentials in DIR".
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The API server did not give what [`super::get`] asked for.
    #[error("GET {url}{path}: {why}")]
    Answer {
        /// The server.
        url: String,
        /// What was asked for.
        path: String,
        /// What it said, or what failed on the way.
        why: String,
    },
    /// The operating system gave no runtime, or no way to wait for the stop signal.
    #[error("kubernetes: cannot start: {0}")]
    Runtime(io::Error),
    /// Nobody takes the changes any more.
    #[error("the receiver of changes is gone")]
    ReceiverGone,
}
