//! What the directives of a Corefile mean.

mod acl;
mod address;
mod answers;
mod args;
mod autopath;
mod block;
mod cache;
mod context;
mod external;
mod forward;
mod hosts;
mod kubernetes;
mod left_out;
mod logging;
mod operation;
mod plugins;
mod regexes;
mod rewrite;
mod rewrite_answer;
mod selector;
mod upstream;

pub use address::server_address;
pub use block::read;
pub use regexes::compile_regex;
