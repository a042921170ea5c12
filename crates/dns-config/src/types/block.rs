//! The whole configuration, and one server block of it.

use std::net::IpAddr;
use std::path::PathBuf;

use dns_wire::Name;

use crate::place::{Place, Remark};
use crate::types::{
    Acl, Autopath, Cache, Chaos, Dns64, Errors, External, Forward, Health, Hosts, Kubernetes, LoadBalance,
    Log, Nsid, Prometheus, Ready, Reload, Rewrite,
};

/// The port of a server block that names none.
pub const DNS_PORT: u16 = 53;

/// What a Corefile means for us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The server blocks, in the order of the file. A block with keys of several ports is here once for each port.
    /// A query belongs to the block with the longest zone that covers its name (of those with its port and address).
    pub blocks: Vec<Block>,
    /// Directives without effect: plugins and options that are not honoured. Each should be shown to the operator.
    pub unsupported: Vec<Remark>,
    /// Directives that are honoured in another way than CoreDNS does.
    pub differs: Vec<Remark>,
    /// The files that this is made of, without repetition: the Corefile, its imports, and the files that blocks name (hosts,
    /// resolv.conf, certificates). Some of them may be missing.
    pub files: Vec<PathBuf>,
    /// Directories in which `import` looks for files by a pattern.
    pub directories: Vec<PathBuf>,
}

/// One server block: its zones and what its plugins say. A plugin that is not there is `None`, empty or false.
///
/// The order of plugins in the chain is CoreDNS's, not that of the file; among `forward`, `rewrite`, `acl` and `log` it is the file's.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Where the block begins.
    pub at: Place,
    /// The zones of the keys, in lower case; `10.0.0.0/8` as `10.in-addr.arpa.`. Never empty.
    pub zones: Vec<Name>,
    /// The port to listen on. Default: [`DNS_PORT`].
    pub port: u16,
    /// `bind`: the addresses to listen on. Empty: all of the host.
    pub bind: Vec<IpAddr>,
    /// `kubernetes`: cluster names.
    pub kubernetes: Option<Kubernetes>,
    /// `k8s_external`: names for external addresses.
    pub external: Vec<External>,
    /// `autopath`: the search path, walked by the server.
    pub autopath: Option<Autopath>,
    /// `forward`: the first one whose zone covers the name and does not except it is used.
    pub forward: Vec<Forward>,
    /// `cache`: of what `forward` gets. (Cluster names are never cached.)
    pub cache: Option<Cache>,
    /// `hosts`: names of a file and of the Corefile itself.
    pub hosts: Option<Hosts>,
    /// `rewrite`: the rules in order.
    pub rewrite: Vec<Rewrite>,
    /// `errors`: failures are logged.
    pub errors: Option<Errors>,
    /// `log`: queries are logged, if one of these covers the name.
    pub log: Vec<Log>,
    /// `health`: HTTP endpoint `/health`.
    pub health: Option<Health>,
    /// `ready`: HTTP endpoint `/ready`.
    pub ready: Option<Ready>,
    /// `prometheus`: HTTP endpoint `/metrics`.
    pub prometheus: Option<Prometheus>,
    /// `loop`: look for a forwarding loop at the start.
    pub loop_guard: bool,
    /// `reload`: follow the Corefile.
    pub reload: Option<Reload>,
    /// `loadbalance`: another order of addresses in each answer.
    pub loadbalance: Option<LoadBalance>,
    /// `bufsize`: the largest UDP reply and the EDNS size offered upstream, 512 to 4096 octets. `bufsize` alone is 1232.
    pub bufsize: Option<u16>,
    /// `acl`: the first rule that matches decides; none: allowed.
    pub acl: Vec<Acl>,
    /// `dns64`: AAAA made of A.
    pub dns64: Option<Dns64>,
    /// `any`: ANY is answered with HINFO (RFC 8482).
    pub any: bool,
    /// `nsid`: the name of this server, for those who ask (RFC 5001).
    pub nsid: Option<Nsid>,
    /// `chaos`: `version.bind` and its like in class CH.
    pub chaos: Option<Chaos>,
    /// `local`: localhost and its reverse names are answered here.
    pub local: bool,
    /// `minimal`: leave out authority and additional records that nobody needs.
    pub minimal: bool,
}

impl Block {
    /// A block without plugins.
    #[must_use]
    pub fn new(at: Place, zones: Vec<Name>, port: u16) -> Self {
        Self {
            at,
            zones,
            port,
            bind: Vec::new(),
            kubernetes: None,
            external: Vec::new(),
            autopath: None,
            forward: Vec::new(),
            cache: None,
            hosts: None,
            rewrite: Vec::new(),
            errors: None,
            log: Vec::new(),
            health: None,
            ready: None,
            prometheus: None,
            loop_guard: false,
            reload: None,
            loadbalance: None,
            bufsize: None,
            acl: Vec::new(),
            dns64: None,
            any: false,
            nsid: None,
            chaos: None,
            local: false,
            minimal: false,
        }
    }
}
