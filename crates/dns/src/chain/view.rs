//! `kubernetes` and `k8s_external` in the words of `dns-names`.

use std::sync::Arc;

use dns_config::{External as ExternalSettings, Kubernetes, PodNames as Pods};
use dns_names::{External, PodNames, View};

/// What the cluster's names look like here.
pub(crate) fn view(settings: &Kubernetes) -> Result<View, String> {
    let selector = |selector: &Option<dns_config::Selector>| {
        let text = selector.as_ref().map(ToString::to_string);
        text.map(|text| text.parse().map_err(|error| format!("{error}"))).transpose()
    };
    let names = settings.namespaces.iter().map(|name| Arc::from(name.as_str())).collect();
    Ok(View {
        zones: settings.zones.clone(),
        ttl: settings.ttl,
        pods: match settings.pods {
            Pods::Disabled => PodNames::Disabled,
            Pods::Insecure => PodNames::Insecure,
            Pods::Verified => PodNames::Verified,
        },
        namespaces: (!settings.namespaces.is_empty()).then_some(names),
        namespace_labels: selector(&settings.namespace_labels)?,
        labels: selector(&settings.labels)?,
        endpoint_pod_names: settings.endpoint_pod_names,
        noendpoints: settings.noendpoints,
        ignore_empty: settings.ignore_empty,
        fallthrough: settings.fallthrough.clone(),
        multicluster: settings.multicluster.clone(),
        zonal: settings.zonal,
    })
}

/// Names for what is reached from outside.
pub(crate) fn external(settings: &ExternalSettings) -> External {
    External {
        zones: settings.zones.clone(),
        ttl: settings.ttl,
        apex: settings.apex.as_str().into(),
        headless: settings.headless,
        fallthrough: settings.fallthrough.clone(),
    }
}
