//! resolv.conf(5).

use std::net::IpAddr;
use std::path::Path;

use dns_wire::Name;

use crate::env::Env;
use crate::place::{Place, Problem};
use crate::text::lower_name;

/// What a resolv.conf says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver`, in order and without limit (the C library stops at three, CoreDNS does not). Port 53.
    pub nameservers: Vec<IpAddr>,
    /// The last `search` or `domain` line, in lower case.
    pub search: Vec<Name>,
    /// `options ndots:N`: with fewer dots than this, the search path comes first. 0 to 15, default 1.
    pub ndots: u8,
    /// `options timeout:N`: seconds, 1 to 30, default 5.
    pub timeout: u8,
    /// `options attempts:N`: 1 to 5, default 2.
    pub attempts: u8,
    /// Lines that say something that cannot be used.
    pub skipped: Vec<SkippedLine>,
}

/// A line of resolv.conf without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedLine {
    /// From 1.
    pub line: u32,
    /// What cannot be used: `nameserver fe80::1%eth0`.
    pub what: String,
}

impl Default for ResolvConf {
    fn default() -> Self {
        let (ndots, timeout, attempts) = (1, 5, 2);
        Self { nameservers: Vec::new(), search: Vec::new(), ndots, timeout, attempts, skipped: Vec::new() }
    }
}

impl ResolvConf {
    /// Reads the text of a resolv.conf. It never fails: what cannot be used is in `skipped`; options that are about the C
    /// library only are left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut conf = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => words.take(1).for_each(|word| conf.nameserver(number, word)),
                Some("search" | "domain") => conf.search(number, words),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf
    }

    /// Reads a file; a file that is missing or unreadable is a problem.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Self, Problem> {
        let place = || Place::new(path.to_string_lossy(), 0);
        env.file(path).map(|text| Self::read(&text)).map_err(|error| Problem::new(&place(), error))
    }

    fn nameserver(&mut self, line: u32, word: &str) {
        match word.parse() {
            Ok(address) => self.nameservers.push(address),
            Err(_) => self.skipped.push(SkippedLine { line, what: format!("nameserver {word}") }),
        }
    }

    fn search<'a>(&mut self, line: u32, words: impl Iterator<Item = &'a str>) {
        self.search.clear();
        for word in words {
            match lower_name(word) {
                Some(name) => self.search.push(name),
                None => self.skipped.push(SkippedLine { line, what: format!("search {word}") }),
            }
        }
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u8>()))
        else {
            return;
        };
        match name {
            "ndots" => self.ndots = value.min(15),
            "timeout" => self.timeout = value.clamp(1, 30),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }
}
