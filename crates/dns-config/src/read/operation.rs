//! Plugins about running the server.

use std::net::IpAddr;
use std::time::Duration;

use crate::place::Problem;
use crate::read::address::http_address;
use crate::read::context::{Context, Outcome};
use crate::syntax::Directive;
use crate::types::{Block, Health, HttpAddress, MAX_LAMEDUCK, Prometheus, Ready, Reload};

/// `bind ADDRESS... { except ADDRESS... }`.
pub fn bind(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for arg in directive.some_args()? {
        match arg.text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) if arg.text.contains("__PILLAR__") => {
                return Err(
                    arg.problem(format!("bind: {} has no value: name the addresses to listen on", arg.text))
                );
            }
            Err(_) => {
                let why = "not honoured: write addresses, not names of links";
                context.unsupported(&arg.at, format!("bind {}", arg.text), why);
            }
        }
    }
    context.options(directive, |context, option| except(context, &mut addresses, directive, option));
    let why =
        "the addresses to listen on are those of --dns-listen and --dns-intercept (standalone: --listen)";
    context.differs(&directive.name.at, "bind", why);
    addresses.retain(|address| !block.bind.contains(address));
    block.bind.append(&mut addresses);
    Ok(())
}

fn except(
    context: &mut Context<'_>,
    bind: &mut Vec<IpAddr>,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    if option.name.text != "except" {
        context.unknown_option(plugin, option);
        return Ok(());
    }
    for arg in option.some_args()? {
        match arg.text.parse::<IpAddr>() {
            Ok(address) => bind.retain(|one| *one != address),
            Err(_) => {
                let why = "not honoured: write addresses, not names of links";
                context.unsupported(&arg.at, format!("bind except {}", arg.text), why);
            }
        }
    }
    Ok(())
}

/// `health [ADDRESS] { lameduck DURATION }`.
pub fn health(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let address = address(directive, HttpAddress { host: None, port: 8080 })?;
    let mut health = Health { address, lameduck: Duration::ZERO };
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "lameduck" => {
                health.lameduck = option.one_arg()?.duration("lameduck")?;
                if health.lameduck > MAX_LAMEDUCK {
                    let why = "the server answers on for 5 s at the most";
                    context.differs(&option.name.at, "health lameduck", why);
                }
            }
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.health = Some(health);
    Ok(())
}

/// `ready [ADDRESS] { monitor until-ready|continuously }`.
pub fn ready(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let address = address(directive, HttpAddress { host: None, port: 8181 })?;
    let mut ready = Ready { address, continuously: false };
    context.options(directive, |context, option| {
        match option.name.text.as_str() {
            "monitor" => ready.continuously = continuously(option)?,
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.ready = Some(ready);
    Ok(())
}

fn continuously(option: &Directive) -> Result<bool, Problem> {
    let how = option.one_arg()?;
    match how.text.as_str() {
        "until-ready" => Ok(false),
        "continuously" => Ok(true),
        other => Err(how.problem(format!("monitor: {other} is not until-ready or continuously"))),
    }
}

/// `prometheus [ADDRESS]`.
pub fn prometheus(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let localhost = Some(IpAddr::from([127, 0, 0, 1]));
    let address = address(directive, HttpAddress { host: localhost, port: 9153 })?;
    context.options(directive, |context, option| {
        let name = option.name.text.as_str();
        match name {
            "runtime_metrics" => {
                context.unsupported(
                    &option.name.at,
                    "prometheus runtime_metrics",
                    "not honoured: they are of a Go program; remove it",
                );
            }
            "tls" => context.unsupported(
                &option.name.at,
                "prometheus tls",
                "not honoured: metrics are served over plain HTTP",
            ),
            _ => context.unknown_option(directive, option),
        }
        Ok(())
    });
    block.prometheus = Some(Prometheus { address });
    Ok(())
}

fn address(directive: &Directive, default: HttpAddress) -> Result<HttpAddress, Problem> {
    directive.at_most(1)?;
    directive.args.first().map_or(Ok(default), http_address)
}

/// `loop`.
pub fn loop_guard(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.no_args()?;
    directive.no_body()?;
    let why = "the program does not end: the upstream from which our own query comes back is not used, with one error in the log";
    context.differs(&directive.name.at, "loop", why);
    block.loop_guard = true;
    Ok(())
}

/// `reload [INTERVAL] [JITTER]`.
pub fn reload(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    directive.at_most(2)?;
    directive.no_body()?;
    let mut reload = Reload::default();
    if let Some(interval) = directive.args.first() {
        reload.interval = interval.duration("reload")?;
        if reload.interval < Duration::from_secs(2) {
            return Err(interval.problem("reload: the interval is at least 2s"));
        }
    }
    if let Some(jitter) = directive.args.get(1) {
        reload.jitter = jitter.duration("reload")?;
        if reload.jitter < Duration::from_secs(1) {
            return Err(jitter.problem("reload: the jitter is at least 1s"));
        }
    }
    reload.jitter = reload.jitter.min(reload.interval / 2);
    context.differs(
        &directive.name.at,
        "reload",
        "the Corefile and what it imports are followed at once, without interval",
    );
    block.reload = Some(reload);
    Ok(())
}
