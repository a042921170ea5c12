//! `towpath dns explain`, and the page that it asks.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, RwLock};

use admin::{Page, PageRequest};
use anyhow::Result;
use dns::{Options, Server};
use dns_config::SystemEnv;
use dns_forward::Forwarder;
use dns_names::Names;
use model::{Store, Touched};
use sources::{Kept, Manifests};

use super::Shared;
use super::configuration::{Origin, Reading};
use super::node::Dns;
use super::standalone::take;
use crate::cli::DnsExplainArgs;
use crate::client;
use crate::dns_feed::News;

/// Where the page is.
pub(crate) const PATH: &str = "/debug/dns";
/// Who asks where nobody is named.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Prints the way of one name.
pub(super) fn explain(args: &DnsExplainArgs) -> Result<()> {
    let text = match &args.manifests {
        Some(_) => from_manifests(args)?,
        None => from_agent(args)?,
    };
    std::io::stdout().write_all(admin::printable(&text).as_bytes())?;
    Ok(())
}

fn from_manifests(args: &DnsExplainArgs) -> Result<String> {
    let mut store = Store::new("");
    let mut touched = Touched::default();
    let mut first = Manifests::open(args.manifests.as_deref().unwrap_or("".as_ref()))?.keeping(Kept::ALL);
    first.load(&mut |change| {
        store.apply(change, &mut touched);
        true
    })?;
    store.problems().for_each(|problem| eprintln!("towpath: {}", admin::in_one_line(&problem.to_string())));
    let origin = Origin {
        corefile: args.dns_corefile.clone().unwrap_or_default(),
        domain: args.dns_cluster_domain.clone(),
        ..Origin::default()
    };
    let Reading { config, notes } = origin.read()?;
    let names = Shared::new(RwLock::new(Names::new()));
    take(&names, News::of(&store).synced(), true);
    let forwarder = Forwarder::start()?;
    let (server, more) =
        Server::start(Options::new(Vec::new()), Arc::clone(&names), forwarder, &config, &SystemEnv)?;
    notes.iter().chain(&more).for_each(|note| eprintln!("towpath: {}", admin::in_one_line(note)));
    Ok(server.explain(&args.name, &args.rtype, args.from.unwrap_or(NOBODY)))
}

fn from_agent(args: &DnsExplainArgs) -> Result<String> {
    let from = args.from.unwrap_or(NOBODY).to_string();
    let query = [("name", &*args.name), ("type", &*args.rtype), ("from", &*from)];
    client::get(args.agent.agent, PATH, &query)
}

/// The page: `?name=NAME[&type=TYPE][&from=ADDRESS]`; without a name, how the server is doing.
pub(crate) fn page(dns: Option<&Dns>, request: &PageRequest) -> Page {
    let Some(dns) = dns else {
        return Page::text(404, "DNS is not served on this node: see --dns-listen and --dns-intercept\n");
    };
    let value = |key: &str| request.value(key);
    let Some(name) = value("name") else { return Page::text(200, dns.describe()) };
    let Ok(from) = value("from").map_or(Ok(NOBODY), |from| from.parse()) else {
        return Page::text(400, "from is not an address\n");
    };
    Page::text(200, dns.explain(&name, value("type").as_deref().unwrap_or("A"), from))
}
