//! How a server is started.

use std::net::SocketAddr;
use std::time::Duration;

/// How a server is started. `Options::default()` is plain HTTP on a free port of 127.0.0.1, open to all.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 chooses one. The first one is in the URL.
    pub listen: Vec<SocketAddr>,
    /// A listener that no fault touches, plain HTTP, for `/_test/`.
    pub control: Option<SocketAddr>,
    /// HTTPS, with a CA of its own.
    pub tls: bool,
    /// Names and addresses in the certificate, beside 127.0.0.1, ::1, localhost and where it listens.
    pub names: Vec<String>,
    /// Bearer tokens that are let in; without any, everybody is.
    pub tokens: Vec<String>,
    /// Resources that this server does not have. By default those of CRDs that few clusters have: `serviceimports`.
    pub without: Vec<String>,
    /// Whether objects get managed fields, as on real servers.
    pub bulky_managed_fields: bool,
    /// Where cluster IPs are taken from, IPv4 or IPv6; the first one is the primary family.
    pub service_cidrs: Vec<String>,
    /// Whether the namespaces and the ServiceCIDR of a new cluster are there.
    pub system_objects: bool,
    /// Whether the Service `default/kubernetes` is there.
    pub kubernetes_service: bool,
    /// How many events of each kind are kept.
    pub history: usize,
    /// How many messages may wait for one watcher before it is closed.
    pub watch_queue: usize,
    /// How often watchers get a bookmark.
    pub bookmark_every: Duration,
    /// How long a watch is served that does not say it.
    pub watch_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            control: None,
            tls: false,
            names: Vec::new(),
            tokens: Vec::new(),
            without: vec!["serviceimports".into()],
            bulky_managed_fields: false,
            service_cidrs: vec!["10.96.0.0/12".into(), "fd00:10:96::/112".into()],
            system_objects: true,
            kubernetes_service: false,
            history: 4096,
            watch_queue: 4096,
            bookmark_every: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1800),
        }
    }
}

impl Options {
    /// HTTPS on a free port of 127.0.0.1, for the bearer of this token.
    pub fn secure(token: &str) -> Self {
        Self { tls: true, tokens: vec![token.to_owned()], ..Self::default() }
    }
}
