//! Connections and bytes by Service and endpoint, where they are wanted (`serviceMetrics`).

use std::sync::Arc;

use flows::Delta;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::traffic::{Shown, Traffic};

/// What has no counters of its own goes under this name.
const OTHER: &str = "other";

/// A Service; of all others together, `other` without a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabel {
    namespace: String,
    service: String,
}

/// An endpoint of a Service; of all others together, `other` everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    namespace: String,
    service: String,
    endpoint: String,
}

type Reader = fn(&Delta) -> u64;

const COUNTERS: [(&str, &str, Reader); 3] = [
    ("connections_opened", "Connections opened", |sum| sum.opened),
    ("bytes_in", "Bytes from clients to endpoints", |sum| sum.bytes_in),
    ("bytes_out", "Bytes from endpoints to clients", |sum| sum.bytes_out),
];

/// The counters as metrics; none where they are not wanted.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) Arc<Traffic>);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let shown = self.0.shown();
        let Some(book) = &shown.book else { return Ok(()) };
        let services: Vec<_> = book.services().map(|(name, sum)| (service(name), *sum)).collect();
        let endpoints: Vec<_> = book.endpoints().map(|(name, sum)| (endpoint(name), *sum)).collect();
        let sums = [(
            "lost_news",
            "Times that the kernel had more news of ended connections than could be held",
            shown.lost,
        )];
        let Shown { beyond, .. } = *shown;
        drop(shown);
        series(&mut encoder, "service", "by Service", &services)?;
        series(&mut encoder, "endpoint", "by endpoint", &endpoints)?;
        let beyond =
            ("uncounted_connections", "Connections not counted, since there were too many endpoints", beyond);
        for (name, help, value) in sums.into_iter().chain([beyond]) {
            let counter = ConstCounter::new(value);
            let name = format!("towpath_service_metrics_{name}");
            counter.encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

fn series<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    of: &str,
    by: &str,
    sums: &[(L, Delta)],
) -> Result<(), std::fmt::Error> {
    for (name, help, value) in COUNTERS {
        let (name, help) = (format!("towpath_{of}_{name}"), format!("{help}, {by}"));
        let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
        for (label, sum) in sums {
            ConstCounter::new(value(sum)).encode(family.encode_family(label)?)?;
        }
    }
    let (name, help) =
        (format!("towpath_{of}_connections"), format!("Connections that the kernel remembers, {by}"));
    let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
    for (label, sum) in sums {
        ConstGauge::new(sum.live as i64).encode(family.encode_family(label)?)?;
    }
    Ok(())
}

fn service(name: Option<&model::NamespacedName>) -> ServiceLabel {
    let (namespace, service) = name.map_or(("", OTHER), |name| (&*name.namespace, &*name.name));
    ServiceLabel { namespace: namespace.into(), service: service.into() }
}

fn endpoint(name: Option<&(model::NamespacedName, model::EndpointAddr)>) -> EndpointLabel {
    let ServiceLabel { namespace, service } = service(name.map(|(service, _)| service));
    let endpoint = name.map_or_else(|| OTHER.into(), |(_, endpoint)| endpoint.to_string());
    EndpointLabel { namespace, service, endpoint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::plain;
    use flows::{Book, Limits};
    use model::{EndpointAddr, NamespacedName};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    fn text(traffic: &Arc<Traffic>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Counted(Arc::clone(traffic))));
        let mut out = String::new();
        encode(&mut out, &registry).unwrap();
        plain(&out)
    }

    #[test]
    fn none_unless_wanted_and_then_bounded() {
        let traffic = Arc::new(Traffic::default());
        assert_eq!(text(&traffic), "");
        let mut book = Book::new(Limits { services: 1, endpoints: 1 });
        let [web, api] = ["web", "api"].map(|name| NamespacedName::new("shop", name));
        let at = EndpointAddr { ip: "fd00::1".parse().unwrap(), port: 80 };
        let delta = Delta { opened: 2, live: 1, bytes_in: 30, bytes_out: 4000 };
        book.take(std::time::Instant::now(), [(&web, at, &delta), (&api, at, &delta)]);
        traffic.shown().book = Some(book);
        let text = text(&traffic);
        for line in [
            "towpath_service_connections_opened_total{namespace=\"shop\",service=\"web\"} 2",
            "towpath_service_connections{namespace=\"shop\",service=\"web\"} 1",
            "towpath_service_bytes_out_total{namespace=\"\",service=\"other\"} 4000",
            "towpath_endpoint_bytes_in_total{namespace=\"shop\",service=\"web\",endpoint=\"[fd00::1]:80\"} 30",
            "towpath_endpoint_connections{namespace=\"\",service=\"other\",endpoint=\"other\"} 1",
            "towpath_service_metrics_lost_news_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("api"), "{text}");
    }
}
