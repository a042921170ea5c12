//! Objects to show.

use serde_json::{Value, json};

/// The Service whose page most tests look at.
pub(crate) const WEB: &str = "/debug/rules/shop/web";
/// Something that wants to run in a browser.
pub(crate) const SCRIPT: &str = "<img src=x onerror=\"window.owned=1\"><script>window.owned=2</script>";

/// A small shop: what its list shows is in [`NAMES`].
pub(crate) fn shop() -> Vec<Value> {
    let mut all = vec![node()];
    all.push(web());
    all.push(slice("web", &web_endpoints(&["10.244.1.5", "10.244.2.7", "10.244.3.9"])));
    all.push(service("cart", "10.96.0.11", &json!({})));
    all.push(slice(
        "cart",
        &(1..=12)
            .map(|n| endpoint(&format!("10.244.{n}.20"), &format!("worker-{n}"), true))
            .collect::<Vec<_>>(),
    ));
    let mut heavy = service("heavy", "10.96.0.15", &json!({}));
    heavy["metadata"]["annotations"] = json!({ "towpath.dev/weights": "10.244.1.21=3" });
    all.push(heavy);
    all.push(slice(
        "heavy",
        &[endpoint("10.244.1.21", "worker-1", true), endpoint("10.244.2.21", "worker-2", true)],
    ));
    all.push(service("lonely", "10.96.0.12", &json!({})));
    all.push(service("many", "10.96.0.13", &json!({})));
    all.push(slice(
        "many",
        &(1..=60).map(|n| endpoint(&format!("10.244.9.{n}"), "worker-9", true)).collect::<Vec<_>>(),
    ));
    let mut evil = service("evil", "10.96.0.14", &json!({}));
    evil["metadata"]["annotations"] =
        json!({ "towpath.dev/weights": SCRIPT, "towpath.dev/scheduler": SCRIPT });
    all.push(evil);
    all
}

/// The Services of [`shop`], as the list has them.
pub(crate) const NAMES: [&str; 6] =
    ["shop/cart", "shop/evil", "shop/heavy", "shop/lonely", "shop/many", "shop/web"];

/// This node.
pub(crate) fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "worker-1", "labels": { "topology.kubernetes.io/zone": "eu-a" } },
        "spec": { "podCIDRs": ["10.244.1.0/24"] },
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.168.7.11" }] },
    })
}

/// `shop/NAME` with one port, and more in its `spec`.
pub(crate) fn service(name: &str, ip: &str, more: &Value) -> Value {
    let mut spec = json!({ "clusterIP": ip, "clusterIPs": [ip], "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": name }, "spec": spec })
}

fn web() -> Value {
    let mut web = service(
        "web",
        "10.96.0.10",
        &json!({
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "loadBalancerSourceRanges": ["198.51.100.0/24", "203.0.113.0/25"], "sessionAffinity": "ClientIP",
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080 }],
        }),
    );
    web["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.9", "ipMode": "VIP" }] } });
    web
}

/// Endpoints of `shop/web`: these are ready, one is not, one terminates.
pub(crate) fn web_endpoints(ready: &[&str]) -> Vec<Value> {
    let node = |ip: &str| format!("worker-{}", ip.split('.').nth(2).unwrap_or("1"));
    let mut all: Vec<Value> = ready.iter().map(|ip| endpoint(ip, &node(ip), true)).collect();
    all.push(endpoint("10.244.1.6", "worker-1", false));
    let mut leaving = endpoint("10.244.2.8", "worker-2", false);
    leaving["conditions"] = json!({ "ready": false, "serving": true, "terminating": true });
    all.push(leaving);
    all
}

/// An endpoint on a node.
pub(crate) fn endpoint(ip: &str, node: &str, ready: bool) -> Value {
    json!({ "addresses": [ip], "nodeName": node, "conditions": { "ready": ready, "serving": ready } })
}

/// The slice of `shop/NAME`.
pub(crate) fn slice(name: &str, endpoints: &[Value]) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "namespace": "shop", "name": format!("{name}-1"), "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
    })
}

/// Many Services with an endpoint each.
pub(crate) fn crowd(count: usize) -> Vec<Value> {
    let ip = |base: &str, n: usize| format!("{base}.{}.{}", n / 250, n % 250 + 1);
    let pair = |n: usize| {
        let name = format!("s{n:05}");
        let slice = slice(&name, &[endpoint(&ip("10.245", n), "worker-2", true)]);
        [service(&name, &ip("10.97", n), &json!({})), slice]
    };
    std::iter::once(node()).chain((0..count).flat_map(pair)).collect()
}
