//! `health`, `ready`, `prometheus`, `reload`.

use std::net::IpAddr;
use std::time::Duration;

/// Where an HTTP endpoint listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// `None`: all addresses (`:8080`). `localhost` is 127.0.0.1.
    pub host: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// A longer `lameduck` is as long as this: by then those who ask have heard of the end, and an update of the program should not wait.
pub const MAX_LAMEDUCK: Duration = Duration::from_secs(5);

/// `health [ADDRESS] { lameduck DURATION }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Default `:8080`.
    pub address: HttpAddress,
    /// `lameduck`: so long the server goes on answering after it was told to end; not more than [`MAX_LAMEDUCK`] counts. Default 0.
    pub lameduck: Duration,
}

/// `ready [ADDRESS] { monitor until-ready|continuously }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Default `:8181`.
    pub address: HttpAddress,
    /// `monitor continuously`: may become not ready again. Default: once ready, always ready.
    pub continuously: bool,
}

/// `prometheus [ADDRESS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Default `localhost:9153`.
    pub address: HttpAddress,
}

/// `reload [INTERVAL] [JITTER]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often CoreDNS looks; at least 2 s. Default 30 s.
    pub interval: Duration,
    /// At most half of the interval; at least 1 s. Default 15 s.
    pub jitter: Duration,
}

impl Default for Reload {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), jitter: Duration::from_secs(15) }
    }
}
