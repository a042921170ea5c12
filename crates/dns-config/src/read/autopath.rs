//! `autopath`.

use std::path::PathBuf;

use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::syntax::Directive;
use crate::types::{Autopath, AutopathSource, Block};

/// `autopath [ZONES...] RESOLV-CONF|@PLUGIN`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.no_body()?;
    let Some((from, zones)) = directive.args.split_last() else {
        return Err(directive.problem("write @kubernetes or the path of a file like resolv.conf"));
    };
    let source = match from.text.strip_prefix('@') {
        Some("kubernetes") => AutopathSource::Kubernetes,
        Some(_) => {
            let why = "not honoured: the search path comes from @kubernetes or from a file";
            context.unsupported(&from.at, format!("autopath {}", from.text), why);
            return Ok(());
        }
        None => AutopathSource::File(PathBuf::from(&from.text)),
    };
    if let AutopathSource::File(path) = &source {
        context.note_file(path);
    }
    block.autopath = Some(Autopath { zones: zones_or(zones, &block.zones)?, source });
    Ok(())
}
