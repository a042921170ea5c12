//! Which kinds are read, and the identity of one object.

use std::fmt;
use std::sync::Arc;

use model::{Change, NamespacedName};

use super::FieldError;

/// A kind of object that means something to a service proxy, or to DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Node.
    Node,
    /// `v1` Namespace.
    Namespace,
    /// `networking.k8s.io/v1` ServiceCIDR.
    ServiceCidr,
    /// `v1` Pod.
    Pod,
    /// `multicluster.x-k8s.io/v1alpha1` ServiceImport.
    ServiceImport,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Node,
        Kind::Namespace,
        Kind::ServiceCidr,
        Kind::Pod,
        Kind::ServiceImport,
    ];

    /// The kind of an object by its `apiVersion` and `kind`. `Ok(None)` means: not one that we read, which
    /// includes a kind of the same name in a foreign API group (a Knative Service, say).
    ///
    /// # Errors
    /// When it is a kind that we read, in a version of its group that we do not.
    pub fn of(api_version: Option<&str>, kind: &str) -> Result<Option<Self>, FieldError> {
        let Some(found) = Self::ALL.into_iter().find(|known| known.as_str() == kind) else {
            return Ok(None);
        };
        let expected = found.api_version();
        match api_version {
            None | Some("") => Ok(Some(found)),
            Some(version) if found.api_versions().contains(&version) => Ok(Some(found)),
            Some(version) if group(version) == group(expected) => Err(FieldError::new(
                "apiVersion",
                format!("{version:?} is not read for {kind}: write it as {expected:?}"),
            )),
            Some(_) => Ok(None),
        }
    }

    /// The name that manifests give it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Node => "Node",
            Kind::Namespace => "Namespace",
            Kind::ServiceCidr => "ServiceCIDR",
            Kind::Pod => "Pod",
            Kind::ServiceImport => "ServiceImport",
        }
    }

    /// The `apiVersion` that is written, and asked for first.
    pub fn api_version(self) -> &'static str {
        self.api_versions().first().copied().unwrap_or_default()
    }

    /// Every `apiVersion` that is read.
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Kind::Service | Kind::Node | Kind::Namespace | Kind::Pod => &["v1"],
            Kind::EndpointSlice => &["discovery.k8s.io/v1"],
            Kind::ServiceCidr => &["networking.k8s.io/v1"],
            Kind::ServiceImport => &["multicluster.x-k8s.io/v1alpha1", "multicluster.x-k8s.io/v1beta1"],
        }
    }

    /// Whether its objects live in a namespace.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Kind::Service | Kind::EndpointSlice | Kind::Pod | Kind::ServiceImport)
    }
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The identity of one object: what makes a later version of it the same object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name; the namespace is empty for kinds that have none.
    pub name: NamespacedName,
}

impl ObjectKey {
    /// The change that says that the object is no more.
    pub fn gone(&self) -> Change {
        let name = || Arc::clone(&self.name.name);
        match self.kind {
            Kind::Service => Change::ServiceGone(self.name.clone()),
            Kind::EndpointSlice => Change::SliceGone(self.name.clone()),
            Kind::Pod => Change::PodGone(self.name.clone()),
            Kind::ServiceImport => Change::ServiceImportGone(self.name.clone()),
            Kind::Node => Change::NodeGone(name()),
            Kind::Namespace => Change::NamespaceGone(name()),
            Kind::ServiceCidr => Change::ServiceCidrGone(name()),
        }
    }
}

impl fmt::Display for ObjectKey {
    /// `Service ns/name`, or `Node name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if self.name.namespace.is_empty() {
            write!(f, " {}", self.name.name)
        } else {
            write!(f, " {}", self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_groups() {
        let of = |version, kind| Kind::of(version, kind).map_err(|e| e.field);
        assert_eq!(of(Some("v1"), "Service"), Ok(Some(Kind::Service)));
        assert_eq!(of(None, "ServiceCIDR"), Ok(Some(Kind::ServiceCidr)));
        for version in ["multicluster.x-k8s.io/v1alpha1", "multicluster.x-k8s.io/v1beta1"] {
            assert_eq!(of(Some(version), "ServiceImport"), Ok(Some(Kind::ServiceImport)));
        }
        assert_eq!(of(Some("multicluster.x-k8s.io/v2"), "ServiceImport"), Err("apiVersion".to_owned()));
        assert_eq!(of(Some("multicluster.example.com/v1alpha1"), "ServiceImport"), Ok(None));
        assert_eq!(of(Some("apps/v1"), "Deployment"), Ok(None));
        assert_eq!(of(Some("serving.knative.dev/v1"), "Service"), Ok(None));
        assert_eq!(of(Some("v1beta3"), "Service"), Err("apiVersion".to_owned()));
        assert_eq!(of(Some("discovery.k8s.io/v1beta1"), "EndpointSlice"), Err("apiVersion".to_owned()));
    }

    #[test]
    fn keys_print_as_people_write_them() {
        let key = |kind, namespace, name| ObjectKey { kind, name: NamespacedName::new(namespace, name) };
        assert_eq!(key(Kind::Service, "shop", "web").to_string(), "Service shop/web");
        assert_eq!(key(Kind::Node, "", "node-a").to_string(), "Node node-a");
    }
}
