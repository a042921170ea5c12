//! `cache`.

use std::time::Duration;

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::syntax::{Directive, Token};
use crate::types::{Block, Cache, CacheTable, Choice, Prefetch, ServeStale};

/// Longest time that CoreDNS keeps SERVFAIL.
const MAX_SERVFAIL: Duration = Duration::from_secs(300);

/// `cache [TTL] [ZONES...] { ... }`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let (ttl, zones) = match directive.args.split_first() {
        Some((first, zones)) if is_number(first) => (Some(first.number("cache TTL", 1..=u32::MAX)?), zones),
        _ => (None, directive.args.as_slice()),
    };
    let mut cache = Cache::new(zones_or(zones, &block.zones)?);
    if let Some(ttl) = ttl {
        cache.success.max_ttl = ttl;
        cache.denial.max_ttl = ttl;
    }
    context.options(directive, |context, option| read_option(context, &mut cache, directive, option));
    block.cache = Some(cache);
    Ok(())
}

/// Whether Go's `Atoi` would take it: then it is the TTL, else a zone.
fn is_number(token: &Token) -> bool {
    let digits = token.text.trim_start_matches(['-', '+']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_option(
    context: &mut Context<'_>,
    into: &mut Cache,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    match option.name.text.as_str() {
        "success" => table(&mut into.success, option)?,
        "denial" => table(&mut into.denial, option)?,
        "prefetch" => into.prefetch = prefetch(option)?,
        "serve_stale" => into.serve_stale = serve_stale(context, option)?,
        "servfail" => into.servfail = servfail(option)?,
        "disable" => disable(into, option)?,
        "keepttl" => into.keepttl = option.no_args().map(|()| true)?,
        "serve_stale_policy" => {
            let why = "the last reply of any kind is served when it is stale";
            context.unsupported(&option.name.at, "cache serve_stale_policy", why);
        }
        _ => context.unknown_option(plugin, option),
    }
    Ok(())
}

fn table(table: &mut CacheTable, option: &Directive) -> Outcome {
    option.at_most(3)?;
    let [capacity, ttls @ ..] = option.some_args()? else { return Ok(()) };
    table.capacity = capacity.number("capacity", 0..=u32::MAX)?;
    if let Some(max) = ttls.first() {
        table.max_ttl = max.number("cache TTL", 1..=u32::MAX)?;
    }
    if let Some(min) = ttls.get(1) {
        table.min_ttl = min.number("least cache TTL", 0..=u32::MAX)?;
    }
    Ok(())
}

/// `prefetch AMOUNT [DURATION [PERCENTAGE%]]`; an AMOUNT of 0 is off.
fn prefetch(option: &Directive) -> Result<Choice<Prefetch>, Problem> {
    option.at_most(3)?;
    let amount = option.args.first().ok_or_else(|| option.problem("an argument is missing"))?;
    let mut prefetch = Prefetch { amount: 0, duration: Duration::from_secs(60), percentage: 10 };
    prefetch.amount = amount.number("prefetch", 0..=u32::MAX)?;
    if let Some(duration) = option.args.get(1) {
        prefetch.duration = duration.duration("prefetch")?;
    }
    if let Some(percentage) = option.args.get(2) {
        prefetch.percentage = percent(percentage)?;
    }
    Ok(if prefetch.amount > 0 { Choice::On(prefetch) } else { Choice::Off })
}

fn percent(token: &Token) -> Result<u8, Problem> {
    let number = token.text.strip_suffix('%').and_then(|text| text.parse().ok());
    let wrong = || token.problem(format!("prefetch: {} is not a percentage from 10% to 90%", token.text));
    number.filter(|number| (10..=90).contains(number)).ok_or_else(wrong)
}

/// `serve_stale [DURATION] [immediate [TTL [RECHECK]]|verify [TIMEOUT [TTL [RECHECK]]]]`; a DURATION of 0 is off.
fn serve_stale(context: &mut Context<'_>, option: &Directive) -> Result<Choice<ServeStale>, Problem> {
    let mut args = option.args.iter();
    let up_to = args.next().map_or(Ok(Duration::from_secs(3600)), |arg| arg.duration("serve_stale"))?;
    let mut stale = ServeStale { up_to, verify: false, verify_timeout: None };
    if let Some(mode) = args.next() {
        stale.verify = is_verify(mode)?;
    }
    if let Some(timeout) = args.next().filter(|_| stale.verify) {
        stale.verify_timeout = Some(timeout.duration("serve_stale")?);
    }
    let most = if stale.verify { 5 } else { 4 };
    option.at_most(most)?;
    for arg in option.args.iter().skip(most - 2) {
        arg.duration("serve_stale")?;
        let why = "stale answers have a TTL of 30 s, and a failed upstream is asked again as RFC 8767 says";
        context.differs(&arg.at, "cache serve_stale", why);
    }
    Ok(if up_to.is_zero() { Choice::Off } else { Choice::On(stale) })
}

fn is_verify(mode: &Token) -> Result<bool, Problem> {
    match mode.text.to_ascii_lowercase().as_str() {
        "immediate" => Ok(false),
        "verify" => Ok(true),
        _ => Err(mode.problem(format!("serve_stale: {} is not immediate or verify", mode.text))),
    }
}

fn servfail(option: &Directive) -> Result<Duration, Problem> {
    let arg = option.one_arg()?;
    let duration = arg.duration("servfail")?;
    let fits = duration <= MAX_SERVFAIL;
    fits.then_some(duration).ok_or_else(|| arg.problem("servfail: at most 5m"))
}

fn disable(into: &mut Cache, option: &Directive) -> Outcome {
    let (what, zones) = option.args.split_first().ok_or_else(|| option.problem("write success or denial"))?;
    let zones = zones_or(zones, &[dns_wire::Name::root()])?;
    match what.text.as_str() {
        "success" => into.disable_success = zones,
        "denial" => into.disable_denial = zones,
        other => return Err(what.problem(format!("disable: {other} is not success or denial"))),
    }
    Ok(())
}
