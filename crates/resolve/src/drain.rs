//! Which endpoints are gone, for Services whose connections end some time after that.

use std::sync::Arc;
use std::time::Duration;

use model::{EndpointAddr, Service};

use crate::Candidate;

/// The endpoints of a port whose Service has a drain deadline (annotation `towpath.dev/drain-deadline`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long connections to an endpoint may go on after it is gone; 0 to 24 h.
    pub deadline: Duration,
    /// Endpoints that do not terminate, ready or not: their connections are left alone. Sorted.
    pub staying: Arc<[EndpointAddr]>,
    /// Endpoints that terminate. Sorted. All that are in neither list are gone too.
    pub leaving: Arc<[EndpointAddr]>,
}

impl Drain {
    /// That of one port; `None` for Services without the annotation.
    pub(crate) fn of(service: &Service, found: &[Candidate<'_>]) -> Option<Self> {
        let deadline = service.drain_deadline?;
        let those = |terminating: bool| {
            let some = found.iter().filter(|c| c.endpoint.conditions.terminating == terminating);
            some.map(|c| c.addr).collect()
        };
        Some(Self { deadline, staying: those(false), leaving: those(true) })
    }
}
