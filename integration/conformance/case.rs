//! One test's objects: in the namespace of the run, under a prefix of its own, deleted at its end.

use std::cell::RefCell;

use anyhow::Result;
use libtest_mimic::Completion;
use serde_json::{Value, json};
use sources::kubernetes::Options;

use crate::cluster::{Cluster, MANAGED_BY};
use crate::place;
use crate::reader::Reader;

pub(crate) struct Case<'a> {
    pub(crate) cluster: &'a Cluster,
    prefix: String,
    made: RefCell<Vec<String>>,
}

/// The test is done and holds.
pub(crate) fn done() -> Result<Completion> {
    Ok(Completion::Completed)
}

/// The server has not what the test needs.
pub(crate) fn ignored(reason: impl Into<String>) -> Result<Completion> {
    Ok(Completion::Ignored { reason: Some(reason.into()) })
}

/// `Service` in these ports.
pub(crate) fn port(port: u16) -> Value {
    json!({"ports": [{"port": port}]})
}

impl<'a> Case<'a> {
    pub(crate) fn new(cluster: &'a Cluster, prefix: String) -> Self {
        Self { cluster, prefix, made: RefCell::default() }
    }

    /// The whole name of one of this test's objects.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Where one of its Services is.
    pub(crate) fn service_path(&self, name: &str) -> String {
        format!("{}/{}", place::services(&self.cluster.namespace), self.name(name))
    }

    /// Where one of its slices is.
    pub(crate) fn slice_path(&self, name: &str) -> String {
        format!("{}/{}", place::slices(&self.cluster.namespace), self.name(name))
    }

    fn metadata(&self, name: &str, labels: Value) -> Value {
        let mut metadata =
            json!({"name": self.name(name), "namespace": self.cluster.namespace, "labels": labels});
        metadata["labels"][MANAGED_BY.0] = MANAGED_BY.1.into();
        metadata
    }

    /// Makes a Service. Without a selector: no controller makes slices for it.
    pub(crate) fn service(&self, name: &str, spec: Value) -> Result<Value> {
        let metadata = self.metadata(name, json!({}));
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        self.made.borrow_mut().push(self.service_path(name));
        let collection = place::services(&self.cluster.namespace);
        self.cluster.ledger.create(&self.cluster.api, &collection, &object)
    }

    /// A slice of a Service, as it is to be made.
    pub(crate) fn slice_object(&self, name: &str, service: &str, endpoints: Value) -> Value {
        let labels = json!({"kubernetes.io/service-name": self.name(service),
            "endpointslice.kubernetes.io/managed-by": MANAGED_BY.1});
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": self.metadata(name, labels), "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints})
    }

    /// Makes a slice of a Service with one endpoint.
    pub(crate) fn slice(&self, name: &str, service: &str, ip: &str) -> Result<Value> {
        self.slice_of(name, self.slice_object(name, service, json!([{"addresses": [ip]}])))
    }

    /// Makes a slice.
    pub(crate) fn slice_of(&self, name: &str, object: Value) -> Result<Value> {
        self.made.borrow_mut().push(self.slice_path(name));
        let collection = place::slices(&self.cluster.namespace);
        self.cluster.ledger.create(&self.cluster.api, &collection, &object)
    }

    /// Makes many slices.
    pub(crate) fn slices(&self, objects: &[Value]) -> Result<()> {
        let collection = place::slices(&self.cluster.namespace);
        let names = objects.iter().filter_map(|object| object["metadata"]["name"].as_str());
        self.made.borrow_mut().extend(names.map(|name| format!("{collection}/{name}")));
        self.cluster.ledger.create_all(&self.cluster.api, &collection, objects)
    }

    /// Changes a Service.
    pub(crate) fn patch_service(&self, name: &str, patch: &Value) -> Result<Value> {
        self.cluster.api.patch(&self.service_path(name), patch)
    }

    /// Changes a slice.
    pub(crate) fn patch_slice(&self, name: &str, patch: &Value) -> Result<Value> {
        self.cluster.api.patch(&self.slice_path(name), patch)
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        self.cluster.ledger.delete(&self.cluster.api, path)
    }

    /// The source as it is started for a proxy on the run's Node.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(self.cluster.node.as_str());
        options.kubeconfig = Some(self.cluster.kubeconfig.clone());
        options
    }

    /// A source that is started now.
    pub(crate) fn reader(&self) -> Result<Reader> {
        self.reader_with(self.options())
    }

    /// A source with other options.
    pub(crate) fn reader_with(&self, options: Options) -> Result<Reader> {
        Reader::start(options, self.cluster, &self.name(""))
    }

    /// A source that has delivered the first list.
    pub(crate) fn synced(&self) -> Result<Reader> {
        let mut reader = self.reader()?;
        reader.sync()?;
        Ok(reader)
    }

    /// Waits until the source has read everything about Services that was written before.
    pub(crate) fn mark_services(&self, reader: &mut Reader, marker: &str) -> Result<()> {
        self.service(marker, port(1))?;
        reader.service(&self.name(marker), "the marker", |_| true).map(drop)
    }

    /// The same for slices.
    pub(crate) fn mark_slices(&self, reader: &mut Reader, marker: &str) -> Result<()> {
        self.slice(marker, marker, "192.0.2.250")?;
        reader.slice(&self.name(marker), "the marker", |_| true).map(drop)
    }
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        for path in self.made.take().iter().rev() {
            // What cannot be deleted now is tried again, and told, at the end of the run.
            let _ = self.cluster.ledger.delete(&self.cluster.api, path);
        }
    }
}
