//! `forward`.

use std::path::PathBuf;

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::read::upstream;
use crate::syntax::{Directive, Token};
use crate::types::{Block, Forward, HealthCheck, MAX_FORWARD_TO, Policy, TlsFiles, To, Transport};

/// Response codes by the names that Go's DNS library gives them.
const RCODES: &[(&str, u16)] = &[
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
];

/// `forward FROM TO... { ... }`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let Some((from, to)) = directive.args.split_first().filter(|(_, to)| !to.is_empty()) else {
        return Err(directive.problem("write forward FROM TO..., for example forward . /etc/resolv.conf"));
    };
    if let Some(more) = to.get(MAX_FORWARD_TO) {
        return Err(more.problem(format!("forward: more than {MAX_FORWARD_TO} upstreams")));
    }
    let from = from.zones()?;
    let mut upstreams = Vec::new();
    for token in to {
        upstreams.extend(upstream::read(context, token)?);
    }
    let mut forward = Forward::new(directive.name.at.clone(), from, upstreams);
    context.options(directive, |context, option| read_option(context, &mut forward, directive, option));
    check(&forward, directive)?;
    if forward.to.is_empty() {
        let why = "none of its upstreams can be used: names that it is for are answered with SERVFAIL";
        context.unsupported(&directive.name.at, "forward", why);
    }
    block.forward.push(forward);
    Ok(())
}

fn read_option(
    context: &mut Context<'_>,
    into: &mut Forward,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    match option.name.text.as_str() {
        "except" => into.except.extend(zones_or(option.some_args()?, &[])?),
        "policy" => into.policy = policy(option)?,
        "force_tcp" => into.force_tcp = option.no_args().map(|()| true)?,
        "prefer_udp" => into.prefer_udp = option.no_args().map(|()| true)?,
        "max_fails" => into.max_fails = option.one_arg()?.number("max_fails", 0..=u32::MAX)?,
        "expire" => into.expire = option.one_arg()?.duration("expire")?,
        "health_check" => {
            into.health_check = health_check(option)?;
            if let Some(word) = option.args.get(1) {
                let why = "an upstream that failed is always asked for the NS of the root";
                context.differs(&word.at, "forward health_check", why);
            }
        }
        "max_concurrent" => into.max_concurrent = max_concurrent(option)?,
        "tls" => into.tls = tls(context, option)?,
        "tls_servername" => into.tls_servername = Some(option.one_arg()?.text.clone()),
        _ => read_rare(context, into, plugin, option)?,
    }
    Ok(())
}

fn read_rare(
    context: &mut Context<'_>,
    into: &mut Forward,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    match option.name.text.as_str() {
        "failfast_all_unhealthy_upstreams" => into.failfast = option.no_args().map(|()| true)?,
        "failover" => into.failover = rcodes(option)?,
        "next" => into.next = rcodes(option)?,
        "next_on_nodata" => into.next_on_nodata = option.no_args().map(|()| true)?,
        "source_address" => {
            into.source_address = Some(source_address(option)?);
            let why = "not honoured: queries leave from the address that the node's routes choose";
            context.unsupported(&option.name.at, "forward source_address", why);
        }
        "max_idle_conns" => {
            option.one_arg()?.number("max_idle_conns", 0..=u32::MAX)?;
            let why = "queries share few connections to each upstream; idle ones end after expire";
            context.differs(&option.name.at, "forward max_idle_conns", why);
        }
        "max_connect_attempts" => {
            option.one_arg()?.number("max_connect_attempts", 0..=u32::MAX)?;
            let why = "each query has a time limit, and asks each upstream only a few times";
            context.differs(&option.name.at, "forward max_connect_attempts", why);
        }
        "resolver" | "doh_method" => {
            let directive = format!("forward {}", option.name.text);
            let why = "not honoured: write the addresses of upstreams, with plain DNS or DNS over TLS";
            context.unsupported(&option.name.at, directive, why);
        }
        _ => context.unknown_option(plugin, option),
    }
    Ok(())
}

/// What must hold between the options and the upstreams.
fn check(forward: &Forward, directive: &Directive) -> Outcome {
    let named = |to: &To| matches!(to, To::Server(one) if matches!(&one.transport, Transport::Tls { server_name: Some(_) }));
    if forward.tls_servername.is_some() && forward.to.iter().any(named) {
        return Err(directive.problem("tls_servername and tls://ADDRESS%NAME exclude each other: remove one"));
    }
    Ok(())
}

fn policy(option: &Directive) -> Result<Policy, Problem> {
    let policy = option.one_arg()?;
    match policy.text.as_str() {
        "random" => Ok(Policy::Random),
        "round_robin" => Ok(Policy::RoundRobin),
        "sequential" => Ok(Policy::Sequential),
        other => Err(policy.problem(format!("policy: {other} is not random, round_robin or sequential"))),
    }
}

fn health_check(option: &Directive) -> Result<HealthCheck, Problem> {
    let (interval, words) =
        option.some_args()?.split_first().ok_or_else(|| option.problem("an argument is missing"))?;
    let mut check = HealthCheck { interval: interval.duration("health_check")?, ..HealthCheck::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "no_rec" => check.recursion = false,
            "domain" => {
                check.domain = words
                    .next()
                    .ok_or_else(|| word.problem("health_check: domain needs a name"))?
                    .domain()?;
            }
            other => return Err(word.problem(format!("health_check: {other} is not no_rec or domain"))),
        }
    }
    Ok(check)
}

fn max_concurrent(option: &Directive) -> Result<Option<u32>, Problem> {
    let most = option.one_arg()?.number("max_concurrent", 0..=u32::MAX)?;
    Ok((most > 0).then_some(most))
}

fn tls(context: &mut Context<'_>, option: &Directive) -> Result<TlsFiles, Problem> {
    option.at_most(3)?;
    let paths: Vec<PathBuf> = option.args.iter().map(|arg| PathBuf::from(&arg.text)).collect();
    paths.iter().for_each(|path| context.note_file(path));
    Ok(match paths.as_slice() {
        [ca] => TlsFiles { client: None, ca: Some(ca.clone()) },
        [cert, key] => TlsFiles { client: Some((cert.clone(), key.clone())), ca: None },
        [cert, key, ca] => TlsFiles { client: Some((cert.clone(), key.clone())), ca: Some(ca.clone()) },
        _ => TlsFiles::default(),
    })
}

fn rcodes(option: &Directive) -> Result<Vec<u16>, Problem> {
    option.some_args()?.iter().map(rcode).collect()
}

fn rcode(token: &Token) -> Result<u16, Problem> {
    let found = RCODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&token.text));
    match found {
        Some((_, 0)) | None => {
            Err(token.problem(format!("{} is not a response code of a failure", token.text)))
        }
        Some((_, rcode)) => Ok(*rcode),
    }
}

fn source_address(option: &Directive) -> Result<std::net::IpAddr, Problem> {
    let address = option.one_arg()?;
    address
        .text
        .parse()
        .map_err(|_| address.problem(format!("source_address: {} is not an address", address.text)))
}
