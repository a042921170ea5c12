//! What is wrong with single objects of one kind, and saying only what changed about it.

use std::sync::Arc;

use model::{Change, NamespacedName, Problem, Subject};
use rustc_hash::FxHashMap;

use super::book::Out;
use crate::k8s::{FieldError, Kind, ObjectKey};

/// Where Problems of this source come from.
pub(super) const ORIGIN: &str = "api";
/// Objects whose Problems are told one by one; the others are counted.
const LIMIT: usize = 1024;

/// The objects of one kind that have Problems.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: FxHashMap<NamespacedName, Told>,
    /// Objects that were bad, and not told, since the last list began.
    more: usize,
    nameless: bool,
}

#[derive(Debug)]
struct Told {
    error: FieldError,
    /// The list that has seen it last.
    round: u32,
}

impl Problems {
    /// How many objects are bad.
    pub(super) fn len(&self) -> usize {
        self.told.len() + self.more + usize::from(self.nameless)
    }

    /// What is wrong with an object now; `None`: nothing, or it is gone.
    pub(super) fn set(
        &mut self,
        kind: Kind,
        name: &NamespacedName,
        error: Option<FieldError>,
        round: u32,
        out: &mut Out<'_>,
    ) {
        let Some(error) = error else {
            if self.told.remove(name).is_some() {
                out(Change::ProblemSolved(subject(kind, name)));
            }
            return;
        };
        if let Some(told) = self.told.get_mut(name) {
            told.round = round;
            if told.error == error {
                return;
            }
        } else if self.told.len() >= LIMIT {
            self.more += 1;
            return;
        }
        out(problem(subject(kind, name), error.clone()));
        self.told.insert(name.clone(), Told { error, round });
    }

    /// There is an object that cannot be told from others.
    pub(super) fn nameless(&mut self, kind: Kind, mut error: FieldError, out: &mut Out<'_>) {
        if !std::mem::replace(&mut self.nameless, true) {
            error.message.push_str(
                "; it is left out, and until the next list without such a one nothing counts as gone",
            );
            out(problem(nameless(kind), error));
        }
    }

    /// A list is complete: what it has not seen is gone.
    pub(super) fn end_of_list(&mut self, kind: Kind, round: u32, is_nameless: bool, out: &mut Out<'_>) {
        if !is_nameless && std::mem::take(&mut self.nameless) {
            out(Change::ProblemSolved(nameless(kind)));
        }
        self.told.retain(|name, told| {
            let keep = told.round == round;
            if !keep {
                out(Change::ProblemSolved(subject(kind, name)));
            }
            keep
        });
        self.more = 0;
    }
}

fn problem(subject: Subject, error: FieldError) -> Change {
    Change::Problem(Problem { subject, field: error.field, message: error.message })
}

fn subject(kind: Kind, name: &NamespacedName) -> Subject {
    about(&ObjectKey { kind, name: name.clone() }.to_string())
}

fn nameless(kind: Kind) -> Subject {
    about(&format!("{} without a readable name", kind.as_str()))
}

/// The subject of a Problem of this source.
pub(super) fn about(object: &str) -> Subject {
    Subject { origin: Arc::from(ORIGIN), object: Arc::from(object) }
}
