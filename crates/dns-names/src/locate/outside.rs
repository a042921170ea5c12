//! Names of a zone of `k8s_external`: `[..].<service>.<namespace>.<zone>`.

use crate::External;
use crate::path::{Lower, Path};

use super::{Found, Missing, Scope, server};

impl<'n> Scope<'n> {
    pub(super) fn outside<'q>(&self, external: &External, path: &Path<'q>) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        if path.is(0, &external.apex) {
            return server(path, "ns1");
        }
        let Some(space) = self.space(path.get(0).unwrap_or_default()).filter(|space| space.exists()) else {
            return Found::Missing(Missing::Namespace);
        };
        let Some(label) = path.get(1) else { return Found::Empty };
        let lower = Lower::new(label);
        let record = lower.text().and_then(|name| self.names.record(space, name));
        let Some(record) = record else { return Found::Missing(Missing::Object) };
        let Some(object) = record.outside(external.headless) else {
            return Found::Missing(Missing::Inside);
        };
        match self.judge(&object) {
            Ok(()) => self.part(object, path, 2),
            Err(missing) => Found::Missing(missing),
        }
    }
}
