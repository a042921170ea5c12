//! The ConfigMap `kube-dns`: stub domains and upstream nameservers, as kube-dns had them and NodeLocal DNSCache reads them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use dns_wire::Name;

use crate::place::{Place, Problem, Problems, Remark};
use crate::read::server_address;
use crate::text::lower_name;
use crate::types::{Block, Cache, Config, DNS_PORT, Errors, Forward, To, Transport, Upstream};

/// Most `upstreamNameservers`, as in kube-dns.
pub const MAX_UPSTREAM_NAMESERVERS: usize = 3;
/// Seconds that names of stub domains are cached at most, as NodeLocal DNSCache does.
const STUB_TTL: u32 = 30;

/// The ConfigMap `kube-dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeDns {
    /// `stubDomains`: zones (in lower case, sorted) with the servers that know them.
    pub stub_domains: Vec<(Name, Vec<SocketAddr>)>,
    /// `upstreamNameservers`: instead of the node's resolv.conf, at most [`MAX_UPSTREAM_NAMESERVERS`]. May be empty.
    pub upstream_nameservers: Vec<SocketAddr>,
}

impl KubeDns {
    /// Reads the values of the keys `stubDomains` (`{"corp.example": ["10.0.0.1", "10.0.0.2:5353"]}`) and
    /// `upstreamNameservers` (`["10.0.0.1"]`). A missing or empty one says nothing. `source` is named in problems.
    ///
    /// # Errors
    /// No such JSON, not a zone, not an address, more than [`MAX_UPSTREAM_NAMESERVERS`].
    pub fn read(stub_domains: Option<&str>, upstreams: Option<&str>, source: &str) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut kube_dns = Self::default();
        match read_stub_domains(stub_domains, source) {
            Ok(stub_domains) => kube_dns.stub_domains = stub_domains,
            Err(problem) => problems.push(problem),
        }
        match read_upstreams(upstreams, source) {
            Ok(upstreams) => kube_dns.upstream_nameservers = upstreams,
            Err(problem) => problems.push(problem),
        }
        if problems.is_empty() { Ok(kube_dns) } else { Err(Problems(problems)) }
    }

    /// A server block for each stub domain, as NodeLocal DNSCache makes it: `errors`, `cache 30`, `forward`, on `bind` (empty: all addresses), port 53.
    #[must_use]
    pub fn blocks(&self, bind: &[IpAddr], source: &str) -> Vec<Block> {
        let block =
            |(zone, servers): &(Name, Vec<SocketAddr>)| stub(zone, servers, bind, &Place::new(source, 0));
        self.stub_domains.iter().map(block).collect()
    }

    /// Adds the stub domains to a configuration. A zone that it serves already (on port 53) stays as it is, and is in its `unsupported` then.
    pub fn add_to(&self, config: &mut Config, bind: &[IpAddr], source: &str) {
        for block in self.blocks(bind, source) {
            let serves = |one: &Block| {
                one.port == block.port && one.zones.iter().any(|zone| block.zones.contains(zone))
            };
            match config.blocks.iter().find(|one| serves(one)) {
                None => config.blocks.push(block),
                Some(one) => config.unsupported.push(taken(&block, one)),
            }
        }
    }

    /// Puts the upstream nameservers, if there are any, in the place of resolv.conf in each `forward .` of a configuration.
    pub fn replace_resolv_conf(&self, config: &mut Config) {
        if self.upstream_nameservers.is_empty() {
            return;
        }
        let servers = to(&self.upstream_nameservers);
        let forwards = config.blocks.iter_mut().flat_map(|block| &mut block.forward);
        for forward in forwards.filter(|forward| forward.from.iter().any(|from| from.as_ref().is_root())) {
            if forward.to.iter().any(|to| matches!(to, To::File(_))) {
                forward.to.clone_from(&servers);
            }
        }
    }
}

fn taken(block: &Block, by: &Block) -> Remark {
    let directive =
        format!("stubDomains {}", block.zones.iter().map(ToString::to_string).collect::<String>());
    let why =
        format!("the Corefile has a block for this zone ({}), which is used: remove one of them", by.at);
    Remark { at: block.at.clone(), directive, why }
}

fn stub(zone: &Name, servers: &[SocketAddr], bind: &[IpAddr], at: &Place) -> Block {
    let mut block = Block::new(at.clone(), vec![zone.clone()], DNS_PORT);
    let mut cache = Cache::new(block.zones.clone());
    cache.success.max_ttl = STUB_TTL;
    cache.denial.max_ttl = STUB_TTL;
    block.bind = bind.to_vec();
    block.errors = Some(Errors::default());
    block.cache = Some(cache);
    block.forward = vec![Forward::new(at.clone(), vec![Name::root()], to(servers))];
    block
}

fn to(servers: &[SocketAddr]) -> Vec<To> {
    let server =
        |address: &SocketAddr| To::Server(Upstream { address: *address, transport: Transport::Plain });
    servers.iter().map(server).collect()
}

fn read_stub_domains(text: Option<&str>, source: &str) -> Result<Vec<(Name, Vec<SocketAddr>)>, Problem> {
    const FORM: &str = "{\"ZONE\": [\"ADDRESS\"]}";
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let map: BTreeMap<String, Vec<String>> =
        serde_json::from_str(text).map_err(|error| json_problem(source, "stubDomains", FORM, &error))?;
    let mut stub_domains: Vec<(Name, Vec<SocketAddr>)> = Vec::new();
    for (zone, servers) in map {
        let name = lower_name(&zone).filter(|name| !name.as_ref().is_root());
        let name = name.ok_or_else(|| problem(source, format!("stubDomains: {zone} is not a domain")))?;
        if servers.is_empty() || stub_domains.iter().any(|(other, _)| *other == name) {
            return Err(problem(
                source,
                format!("stubDomains: {zone} needs at least one address, in one entry"),
            ));
        }
        stub_domains.push((name, addresses("stubDomains", &servers, source)?));
    }
    Ok(stub_domains)
}

fn read_upstreams(text: Option<&str>, source: &str) -> Result<Vec<SocketAddr>, Problem> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let servers: Vec<String> = serde_json::from_str(text)
        .map_err(|error| json_problem(source, "upstreamNameservers", "[\"ADDRESS\"]", &error))?;
    if servers.len() > MAX_UPSTREAM_NAMESERVERS {
        return Err(problem(source, format!("upstreamNameservers: more than {MAX_UPSTREAM_NAMESERVERS}")));
    }
    addresses("upstreamNameservers", &servers, source)
}

fn addresses(key: &str, servers: &[String], source: &str) -> Result<Vec<SocketAddr>, Problem> {
    let address = |text: &String| {
        let wrong = || problem(source, format!("{key}: {text} is not an address with an optional port"));
        server_address(text, DNS_PORT).ok_or_else(wrong)
    };
    servers.iter().map(address).collect()
}

fn json_problem(source: &str, key: &str, form: &str, error: &serde_json::Error) -> Problem {
    problem(source, format!("{key} is not {form}: {error}"))
}

fn problem(source: &str, message: String) -> Problem {
    Problem::new(&Place::new(source, 0), message)
}
