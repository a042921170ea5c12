//! Flags that are accepted so that a command line needs no change, and that mean nothing here.

use clap::Args;

use super::values::boolean;
use crate::meaningless::Meaningless;

/// Flags of the log library klog, of kube-proxy on Windows, and of older kube-proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct IgnoredFlags {
    /// Directories in log lines.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub add_dir_header: Option<bool>,
    /// Log to files and standard error.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub alsologtostderr: Option<bool>,
    /// A stack trace at a line of source.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub log_backtrace_at: Option<String>,
    /// A directory for log files.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub log_dir: Option<String>,
    /// A log file.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub log_file: Option<String>,
    /// The size of a log file in MB.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub log_file_max_size: Option<String>,
    /// Log to standard error instead of files.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub logtostderr: Option<bool>,
    /// One file for each severity.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub one_output: Option<bool>,
    /// No headers in log lines.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub skip_headers: Option<bool>,
    /// No headers in log files.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub skip_log_headers: Option<bool>,
    /// What goes to standard error also.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub stderrthreshold: Option<String>,
    /// Run as a service of Windows.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub windows_service: Option<bool>,
    /// The source VIP.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub source_vip: Option<String>,
    /// The HNS network.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub network_name: Option<String>,
    /// Direct server return.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub enable_dsr: Option<bool>,
    /// The HNS endpoint of the root namespace.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub root_hnsendpoint_name: Option<String>,
    /// Forward the VIP of health check ports.
    #[arg(
        long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean
    )]
    pub forward_healthcheck_vip: Option<bool>,
    /// Ports of the userspace mode.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub proxy_port_range: Option<String>,
}

const LOG: &str = "the log goes to standard error, in one form";
const WINDOWS: &str = "is for Windows";
const GONE: &str = "the userspace mode is gone, in kube-proxy too";

impl IgnoredFlags {
    /// Those that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = Meaningless> {
        let table = [
            ("add-dir-header", self.add_dir_header.is_some(), LOG),
            ("alsologtostderr", self.alsologtostderr.is_some(), LOG),
            ("log-backtrace-at", self.log_backtrace_at.is_some(), LOG),
            ("log-dir", self.log_dir.is_some(), LOG),
            ("log-file", self.log_file.is_some(), LOG),
            ("log-file-max-size", self.log_file_max_size.is_some(), LOG),
            ("logtostderr", self.logtostderr.is_some(), LOG),
            ("one-output", self.one_output.is_some(), LOG),
            ("skip-headers", self.skip_headers.is_some(), LOG),
            ("skip-log-headers", self.skip_log_headers.is_some(), LOG),
            ("stderrthreshold", self.stderrthreshold.is_some(), LOG),
            ("windows-service", self.windows_service.is_some(), WINDOWS),
            ("source-vip", self.source_vip.is_some(), WINDOWS),
            ("network-name", self.network_name.is_some(), WINDOWS),
            ("enable-dsr", self.enable_dsr.is_some(), WINDOWS),
            ("root-hnsendpoint-name", self.root_hnsendpoint_name.is_some(), WINDOWS),
            ("forward-healthcheck-vip", self.forward_healthcheck_vip.is_some(), WINDOWS),
            ("proxy-port-range", self.proxy_port_range.is_some(), GONE),
        ];
        let given = table.into_iter().filter(|(_, given, _)| *given);
        given.map(|(name, _, reason)| Meaningless { field: format!("--{name}"), reason })
    }
}
