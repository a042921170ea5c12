//! What every file defines, and the changes that follow when files change.
//!
//! ```text
//! refresh(files): read each -> offer its objects -> settle: withdraw what left, let heirs take over,
//!                                                            tell which problems came and went
//! ```
//!
//! Withdrawals wait until every file of a batch was read: an object that moved from one file to another is
//! never gone in between.

mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::{Cause, Change};
use rustc_hash::FxHashSet;

use super::claims::{Claims, Offer};
use super::file::{self, Reading, Stamp};
use super::objects::{self, Found};
use super::problems::Problems;
use super::{ManifestsError, Sink, send};
use crate::k8s::{Decoded, Decoder, FieldError, Kept, ObjectKey, fingerprint};

/// What one file defines.
#[derive(Debug, Default)]
struct FileState {
    /// `None` when the next comparison must read the file.
    stamp: Option<Stamp>,
    /// Identities only: the objects themselves are with the receiver.
    objects: Box<[ObjectKey]>,
    problems: Problems,
}

/// What one reading of a file brought.
#[derive(Default)]
struct Draft {
    defined: FxHashSet<ObjectKey>,
    problems: Problems,
    /// Something could not be read that may be any object: what is not seen may still be there.
    incomplete: bool,
}

/// Every file and what it defines.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    files: BTreeMap<Arc<Path>, FileState>,
    claims: Claims,
    decoder: Decoder,
    leaving: Vec<(ObjectKey, Arc<Path>)>,
    heirs: BTreeSet<Arc<Path>>,
    /// Problems as the receiver knows them, of the files whose problems were touched in this batch.
    told: BTreeMap<Arc<Path>, Problems>,
    /// Whether a [`Change::Cause`] is sent before each change.
    causes: bool,
}

impl Catalog {
    /// An empty one, which keeps this of objects.
    pub(super) fn keeping(kept: Kept) -> Self {
        Self { decoder: Decoder::new(kept), ..Self::default() }
    }

    /// Whether a [`Change::Cause`] is sent before each change from now on.
    pub(super) fn tell_causes(&mut self, causes: bool) {
        self.causes = causes;
    }

    /// Whether no file is known.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every known file that is not among `present`.
    pub(super) fn absent_from(&self, present: &BTreeSet<Arc<Path>>) -> Vec<Arc<Path>> {
        self.files.keys().filter(|path| !present.contains(*path)).cloned().collect()
    }

