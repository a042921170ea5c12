//! Kubernetes objects as JSON -> [`model::Change`], with kube-proxy's normalisation.
//!
//! ```text
//! JSON text --serde--> types::* --convert--> Decoded { key, change, warnings }
//!                 \________ FieldError ______/
//! ```
//!
//! Nothing here knows where the text came from: the same functions serve manifests and watches.
//!
//! * An object that makes no sense as a whole is one [`FieldError`].
//! * One bad value in a list of addresses is left out and becomes a warning; the object is still used.

mod annotations;
mod balance;
mod drain;
mod encode;
mod field;
mod fingerprint;
mod import;
mod kept;
mod kind;
mod labels;
mod others;
mod pod;
mod service;
mod slice;
mod strict;
mod time;
mod types;
mod wishes;

#[cfg(test)]
mod dns_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::{Change, Namespace};
use serde::Deserialize;

pub use encode::encode;
pub use field::FieldError;
pub use fingerprint::fingerprint;
pub use kept::{Decoder, Kept};
pub use kind::{Kind, ObjectKey};
pub(crate) use time::rfc3339;

/// One object that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Its identity.
    pub key: ObjectKey,
    /// What to tell the store; `None` for a slice that is ignored (FQDN addresses, or of no Service and no ServiceImport).
    pub change: Option<Change>,
    /// Values that were left out.
    pub warnings: Vec<FieldError>,
    /// When the cause of this version of a slice happened, in milliseconds since 1970. No part of the object's state.
    pub trigger: Option<u64>,
    /// `metadata.resourceVersion`, if it has one. No part of the object's state either.
    pub version: Option<Box<str>>,
}

/// Reads one object of a known kind from its JSON text, and keeps of it what `decoder` says. Names that repeat are shared.
///
/// # Errors
/// The first thing that makes the object unusable, with the field that it is about.
pub fn decode(kind: Kind, json: &str, decoder: &mut Decoder) -> Result<Decoded, FieldError> {
    match kind {
        Kind::Service => read(kind, json, decoder, |key, object, decoder, warnings| {
            let service = service::convert(key.name.clone(), object, decoder, warnings)?;
            Ok(Some(Change::Service(Arc::new(service))))
        }),
        Kind::EndpointSlice => read(kind, json, decoder, |key, object, decoder, warnings| {
            slice::convert(key.name.clone(), object, decoder, warnings)
        }),
        Kind::Node => read(kind, json, decoder, |key, object, decoder, warnings| {
            let node = others::node(&key.name, object, &mut decoder.names, warnings);
            Ok(Some(Change::Node(Box::new(node))))
        }),
        Kind::Namespace => read(kind, json, decoder, |key, object: &types::Bare, decoder, warnings| {
            let labels =
                object.metadata.as_ref().filter(|_| decoder.kept.dns).and_then(|m| m.labels.as_ref());
            let labels = labels::selectable(labels, &[], &mut decoder.names, warnings);
            Ok(Some(Change::Namespace(Arc::new(Namespace { name: Arc::clone(&key.name.name), labels }))))
        }),
        Kind::ServiceCidr => read(kind, json, decoder, |key, object, _, warnings| {
            let cidrs = others::service_cidrs(object, warnings);
            Ok(Some(Change::ServiceCidr { name: Arc::clone(&key.name.name), cidrs }))
        }),
        Kind::Pod => read(kind, json, decoder, |key, object, decoder, warnings| {
            let pod = pod::convert(key.name.clone(), object, &mut decoder.names, warnings);
            Ok(Some(Change::Pod(Arc::new(pod))))
        }),
        Kind::ServiceImport => read(kind, json, decoder, |key, object, decoder, warnings| {
            let import = import::convert(key.name.clone(), object, decoder, warnings)?;
            Ok(Some(Change::ServiceImport(Arc::new(import))))
        }),
    }
}

/// What all kinds have in common: parse, identify, convert.
fn read<'a, T: types::Object + Deserialize<'a>>(
    kind: Kind,
    json: &'a str,
    decoder: &mut Decoder,
    convert: impl FnOnce(&ObjectKey, &T, &mut Decoder, &mut Vec<FieldError>) -> Result<Option<Change>, FieldError>,
) -> Result<Decoded, FieldError> {
    let object: T = parse(json)?;
    let key = field::key(kind, object.metadata(), &mut decoder.names)?;
    let mut warnings = Vec::new();
    let change = convert(&key, &object, decoder, &mut warnings)?;
    let metadata = object.metadata();
    let trigger = metadata.and_then(|m| m.annotations.as_ref()?.trigger.as_deref());
    let version = metadata.and_then(|m| m.resource_version.as_deref()).filter(|version| !version.is_empty());
    Ok(Decoded {
        key,
        change,
        warnings,
        trigger: trigger.and_then(time::unix_millis),
        version: version.map(Box::from),
    })
}

/// The identity of an object that may be malformed elsewhere; `None` when even that cannot be read.
pub fn identity(kind: Kind, json: &str, decoder: &mut Decoder) -> Option<ObjectKey> {
    let object: types::Bare = serde_json::from_str(json).ok()?;
    field::key(kind, object.metadata.as_ref(), &mut decoder.names).ok()
}

/// Reads JSON; only when that fails is it read again with the bookkeeping that tells which field it was.
fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, FieldError> {
    if let Ok(value) = serde_json::from_str(json) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        FieldError::new(field, without_position(&error.into_inner()))
    })
}

/// The text of a JSON error without its position, which would count from the start of one object.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}
