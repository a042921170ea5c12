//! One rule on one packet.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{EndpointAddr, IpFamily, NodeFacts, Protocol};
use resolve::Packet;
use xtables::SavedRule;

use super::Stop;

/// The first packet of a connection on its way.
pub struct Skb {
    pub family: IpFamily,
    pub source: IpAddr,
    pub destination: EndpointAddr,
    pub protocol: Protocol,
    pub interface: String,
    pub mark: u32,
    pub translated: Option<EndpointAddr>,
    pub masqueraded: bool,
    /// A rule of `filter` let it through.
    pub accepted: bool,
    pub walked: usize,
    draws: Vec<bool>,
    drawn: usize,
}

impl Skb {
    pub fn new(packet: &Packet, draws: &[bool]) -> Self {
        Self {
            family: IpFamily::of(packet.to.ip),
            source: packet.from,
            destination: packet.to,
            protocol: packet.protocol,
            interface: packet.interface.clone().unwrap_or_default(),
            mark: 0,
            translated: None,
            masqueraded: false,
            accepted: false,
            walked: 0,
            draws: draws.to_vec(),
            drawn: 0,
        }
    }
}

/// A target that ends the walk through a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Accept,
    Drop,
    Reject,
}

/// What a rule comes to.
pub enum Then {
    Next,
    Return,
    Jump(String),
    End(Target),
}

/// Runs one rule.
pub fn run(rule: &SavedRule, skb: &mut Skb, facts: &NodeFacts) -> Result<Then, Stop> {
    let mut words = rule.words.iter().map(String::as_str);
    let mut negate = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Stop::Nonsense(format!("{word} without a value")));
        let matches = match word {
            "!" => {
                negate = true;
                continue;
            }
            "-m" | "--comment" | "--mode" | "--seconds" | "--name" | "--mask" => {
                value()?;
                continue;
            }
            "--reap" | "--rsource" | "--set" => continue,
            "--rcheck" => false,
            "-s" => covers(value()?, skb.source)?,
            "-d" => covers(value()?, skb.destination.ip)?,
            "-i" => link(value()?, &skb.interface),
            "-p" => value()? == skb.protocol.as_str(),
            "--dport" => in_range(value()?, skb.destination.port)?,
            "--dst-type" if value()? == "LOCAL" => facts.owns(skb.destination.ip),
            "--src-type" if value()? == "LOCAL" => facts.owns(skb.source),
            "--ctstate" => value()?
                .split(',')
                .any(|state| state == "NEW" || (state == "DNAT" && skb.translated.is_some())),
            "--mark" => {
                let (bits, mask) = marks(value()?)?;
                skb.mark & mask == bits
            }
            "--probability" => draw(skb, value()?)?,
            "-j" => {
                let target = value()?.to_owned();
                let rest: Vec<&str> = words.collect();
                return execute(skb, &target, &rest);
            }
            other => return Err(Stop::Nonsense(format!("unknown word {other}"))),
        };
        if matches == negate {
            return Ok(Then::Next);
        }
        negate = false;
    }
    Ok(Then::Next)
}

fn execute(skb: &mut Skb, target: &str, options: &[&str]) -> Result<Then, Stop> {
    Ok(match (target, options) {
        ("RETURN", []) => Then::Return,
        ("ACCEPT", []) => Then::End(Target::Accept),
        ("DROP", []) => Then::End(Target::Drop),
        ("REJECT", ["--reject-with", with]) => {
            let tcp = *with == "tcp-reset";
            let family = if skb.family == IpFamily::V4 { "icmp-" } else { "icmp6-" };
            if tcp != (skb.protocol == Protocol::Tcp) || !(tcp || with.starts_with(family)) {
                return Err(Stop::Nonsense(format!("{with} for {}", skb.protocol)));
            }
            Then::End(Target::Reject)
        }
        ("MARK", ["--set-xmark", value]) => {
            let (bits, mask) = marks(value)?;
            skb.mark = (skb.mark & !mask) ^ bits;
            Then::Next
        }
        ("MASQUERADE", ["--random-fully"]) => {
            skb.masqueraded = true;
            Then::End(Target::Accept)
        }
        ("DNAT", ["--to-destination", to]) => {
            let to: std::net::SocketAddr = to.parse().map_err(|_| Stop::Nonsense("no address".into()))?;
            let to = EndpointAddr { ip: to.ip(), port: to.port() };
            (skb.translated, skb.destination) = (Some(to), to);
            Then::End(Target::Accept)
        }
        (chain, []) if chain.starts_with("TOWPATH-") => Then::Jump(chain.to_owned()),
        _ => return Err(Stop::Nonsense(format!("unknown target {target} {options:?}"))),
    })
}

/// An address with a prefix length or a mask.
fn covers(net: &str, ip: IpAddr) -> Result<bool, Stop> {
    if let Ok(net) = net.parse::<IpNet>() {
        return Ok(net.contains(&ip));
    }
    let bad = || Stop::Nonsense(format!("{net} is no address with a mask"));
    let (address, mask) = net.split_once('/').ok_or_else(bad)?;
    let bits = |text: &str| text.parse::<IpAddr>().map(number).map_err(|_| bad());
    Ok(number(ip) & bits(mask)? == bits(address)?)
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn link(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn in_range(range: &str, port: u16) -> Result<bool, Stop> {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_| Stop::Nonsense(format!("{range} is no port")));
    Ok((number(first)?..=number(last)?).contains(&port))
}

fn marks(text: &str) -> Result<(u32, u32), Stop> {
    let bad = || Stop::Nonsense(format!("{text} is no mark"));
    let (bits, mask) = text.split_once('/').ok_or_else(bad)?;
    let hex =
        |text: &str| text.strip_prefix("0x").and_then(|h| u32::from_str_radix(h, 16).ok()).ok_or_else(bad);
    Ok((hex(bits)?, hex(mask)?))
}

fn draw(skb: &mut Skb, probability: &str) -> Result<bool, Stop> {
    let probability: f64 = probability.parse().map_err(|_| Stop::Nonsense("no probability".into()))?;
    let drawn = skb.draws.get(skb.drawn).copied();
    skb.drawn += 1;
    drawn.ok_or(Stop::Draw(probability))
}
