//! `towpath dns explain`, and the page that it asks.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use admin::Page;
use anyhow::{Context, Result, bail, ensure};
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
use crate::dns_feed::News;

/// Where the page is.
pub(crate) const PATH: &str = "/debug/dns";
/// How long the agent may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who asks where nobody is named.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Prints the way of one name.
pub(super) fn explain(args: &DnsExplainArgs) -> Result<()> {
    let text = match &args.manifests {
        Some(_) => from_manifests(args)?,
        None => from_agent(args)?,
    };
    std::io::stdout().write_all(text.as_bytes())?;
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
    store.problems().for_each(|problem| eprintln!("towpath: {problem}"));
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
    notes.iter().chain(&more).for_each(|note| eprintln!("towpath: {note}"));
    Ok(server.explain(&args.name, &args.rtype, args.from.unwrap_or(NOBODY)))
}

/// Asks the agent's page. HTTP/1.0, so that the end of the connection is the end of the text.
fn from_agent(args: &DnsExplainArgs) -> Result<String> {
    let from = args.from.unwrap_or(NOBODY);
    ensure!(
        !args.name.contains(['&', '#', '?', ' ', '%']),
        "{}: not a name that can be asked for",
        args.name
    );
    let request = format!(
        "GET {PATH}?name={}&type={}&from={from} HTTP/1.0\r\nHost: towpath\r\n\r\n",
        args.name, args.rtype
    );
    let reply = ask(args.agent, &request)
        .with_context(|| format!("asking the agent at {} (--agent; or give --manifests)", args.agent))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("the agent at {} answers {status}: {}", args.agent, body.trim());
    }
    Ok(body.to_owned())
}

fn ask(agent: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&agent, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The page: `?name=NAME[&type=TYPE][&from=ADDRESS]`; without a name, how the server is doing.
pub(crate) fn page(dns: Option<&Dns>, query: &str) -> Page {
    let Some(dns) = dns else {
        return Page::text(404, "DNS is not served on this node: see --dns-listen and --dns-intercept\n");
    };
    let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let Some(name) = value("name") else { return Page::text(200, dns.describe()) };
    let Ok(from) = value("from").map_or(Ok(NOBODY), str::parse) else {
        return Page::text(400, "from is not an address\n");
    };
    Page::text(200, dns.explain(name, value("type").unwrap_or("A"), from))
}
