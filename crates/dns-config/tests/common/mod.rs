//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use dns_wire::Name;
use towpath_dns_config::{Block, Config, FixedEnv, Problems, parse, read};

/// Reads a Corefile without files.
pub fn config(text: &str) -> Result<Config, Problems> {
    config_in(text, &FixedEnv::default())
}

/// Reads a Corefile called `/etc/coredns/Corefile`.
pub fn config_in(text: &str, env: &FixedEnv) -> Result<Config, Problems> {
    read(&parse(text, "/etc/coredns/Corefile", env)?, env)
}

/// The block `example.org { TEXT }`, and what was said about it.
pub fn plugin(text: &str) -> Result<(Block, Config), Problems> {
    let config = config(&format!("example.org {{\n{text}\n}}\n"))?;
    Ok((config.blocks[0].clone(), config))
}

/// The block `example.org { TEXT }`; nothing about it may be unsupported.
pub fn block(text: &str) -> Block {
    let (block, config) = plugin(text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    assert!(config.unsupported.is_empty(), "{text}: {:?}", config.unsupported);
    block
}

/// What is unsupported in `example.org { TEXT }`, as `line: directive`.
pub fn unsupported(text: &str) -> Vec<String> {
    let (_, config) = plugin(text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    config.unsupported.iter().map(|remark| format!("{}: {}", remark.at.line, remark.directive)).collect()
}

/// Why `example.org { TEXT }` is refused, without the name of the file.
pub fn refused(text: &str) -> String {
    match plugin(text) {
        Ok((block, _)) => panic!("{text} was taken: {block:?}"),
        Err(problems) => problems.to_string().replace("/etc/coredns/Corefile:", ""),
    }
}

/// Names.
pub fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
