//! `towpath render`.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::Result;
use dataplane::{Engine, Operate};
use iptables::Iptables;
use ipvs::Ipvs;
use model::{IpFamily, NamespacedName, Store};
use nftables::Nftables;
use resolve::{Mode, ProxyConfig, resolve};
use serde::Serialize;

use crate::cli::RenderArgs;
use crate::load::{Offline, load};
use crate::view::RouteView;

/// All that a node's kernel should have.
// The fields are a contract: scripts read them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RenderView {
    /// Whose eyes the manifests are seen with.
    node: String,
    /// The mode: nftables, iptables or ipvs.
    mode: &'static str,
    /// What cannot be honoured, a line each, sorted.
    problems: Vec<String>,
    /// Objects that belong to no Service, a line each, sorted. The form of a line depends on the mode, and may change.
    ground: Vec<String>,
    /// Services that become something, sorted by name.
    services: Vec<ServiceView>,
}

/// What a Service becomes.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ServiceView {
    /// Its name, as `NAMESPACE/NAME`.
    service: String,
    /// What each of its ports means on this node, by port and family.
    routes: Vec<RouteView>,
    /// Its objects, a line each, sorted. Some may be there for other Services too.
    objects: Vec<String>,
}

/// Prints the ruleset to standard output, Problems to standard error; as JSON, both to standard output.
pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let Offline { store, config, .. } = load(&args.offline)?;
    let text = match config.mode {
        Mode::Nftables => settled::<Nftables>(store, config, args),
        Mode::Iptables => settled::<Iptables>(store, config, args),
        Mode::Ipvs => settled::<Ipvs>(store, config, args),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn settled<D: Operate>(store: Store, config: ProxyConfig, args: &RenderArgs) -> String {
    let mut engine = Engine::new(store, config, D::offline(), &[]);
    engine.settle();
    let family = args.family.map(IpFamily::from);
    if args.output == "json" {
        return serde_json::to_string_pretty(&view(&engine, family)).unwrap_or_default() + "\n";
    }
    for problem in engine.problems() {
        eprintln!("towpath: {}", admin::in_one_line(&problem.to_string()));
    }
    text(&engine, family)
}

fn text<D: Operate>(engine: &Engine<D>, family: Option<IpFamily>) -> String {
    let dataplane = engine.dataplane();
    let wanted = |key: &D::Key| family.is_none_or(|family| dataplane.family(key) == family);
    let objects = engine.objects().filter(|(key, _)| wanted(key));
    let objects: Vec<_> = objects.map(|(key, value)| (key.clone(), value.clone())).collect();
    dataplane.render(&objects)
}

fn view<D: Operate>(engine: &Engine<D>, family: Option<IpFamily>) -> RenderView {
    let store = engine.store();
    let mut names: Vec<NamespacedName> = store.entries().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    let of_services: BTreeSet<D::Key> =
        names.iter().flat_map(|name| engine.objects_of(name)).map(|(key, _)| key).collect();
    let ground = engine.objects().filter(|(key, _)| !of_services.contains(key));
    let mut problems: Vec<String> = engine.problems().iter().map(ToString::to_string).collect();
    problems.sort_unstable();
    RenderView {
        node: store.node_name().to_string(),
        mode: engine.config().mode.as_str(),
        problems,
        ground: lines(engine.dataplane(), ground, family),
        services: names.iter().filter_map(|name| service(engine, name, family)).collect(),
    }
}

fn service<D: Operate>(
    engine: &Engine<D>,
    name: &NamespacedName,
    family: Option<IpFamily>,
) -> Option<ServiceView> {
    let routes = resolve(engine.store(), engine.config(), name).routes;
    let wanted = routes.iter().filter(|route| family.is_none_or(|family| route.family == family));
    let routes: Vec<RouteView> = wanted.map(RouteView::new).collect();
    let objects = engine.objects_of(name);
    let objects = lines(engine.dataplane(), objects.iter().map(|(key, value)| (key, value)), family);
    (!routes.is_empty()).then(|| ServiceView { service: name.to_string(), routes, objects })
}

fn lines<'a, D: Operate>(
    dataplane: &D,
    objects: impl Iterator<Item = (&'a D::Key, &'a D::Value)>,
    family: Option<IpFamily>,
) -> Vec<String>
where
    D::Key: 'a,
    D::Value: 'a,
{
    let wanted = objects.filter(|(key, _)| family.is_none_or(|family| dataplane.family(key) == family));
    let mut lines: Vec<String> = wanted.map(|(key, value)| dataplane.describe(key, value)).collect();
    lines.sort_unstable();
    // Ports of one Service share objects.
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_of_render() {
        testkit::schema::current::<RenderView>("render").unwrap();
    }
}
