//! The annotations of a Service that ask for one thing or its opposite.
//!
//! As with every annotation of ours: one that cannot be read is not used, the Service is served as if it were not there.

use model::NoLocal;

use super::balance::{given, shown};
use super::field::FieldError;
use super::types::Annotations;

const PREFER_LOCAL: &str = "metadata.annotations[towpath.dev/prefer-local]";
const NO_LOCAL: &str = "metadata.annotations[towpath.dev/no-local]";
/// The field of `towpath.dev/strict-source-ranges`.
pub(super) const STRICT: &str = "metadata.annotations[towpath.dev/strict-source-ranges]";

/// What they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// `towpath.dev/prefer-local`.
    pub(super) prefer_local: bool,
    /// `towpath.dev/no-local`.
    pub(super) no_local: NoLocal,
    /// `towpath.dev/strict-source-ranges`.
    pub(super) strict_source_ranges: bool,
}

/// Reads them.
pub(super) fn read(annotations: Option<&Annotations>, warnings: &mut Vec<FieldError>) -> Wishes {
    let Some(annotations) = annotations else { return Wishes::default() };
    let strict = annotations.strict_source_ranges.as_deref();
    Wishes {
        prefer_local: one_of(PREFER_LOCAL, annotations.prefer_local.as_deref(), &SWITCH, warnings),
        strict_source_ranges: one_of(STRICT, strict, &SWITCH, warnings),
        no_local: one_of(NO_LOCAL, annotations.no_local.as_deref(), &REFUSALS, warnings),
    }
}

/// The words of a switch, the default first.
const SWITCH: [(&str, bool); 2] = [("false", false), ("true", true)];
/// The words of `no-local`, the default first.
const REFUSALS: [(&str, NoLocal); 2] = [("drop", NoLocal::Drop), ("reject", NoLocal::Reject)];

/// What a word means; the first one's meaning where nothing is said, or nothing that can be read.
fn one_of<T: Copy>(
    field: &str,
    text: Option<&str>,
    [usual, other]: &[(&str, T); 2],
    warnings: &mut Vec<FieldError>,
) -> T {
    let Some(text) = given(text) else { return usual.1 };
    if let Some((_, meaning)) = [usual, other].into_iter().find(|(word, _)| *word == text) {
        return *meaning;
    }
    let (text, word, other) = (shown(text), usual.0, other.0);
    warnings
        .push(FieldError::new(field, format!("{text}: write {word} or {other}; until then it is {word}")));
    usual.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prefer_local: Option<&str>, no_local: Option<&str>) -> (Wishes, Vec<String>) {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let annotations = Annotations {
            prefer_local: text(prefer_local),
            no_local: text(no_local),
            ..Annotations::default()
        };
        let mut warnings = Vec::new();
        let wishes = read(Some(&annotations), &mut warnings);
        (wishes, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn words_that_can_be_read() {
        let wishes = |prefer_local, no_local| Wishes { prefer_local, no_local, ..Wishes::default() };
        for (prefer_local, no_local, want) in [
            (None, None, Wishes::default()),
            (Some(""), Some("  "), Wishes::default()),
            (Some("false"), Some("drop"), Wishes::default()),
            (Some("true"), None, wishes(true, NoLocal::Drop)),
            (Some(" true\n"), Some(" reject "), wishes(true, NoLocal::Reject)),
            (None, Some("reject"), wishes(false, NoLocal::Reject)),
        ] {
            assert_eq!(of(prefer_local, no_local), (want, vec![]), "{prefer_local:?} {no_local:?}");
        }
        assert_eq!(read(None, &mut Vec::new()), Wishes::default());
    }

    #[test]
    fn words_that_cannot() {
        for bad in ["True", "yes", "1", "{}", "true,false"] {
            let (wishes, warnings) = of(Some(bad), Some("reject"));
            assert_eq!(wishes, Wishes { no_local: NoLocal::Reject, ..Wishes::default() }, "{bad:?}");
            let want = "metadata.annotations[towpath.dev/prefer-local]: ";
            assert!(warnings.len() == 1 && warnings[0].starts_with(want), "{warnings:?}");
            assert!(warnings[0].ends_with(": write false or true; until then it is false"), "{warnings:?}");
        }
        for bad in ["Reject", "reset", "true", "\u{e9}"] {
            let (wishes, warnings) = of(None, Some(bad));
            assert_eq!(wishes, Wishes::default(), "{bad:?}");
            let want = "metadata.annotations[towpath.dev/no-local]: ";
            assert!(warnings.len() == 1 && warnings[0].starts_with(want), "{warnings:?}");
            assert!(warnings[0].ends_with(": write drop or reject; until then it is drop"), "{warnings:?}");
        }
        let (_, warnings) = of(Some(&"x".repeat(100_000)), None);
        assert!(warnings[0].len() < 300, "{}", warnings[0].len());
    }
}
