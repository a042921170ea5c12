//! `hosts`.

use std::path::PathBuf;

use crate::hosts_file::HostsEntry;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::syntax::Directive;
use crate::text::address_without_scope;
use crate::types::{Block, Hosts};

/// `hosts [FILE [ZONES...]] { ... }`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let zones = zones_or(directive.args.get(1..).unwrap_or_default(), &block.zones)?;
    let mut hosts = Hosts::new(zones);
    if let Some(file) = directive.args.first() {
        hosts.file = PathBuf::from(&file.text);
    }
    context.note_file(&hosts.file);
    context.options(directive, |context, option| read_option(context, &mut hosts, directive, option));
    if hosts.fallthrough_unsupported && hosts.fallthrough.is_empty() {
        return Err(directive.problem("fallthrough_unsupported needs fallthrough: add it"));
    }
    block.hosts = Some(hosts);
    Ok(())
}

fn read_option(
    context: &mut Context<'_>,
    into: &mut Hosts,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    match option.name.text.as_str() {
        "ttl" => into.ttl = option.one_arg()?.number("ttl", 1..=65535)?,
        "no_reverse" => into.no_reverse = option.no_args().map(|()| true)?,
        "reload" => into.reload = option.one_arg()?.duration("reload")?,
        "fallthrough" => into.fallthrough = option.zones_or_root()?,
        "fallthrough_unsupported" => into.fallthrough_unsupported = option.no_args().map(|()| true)?,
        address if address_without_scope(address).is_some() => entry(into, option)?,
        _ => context.unknown_option(plugin, option),
    }
    Ok(())
}

/// An entry: `ADDRESS NAME...`. CoreDNS refuses one behind `fallthrough`.
fn entry(into: &mut Hosts, option: &Directive) -> Outcome {
    if !into.fallthrough.is_empty() {
        return Err(option.problem("write entries before fallthrough"));
    }
    for name in option.some_args()? {
        name.domain()?;
    }
    let names = option.args.iter().map(|arg| arg.text.as_str());
    let line: Vec<&str> = std::iter::once(option.name.text.as_str()).chain(names).collect();
    into.inline.extend(HostsEntry::read(&line.join(" ")));
    Ok(())
}
