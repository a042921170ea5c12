//! `k8s_external`.

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::syntax::Directive;
use crate::types::{Block, External};

/// `k8s_external [ZONES...] { ... }`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let mut external = External::new(zones_or(&directive.args, &block.zones)?);
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "ttl" => external.ttl = option.one_arg()?.number("ttl", 0..=3600)?,
            "apex" => external.apex = apex(option)?,
            "headless" => external.headless = option.no_args().map(|()| true)?,
            "fallthrough" => external.fallthrough = option.zones_or_root()?,
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.external.push(external);
    Ok(())
}

fn apex(option: &Directive) -> Result<String, Problem> {
    let apex = option.one_arg()?;
    match apex.domain()?.as_ref().label_count() {
        1 => Ok(apex.text.trim_end_matches('.').to_ascii_lowercase()),
        _ => Err(apex.problem(format!("apex: {} is not a single label", apex.text))),
    }
}
