//! CoreDNS's Corefile, NodeLocal DNSCache's ConfigMaps and resolv.conf as plain, documented values.
//!
//! ```text
//! Corefile ──► tokens ──► directives (snippets, imports, {$ENV}) ──► Corefile ──read──► Config { blocks, unsupported, differs }
//!    ▲          syntax/lexer      syntax/parser                                             ▲
//!    │ __PILLAR__ filled in                                                                 │ blocks of the stub domains
//! Pillars ◄──────────────── ConfigMap kube-dns: stubDomains, upstreamNameservers ──► KubeDns ┘
//!
//! resolv.conf ──► ResolvConf            hosts file ──► HostsFile
//! ```
//!
//! Invariants:
//! * pure: no clock, no network; files and environment come through [`Env`], and [`SystemEnv`] is the only I/O;
//! * what CoreDNS 1.14 refuses at its start is a [`Problem`], with file and line; all of them are told at once;
//! * nothing is ignored in silence: each directive is a value of [`Config`], or in `unsupported` (it has no effect), or in
//!   `differs` (it is done, in another way);
//! * never panics and always ends, whatever the text is: depth, size and number of imports are bounded;
//! * zones and names are in lower case.

#![forbid(unsafe_code)]

mod defaults;
mod env;
mod hosts_file;
mod kube_dns;
mod pillars;
mod place;
mod read;
mod resolv_conf;
mod syntax;
mod text;
mod types;
mod zone;

pub use defaults::{RESOLV_CONF, kubeadm_corefile};
pub use env::{Env, FixedEnv, MAX_FILE_BYTES, SystemEnv};
pub use hosts_file::{HostsEntry, HostsFile};
pub use kube_dns::{KubeDns, MAX_UPSTREAM_NAMESERVERS};
pub use pillars::{PILLARS, Pillars};
pub use place::{Place, Problem, Problems, Remark};
pub use read::{compile_regex, read, server_address};
pub use resolv_conf::{ResolvConf, SkippedLine};
pub use syntax::{Corefile, Directive, MAX_DEPTH, MAX_IMPORTS, MAX_TOKENS, ServerBlock, Token, parse};
pub use types::{
    Acl, AclAction, AclRule, AnswerRewrite, Autopath, AutopathSource, Block, Cache, CacheTable, Chaos,
    Choice, Config, Consolidate, DNS_PORT, Dns64, Errors, External, Forward, Health, HealthCheck, Hosts,
    HttpAddress, Kubernetes, LoadBalance, Log, LogClasses, LogFormat, LogLevel, MAX_FORWARD_TO, MAX_LAMEDUCK,
    NameRewrite, Nsid, Pattern, PodNames, Policy, Prefetch, Prometheus, Ready, Reload, Requirement, Rewrite,
    RewriteRule, Selector, SelectorOperator, ServeStale, Then, TlsFiles, To, Transport, TtlRewrite, Upstream,
};
pub use zone::{MAX_ZONES, reverse_zones, zones};
