//! An API server for tests: enough of Kubernetes' HTTP API for list, watch and kubectl, and everything that can go wrong
//! with it, on request.
//!
//! ```text
//!  test, in Rust --------------------> Store --event--> Feed (bounded) --+
//!    |   apply, delete, generate        ^  one lock,     one per watch   |
//!    |                                  |  one counter                   v
//!    |           HTTP(S) --> api --> writes, list          watch --> Writer --> Body --> client
//!    |                        |                                        ^
//!    +--> Faults ---rules-----+---------- stall, cut, slow ------------+
//!    |      +------ freeze, refuse, drop --> connections
//!    +--> Tokens, Tls, Requests (what was asked)
//! ```
//!
//! ```no_run
//! use apiserver::{Fault, Options, Rule, Server};
//! # use towpath_apiserver as apiserver;
//! let server = Server::start(Options::secure("secret"))?;
//! server.kubeconfig().write("/tmp/kubeconfig")?;
//! server.store().generate(10_000, 10)?;
//! server.faults().add(Rule::new(Fault::Gone).resource("services").times(1));
//! # anyhow::Ok(())
//! ```
//!
//! Invariants:
//! * development only: no part of the program depends on this crate, nothing is kept on disk, and nobody is safe from
//!   the control endpoint (see `control`);
//! * one version of an object is written once; lists, history and watchers share its text;
//! * a version is given and its event is queued under one lock, so a bookmark, or a list, of a version means that all
//!   before it was said;
//! * a watcher that does not read is closed, it never slows the store down;
//! * nothing is polled: a change is at the watchers' sockets as soon as the runtime gets to it;
//! * answers are in the form and the words of a recorded server (`tests/recordings`).

mod admission;
mod answers;
mod api;
mod auth;
mod body;
mod connections;
mod control;
mod discovery;
mod faults;
mod feed;
mod generate;
mod history;
mod ids;
mod inject;
mod kubeconfig;
mod list;
mod manifests;
mod object;
mod openapi;
mod options;
mod patch;
mod query;
mod render;
mod requests;
mod resources;
mod rules;
mod selector;
mod server;
mod status;
mod store;
mod strategic;
mod subscribe;
mod table;
mod tls;
mod watch;
mod writes;

pub use auth::{Grant, Permission, Tokens};
pub use faults::Faults;
pub use inject::Injection;
pub use kubeconfig::Kubeconfig;
pub use options::Options;
pub use requests::{Mode, Request, Requests};
pub use resources::{RESOURCES, Resource};
pub use rules::{Fault, Rule};
pub use server::Server;
pub use status::ApiError;
pub use store::Store;
pub use tls::Tls;
