//! Plugins that are not honoured, and what to do instead.

use crate::place::Problem;
use crate::syntax::ServerBlock;

/// What to do where nothing better is known.
const OTHERWISE: &str = "not honoured: leave the zone to a CoreDNS that has it, and forward to that";

/// Why plugins have no effect.
static LEFT_OUT: &[(&str, &str)] = &[
    ("cancel", "not needed: each query has a time limit; remove it"),
    ("debug", "not honoured: set the log level of the program instead"),
    ("dnssec", "not honoured: answers are not signed; leave signed zones to a CoreDNS, and forward to that"),
    ("dnstap", "not honoured: use the query log"),
    ("erratic", "not honoured: it is made for tests; remove it"),
    ("federation", "not honoured: CoreDNS has removed it too"),
    ("geoip", "not honoured: remove it"),
    ("grpc", "not honoured: forward to the upstream by plain DNS or DNS over TLS"),
    ("metadata", "not needed: the query log has fields of its own; remove it"),
    ("multisocket", "not needed: the number of sockets follows the number of processors; remove it"),
    ("on", "not honoured: no commands are run"),
    ("pprof", "not honoured: it shows the inside of a Go program; remove it"),
    ("proxy", "not honoured: CoreDNS has replaced it by forward; write forward"),
    ("root", "not honoured: write full paths"),
    ("shed", "not needed: every queue has a bound; remove it"),
    (
        "template",
        "not honoured: write fixed names into hosts, block names with acl, or forward the zone to a CoreDNS",
    ),
    ("timeouts", "not honoured: idle and slow TCP clients are cut after 10 s and 3 s"),
    ("tls", "not honoured: no listener for DNS over TLS; leave it to a CoreDNS"),
    ("trace", "not honoured: use metrics and the query log"),
    ("transfer", "not honoured: zones are not transferred; transfer them from a CoreDNS"),
    ("tsig", "not honoured: only transfers need it; leave them to a CoreDNS"),
    ("upstream", "not honoured: CoreDNS has removed it too; names are looked up through the whole server"),
    ("whoami", "not honoured: it is made for tests; remove it"),
];

/// Why a plugin has no effect.
pub fn plugin(name: &str) -> &'static str {
    LEFT_OUT.iter().find(|(plugin, _)| *plugin == name).map_or(OTHERWISE, |(_, why)| why)
}

/// Why a whole server block is left out: without its `view` it would answer for everybody.
pub fn whole_block(source: &ServerBlock) -> Option<Problem> {
    let view = source.directives.iter().find(|directive| directive.name.text == "view")?;
    Some(view.name.problem(
        "the block is left out: view is not honoured, and without it the block would answer everybody",
    ))
}
