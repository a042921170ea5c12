//! Create, update, patch and delete.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission;
use crate::object::{Revision, meta};
use crate::patch;
use crate::query::{Query, Target};
use crate::selector::Selector;
use crate::status::{ApiError, details};
use crate::store::{State, Store};

/// A request that changes something.
pub(crate) struct Write<'a> {
    pub store: &'a Store,
    pub target: &'a Target,
    pub query: &'a Query,
    pub content_type: &'a str,
    pub manager: String,
    pub body: &'a [u8],
}

type Answer = Result<(u16, Value), ApiError>;

impl Write<'_> {
    /// Does it; the answer's code and object.
    pub fn answer(&self, verb: &str) -> Answer {
        match verb {
            "create" => self.create(),
            "update" => self.update(),
            "patch" => self.patch(),
            "delete" => self.delete(),
            "deletecollection" => self.delete_collection(),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn dry_run(&self) -> bool {
        self.query.has("dryRun")
    }

    /// The object in the body, at home in the namespace of the path.
    fn object(&self) -> Result<Value, ApiError> {
        if self.content_type.contains("protobuf") {
            return Err(ApiError::unsupported_media_type(self.content_type));
        }
        let mut object = if self.content_type.contains("yaml") {
            patch::from_yaml(&String::from_utf8_lossy(self.body))?
        } else {
            patch::parse(self.body)?
        };
        self.settle(&mut object)?;
        Ok(object)
    }

    fn settle(&self, object: &mut Value) -> Result<(), ApiError> {
        let Target { resource, namespace, .. } = self.target;
        if !object.is_object() {
            return Err(ApiError::bad_request("the body is no object"));
        }
        let kind = object["kind"].as_str().unwrap_or(resource.kind);
        let version = object["apiVersion"].as_str().map_or_else(|| resource.api_version(), str::to_owned);
        if kind != resource.kind || version != resource.api_version() {
            let message = format!("{kind} in version {version:?} cannot be handled as a {}", resource.kind);
            return Err(ApiError::bad_request(message));
        }
        if resource.namespaced {
            let own = meta(object, "namespace");
            if !own.is_empty() && own != namespace {
                let message =
                    "the namespace of the provided object does not match the namespace sent on the request";
                return Err(ApiError::bad_request(message));
            }
            if object["metadata"].is_null() {
                object["metadata"] = json!({});
            }
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
        Ok(())
    }

    /// Completes an object and keeps it, unless this is only a rehearsal.
    fn keep(
        &self,
        state: &mut State,
        old: Option<Arc<Revision>>,
        mut object: Value,
    ) -> Result<Value, ApiError> {
        let resource = self.target.resource;
        admission::prepare(self.store, state, resource, old.as_deref(), &mut object, &self.manager)?;
        if self.dry_run() {
            let (version, before) = old.map_or((0, Value::Null), |old| (old.version, old.value()));
            if resource.plural == "services" {
                state.allocators.release(&object, &before);
                state.allocators.remember(resource, &before);
            }
            return Ok(Revision::new(resource, version, &object).value());
        }
        Ok(self.store.put(state, resource, old, &object).value())
    }

    fn create(&self) -> Answer {
        let Target { resource, namespace, .. } = self.target;
        if resource.namespaced && namespace.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        let mut object = self.object()?;
        let mut state = self.store.lock();
        if resource.namespaced {
            let namespaces = crate::resources::Resource::named("namespaces");
            let home = namespaces.and_then(|it| state.get(it, "", namespace).map(drop).ok_or(it).err());
            if let Some(namespaces) = home {
                return Err(ApiError::not_found(namespaces, namespace));
            }
        }
        let name = meta(&object, "name");
        if state.get(resource, namespace, name).is_some() {
            return Err(ApiError::already_exists(resource, name));
        }
        if resource.status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        Ok((201, self.keep(&mut state, None, object)?))
    }

    fn update(&self) -> Answer {
        let mut object = self.object()?;
        let Target { resource, name, .. } = self.target;
        if !meta(&object, "name").is_empty() && meta(&object, "name") != name {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                meta(&object, "name")
            );
            return Err(ApiError::bad_request(message));
        }
        object["metadata"]["name"] = name.as_str().into();
        let mut state = self.store.lock();
        let old = self.existing(&state)?;
        let wanted = meta(&object, "resourceVersion");
        if !wanted.is_empty() && wanted != old.version.to_string() {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            return Err(ApiError::conflict(resource, name, why));
        }
        self.check_uid(&old, meta(&object, "uid"))?;
        let object = self.combine(&old, object);
        Ok((200, self.keep(&mut state, Some(old), object)?))
    }

    fn existing(&self, state: &State) -> Result<Arc<Revision>, ApiError> {
        let Target { resource, namespace, name, .. } = self.target;
        state.get(resource, namespace, name).ok_or_else(|| ApiError::not_found(resource, name))
    }

    fn check_uid(&self, old: &Revision, wanted: &str) -> Result<(), ApiError> {
        let value = old.value();
        let uid = meta(&value, "uid");
        if wanted.is_empty() || wanted == uid {
            return Ok(());
        }
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
        Err(ApiError::conflict(self.target.resource, &self.target.name, &why))
    }

    /// An update changes either the status or the rest.
    fn combine(&self, old: &Revision, mut object: Value) -> Value {
        if !self.target.resource.status {
            return object;
        }
        let mut before = old.value();
        if self.target.subresource == "status" {
            before["status"] = object["status"].take();
            for field in ["labels", "annotations"] {
                before["metadata"][field] = object["metadata"][field].take();
            }
            return before;
        }
        object["status"] = before["status"].take();
        object
    }

    fn patch(&self) -> Answer {
        let mut state = self.store.lock();
        let applying = self.content_type.starts_with("application/apply-patch");
        let old = match self.existing(&state) {
            Err(_) if applying && self.target.subresource.is_empty() => {
                let mut object = self.object()?;
                object["metadata"]["name"] = self.target.name.as_str().into();
                return Ok((201, self.keep(&mut state, None, object)?));
            }
            found => found?,
        };
        let mut object = old.value();
        patch::apply(self.content_type, &mut object, self.body)?;
        let wanted = meta(&object, "resourceVersion");
        if !wanted.is_empty() && wanted != old.version.to_string() {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            return Err(ApiError::conflict(self.target.resource, &self.target.name, why));
        }
        self.settle(&mut object)?;
        let object = self.combine(&old, object);
        Ok((200, self.keep(&mut state, Some(old), object)?))
    }

    fn delete(&self) -> Answer {
        let options = if self.body.is_empty() { Value::Null } else { patch::parse(self.body)? };
        let mut state = self.store.lock();
        let old = self.existing(&state)?;
        self.check_uid(&old, options["preconditions"]["uid"].as_str().unwrap_or_default())?;
        let mut gone = details(old.resource, &old.name);
        gone["uid"] = old.value()["metadata"]["uid"].take();
        if !self.dry_run() && options["dryRun"].is_null() {
            self.store.remove(&mut state, old);
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": gone});
        Ok((200, status))
    }

    fn delete_collection(&self) -> Answer {
        let Target { resource, namespace, .. } = self.target;
        let (labels, fields) = (self.query.get("labelSelector"), self.query.get("fieldSelector"));
        let selector = Selector::parse(resource, namespace, labels, fields)?;
        let mut state = self.store.lock();
        let all: Vec<_> =
            state.table(resource).objects.values().filter(|it| selector.matches(it)).cloned().collect();
        let items: Vec<Value> = all.iter().map(|object| object.value()).collect();
        if !self.dry_run() {
            for object in all {
                self.store.remove(&mut state, object);
            }
        }
        let meta = json!({"resourceVersion": state.version.to_string()});
        let kind = format!("{}List", resource.kind);
        Ok((
            200,
            json!({"kind": kind, "apiVersion": resource.api_version(), "metadata": meta, "items": items}),
        ))
    }
}
