//! Names of Services as they are seen from outside (CoreDNS's plugin `k8s_external`).

use dns_wire::{NameRef, Reply};

use crate::answer::Writer;
use crate::locate::Scope;
use crate::view::{Zone, ZoneKind, longest};
use crate::{Ask, External, Names, Verdict, View};

impl External {
    fn zone_of<'q>(&self, name: NameRef<'q>) -> Option<Zone<'q>> {
        let (left, suffix) = longest(&self.zones, name)?;
        let kind = if suffix.is_reverse() { ZoneKind::Reverse } else { ZoneKind::Cluster };
        Some(Zone { kind, name: suffix, left: name.wire().get(..left)? })
    }
}

impl Names {
    /// Answers a question for a name of a `k8s_external` zone: `<service>.<namespace>.<zone>` has the external addresses of the Service.
    ///
    /// `view` says which namespaces and objects are shown. As [`Names::answer`] otherwise.
    pub fn external(
        &self,
        view: &View,
        external: &External,
        ask: &Ask<'_>,
        reply: &mut Reply<'_>,
    ) -> Verdict {
        let Some(zone) = external.zone_of(ask.name) else { return Verdict::Pass };
        let scope = Scope { names: self, view, external: Some(external) };
        let found = scope.locate(ask.name, &zone);
        let mark = reply.mark();
        Writer { scope, ask, reply, mark, owner: ask.name, zone, ttl: external.ttl }.write(found)
    }
}
