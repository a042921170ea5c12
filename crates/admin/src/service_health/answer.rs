//! What a probe is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::NamespacedName;

use super::Owner;
use crate::Page;

/// What one Service's probes are told.
pub(super) struct Answer {
    service: NamespacedName,
    endpoints: AtomicUsize,
    owner: Arc<dyn Owner>,
}

impl Answer {
    pub(super) fn new(service: NamespacedName, owner: Arc<dyn Owner>) -> Self {
        Self { service, endpoints: AtomicUsize::new(0), owner }
    }

    pub(super) fn set_endpoints(&self, endpoints: usize) {
        self.endpoints.store(endpoints, Ordering::Relaxed);
    }

    pub(super) fn page(&self) -> Page {
        let (endpoints, healthy) = (self.endpoints.load(Ordering::Relaxed), self.owner.is_healthy());
        let status = if endpoints > 0 && healthy { 200 } else { 503 };
        Page::json(status, body(&self.service, endpoints, healthy))
            .with("X-Load-Balancing-Endpoint-Weight", endpoints.to_string())
    }
}

/// Byte for byte kube-proxy's: indented with tabs, without a newline at the end.
fn body(service: &NamespacedName, endpoints: usize, healthy: bool) -> String {
    let NamespacedName { namespace, name } = service;
    format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": {namespace:?},\n\t\t\"name\": {name:?}\n\t}},\n\
         \t\"localEndpoints\": {endpoints},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
    )
}
