//! The Problems of Services that are not served as they ask: the kernel refuses, or somebody else is there.

use std::sync::Arc;

use model::{NamespacedName, Problem, Subject};
use resolve::Conflict;

use crate::Refusal;

pub(crate) fn refusal_problem(refusal: &Refusal) -> Problem {
    Problem {
        subject: Subject {
            origin: Arc::from(""),
            object: format!("Service {} in the kernel", refusal.service).into(),
        },
        field: String::new(),
        message: refusal_message(refusal),
    }
}

fn refusal_message(refusal: &Refusal) -> String {
    let reason = &refusal.reason;
    match &refusal.instead {
        None => format!(
            "the kernel does not take its rules, so it is not served on this node; others are: {reason}"
        ),
        Some(instead) => format!(
            "the kernel does not take its rules as they are, so it is served with {instead}: {reason}"
        ),
    }
}

/// The Problem of a Service that does not get all frontends it asks for.
pub fn conflict_problem(name: &NamespacedName, conflicts: &[Conflict]) -> Option<Problem> {
    if conflicts.is_empty() {
        return None;
    }
    let list: Vec<String> =
        conflicts.iter().map(|c| format!("{} (served by {})", c.frontend, c.winner)).collect();
    Some(Problem {
        subject: Subject { origin: Arc::from(""), object: format!("Service {name}").into() },
        field: "spec".into(),
        message: format!(
            "other ports or older Services have these frontends, so it is not served there: {}; give it others",
            list.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_served() {
        let cases = [
            (None, "so it is not served on this node; others are: no room"),
            (Some("scheduler rr instead of lc"), "so it is served with scheduler rr instead of lc: no room"),
        ];
        for (instead, expected) in cases {
            let service = NamespacedName::new("ns", "name");
            let instead = instead.map(str::to_owned);
            let problem = refusal_problem(&Refusal { service, reason: "no room".into(), instead });
            assert!(problem.message.ends_with(expected), "{}", problem.message);
            assert_eq!(&*problem.subject.object, "Service ns/name in the kernel");
        }
    }
}
