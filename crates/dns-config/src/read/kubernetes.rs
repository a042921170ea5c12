//! `kubernetes`.

use crate::place::Problem;
use crate::read::args::zones_or;
use crate::read::context::{Context, Outcome};
use crate::read::selector;
use crate::syntax::Directive;
use crate::types::{Block, Kubernetes, PodNames};

/// Options about the API server: ours is configured for the whole program.
const OF_THE_API: &[&str] = &[
    "apiserver_burst",
    "apiserver_max_inflight",
    "apiserver_qps",
    "endpoint",
    "kubeconfig",
    "resyncperiod",
    "tls",
];

/// `kubernetes [ZONES...] { ... }`.
pub fn read(context: &mut Context<'_>, block: &mut Block, directive: &Directive) -> Outcome {
    let mut kubernetes = Kubernetes::new(zones_or(&directive.args, &block.zones)?);
    if kubernetes.zones.iter().all(|zone| zone.as_ref().is_reverse()) {
        return Err(directive.problem("at least one zone must not be a reverse zone"));
    }
    context.options(directive, |context, option| read_option(context, &mut kubernetes, directive, option));
    check(&kubernetes, directive)?;
    block.kubernetes = Some(kubernetes);
    Ok(())
}

fn read_option(
    context: &mut Context<'_>,
    into: &mut Kubernetes,
    plugin: &Directive,
    option: &Directive,
) -> Outcome {
    match option.name.text.as_str() {
        "ttl" => into.ttl = option.one_arg()?.number("ttl", 0..=3600)?,
        "pods" => into.pods = pods(option)?,
        "namespaces" => into.namespaces.extend(option.some_args()?.iter().map(|arg| arg.text.clone())),
        "namespace_labels" => into.namespace_labels = Some(selector::read(option)?),
        "labels" => into.labels = Some(selector::read(option)?),
        "endpoint_pod_names" => into.endpoint_pod_names = flag(option)?,
        "noendpoints" => into.noendpoints = flag(option)?,
        "ignore" => into.ignore_empty = ignore(option)?,
        "fallthrough" => into.fallthrough = option.zones_or_root()?,
        "multicluster" => into.multicluster = zones_or(&option.args, &[])?,
        "zonal" => into.zonal = flag(option)?,
        _ => elsewhere(context, plugin, option)?,
    }
    Ok(())
}

/// Options that have no effect in this program.
fn elsewhere(context: &mut Context<'_>, plugin: &Directive, option: &Directive) -> Outcome {
    let name = option.name.text.as_str();
    let directive = format!("kubernetes {name}");
    match name {
        name if OF_THE_API.contains(&name) => {
            let why = "not honoured: the API server, and how it is watched, is set for the whole program; remove it";
            context.unsupported(&option.name.at, directive, why);
        }
        "startup_timeout" => {
            option.one_arg()?.duration("startup_timeout")?;
            let why = "missing names are SERVFAIL until the first sync, however long it takes; DNS goes to CoreDNS meanwhile";
            context.differs(&option.name.at, directive, why);
        }
        "upstream" => {
            let why = "targets of ExternalName are always looked up through the whole server; remove it";
            context.differs(&option.name.at, directive, why);
        }
        "transfer" => {
            context.unsupported(
                &option.name.at,
                directive,
                "not honoured: zones are not transferred; remove it",
            );
        }
        _ => context.unknown_option(plugin, option),
    }
    Ok(())
}

/// What must hold between the options.
fn check(kubernetes: &Kubernetes, directive: &Directive) -> Outcome {
    if !kubernetes.namespaces.is_empty() && kubernetes.namespace_labels.is_some() {
        return Err(directive.problem("namespaces and namespace_labels exclude each other: remove one"));
    }
    match kubernetes.multicluster.iter().find(|zone| !kubernetes.zones.contains(zone)) {
        None => Ok(()),
        Some(zone) => {
            Err(directive.problem(format!("the multicluster zone {zone} must be one of its zones: add it")))
        }
    }
}

/// An option without argument.
fn flag(option: &Directive) -> Result<bool, Problem> {
    option.no_args().map(|()| true)
}

fn pods(option: &Directive) -> Result<PodNames, Problem> {
    let mode = option.one_arg()?;
    match mode.text.as_str() {
        "disabled" => Ok(PodNames::Disabled),
        "insecure" => Ok(PodNames::Insecure),
        "verified" => Ok(PodNames::Verified),
        other => Err(mode.problem(format!("pods: {other} is not disabled, insecure or verified"))),
    }
}

fn ignore(option: &Directive) -> Result<bool, Problem> {
    let what = option.one_arg()?;
    match what.text.as_str() {
        "empty_service" => Ok(true),
        other => Err(what.problem(format!("ignore: {other} is not empty_service"))),
    }
}
