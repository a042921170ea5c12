//! `acl`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::syntax::{Directive, Token};
use crate::types::{Acl, AclAction, AclRule, Block};

/// `acl [ZONES...] { ACTION [type QTYPE...] [net SOURCE...] }`. An unknown action is a problem: to leave it out would open what it closes.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let mut acl = Acl { zones: zones_or(&directive.args, &block.zones)?, rules: Vec::new() };
    context.options(directive, |_, option| {
        acl.rules.push(rule(option)?);
        Ok(())
    });
    block.acl.push(acl);
    Ok(())
}

fn rule(option: &Directive) -> Result<AclRule, Problem> {
    let action = action(&option.name)?;
    let mut rule = AclRule { action, types: Vec::new(), nets: Vec::new() };
    let mut args = option.args.iter().peekable();
    while let Some(section) = args.next() {
        let mut values = Vec::new();
        while let Some(value) = args.next_if(|word| !matches!(word.text.as_str(), "type" | "net")) {
            values.push(value);
        }
        match section.text.as_str() {
            "type" => rule.types = listed(section, &values, Token::rtype)?,
            "net" => rule.nets = listed(section, &values, net)?,
            other => return Err(section.problem(format!("acl: {other} is not type or net"))),
        }
    }
    Ok(rule)
}

fn action(token: &Token) -> Result<AclAction, Problem> {
    match token.text.to_ascii_lowercase().as_str() {
        "allow" => Ok(AclAction::Allow),
        "block" => Ok(AclAction::Block),
        "filter" => Ok(AclAction::Filter),
        "drop" => Ok(AclAction::Drop),
        _ => Err(token.problem(format!("acl: {} is not allow, block, filter or drop", token.text))),
    }
}

/// The values of a section; `*` anywhere makes it empty, which means all.
fn listed<T>(
    section: &Token,
    values: &[&Token],
    read: impl Fn(&Token) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    if values.is_empty() {
        return Err(section.problem(format!("acl: {} needs a value: * is all", section.text)));
    }
    let read: Result<Vec<Option<T>>, Problem> =
        values.iter().map(|value| if value.text == "*" { Ok(None) } else { read(value).map(Some) }).collect();
    let all: Option<Vec<T>> = read?.into_iter().collect();
    Ok(all.unwrap_or_default())
}

fn net(token: &Token) -> Result<IpNet, Problem> {
    let text = &token.text;
    let net =
        text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)));
    net.map(|net| net.trunc())
        .ok_or_else(|| token.problem(format!("acl: {text} is not an address or a network")))
}
