//! Small plugins that change answers.

use ipnet::Ipv6Net;

use crate::place::Problem;
use crate::read::context::{Context, Outcome};
use crate::syntax::{Directive, Token};
use crate::types::{Block, Chaos, Dns64, LoadBalance, Nsid};

/// What `bufsize` without argument means (the size that DNS flag day 2020 recommends).
const BUFSIZE: u32 = 1232;

/// `any`.
pub fn any(_: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    block.any = bare(directive)?;
    Ok(())
}

/// `local`.
pub fn local(_: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    block.local = bare(directive)?;
    Ok(())
}

/// `minimal`.
pub fn minimal(_: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    block.minimal = bare(directive)?;
    Ok(())
}

fn bare(directive: &Directive) -> Result<bool, Problem> {
    directive.no_args()?;
    directive.no_body()?;
    Ok(true)
}

/// `bufsize [SIZE]`.
pub fn bufsize(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.at_most(1)?;
    directive.no_body()?;
    let size = directive.args.first().map_or(Ok(BUFSIZE), |arg| arg.number("bufsize", 512..=4096))?;
    if size > BUFSIZE {
        let why =
            "larger replies than 1232 octets are truncated all the same, so that UDP is never fragmented";
        context.differs(&directive.name.at, "bufsize", why);
    }
    block.bufsize = u16::try_from(size).ok();
    Ok(())
}

/// `nsid [DATA...]`.
pub fn nsid(_: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.no_body()?;
    let data = texts(&directive.args).join(" ");
    block.nsid = Some(Nsid { data: (!data.is_empty()).then_some(data) });
    Ok(())
}

/// `chaos [VERSION] [AUTHORS...]`.
pub fn chaos(_: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.no_body()?;
    let mut words = texts(&directive.args).into_iter();
    block.chaos = Some(Chaos { version: words.next(), authors: words.collect() });
    Ok(())
}

fn texts(args: &[Token]) -> Vec<String> {
    args.iter().map(|arg| arg.text.clone()).collect()
}

/// `loadbalance [round_robin|weighted FILE] { ... }`.
pub fn loadbalance(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    match directive.args.first().map(|policy| (policy, policy.text.as_str())) {
        None => {}
        Some((_, "round_robin")) => directive.at_most(1)?,
        Some((policy, "weighted")) => {
            context.unsupported(
                &policy.at,
                "loadbalance weighted",
                "not honoured: all addresses are equal, as with round_robin",
            );
        }
        Some((policy, other)) => {
            return Err(policy.problem(format!("loadbalance: {other} is not round_robin or weighted")));
        }
    }
    context.options(directive, |context, option| {
        let name = option.name.text.as_str();
        match name {
            "reload" | "prefer" | "limit_answers" => {
                let why = "not honoured: all addresses are answered, in an order of chance; remove it";
                context.unsupported(&option.name.at, format!("loadbalance {name}"), why);
            }
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.loadbalance = Some(LoadBalance {});
    Ok(())
}

/// `dns64 [PREFIX] { ... }`.
pub fn dns64(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.at_most(1)?;
    let mut dns64 = Dns64::default();
    if let Some(arg) = directive.args.first() {
        dns64.prefix = prefix(arg)?;
    }
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "prefix" => dns64.prefix = prefix(option.one_arg()?)?,
            "translate_all" => dns64.translate_all = option.no_args().map(|()| true)?,
            "allow_ipv4" => dns64.allow_ipv4 = option.no_args().map(|()| true)?,
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.dns64 = Some(dns64);
    Ok(())
}

/// A prefix of one of the lengths of RFC 6052 section 2.2.
fn prefix(token: &Token) -> Result<Ipv6Net, Problem> {
    let prefix = token.text.parse::<Ipv6Net>().ok();
    let good = prefix.filter(|prefix| matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96));
    let wrong = || {
        token.problem(format!(
            "dns64: {} is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96",
            token.text
        ))
    };
    good.map(|prefix| prefix.trunc()).ok_or_else(wrong)
}
