//! The forwarder: names that are not the cluster's are asked of other servers, and what they say is kept.
//!
//! ```text
//! receiving thread                                  the forwarder's thread (tokio, one)
//! cached(group, question) --> cache --hit--> Hit
//!        | miss
//! resolve(group, question, done) --> flights --new--> schedule --attempt--> upstream A (UDP pool | TCP | DoT)
//!                                    | same question     | no reply in time --> upstream B (hedge)
//!                                    +-- waits           v
//!                                 done(Resolved) <-- life, cache.put, stale instead of failure
//! ```
//!
//! Invariants:
//! * everything is bounded: questions under way and those who wait for them ([`Group::max_concurrent`], [`MAX_WAITERS`]),
//!   sockets and connections ([`SOCKETS`], [`CONNECTIONS`]), the cache in bytes ([`CacheSettings::max_bytes`]), time
//!   ([`DEADLINE`]);
//! * a reply counts only if it came from the asked address to the port asked from, with the ID and the question of something
//!   under way there; anything else is ignored and the wait goes on (RFC 5452);
//! * the same question is under way once in a group, however many ask;
//! * each `done` is called exactly once, also when the forwarder ends;
//! * messages are relayed as they came: only ID, question, TTLs, OPT and a few flags are ours (`dns-wire`);
//! * truncated messages are never kept; errors never take the place of a usable answer;
//! * a loop disables the upstream that loops, nothing else.

#![forbid(unsafe_code)]

mod asking;
mod attempt;
mod cache;
mod choose;
mod configure;
mod edns;
mod failures;
mod flights;
mod forwarder;
mod group;
mod health;
mod loops;
mod metrics;
mod pending;
mod random;
mod remote;
mod run;
mod schedule;
mod settings;
mod stream;
mod tls;
mod udp;

pub use asking::{Asking, Done, Hit, Refusal, Resolved, Why};
pub use cache::{RECHECK, STALE_TTL};
pub use configure::{Configured, Problem};
pub use flights::MAX_WAITERS;
pub use forwarder::{Forwarder, StartError};
pub use group::GroupHandle;
pub use metrics::{BUCKETS, CacheMetrics, GroupMetrics, Histogram, UpstreamMetrics};
pub use schedule::{ATTEMPT_TIMEOUT, DEADLINE, MAX_ATTEMPTS};
pub use settings::{
    BYTES_PER_ENTRY, CACHE_BYTES, CLIENT_WAIT, CacheSettings, EXPIRE, Group, HEALTH_INTERVAL, MAX_CONCURRENT,
    MAX_FAILS, MAX_UPSTREAMS, Policy, Prefetch, Stale, StaleMode, Tls, Upstream,
};
pub use stream::{CONNECTIONS, PIPELINE};
pub use tls::SYSTEM_AUTHORITIES;
pub use udp::{SOCKET_LIFE, SOCKET_USES, SOCKETS};
