//! Names under `svc.<zone>`.

use crate::index::Space;
use crate::object::{Host, Kind, Object, PortName, Which, port, protocol};
use crate::path::{Lower, Path};
use crate::view::ZoneKind;

use super::{Found, Missing, Scope};

impl<'n> Scope<'n> {
    /// `[..].<service>.<namespace>.svc`.
    pub(super) fn service<'q>(&self, path: &Path<'q>, kind: ZoneKind) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let Some(space) = self.space(path.get(1).unwrap_or_default()).filter(|space| space.exists()) else {
            return Found::Missing(Missing::Namespace);
        };
        let Some(label) = path.get(2) else { return Found::Empty };
        let Some(object) = self.object(space, label, kind) else { return Found::Missing(Missing::Object) };
        match self.judge(&object) {
            Ok(()) => self.part(object, path, 3),
            Err(missing) => Found::Missing(missing),
        }
    }

    fn object(&self, space: &'n Space, label: &[u8], kind: ZoneKind) -> Option<Object<'n>> {
        let lower = Lower::new(label);
        let name = lower.text()?;
        match kind {
            ZoneKind::ClusterSet => space.import(name).map(|import| import.object()),
            _ => self.names.record(space, name).map(|record| record.object()),
        }
    }

    /// What the labels left of the object's own mean; its own is the one before `at`, counted from the right.
    pub(super) fn part<'q>(&self, object: Object<'n>, path: &Path<'q>, at: usize) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let more = path.len() - at.min(path.len());
        let Some(first) = path.get(at) else { return Found::Object(object, Which::All) };
        if matches!(object.kind, Kind::Alias(_)) {
            return Found::Missing(Missing::BelowAlias);
        }
        if self.view.zonal && !object.imported && first.eq_ignore_ascii_case(b"_zone") {
            return self.zonal(object, path, at + 1);
        }
        match (more, path.get(at + 1)) {
            (1, _) => self.one_label(object, first),
            (2, Some(second)) => self.two_labels(object, first, second),
            _ => Found::Missing(Missing::TooDeep),
        }
    }

    /// An endpoint; a protocol, above the names of its ports; in a zone of imports a cluster, above its endpoints.
    fn one_label<'q>(&self, object: Object<'n>, label: &'q [u8]) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        if protocol(label).is_some_and(|protocol| object.has_named_port(protocol, self.view)) {
            return Found::Empty;
        }
        if object.imported {
            let is_cluster = |cluster: &str| cluster.as_bytes().eq_ignore_ascii_case(label);
            let mut members = object.members(Which::All, self.view, None);
            let headless = matches!(object.kind, Kind::Headless);
            let found = headless && members.any(|member| member.cluster.is_some_and(is_cluster));
            return if found { Found::Empty } else { Found::Missing(Missing::Endpoint) };
        }
        if self.external.is_some() && !matches!(object.kind, Kind::Headless) {
            return Found::Missing(Missing::Endpoint);
        }
        self.endpoint(object, Host { label, cluster: None })
    }

    /// A port, or an endpoint of a cluster.
    fn two_labels<'q>(&self, object: Object<'n>, first: &'q [u8], second: &'q [u8]) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        if let (Some(protocol), Some(name)) = (protocol(first), port(second)) {
            let port = PortName { name, protocol };
            let found = object.has_port(port, self.view);
            return if found {
                Found::Object(object, Which::Port(port))
            } else {
                Found::Missing(Missing::Port)
            };
        }
        if object.imported {
            return self.endpoint(object, Host { label: second, cluster: Some(first) });
        }
        Found::Missing(Missing::TooDeep)
    }

    fn endpoint<'q>(&self, object: Object<'n>, host: Host<'q>) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        let which = Which::Host(host);
        let found = object.members(which, self.view, None).next().is_some();
        if found { Found::Object(object, which) } else { Found::Missing(Missing::Endpoint) }
    }

    /// `<topology zone>.pin._zone` and `prefer`: of a headless Service the endpoints of a zone; with `prefer` all, if it has none.
    fn zonal<'q>(&self, object: Object<'n>, path: &Path<'q>, at: usize) -> Found<'n, 'q>
    where
        'n: 'q,
    {
        if !matches!(object.kind, Kind::Headless) {
            return Found::Missing(Missing::Zonal);
        }
        let Some(mode) = path.get(at) else { return Found::Empty };
        let prefer = mode.eq_ignore_ascii_case(b"prefer");
        if !prefer && !mode.eq_ignore_ascii_case(b"pin") {
            return Found::Missing(Missing::Zonal);
        }
        if path.len() == at + 1 {
            return Found::Empty;
        }
        let zone = Which::Zone(path.left_of(at + 1));
        let all = prefer && object.members(zone, self.view, None).next().is_none();
        Found::Object(object, if all { Which::All } else { zone })
    }
}
