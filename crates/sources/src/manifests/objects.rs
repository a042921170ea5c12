//! Documents -> objects: finds out the kind, and takes lists apart.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ManifestsError;
use super::documents::{self, Format};
use crate::k8s::{self, Decoded, Decoder, FieldError, Kind, ObjectKey};

/// How deep lists may hold lists.
const MAX_NESTING: usize = 4;

/// One thing found in a file.
#[derive(Debug)]
pub(super) enum Found {
    /// A good object.
    Object(Box<Decoded>),
    /// Something that cannot be used.
    Bad {
        /// Which object it is; `None` when that is not known, so that it could be any.
        key: Option<ObjectKey>,
        /// What to call it in a report.
        object: String,
        /// What is wrong.
        error: FieldError,
    },
}

/// Takes what is found.
pub(super) type Visit<'a> = dyn FnMut(Found) -> Result<(), ManifestsError> + 'a;

/// Hands every object of a file's text to `visit`. Kinds that mean nothing to a proxy are passed over.
pub(super) fn each(
    text: &str,
    format: Format,
    decoder: &mut Decoder,
    visit: &mut Visit<'_>,
) -> Result<(), ManifestsError> {
    documents::each(text, format, &mut |number, document| {
        let mut reader = Reader { decoder: &mut *decoder, visit: &mut *visit };
        let place = format!("document {number}");
        match document {
            Ok(json) => reader.any(json, &place, 0),
            Err(message) => reader.bad(None, place, FieldError::new("", message)),
        }
    })
}

/// The fields that tell what an object is. They stay unread, so that a wrong type in one does not hide
/// the others.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

struct Reader<'r, 'v> {
    decoder: &'r mut Decoder,
    visit: &'r mut Visit<'v>,
}

impl Reader<'_, '_> {
    fn bad(
        &mut self,
        key: Option<ObjectKey>,
        object: String,
        error: FieldError,
    ) -> Result<(), ManifestsError> {
        (self.visit)(Found::Bad { key, object, error })
    }

    /// Reads an object or a list of any kind.
    fn any(&mut self, json: &str, place: &str, depth: usize) -> Result<(), ManifestsError> {
        match self.kinds(json) {
            Ok(Shape::Ignored(kind)) => {
                tracing::debug!(place, kind, "not a kind that a service proxy reads");
                Ok(())
            }
            Ok(Shape::One(kind)) => self.one(kind, json, place),
            Ok(Shape::List(None, _)) if depth == MAX_NESTING => {
                self.bad(None, place.to_owned(), FieldError::new("items", "lists in lists: flatten them"))
            }
            Ok(Shape::List(kind, items)) => self.list(kind, items, place, depth),
            Err(error) => self.bad(None, place.to_owned(), error),
        }
    }

    fn kinds<'a>(&self, json: &'a str) -> Result<Shape<'a>, FieldError> {
        let envelope: Envelope<'a> = serde_json::from_str(json).map_err(|error| {
            FieldError::new("", format!("not a Kubernetes object: {}", k8s::without_position(&error)))
        })?;
        let version = text("apiVersion", envelope.api_version)?;
        let kind = text("kind", envelope.kind)?.filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| FieldError::new("kind", "missing: say what the object is"))?;
        if let Some(found) = Kind::of(version.as_deref(), &kind)? {
            return Ok(Shape::One(found));
        }
        if kind == "List" && version.as_deref().is_none_or(|version| version == "v1") {
            return Ok(Shape::List(None, envelope.items));
        }
        let item = kind.strip_suffix("List").unwrap_or_default();
        Ok(match Kind::of(version.as_deref(), item)? {
            Some(found) => Shape::List(Some(found), envelope.items),
            None => Shape::Ignored(kind),
        })
    }

    /// Reads the items of a list; `kind` is theirs where the list is of one kind only.
    fn list(
        &mut self,
        kind: Option<Kind>,
        items: Option<&RawValue>,
        place: &str,
        depth: usize,
    ) -> Result<(), ManifestsError> {
        let items: Option<Vec<&RawValue>> = match serde_json::from_str(items.map_or("null", RawValue::get)) {
            Ok(items) => items,
            Err(error) => {
                let error = FieldError::new("items", k8s::without_position(&error));
                return self.bad(None, place.to_owned(), error);
            }
        };
        for (i, item) in items.iter().flatten().enumerate() {
            let place = format!("{place} item {}", i + 1);
            match kind {
                Some(kind) => self.one(kind, item.get(), &place)?,
                None => self.any(item.get(), &place, depth + 1)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, kind: Kind, json: &str, place: &str) -> Result<(), ManifestsError> {
        match k8s::decode(kind, json, self.decoder) {
            Ok(decoded) => (self.visit)(Found::Object(Box::new(decoded))),
            Err(error) => {
                let key = k8s::identity(kind, json, self.decoder);
                let unnamed = || format!("{} in {place}", kind.as_str());
                let object = key.as_ref().map_or_else(unnamed, ObjectKey::to_string);
                self.bad(key, object, error)
            }
        }
    }
}

/// What a document turned out to be.
enum Shape<'a> {
    Ignored(String),
    One(Kind),
    List(Option<Kind>, Option<&'a RawValue>),
}

fn text(field: &str, raw: Option<&RawValue>) -> Result<Option<String>, FieldError> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get())
        .map_err(|_| FieldError::new(field, format!("{raw} is not text: quote it")))
}
