//! kube-proxy's configuration file and flags, and towpath's own settings: values, defaults, checks, printing.
//!
//! ```text
//! text of --config ─► documents ─► decode (strict, then lenient) ─► complete ┐
//! argv ─► normalize ─► clap ─► KubeProxyFlags, TowpathFlags ─────────────────┤
//!                                                                            ▼
//!                                Settings + warnings, or all Problems ◄── validate
//!                                Settings, Settings ─► LiveChanges
//! ```
//!
//! Invariants:
//! * pure: no file, no network, no environment; the caller passes the text of the file;
//! * what kube-proxy 1.36 accepts is accepted and means the same, and what it refuses is refused; each
//!   exception is written down where it is made (most of them in `validate.rs`);
//! * a setting is never dropped in silence: it is honoured, or a warning names it;
//! * [`Settings`] that [`load`] gives are complete and checked, so the readers
//!   ([`KubeProxyConfiguration::healthz_address`] and its neighbours) have nothing to refuse;
//! * `load(Some(&c.to_yaml()))` gives `c` back, without warnings of its reading.

mod address;
mod complete;
mod decode;
mod dns;
mod documents;
mod duration;
mod flags;
mod gates;
mod ipvs;
mod live;
mod load;
mod logging;
mod meaningless;
mod print;
mod problem;
mod proxy;
mod reading;
mod sections;
mod self_probe;
mod service_metrics;
mod strict;
mod towpath;
mod tree;
mod validate;
mod validate_text;
mod yaml;

pub use complete::{HEALTHZ_PORT, METRICS_PORT};
pub use dns::DnsConfiguration;
pub use duration::{DurationError, GoDuration};
pub use flags::{FeatureGates, IgnoredFlags, KubeProxyFlags, TowpathFlags, VModule, normalize};
pub use gates::{GATES, Gate};
pub use ipvs::{IPVS_TIMEOUT_LIMIT, IpvsTimeouts};
pub use live::{LiveChanges, live_changes};
pub use load::{Settings, load};
pub use logging::{FormatOptions, LoggingConfiguration, OutputRoutingOptions, VModuleItem};
pub use meaningless::{Meaningless, meaningless};
pub use problem::{ConfigProblem, Problems};
pub use proxy::{DetectLocalConfiguration, KubeProxyConfiguration};
pub use reading::{LocalMode, ModeSettings, NodePortAddress, ProxyMode};
pub use sections::{
    ClientConnectionConfiguration, KubeProxyConntrackConfiguration, KubeProxyIptablesConfiguration,
    KubeProxyIpvsConfiguration, KubeProxyNftablesConfiguration, KubeProxyWinkernelConfiguration,
};
pub use self_probe::SelfProbeConfiguration;
pub use service_metrics::ServiceMetricsConfiguration;
pub use towpath::{
    AUDIT_ENTRIES_LIMIT, IptablesVariant, SnapshotConfiguration, Source, TowpathConfiguration,
};
pub use validate::validate;
