//! ServiceImport -> `model::ServiceImport`, and what makes a slice one of another cluster.

use std::sync::Arc;

use model::{ImportSlice, Interner, NamespacedName, ServiceImport, Slice};

use super::field::{self, FieldError};
use super::kept::Decoder;
use super::{labels, service, types};

/// Converts a ServiceImport. Single bad addresses are left out and reported in `warnings`.
pub(super) fn convert(
    name: NamespacedName,
    object: &types::ServiceImport,
    decoder: &mut Decoder,
    warnings: &mut Vec<FieldError>,
) -> Result<ServiceImport, FieldError> {
    let (spec, path) = match &object.spec {
        Some(spec) => (spec, "spec."),
        None => (&object.root, ""),
    };
    let headless = match spec.kind.as_deref() {
        None | Some("" | "ClusterSetIP") => false,
        Some("Headless") => true,
        Some(other) => {
            return Err(field::one_of(&format!("{path}type"), other, "ClusterSetIP or Headless"));
        }
    };
    let ips_path = format!("{path}ips");
    let ips = field::addresses(field::entries(&ips_path, spec.ips.as_ref()), warnings);
    let ports = service::ports(&format!("{path}ports"), spec.ports.as_deref().unwrap_or_default())?;
    let Decoder { names, kept } = decoder;
    let found = object.metadata.as_ref().filter(|_| kept.labels).and_then(|m| m.labels.as_ref());
    let labels = labels::selectable(found, &[], names, warnings);
    Ok(ServiceImport { name, headless, ips, ports, labels })
}

/// What a slice's labels say of a ServiceImport.
pub(super) struct Membership {
    import: Arc<str>,
    cluster: Arc<str>,
}

impl Membership {
    /// Reads the labels; `None` for a slice of this cluster only.
    pub(super) fn read(
        found: Option<&types::Labels>,
        names: &mut Interner,
    ) -> Result<Option<Self>, FieldError> {
        let Some(import) = field::shared(found.and_then(|l| l.get(labels::IMPORT_NAME)), names) else {
            return Ok(None);
        };
        field::check_name(&format!("metadata.labels[{}]", labels::IMPORT_NAME), &import)?;
        let cluster = field::shared(found.and_then(|l| l.get(labels::IMPORT_CLUSTER)), names);
        let cluster = cluster.unwrap_or_else(|| names.get(""));
        field::check_name(&format!("metadata.labels[{}]", labels::IMPORT_CLUSTER), &cluster)?;
        Ok(Some(Self { import, cluster }))
    }

    /// The name under which the slice stands when it belongs to no Service.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.import)
    }

    /// The slice with what its labels say.
    pub(super) fn of(self, slice: Slice, for_service: bool) -> ImportSlice {
        let namespace = Arc::clone(&slice.name.namespace);
        let import = NamespacedName { namespace, name: self.import };
        ImportSlice { slice: Arc::new(slice), import, cluster: self.cluster, for_service }
    }
}
