//! `towpath.dev/strict-source-ranges`: what it means for a Service with these ranges.

use ipnet::IpNet;
use model::{IpFamily, Service};

use super::field::FieldError;
use super::wishes::STRICT;

/// Settles a Service that asks for strict source ranges. `unread`: some range could not be read.
///
/// What is closed must stay so in the snapshot, which has only what could be read: where no range could, nothing outside
/// of the cluster is served at all.
pub(super) fn hold(service: &mut Service, unread: bool, warnings: &mut Vec<FieldError>) {
    if !service.source_ranges.is_empty() {
        let closed = IpFamily::ALL.into_iter().filter(|family| is_closed(service, *family));
        warnings.extend(closed.map(|family| FieldError::new(STRICT, no_range_of(family))));
        return;
    }
    service.strict_source_ranges = false;
    let message = if unread {
        service.external_ips.clear();
        service.load_balancer_ips.clear();
        service.ports.iter_mut().for_each(|port| port.node_port = 0);
        "no range can be read, so nothing but the ClusterIP is served"
    } else {
        "spec.loadBalancerSourceRanges is empty, so nothing is limited: give ranges (type LoadBalancer has them), or remove it"
    };
    warnings.push(FieldError::new(STRICT, message));
}

/// Whether the Service has something outside of the cluster in a family of which there is no range.
fn is_closed(service: &Service, family: IpFamily) -> bool {
    let of_family = |net: &IpNet| IpFamily::of(net.addr()) == family;
    let outside = service.ports.iter().any(|port| service.externally_accessible(port, family));
    outside && service.cluster_ip(family).is_some() && !service.source_ranges.iter().any(of_family)
}

fn no_range_of(family: IpFamily) -> String {
    let anybody = if family == IpFamily::V4 { "0.0.0.0/0" } else { "::/0" };
    format!(
        "spec.loadBalancerSourceRanges has no range of {family}, so {family} is closed to all but the ClusterIP: add one \
         ({anybody} for anybody)"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::k8s::{Decoder, Kind, decode};

    fn service(ranges: &[&str]) -> Value {
        json!({
            "metadata": {"name": "web", "annotations": {"towpath.dev/strict-source-ranges": "true"}},
            "spec": {
                "type": "LoadBalancer", "clusterIPs": ["10.96.0.1", "fd00::1"], "externalIPs": ["192.0.2.1"],
                "loadBalancerSourceRanges": ranges, "ports": [{"port": 80, "nodePort": 30080}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}},
        })
    }

    fn read(object: &Value) -> (model::Service, Vec<String>) {
        let decoded = decode(Kind::Service, &object.to_string(), &mut Decoder::default()).unwrap();
        let Some(model::Change::Service(service)) = decoded.change else { panic!("{object}") };
        ((*service).clone(), decoded.warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_family_without_a_range_is_named() {
        for (ranges, strict, want) in [
            (&["192.0.2.0/24", "2001:db8::/32"][..], true, &[][..]),
            (&["192.0.2.0/24"], true, &["no range of IPv6, so IPv6 is closed"]),
            (&["::/0"], true, &["no range of IPv4, so IPv4 is closed"]),
            (&["192.0.2.0/24", "2001:db8::/x"], true, &["2001:db8::/x", "no range of IPv6"]),
            (&[], false, &["spec.loadBalancerSourceRanges is empty, so nothing is limited"]),
        ] {
            let (service, warnings) = read(&service(ranges));
            assert_eq!(service.strict_source_ranges, strict, "{ranges:?}");
            assert_eq!((service.external_ips.len(), service.load_balancer_ips.len()), (1, 1), "{ranges:?}");
            assert_eq!(warnings.len(), want.len(), "{warnings:?}");
            assert!(warnings.iter().zip(want).all(|(text, part)| text.contains(part)), "{warnings:?}");
        }
    }

    #[test]
    fn without_a_range_that_can_be_read_nothing_is_open() {
        for ranges in [&["10.0.0.0/33"][..], &["everybody", "2001:db8::/x"]] {
            let object = service(ranges);
            let (service, warnings) = read(&object);
            assert!(service.external_ips.is_empty() && service.load_balancer_ips.is_empty(), "{service:?}");
            assert_eq!(service.ports[0].node_port, 0);
            assert!(warnings.iter().any(|text| text.contains("nothing but the ClusterIP is served")));
            let kept = crate::k8s::encode(&model::Change::Service(service.clone().into())).unwrap();
            assert_eq!(read(&kept), (service, vec![]));
        }
    }
}
