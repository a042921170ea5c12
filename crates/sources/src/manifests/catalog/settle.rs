//! The end of a batch: objects leave or are inherited, and the problems that changed are told.

use std::path::Path;
use std::sync::Arc;

use super::{Catalog, ignored_for};
use crate::k8s::ObjectKey;
use crate::manifests::claims::Withdrawal;
use crate::manifests::problems::Problems;
use crate::manifests::{ManifestsError, Sink, send};

impl Catalog {
    /// Carries out the withdrawals, reads the files that inherit, and tells the problems that changed.
    pub(super) fn settle(&mut self, sink: &mut Sink<'_>) -> Result<(), ManifestsError> {
        loop {
            while let Some((key, path)) = self.leaving.pop() {
                self.withdraw(&key, &path, sink)?;
            }
            let Some(heir) = self.heirs.pop_first() else { break };
            if !self.read(&heir, sink)? {
                self.forget(&heir);
            }
        }
        for (path, told) in std::mem::take(&mut self.told) {
            let origin: Arc<str> = Arc::from(path.to_string_lossy());
            let none = Problems::default();
            let now = self.files.get(&path).map_or(&none, |file| &file.problems);
            for change in now.changes_since(&told, &origin) {
                send(sink, change)?;
            }
        }
        Ok(())
    }

    fn withdraw(
        &mut self,
        key: &ObjectKey,
        path: &Arc<Path>,
        sink: &mut Sink<'_>,
    ) -> Result<(), ManifestsError> {
        match self.claims.withdraw(key, path) {
            Withdrawal::Unnoticed => Ok(()),
            Withdrawal::Gone => {
                self.tell_cause(key, None, true, sink)?;
                send(sink, key.gone())
            }
            Withdrawal::Inherited(heir) => {
                self.problems(&heir).clear(&key.to_string());
                self.blame_rivals(key);
                self.heirs.insert(heir);
                Ok(())
            }
        }
    }

    /// Tells the files that lost an object whose definition is used instead of theirs.
    pub(super) fn blame_rivals(&mut self, key: &ObjectKey) {
        let Some((owner, rivals)) = self.claims.standing(key) else {
            return;
        };
        for rival in rivals {
            self.problems(&rival).set(&key.to_string(), ignored_for(&owner));
        }
    }

    /// The problems of a file, to be changed; what the receiver knows of them is remembered.
    pub(super) fn problems(&mut self, path: &Arc<Path>) -> &mut Problems {
        let file = self.files.entry(Arc::clone(path)).or_default();
        if !self.told.contains_key(path) {
            self.told.insert(Arc::clone(path), file.problems.clone());
        }
        &mut file.problems
    }
}
