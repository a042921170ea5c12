//! What is wrong in one file, and saying only what changed about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Change, Problem, Subject};

use crate::k8s::FieldError;

/// Problems of one file that are told one by one; the others are counted.
const LIMIT: usize = 1000;

/// The problems of one file, by object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Problems {
    by_object: BTreeMap<Arc<str>, FieldError>,
    more: usize,
}

impl Problems {
    /// Adds what is wrong with an object; to what is known already, if there is anything.
    pub(super) fn add(&mut self, object: &str, error: FieldError) {
        if let Some(known) = self.by_object.get_mut(object) {
            known.message.push_str(&format!("; {error}"));
        } else if self.by_object.len() < LIMIT {
            self.by_object.insert(Arc::from(object), error);
        } else {
            self.more += 1;
        }
    }

    /// Adds all that is wrong with an object.
    pub(super) fn add_all(&mut self, object: &str, errors: Vec<FieldError>) {
        errors.into_iter().for_each(|error| self.add(object, error));
    }

    /// Puts this in the place of what was known of an object.
    pub(super) fn set(&mut self, object: &str, error: FieldError) {
        self.clear(object);
        self.add(object, error);
    }

    /// The object is fine.
    pub(super) fn clear(&mut self, object: &str) {
        self.by_object.remove(object);
    }

    /// The changes that lead a listener from `before` to `self`.
    pub(super) fn changes_since(&self, before: &Problems, origin: &Arc<str>) -> Vec<Change> {
        let (old, new) = (before.told(), self.told());
        let subject = |object: &Arc<str>| Subject { origin: Arc::clone(origin), object: Arc::clone(object) };
        let solved = old.keys().filter(|object| !new.contains_key(*object));
        let mut changes: Vec<Change> = solved.map(|o| Change::ProblemSolved(subject(o))).collect();
        for (object, error) in new.iter().filter(|(object, error)| old.get(*object) != Some(error)) {
            let FieldError { field, message } = error.clone();
            changes.push(Change::Problem(Problem { subject: subject(object), field, message }));
        }
        changes
    }

    fn told(&self) -> BTreeMap<Arc<str>, FieldError> {
        let mut all = self.by_object.clone();
        if self.more > 0 {
            let message = format!("{} more problems in this file are not listed", self.more);
            all.insert(Arc::from("others"), FieldError::new("", message));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_told() {
        let origin: Arc<str> = Arc::from("a.yaml");
        let mut first = Problems::default();
        first.add("Service a/x", FieldError::new("spec", "bad"));
        first.add("Service a/y", FieldError::new("", "bad"));
        assert_eq!(first.changes_since(&Problems::default(), &origin).len(), 2);
        assert!(first.changes_since(&first, &origin).is_empty());
        let mut second = first.clone();
        second.add("Service a/x", FieldError::new("metadata", "worse"));
        second.clear("Service a/y");
        let changes = second.changes_since(&first, &origin);
        assert!(matches!(&changes[0], Change::ProblemSolved(s) if &*s.object == "Service a/y"));
        assert!(matches!(&changes[1], Change::Problem(p) if p.message == "bad; metadata: worse"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut many = Problems::default();
        (0..LIMIT + 5).for_each(|i| many.add(&format!("document {i}"), FieldError::new("", "bad")));
        let changes = many.changes_since(&Problems::default(), &Arc::from("a.yaml"));
        assert_eq!(changes.len(), LIMIT + 1);
        assert!(changes.iter().any(|c| matches!(c, Change::Problem(p) if p.message.starts_with("5 more"))));
    }
}
