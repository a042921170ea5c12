//! What a Corefile says, as values. Each default is CoreDNS 1.14's, unless its line says otherwise.

mod acl;
mod answers;
mod autopath;
mod block;
mod cache;
mod forward;
mod hosts;
mod kubernetes;
mod logging;
mod operation;
mod rewrite;
mod selector;

pub use acl::{Acl, AclAction, AclRule};
pub use answers::{Chaos, Dns64, LoadBalance, Nsid};
pub use autopath::{Autopath, AutopathSource};
pub use block::{Block, Config, DNS_PORT};
pub use cache::{Cache, CacheTable, Choice, Prefetch, ServeStale};
pub use forward::{Forward, HealthCheck, MAX_FORWARD_TO, Policy, TlsFiles, To, Transport, Upstream};
pub use hosts::Hosts;
pub use kubernetes::{External, Kubernetes, PodNames};
pub use logging::{Consolidate, Errors, Log, LogClasses, LogFormat, LogLevel};
pub use operation::{Health, HttpAddress, MAX_LAMEDUCK, Prometheus, Ready, Reload};
pub use rewrite::{AnswerRewrite, NameRewrite, Pattern, Rewrite, RewriteRule, Then, TtlRewrite};
pub use selector::{Requirement, Selector, SelectorOperator};
