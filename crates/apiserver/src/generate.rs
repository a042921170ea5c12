//! Many Services and their endpoints, for tests of size.

use serde_json::{Value, json};

use crate::status::ApiError;
use crate::store::Store;

impl Store {
    /// Makes Services `svc-0`, `svc-1`, ... in the namespace `load`, each with one slice of so many endpoints.
    pub fn generate(&self, services: usize, endpoints: usize) -> Result<(), ApiError> {
        self.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "load"}}))?;
        self.apply_all((0..services).flat_map(|index| [service(index), slice(index, endpoints)]))?;
        Ok(())
    }
}

fn name(index: usize) -> String {
    format!("svc-{index}")
}

fn service(index: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name(index), "namespace": "load", "labels": {"app": name(index)}},
        "spec": {"selector": {"app": name(index)}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn slice(index: usize, endpoints: usize) -> Value {
    let endpoints: Vec<Value> =
        (0..endpoints).map(|number| endpoint(index, index * endpoints + number)).collect();
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-abcde", name(index)), "namespace": "load",
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": name(index),
            },
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-11-21T12:00:00Z"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    // Not within the macro, which would write them and read them again.
    slice["endpoints"] = endpoints.into();
    slice
}

/// An endpoint with an address of its own in 10.128.0.0/9, on one of 100 Nodes in three zones.
fn endpoint(service: usize, number: usize) -> Value {
    let [_, high, middle, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
    let pod = format!("{}-{number}", name(service));
    json!({
        "addresses": [format!("10.{}.{middle}.{low}", 128 | high & 127)],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": format!("node-{}", number % 100),
        "targetRef": {"kind": "Pod", "namespace": "load", "name": pod, "uid": crate::ids::uid()},
        "zone": format!("zone-{}", number % 3),
    })
}
