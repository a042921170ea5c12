//! Manifests that stories write.

use std::fmt::Write;

/// An endpoint: its address, hostname and readiness.
pub(crate) type Endpoint<'a> = (&'a str, &'a str, bool);

/// A namespace.
pub(crate) fn namespace(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

/// A Service with a cluster IP, or a headless one (`None`), and one port: `p`, TCP 80.
pub(crate) fn service(namespace: &str, name: &str, cluster_ip: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: {namespace}, name: {name}}}\nspec:\n  \
         type: ClusterIP\n  clusterIP: {cluster_ip}\n  clusterIPs: [{cluster_ip}]\n  ipFamilies: [IPv4]\n  \
         ports:\n  - {{port: 80, protocol: TCP, name: p}}\n"
    )
}

/// A slice `SERVICE-SUFFIX` of a Service.
pub(crate) fn slice(namespace: &str, service: &str, suffix: &str, endpoints: &[Endpoint<'_>]) -> String {
    let mut text = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  namespace: {namespace}\n  \
         name: {service}-{suffix}\n  labels: {{kubernetes.io/service-name: {service}}}\naddressType: IPv4\nendpoints:"
    );
    text.push_str(if endpoints.is_empty() { " []\n" } else { "\n" });
    for (address, hostname, ready) in endpoints {
        let _ = writeln!(
            text,
            "- {{addresses: [{address}], hostname: {hostname}, conditions: {{ready: {ready}}}}}"
        );
    }
    text + "ports:\n- {name: p, port: 8080, protocol: TCP}\n"
}

/// A running pod.
pub(crate) fn pod(namespace: &str, name: &str, address: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: {namespace}, name: {name}}}\nspec:\n  \
         nodeName: node-a\n  containers: [{{name: main, image: 'registry.example/app:1'}}]\nstatus:\n  \
         phase: Running\n  podIP: {address}\n  podIPs: [{{ip: {address}}}]\n"
    )
}
