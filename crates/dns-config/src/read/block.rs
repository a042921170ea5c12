//! Server blocks: keys, and what must hold between blocks.

use std::collections::HashMap;

use dns_wire::Name;

use crate::env::Env;
use crate::place::{Place, Problem, Problems};
use crate::read::context::{Context, Outcome};
use crate::read::{left_out, plugins};
use crate::syntax::{Corefile, Directive, ServerBlock};
use crate::types::{Block, Config, DNS_PORT};
use crate::zone::{Key, MAX_ZONES};

/// Reads what a Corefile means.
///
/// # Errors
/// All that CoreDNS would refuse at its start. Plugins and options that are not known are no errors: they are in
/// [`Config::unsupported`].
pub fn read(corefile: &Corefile, env: &dyn Env) -> Result<Config, Problems> {
    let config = Config {
        files: corefile.files().to_vec(),
        directories: corefile.directories().to_vec(),
        ..Config::default()
    };
    let mut context = Context { env, config, problems: Vec::new() };
    for block in &corefile.blocks {
        read_block(&mut context, block);
    }
    if corefile.blocks.is_empty() {
        context.problems.push(no_block(corefile));
    }
    refuse_twice(&mut context);
    if context.problems.is_empty() { Ok(context.config) } else { Err(Problems(context.problems)) }
}

/// A file that is empty is more likely half written than meant.
fn no_block(corefile: &Corefile) -> Problem {
    let file = corefile.files().first().map(|file| file.display().to_string()).unwrap_or_default();
    Problem::new(
        &Place::new(file, 0),
        "no server block: write one, for example .:53 { forward . /etc/resolv.conf }",
    )
}

fn read_block(context: &mut Context<'_>, source: &ServerBlock) {
    if let Some(why) = left_out::whole_block(source) {
        let directive = source.keys.iter().map(|key| key.text.as_str()).collect::<Vec<_>>().join(" ");
        context.unsupported(&why.at, directive, why.message);
        return;
    }
    for mut block in listeners(context, source) {
        let (unsupported, differs) = (context.config.unsupported.len(), context.config.differs.len());
        for directive in &source.directives {
            if let Err(problem) = read_plugin(context, &mut block, directive) {
                context.problems.push(problem);
            }
        }
        // The same block for a second port would say the same again.
        if context.config.blocks.last().is_some_and(|last| last.at == block.at) {
            context.config.unsupported.truncate(unsupported);
            context.config.differs.truncate(differs);
        }
        context.config.blocks.push(block);
    }
}

fn read_plugin(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    match plugins::find(&directive.name.text) {
        Some(plugin) if plugin.once && plugins::has(block, &directive.name.text) => {
            Err(directive.problem("this plugin can be used only once in a server block"))
        }
        Some(plugin) => {
            if plugins::has(block, &directive.name.text) {
                let why = "the block has it twice, and only this one holds: remove the other";
                context.unsupported(&directive.name.at, &directive.name.text, why);
            }
            (plugin.read)(context, block, directive)
        }
        None => {
            let (name, why) = (&directive.name.text, left_out::plugin(&directive.name.text));
            context.unsupported(&directive.name.at, name, why);
            Ok(())
        }
    }
}

/// An empty block for each port of the keys.
fn listeners(context: &mut Context<'_>, source: &ServerBlock) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for key in &source.keys {
        let Some(read) = Key::read(&key.text) else {
            context.problems.push(key.problem(format!("{} is not a zone with an optional port", key.text)));
            continue;
        };
        if read.scheme != "dns" {
            let why = "only listeners for plain DNS are supported: leave this zone to a CoreDNS";
            context.unsupported(&key.at, format!("{}://", read.scheme), why);
            continue;
        }
        let port = read.port.unwrap_or(DNS_PORT);
        if blocks.iter().map(|block| block.zones.len()).sum::<usize>() > MAX_ZONES {
            context.problems.push(key.problem(format!("more than {MAX_ZONES} zones in one server block")));
            break;
        }
        if port != DNS_PORT {
            let why = "names are answered on port 53 (standalone: on that of --listen), whatever the port of the block";
            context.differs(&key.at, format!("port {port}"), why);
        }
        match blocks.iter_mut().find(|block| block.port == port) {
            Some(block) => block.zones.extend(read.zones),
            None => blocks.push(Block::new(key.at.clone(), read.zones, port)),
        }
    }
    blocks
}

/// A zone may be served only once on each address and port.
fn refuse_twice(context: &mut Context<'_>) {
    let blocks = &context.config.blocks;
    let mut served: HashMap<(u16, &Name), Vec<&Block>> = HashMap::new();
    for block in blocks {
        let mut twice = None;
        for zone in &block.zones {
            let earlier = served.entry((block.port, zone)).or_default();
            match earlier.iter().find(|other| overlap(block, other)) {
                Some(other) => twice = twice.or(Some(already(&block.at, zone, block.port, &other.at))),
                None => earlier.push(block),
            }
        }
        context.problems.extend(twice);
    }
}

fn already(at: &Place, zone: &Name, port: u16, other: &Place) -> Problem {
    Problem::new(at, format!("the zone {zone} on port {port} is already served by the block of {other}"))
}

/// Whether two blocks of the same port listen on a common address. (CoreDNS lets one with `bind` stand beside one without.)
fn overlap(one: &Block, other: &Block) -> bool {
    let all = one.bind.is_empty() && other.bind.is_empty();
    all || one.bind.iter().any(|address| other.bind.contains(address))
}
