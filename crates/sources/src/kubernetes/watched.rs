//! What is asked of the API server: one table, from which the requests are made and RBAC rules can be checked.

use crate::k8s::Kind;

/// One resource and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// Its versions; the first that the server has is used.
    pub versions: &'static [&'static str],
    /// The resource, as RBAC rules name it.
    pub resource: &'static str,
    /// The verbs that are used.
    pub verbs: &'static [&'static str],
    /// Whether nothing works without it. What is not required is done without when it is forbidden or absent.
    pub required: bool,
}

/// Everything that this source may ask for. A ClusterRole must allow what is `required`.
pub const WATCHED: &[Watched] = &[
    Watched { required: true, ..watched("", "services") },
    Watched { required: true, ..watched("discovery.k8s.io", "endpointslices") },
    Watched { required: true, ..watched("", "nodes") },
    watched("networking.k8s.io", "servicecidrs"),
    watched("", "namespaces"),
    // Only where DNS is asked for pod names or for search by the server, or intercepts, which a pod may opt out of.
    watched("", "pods"),
    // Only where DNS serves a cluster set.
    Watched { versions: &["v1alpha1", "v1beta1"], ..watched("multicluster.x-k8s.io", "serviceimports") },
    // Events: what `Requests::event` posts.
    Watched { verbs: &["create"], ..watched("", "events") },
    // The taint: what `Requests::remove_taint` reads and writes.
    Watched { verbs: &["get", "patch"], ..watched("", "nodes") },
];

const fn watched(group: &'static str, resource: &'static str) -> Watched {
    Watched { group, versions: &["v1"], resource, verbs: &["list", "watch"], required: false }
}

impl Watched {
    /// Where all objects of the resource are, in all namespaces, in its first version.
    pub fn path(&self) -> String {
        self.path_of(self.versions.first().copied().unwrap_or("v1"))
    }

    /// The same in another of its versions.
    pub fn path_of(&self, version: &str) -> String {
        if self.group.is_empty() {
            format!("/api/{version}/{}", self.resource)
        } else {
            format!("/apis/{}/{version}/{}", self.group, self.resource)
        }
    }
}

/// Which Pods are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pods {
    /// None.
    #[default]
    None,
    /// Those of this Node: all that search by the server, and pods that opt out of DNS on the node, need.
    Node,
    /// Those of all Nodes: for pod names that are answered only if the pod is there. Memory and traffic grow with the cluster.
    All,
}

/// One kind that is watched, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// What its objects are.
    pub(super) kind: Kind,
    /// Its line of the table.
    pub(super) watched: &'static Watched,
    /// How people call its objects.
    pub(super) plural: &'static str,
    /// Whether only the metadata of objects is asked for.
    pub(super) metadata_only: bool,
}

/// The kinds, in the order of [`WATCHED`] and of the statistics.
pub(super) const TARGETS: [Target; 7] = [
    target(Kind::Service, 0, "Services"),
    target(Kind::EndpointSlice, 1, "EndpointSlices"),
    target(Kind::Node, 2, "the Node"),
    target(Kind::ServiceCidr, 3, "ServiceCIDRs"),
    Target { metadata_only: true, ..target(Kind::Namespace, 4, "Namespaces") },
    target(Kind::Pod, 5, "Pods"),
    target(Kind::ServiceImport, 6, "ServiceImports"),
];

const fn target(kind: Kind, line: usize, plural: &'static str) -> Target {
    Target { kind, watched: &WATCHED[line], plural, metadata_only: false }
}

/// Which of the objects of a kind are wanted: decided by the server, so that the others are never sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selectors {
    pub(super) label: Option<&'static str>,
    pub(super) field: Option<String>,
}

impl Selectors {
    /// The selectors of kube-proxy 1.36. With `headless`, also what only DNS needs: headless Services, and those of other
    /// proxies. Of Pods those whose addresses are theirs.
    pub(super) fn of(kind: Kind, node: &str, headless: bool, pods: Pods) -> Self {
        match kind {
            Kind::Service if headless => Self::default(),
            Kind::Service => Self {
                label: Some("!service.kubernetes.io/service-proxy-name"),
                field: Some("spec.clusterIP!=None".to_owned()),
            },
            Kind::EndpointSlice => {
                Self { label: (!headless).then_some("!service.kubernetes.io/headless"), field: None }
            }
            Kind::Node => Self { label: None, field: Some(format!("metadata.name={node}")) },
            Kind::Pod => {
                let own = (pods == Pods::Node).then(|| format!("spec.nodeName={node},"));
                let running = "status.phase!=Succeeded,status.phase!=Failed";
                Self { label: None, field: Some(format!("{}{running}", own.unwrap_or_default())) }
            }
            Kind::Namespace | Kind::ServiceCidr | Kind::ServiceImport => Self::default(),
        }
    }

    /// As parameters of a request.
    pub(super) fn query(&self, into: &mut Query) {
        if let Some(label) = self.label {
            into.add("labelSelector", label);
        }
        if let Some(field) = &self.field {
            into.add("fieldSelector", field);
        }
    }
}

/// Parameters of a request, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(String);

impl Query {
    /// Adds one.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                self.0.push_str(&format!("%{byte:02X}"));
            }
        }
    }

    /// What follows the path, with its question mark.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_ask_for_what_kube_proxy_asks_for() {
        let asked_with = |index: usize, headless, pods| {
            let target: &Target = &TARGETS[index];
            let mut query = Query::default();
            Selectors::of(target.kind, "node-a", headless, pods).query(&mut query);
            format!("{}{}", target.watched.path(), query.as_str())
        };
        let asked = |index, headless| asked_with(index, headless, Pods::None);
        let not_other = "labelSelector=%21service.kubernetes.io%2Fservice-proxy-name";
        assert_eq!(
            asked(0, false),
            format!("/api/v1/services?{not_other}&fieldSelector=spec.clusterIP%21%3DNone")
        );
        assert_eq!(asked(0, true), "/api/v1/services");
        let slices = "/apis/discovery.k8s.io/v1/endpointslices";
        assert_eq!(asked(1, false), format!("{slices}?labelSelector=%21service.kubernetes.io%2Fheadless"));
        assert_eq!(asked(1, true), slices);
        assert_eq!(asked(2, false), "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-a");
        assert_eq!(asked(3, false), "/apis/networking.k8s.io/v1/servicecidrs");
        assert_eq!(asked(4, false), "/api/v1/namespaces");
        let running = "status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
        assert_eq!(
            asked_with(5, true, Pods::Node),
            format!("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a%2C{running}")
        );
        assert_eq!(asked_with(5, true, Pods::All), format!("/api/v1/pods?fieldSelector={running}"));
        let imports = "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports";
        assert_eq!(asked(6, true), imports);
        assert_eq!(TARGETS[6].watched.path_of("v1beta1"), imports.replace("alpha", "beta"));
    }
}
