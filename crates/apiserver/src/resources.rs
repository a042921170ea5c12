//! The kinds that are served: one table, from which paths, discovery, lists and bookmarks are made.

use std::fmt;

/// One kind of the API.
pub struct Resource {
    /// Its group; empty for the core group.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Its name for one.
    pub singular: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// What kubectl may call it too.
    pub short: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it has the subresource `status`.
    pub status: bool,
    /// Whether the server counts generations of its objects.
    pub generation: bool,
    /// What discovery says of its storage; kubectl ignores it.
    pub hash: &'static str,
    /// What an empty object has beside its metadata: the rest of a bookmark.
    pub empty: &'static str,
    /// Field labels of its own, beside `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
}

impl Resource {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `services`, `endpointslices.discovery.k8s.io`: the name in messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The place in [`RESOURCES`].
    pub(crate) fn index(&'static self) -> usize {
        RESOURCES.iter().position(|other| std::ptr::eq(self, other)).unwrap_or_default()
    }

    /// The kind of the given group and version with this plural name.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|it| it.group == group && it.version == version && it.plural == plural)
    }

    /// The kind with this plural name, whatever its group.
    pub fn named(plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|it| it.plural == plural)
    }

    /// The kind that an object says it is.
    pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|it| it.kind == kind && it.api_version() == api_version)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified())
    }
}

const PLAIN: Resource = Resource {
    group: "",
    version: "v1",
    plural: "",
    singular: "",
    kind: "",
    short: &[],
    namespaced: true,
    status: false,
    generation: false,
    hash: "",
    empty: "",
    fields: &[],
};

const EMPTY_NODE: &str = r#","spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}"#;

const EMPTY_EVENT: &str = r#","involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":"""#;

const EMPTY_DAEMON_SET: &str = r#","spec":{"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"updateStrategy":{}},"status":{"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":0,"numberReady":0}"#;

/// Everything that is served.
pub static RESOURCES: &[Resource] = &[
    Resource {
        plural: "services",
        singular: "service",
        kind: "Service",
        short: &["svc"],
        status: true,
        hash: "0/CO1lhkEBI=",
        empty: r#","spec":{},"status":{"loadBalancer":{}}"#,
        fields: &["spec.clusterIP", "spec.type"],
        ..PLAIN
    },
    Resource {
        plural: "nodes",
        singular: "node",
        kind: "Node",
        short: &["no"],
        namespaced: false,
        status: true,
        hash: "XwShjMxG9Fs=",
        empty: EMPTY_NODE,
        fields: &["spec.unschedulable"],
        ..PLAIN
    },
    Resource {
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        hash: "Q3oi5N2YM8M=",
        empty: r#","spec":{},"status":{}"#,
        fields: &["status.phase"],
        ..PLAIN
    },
    Resource {
        plural: "events",
        singular: "event",
        kind: "Event",
        short: &["ev"],
        hash: "r2yiGXH7wu8=",
        empty: EMPTY_EVENT,
        fields: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ..PLAIN
    },
    Resource {
        plural: "configmaps",
        singular: "configmap",
        kind: "ConfigMap",
        short: &["cm"],
        hash: "qFsyl6wFWjQ=",
        ..PLAIN
    },
    Resource {
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        short: &["po"],
        status: true,
        hash: "xPOwRZ+Yhw8=",
        empty: r#","spec":{"containers":null},"status":{}"#,
        fields: &[
            "spec.nodeName",
            "status.phase",
            "status.podIP",
            "spec.hostNetwork",
            "spec.serviceAccountName",
        ],
        ..PLAIN
    },
    Resource {
        plural: "endpoints",
        singular: "endpoints",
        kind: "Endpoints",
        short: &["ep"],
        hash: "fWeeMqaN/OA=",
        ..PLAIN
    },
    Resource {
        plural: "serviceaccounts",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short: &["sa"],
        hash: "pbx9ZvyFpBE=",
        ..PLAIN
    },
    Resource {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        generation: true,
        hash: "qgS0xkrxYAI=",
        empty: r#","addressType":"","endpoints":null,"ports":null"#,
        ..PLAIN
    },
    Resource {
        group: "networking.k8s.io",
        plural: "servicecidrs",
        singular: "servicecidr",
        kind: "ServiceCIDR",
        namespaced: false,
        status: true,
        hash: "8ufAXOnr3Yg=",
        empty: r#","spec":{},"status":{}"#,
        ..PLAIN
    },
    // A CRD of the Multi-Cluster Services API; `Options::without` has it by default.
    Resource {
        group: "multicluster.x-k8s.io",
        version: "v1alpha1",
        plural: "serviceimports",
        singular: "serviceimport",
        kind: "ServiceImport",
        short: &["svcim"],
        status: true,
        generation: true,
        hash: "TpZ3kWv0f5A=",
        ..PLAIN
    },
    Resource {
        group: "apps",
        plural: "daemonsets",
        singular: "daemonset",
        kind: "DaemonSet",
        short: &["ds"],
        status: true,
        generation: true,
        hash: "dd7pWHUlMKQ=",
        empty: EMPTY_DAEMON_SET,
        ..PLAIN
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        plural: "clusterroles",
        singular: "clusterrole",
        kind: "ClusterRole",
        namespaced: false,
        hash: "bpE5u1xjWIo=",
        empty: r#","rules":null"#,
        ..PLAIN
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        kind: "ClusterRoleBinding",
        namespaced: false,
        hash: "48tpQ8gZHFc=",
        empty: r#","roleRef":{"apiGroup":"","kind":"","name":""}"#,
        ..PLAIN
    },
];
