//! A profile of the table as the text of a Corefile.

use std::fmt::Write;

use crate::table::Options;

/// The text, for a server that forwards all else to `upstream`.
pub(crate) fn corefile(options: &Options, upstream: &str) -> String {
    let zones = options.zones.clone().unwrap_or_default().join(" ");
    let mut text = String::from(".:53 {\n    errors\n");
    let _ = writeln!(text, "    kubernetes {zones} {{");
    for line in kubernetes(options) {
        let _ = writeln!(text, "        {line}");
    }
    text.push_str("    }\n");
    for line in beside(options) {
        let _ = writeln!(text, "    {line}");
    }
    let _ = writeln!(text, "    forward . {upstream}\n}}");
    text
}

/// The block of the plugin `kubernetes`.
fn kubernetes(options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(options.ttl.map(|ttl| format!("ttl {ttl}")));
    lines.extend(options.pods.as_ref().map(|pods| format!("pods {pods}")));
    lines.extend(options.namespaces.as_ref().map(|names| format!("namespaces {}", names.join(" "))));
    lines.extend(options.namespace_labels.as_ref().map(|labels| {
        let terms: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("namespace_labels {}", terms.join(","))
    }));
    lines.extend(
        flags(options).into_iter().filter(|(on, _)| on.unwrap_or(false)).map(|(_, line)| line.to_owned()),
    );
    let named = |word: &str, zones: &Option<Vec<String>>| {
        zones.as_ref().filter(|zones| !zones.is_empty()).map(|zones| format!("{word} {}", zones.join(" ")))
    };
    lines.extend(named("multicluster", &options.multicluster));
    lines.extend(named("fallthrough", &options.fallthrough));
    lines
}

fn flags(options: &Options) -> [(Option<bool>, &'static str); 4] {
    [
        (options.endpoint_pod_names, "endpoint_pod_names"),
        (options.noendpoints, "noendpoints"),
        (options.ignore_empty, "ignore empty_service"),
        (options.zonal, "zonal"),
    ]
}

/// Plugins beside it.
fn beside(options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    if options.autopath.unwrap_or(false) {
        lines.push("autopath @kubernetes".to_owned());
    }
    if let Some(external) = &options.external {
        let headless = if external.headless { "headless" } else { "" };
        lines.push(format!("k8s_external {} {{", external.zone));
        lines.push(format!("    ttl {}", external.ttl));
        lines.push(format!("    {headless}"));
        lines.push("}".to_owned());
    }
    lines
}
