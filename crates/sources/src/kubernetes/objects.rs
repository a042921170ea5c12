//! Texts of objects, good and bad ones, into the [`Book`].

use model::NamespacedName;

use super::book::{Aside, Book, Out};
use super::pieces::Piece;
use super::scan::text_at;
use crate::k8s::{self, Decoded, Decoder, FieldError, ObjectKey};

/// What is wrong with the data that came, apart from single objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// The object cannot be honoured.
    Malformed,
    /// The object is too large.
    TooLarge,
}

impl Book {
    /// An object of a list, or of an event. `at_once`: send it even though the list is not complete.
    pub(super) fn piece(
        &mut self,
        piece: &Piece<'_>,
        at_once: bool,
        decoder: &mut Decoder,
        out: &mut Out<'_>,
    ) -> Verdict {
        match piece {
            Piece::Whole(bytes) => match std::str::from_utf8(bytes) {
                Ok(json) => self.upsert(json, at_once, decoder, out),
                Err(_) => {
                    let name = self.name_in(bytes, &[]);
                    self.refuse(name, FieldError::new("", "it is not UTF-8"), out);
                    Verdict::Malformed
                }
            },
            Piece::TooLarge { head, size } => {
                let name = self.name_in(head, &[]);
                self.too_large(name, *size, out)
            }
        }
    }

    /// An object that is too large: its name as far as it could be read.
    pub(super) fn too_large(
        &mut self,
        name: Option<NamespacedName>,
        size: usize,
        out: &mut Out<'_>,
    ) -> Verdict {
        let message = format!("{} MiB are too many for one object", size >> 20);
        self.refuse(name, FieldError::new("", message), out);
        Verdict::TooLarge
    }

    /// The name of an object of which there may be only the beginning; `path` leads to it.
    pub(super) fn name_in(&self, head: &[u8], path: &[&str]) -> Option<NamespacedName> {
        let text = |key: &str| text_at(head, &[path, &["metadata", key][..]].concat());
        let namespace = if self.kind.is_namespaced() { text("namespace")? } else { String::new() };
        Some(NamespacedName::new(namespace, text("name")?))
    }

    /// A version of an object.
    pub(super) fn upsert(
        &mut self,
        json: &str,
        at_once: bool,
        decoder: &mut Decoder,
        out: &mut Out<'_>,
    ) -> Verdict {
        match k8s::decode(self.kind, json, decoder) {
            Ok(Decoded { key, change, warnings, trigger, version }) => {
                let verdict = if warnings.is_empty() { Verdict::Fine } else { Verdict::Malformed };
                let name = key.name.clone();
                match change {
                    Some(change) => self.take(key.name, change, Aside { trigger, version }, at_once, out),
                    None => self.remove(&key, version, at_once, out),
                }
                self.problems.set(self.kind, &name, joined(warnings), self.round, out);
                verdict
            }
            Err(error) => {
                let name = k8s::identity(self.kind, json, decoder).map(|key| key.name);
                let name = name.or_else(|| self.name_in(json.as_bytes(), &[]));
                self.refuse(name, error, out);
                Verdict::Malformed
            }
        }
    }

    /// An object is gone, by its last state.
    pub(super) fn deleted(
        &mut self,
        json: &str,
        at_once: bool,
        decoder: &mut Decoder,
        out: &mut Out<'_>,
    ) -> Verdict {
        let key = k8s::identity(self.kind, json, decoder).or_else(|| {
            let name = self.name_in(json.as_bytes(), &[])?;
            Some(ObjectKey { kind: self.kind, name })
        });
        let Some(key) = key else {
            self.refuse(None, FieldError::new("metadata.name", "a deleted object without a name"), out);
            return Verdict::Malformed;
        };
        let version = text_at(json.as_bytes(), &["metadata", "resourceVersion"]);
        self.gone(key.name, version.map(Into::into), at_once, out);
        Verdict::Fine
    }

    /// The object of this name is gone; `version`: that of its last state.
    pub(super) fn gone(
        &mut self,
        name: NamespacedName,
        version: Option<Box<str>>,
        at_once: bool,
        out: &mut Out<'_>,
    ) {
        self.problems.set(self.kind, &name, None, self.round, out);
        self.remove(&ObjectKey { kind: self.kind, name }, version, at_once, out);
    }

    /// An object cannot be honoured; its earlier state stays.
    fn refuse(&mut self, name: Option<NamespacedName>, mut error: FieldError, out: &mut Out<'_>) {
        let Some(name) = name else {
            if let Some(listing) = &mut self.listing {
                listing.nameless = true;
            }
            return self.problems.nameless(self.kind, error, out);
        };
        let known = self.known.get_mut(&name);
        error.message.push_str(match &known {
            Some(_) => "; its earlier version stays in force",
            None => "; it is left out",
        });
        if let Some(known) = known {
            known.round = self.round;
        }
        self.problems.set(self.kind, &name, Some(error), self.round, out);
    }
}

/// All that is wrong with an object, as one.
fn joined(warnings: Vec<FieldError>) -> Option<FieldError> {
    let mut warnings = warnings.into_iter();
    let mut all = warnings.next()?;
    warnings.for_each(|more| all.message.push_str(&format!("; {more}")));
    Some(all)
}
