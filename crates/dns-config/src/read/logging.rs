//! `errors` and `log`.

use dns_wire::Name;

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::read::regexes::checked;
use crate::syntax::{Directive, Token};
use crate::types::{Block, Consolidate, Errors, Log, LogClasses, LogFormat, LogLevel};

/// `errors { ... }`.
pub fn errors(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.at_most(1)?;
    if let Some(target) = directive.args.iter().find(|arg| arg.text != "stdout") {
        return Err(target.problem(format!("errors: {} is not stdout", target.text)));
    }
    let mut errors = Errors::default();
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "consolidate" => {
                errors.consolidate.push(consolidate(option)?);
                let why =
                    "not honoured: failures are counted in the metrics, each in the query log; remove it";
                context.unsupported(&option.name.at, "errors consolidate", why);
            }
            "stacktrace" => {
                option.no_args()?;
                context.differs(
                    &option.name.at,
                    "errors stacktrace",
                    "a panic is always logged, with the place of its origin",
                );
            }
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.errors = Some(errors);
    Ok(())
}

/// `consolidate DURATION REGEXP [LEVEL] [show_first]`.
fn consolidate(option: &Directive) -> Result<Consolidate, Problem> {
    option.at_most(4)?;
    let [period, pattern, rest @ ..] = option.args.as_slice() else {
        return Err(option.problem("write consolidate DURATION REGEXP [LEVEL] [show_first]"));
    };
    let mut consolidate = Consolidate {
        period: period.duration("consolidate")?,
        pattern: checked(pattern, None)?,
        level: LogLevel::Error,
        show_first: false,
    };
    for word in rest {
        match word.text.as_str() {
            "show_first" => consolidate.show_first = true,
            _ => consolidate.level = level(word)?,
        }
    }
    Ok(consolidate)
}

fn level(token: &Token) -> Result<LogLevel, Problem> {
    match token.text.as_str() {
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warning" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        other => Err(token.problem(format!("consolidate: {other} is not debug, info, warning or error"))),
    }
}

/// `log [NAMES...] [FORMAT] { class CLASSES... }`.
pub fn log(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let (names, format) = match directive.args.split_last() {
        Some((last, names)) if last.text.contains('{') => (names, format(last)),
        _ => (directive.args.as_slice(), LogFormat::Common),
    };
    let names = zones_or(names, &[Name::root()])?;
    let mut classes = None;
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "class" => add(classes.get_or_insert(NONE), option)?,
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.log.push(Log { names, format, classes: classes.unwrap_or(LogClasses::ALL) });
    Ok(())
}

const NONE: LogClasses = LogClasses { success: false, denial: false, error: false };

fn format(token: &Token) -> LogFormat {
    match token.text.as_str() {
        "{common}" => LogFormat::Common,
        "{combined}" => LogFormat::Combined,
        text => LogFormat::Custom(text.to_owned()),
    }
}

fn add(classes: &mut LogClasses, option: &Directive) -> Outcome {
    for class in option.some_args()? {
        match class.text.as_str() {
            "all" => *classes = LogClasses::ALL,
            "success" => classes.success = true,
            "denial" => classes.denial = true,
            "error" => classes.error = true,
            other => {
                return Err(class.problem(format!("class: {other} is not success, denial, error or all")));
            }
        }
    }
    Ok(())
}
