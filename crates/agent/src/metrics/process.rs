//! The `process_*` metrics that every Prometheus client library has, read from /proc when asked for.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks of /proc/self/stat in a second: the kernel's USER_HZ, 100 on every architecture that Kubernetes runs on.
const TICKS: f64 = 100.0;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { started: super::now_seconds() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", kib(&status, "VmRSS:") * 1024.0),
            (
                "towpath_peak_resident_memory_bytes",
                "Most resident memory so far",
                kib(&status, "VmHWM:") * 1024.0,
            ),
            ("process_virtual_memory_bytes", "Virtual memory", kib(&status, "VmSize:") * 1024.0),
            ("process_open_fds", "Open file descriptors", open as f64),
            ("process_max_fds", "File descriptors that may be open", max_fds(&limits)),
            ("process_start_time_seconds", "When it started, in seconds since 1970", self.started),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let cpu = ConstCounter::new(cpu_seconds(&stat));
        let help = "User and system CPU time in seconds";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        let dropped = ConstCounter::new(crate::logging::dropped());
        let help = "Lines of the log that were dropped since nobody read them";
        dropped.encode(encoder.encode_descriptor(
            "towpath_log_lines_dropped",
            help,
            None,
            dropped.metric_type(),
        )?)
    }
}

/// A value of /proc/self/status.
fn kib(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// The soft limit, in a table whose columns are separated by several spaces.
fn max_fds(limits: &str) -> f64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|values| values.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Fields 14 and 15 of /proc/self/stat; the name before them may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |i| after_name.split_whitespace().nth(i).and_then(|t| t.parse().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t   1234 kB\n", "VmRSS:"), 1234.0);
        assert_eq!(kib("", "VmRSS:"), 0.0);
        assert_eq!(max_fds("Limit  Soft\nMax open files            1024     4096     files\n"), 1024.0);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_seconds(stat), 3.0);
    }
}
