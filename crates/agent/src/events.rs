//! Events on this Node and on Services, where there is an API server to take them.

use admin::service_health::Failure;
use sources::kubernetes::{About, EventRequest, Requests};

/// Posts them; does nothing without an API server, or when they are turned off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(pub(crate) Option<Requests>);

impl Events {
    /// This process begins to work.
    pub(crate) fn starting(&self) {
        self.post(About::Node, "Starting", String::new(), false);
    }

    /// An address cannot be bound, and the process ends because of it.
    pub(crate) fn cannot_bind(&self, reason: &str, message: String) {
        self.post(About::Node, reason, message, true);
    }

    /// The self-probe fails, or works again.
    pub(crate) fn self_probe(&self, fails: bool, message: String) {
        let reason = if fails { "SelfProbeFailed" } else { "SelfProbeSucceeded" };
        self.post(About::Node, reason, message, fails);
    }

    /// A Service's health check has no server.
    pub(crate) fn no_health_server(&self, failure: &Failure) {
        let name = &failure.service;
        let about = About::Service { namespace: name.namespace.clone(), name: name.name.clone(), uid: None };
        self.post(about, "FailedToStartServiceHealthcheck", failure.to_string(), true);
    }

    /// Others had changed our rules, and they are as they should be again.
    pub(crate) fn repaired(&self, message: String) {
        self.post(About::Node, "RulesRepaired", message, true);
    }

    fn post(&self, about: About, reason: &str, message: String, warning: bool) {
        if let Some(requests) = &self.0 {
            requests.event(EventRequest { about, reason: reason.into(), message, warning });
        }
    }
}
