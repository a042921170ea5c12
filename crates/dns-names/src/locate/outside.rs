//! Names of a zone of `k8s_external`: `[..].<service>.<namespace>.<zone>`.

use crate::External;
use crate::path::{Lower, Path};

use super::{Found, Missing, Scope};

impl<'n> Scope<'n> {
    pub(super) fn outside<'q>(&self, external: &External, path: &Path<'q>) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let top = path.get(0).unwrap_or_default();
        if top.eq_ignore_ascii_case(external.apex.as_bytes()) {
            return server(path);
        }
        let Some(space) = self.space(top).filter(|space| space.exists()) else {
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

/// Below the label of the server: `ns1` is its name.
fn server<'n, 'q>(path: &Path<'q>) -> Found<'n, 'q> {
    match (path.len(), path.get(1)) {
        (1, _) => Found::Empty,
        (2, Some(label)) if label.eq_ignore_ascii_case(b"ns1") => Found::Server,
        _ => Found::Missing(Missing::Endpoint),
    }
}
