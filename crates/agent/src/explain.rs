//! `towpath explain`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write, stdin, stdout};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use admin::{in_one_line, printable};
use anyhow::{Context, Result, anyhow, ensure};
use model::{EndpointAddr, Protocol, Store};
use resolve::{Packet, ProxyConfig};
use serde::Deserialize;

use crate::cli::ExplainArgs;
use crate::client;
use crate::debug::explain::PATH;
use crate::load::{Offline, load};
use crate::view::ExplanationView;

/// One line of `--flows`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    from: String,
    to: String,
    #[serde(default)]
    proto: Option<String>,
    #[serde(default)]
    interface: Option<String>,
}

/// Answers one packet, or a stream of them.
pub(crate) fn explain(args: &ExplainArgs) -> Result<()> {
    if args.live {
        stdout().write_all(printable(&live(args)?).as_bytes())?;
        return Ok(());
    }
    let Offline { store, config, problems } = load(&args.offline)?;
    for problem in &problems {
        eprintln!("towpath: {}", in_one_line(&problem.to_string()));
    }
    if let Some(path) = &args.flows {
        return explain_flows(&store, &config, path);
    }
    let (Some(from), Some(to)) = (args.from, &args.to) else {
        return Err(anyhow!("--from and --to, or --flows"));
    };
    let (to, protocol) = destination(to).context("--to")?;
    let from = from.to_canonical();
    let packet = checked(Packet { from, interface: args.from_interface.clone(), to, protocol })?;
    let view = ExplanationView::new(&resolve::explain(&store, &config, &packet));
    let text =
        if args.output == "json" { view.json() + "\n" } else { printable(&view.text(&packet)).into_owned() };
    stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Asks the agent on this node.
fn live(args: &ExplainArgs) -> Result<String> {
    let (Some(from), Some(to)) = (args.from, &args.to) else { return Err(anyhow!("--from and --to")) };
    let from = from.to_string();
    // What is no packet is refused here, with the names of the flags.
    destination(to).context("--to")?;
    let mut query = vec![("from", &*from), ("to", &**to), ("format", &*args.output)];
    query.extend(args.from_interface.as_deref().map(|link| ("interface", link)));
    client::get(args.agent.agent, PATH, &query)
}

/// The packet that a page's query means.
pub(crate) fn asked(from: &str, to: &str, interface: Option<String>) -> Result<Packet> {
    let from: IpAddr = model::parse_ip(from).context("from")?;
    let (to, protocol) = destination(to).context("to")?;
    checked(Packet { from, interface, to, protocol })
}

/// A line that is no flow gets an answer with `error`, so that the order is kept.
fn explain_flows(store: &Store, config: &ProxyConfig, path: &Path) -> Result<()> {
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| format!("--flows {}", path.display()))?))
    };
    let mut out = BufWriter::new(stdout().lock());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).context("--flows")? > 0 {
        // A line that is no text is a line that is no flow: it gets its answer too.
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            let answer = match packet(&text) {
                Ok(packet) => ExplanationView::new(&resolve::explain(store, config, &packet)).json(),
                Err(error) => serde_json::json!({ "error": format!("{error:#}") }).to_string(),
            };
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
        line.clear();
    }
    Ok(())
}

fn packet(line: &str) -> Result<Packet> {
    let flow: Flow = serde_json::from_str(line).context("not a flow")?;
    let text = match &flow.proto {
        Some(proto) if !flow.to.contains('/') => format!("{}/{proto}", flow.to),
        _ => flow.to.clone(),
    };
    asked(&flow.from, &text, flow.interface)
}

/// Source and destination must be of one family.
fn checked(packet: Packet) -> Result<Packet> {
    ensure!(
        packet.from.is_ipv4() == packet.to.ip.is_ipv4(),
        "from {} to {}: a packet has addresses of one family",
        packet.from,
        packet.to.ip
    );
    Ok(packet)
}

/// `IP:PORT/PROTO`; the protocol is TCP where it is left out.
fn destination(text: &str) -> Result<(EndpointAddr, Protocol)> {
    let (address, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol =
        Protocol::parse(protocol).ok_or_else(|| anyhow!("{protocol:?} is not tcp, udp or sctp"))?;
    let address: SocketAddr =
        address.parse().map_err(|_| anyhow!("{address:?} is not IP:PORT (IPv6 as [addr]:port)"))?;
    Ok((EndpointAddr { ip: address.ip().to_canonical(), port: address.port() }, protocol))
}
