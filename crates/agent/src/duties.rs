//! What the node's kernel needs beside rules: sysctls of conntrack, and how willingly it kills this process.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use config::Settings;
use node::{ConntrackSettings, Report, settle};

/// Where the node's `/proc/sys/net` and `/sys/module` are mounted writable, for a container whose own are read-only.
const HOST_ROOT: &str = "TOWPATH_HOST_ROOT";

/// Files of conntrack were not there.
static MODULE_MISSING: AtomicBool = AtomicBool::new(false);

/// Sees to all of them. What is refused is said and otherwise nothing: rules matter more.
pub(crate) fn perform(settings: &Settings) {
    oom_score(settings);
    conntrack(settings);
}

/// The sysctls again, where the kernel had none of them before: its module comes with the first rules.
pub(crate) fn conntrack_again(settings: &Settings) {
    if MODULE_MISSING.swap(false, Ordering::Relaxed) {
        conntrack(settings);
    }
}

/// The sysctls alone.
pub(crate) fn conntrack(settings: &Settings) {
    let cpus = node::cpu_count(&PathBuf::from("/"));
    let mut wanted = node::conntrack(&conntrack_settings(settings), cpus);
    if settings.towpath.service_metrics.enabled {
        wanted.push(node::conntrack_accounting());
    }
    let root = std::env::var_os(HOST_ROOT).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let report = settle(&root, &wanted);
    let missing = report.refused.iter().any(|refused| refused.error.kind() == ErrorKind::NotFound);
    MODULE_MISSING.store(missing, Ordering::Relaxed);
    say(&report);
}

/// The score alone.
pub(crate) fn oom_score(settings: &Settings) {
    // Of this process, whatever is mounted where.
    say(&settle(&PathBuf::from("/"), &[node::oom_score_adj(settings.proxy.oom_score_adj)]));
}

fn say(report: &Report) {
    report.done.iter().for_each(|done| tracing::info!("{done}"));
    report.refused.iter().for_each(|refused| tracing::warn!("{refused}"));
}

fn conntrack_settings(settings: &Settings) -> ConntrackSettings {
    let given = &settings.proxy.conntrack;
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    ConntrackSettings {
        max_per_core: count(given.max_per_core),
        min: count(given.min),
        tcp_established_timeout: given.tcp_established_timeout.as_std(),
        tcp_close_wait_timeout: given.tcp_close_wait_timeout.as_std(),
        udp_timeout: given.udp_timeout.as_std(),
        udp_stream_timeout: given.udp_stream_timeout.as_std(),
        tcp_be_liberal: given.tcp_be_liberal,
    }
}
