//! The log: its form at start, its level while running.

use config::Settings;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Overrides the level: a filter as tracing-subscriber reads it.
const VARIABLE: &str = "TOWPATH_LOG";

/// Changes the level of the running program.
#[derive(Clone, Debug)]
pub(crate) struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Sets what the settings say, unless the environment says otherwise.
    pub(crate) fn apply(&self, settings: &Settings) {
        // Fails only once the subscriber is gone, with the process.
        let _ = self.0.reload(filter(settings));
    }
}

/// Starts logging to standard error.
pub(crate) fn start(settings: &Settings) -> Level {
    let (filter, handle) = reload::Layer::new(filter(settings));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    if settings.proxy.logging.format == "json" {
        registry.with(lines.json()).init();
    } else {
        registry.with(lines).init();
    }
    Level(handle)
}

/// 0 to 2 is information, 3 and 4 debug, 5 and more everything; libraries are quiet.
fn filter(settings: &Settings) -> EnvFilter {
    let level = match settings.proxy.logging.verbosity {
        0..=2 => "info",
        3 | 4 => "debug",
        _ => "trace",
    };
    let quiet = "hyper=info,hyper_util=info,h2=info,rustls=info,tower=info,kube_client=info";
    EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(format!("{level},{quiet}")))
}