    /// Whether a file is as it was when it was last read.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        let known = self.files.get(path).and_then(|file| file.stamp);
        known.is_some() && known == Stamp::of(path)
    }

    /// Reads these files again. Those that are not there any more are forgotten, unless `keep_missing`.
    pub(super) fn refresh(
        &mut self,
        paths: impl IntoIterator<Item = Arc<Path>>,
        keep_missing: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), ManifestsError> {
        let mut missing = Vec::new();
        for path in paths {
            if !self.read(&path, sink)? {
                missing.push(path);
            }
        }
        if !keep_missing {
            missing.iter().for_each(|path| self.forget(path));
        }
        self.settle(sink)
    }

    /// Reads one file; `false` when there is none.
    fn read(&mut self, path: &Arc<Path>, sink: &mut Sink<'_>) -> Result<bool, ManifestsError> {
        match file::read(path) {
            Reading::Missing => return Ok(false),
            Reading::Changing => {}
            Reading::Unusable(why) => {
                let message = format!("{why}; what it defined before stays in force");
                self.problems(path).set("file", FieldError::new("", message));
                self.files.entry(Arc::clone(path)).or_default().stamp = None;
            }
            Reading::Text(text, stamp) => {
                let draft = self.draft(path, &text, sink)?;
                drop(text);
                self.finish(path, draft, stamp);
            }
        }
        Ok(true)
    }

    fn draft(&mut self, path: &Arc<Path>, text: &str, sink: &mut Sink<'_>) -> Result<Draft, ManifestsError> {
        let mut draft = Draft::default();
        let mut decoder = std::mem::take(&mut self.decoder);
        objects::each(text, file::format(path), &mut decoder, &mut |found| match found {
            Found::Object(decoded) => self.define(path, *decoded, &mut draft, sink),
            Found::Bad { key, object, error } => {
                self.note_bad(path, key, &object, error, &mut draft);
                Ok(())
            }
        })?;
        self.decoder = decoder;
        Ok(draft)
    }

    fn define(
        &mut self,
        path: &Arc<Path>,
        decoded: Decoded,
        draft: &mut Draft,
        sink: &mut Sink<'_>,
    ) -> Result<(), ManifestsError> {
        let Decoded { key, change: Some(change), warnings, version, .. } = decoded else {
            return Ok(());
        };
        if !draft.defined.insert(key.clone()) {
            let message = "defined more than once in this file, the first is used: remove the others";
            draft.problems.add(&key.to_string(), FieldError::new("", message));
            return Ok(());
        }
        match self.claims.offer(&key, fingerprint(&change), path) {
            Offer::LostTo(winner) => draft.problems.set(&key.to_string(), ignored_for(&winner)),
            Offer::Won { news, deposed } => {
                if !warnings.is_empty() {
                    draft.problems.add_all(&key.to_string(), warnings);
                }
                if deposed {
                    self.blame_rivals(&key);
                }
                if news {
                    self.tell_cause(&key, version, false, sink)?;
                    send(sink, change)?;
                }
            }
        }
        Ok(())
    }

    /// Says which object the next change is about, if somebody wants to know.
    fn tell_cause(
        &self,
        key: &ObjectKey,
        version: Option<Box<str>>,
        gone: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), ManifestsError> {
        if !self.causes {
            return Ok(());
        }
        let (kind, name, received) = (key.kind.as_str(), key.name.clone(), Instant::now());
        send(sink, Change::Cause(Box::new(Cause { kind, name, version, gone, received })))
    }

    /// A bad object keeps the version that was read before; a bad thing of unknown identity keeps all.
    fn note_bad(
        &mut self,
        path: &Arc<Path>,
        key: Option<ObjectKey>,
        object: &str,
        mut error: FieldError,
        draft: &mut Draft,
    ) {
        match key {
            Some(key) if self.claims.holds(&key, path) => {
                if draft.defined.insert(key) {
                    error.message.push_str("; the version read before stays in force");
                }
            }
            Some(_) => {}
            None => {
                draft.incomplete = true;
                if self.files.get(path).is_some_and(|file| !file.objects.is_empty()) {
                    error
                        .message
                        .push_str("; what this file defined before stays in force until it is mended");
                }
            }
        }
        draft.problems.add(object, error);
    }

    fn finish(&mut self, path: &Arc<Path>, draft: Draft, stamp: Option<Stamp>) {
        let Draft { mut defined, problems, incomplete } = draft;
        let before =
            self.files.get_mut(path).map(|file| std::mem::take(&mut file.objects)).unwrap_or_default();
        for key in before {
            if incomplete {
                defined.insert(key);
            } else if !defined.contains(&key) {
                self.leaving.push((key, Arc::clone(path)));
            }
        }
        *self.problems(path) = problems;
        let file = self.files.entry(Arc::clone(path)).or_default();
        file.objects = defined.into_iter().collect();
        file.stamp = stamp;
    }

    /// A file is gone, and with it all that only it defined.
    pub(super) fn forget(&mut self, path: &Arc<Path>) {
        if !self.files.contains_key(path) {
            return;
        }
        *self.problems(path) = Problems::default();
        let Some(file) = self.files.remove(path) else {
            return;
        };
        self.leaving.extend(file.objects.into_iter().map(|key| (key, Arc::clone(path))));
    }
}

fn ignored_for(winner: &Path) -> FieldError {
    let message = format!(
        "ignored here, because {} defines it too and the first file in path order wins: remove one of the two",
        winner.display()
    );
    FieldError::new("", message)
}
