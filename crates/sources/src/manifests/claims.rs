//! Which file defines which object, when several may.
//!
//! Of the files that define an object the first in path order owns it; the others are its rivals.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::k8s::ObjectKey;

/// The claims of all files.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_object: FxHashMap<ObjectKey, Claim>,
}

#[derive(Debug)]
struct Claim {
    /// Digest of what was last sent.
    fingerprint: u64,
    owner: Arc<Path>,
    /// Files that define it too; empty nearly always.
    rivals: Vec<Arc<Path>>,
}

/// What became of a file's definition of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is the one to use. `news`: it differs from what was sent. `deposed`: another file had been used.
    Won {
        /// Whether it has to be sent.
        news: bool,
        /// Whether the rivals must be told of their new winner.
        deposed: bool,
    },
    /// This other file's definition is used.
    LostTo(Arc<Path>),
}

/// What became of an object that a file no longer defines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// Another file's definition was in use anyway.
    Unnoticed,
    /// This other file defines it too: what it says has to be read again.
    Inherited(Arc<Path>),
    /// Nobody defines it any more.
    Gone,
}

impl Claims {
    /// A file defines an object.
    pub(super) fn offer(&mut self, key: &ObjectKey, fingerprint: u64, path: &Arc<Path>) -> Offer {
        let Some(claim) = self.by_object.get_mut(key) else {
            let claim = Claim { fingerprint, owner: Arc::clone(path), rivals: Vec::new() };
            self.by_object.insert(key.clone(), claim);
            return Offer::Won { news: true, deposed: false };
        };
        let deposed = *path < claim.owner;
        if deposed {
            let loser = std::mem::replace(&mut claim.owner, Arc::clone(path));
            claim.remove_rival(path);
            claim.add_rival(&loser);
        } else if *path != claim.owner {
            claim.add_rival(path);
            return Offer::LostTo(Arc::clone(&claim.owner));
        }
        let news = std::mem::replace(&mut claim.fingerprint, fingerprint) != fingerprint;
        Offer::Won { news, deposed }
    }

    /// A file no longer defines an object.
    pub(super) fn withdraw(&mut self, key: &ObjectKey, path: &Arc<Path>) -> Withdrawal {
        let Some(claim) = self.by_object.get_mut(key) else {
            return Withdrawal::Unnoticed;
        };
        if claim.owner != *path {
            claim.remove_rival(path);
            return Withdrawal::Unnoticed;
        }
        let Some(heir) = claim.rivals.iter().min().cloned() else {
            self.by_object.remove(key);
            return Withdrawal::Gone;
        };
        claim.remove_rival(&heir);
        claim.owner = Arc::clone(&heir);
        Withdrawal::Inherited(heir)
    }

    /// Whether a file is known to define an object.
    pub(super) fn holds(&self, key: &ObjectKey, path: &Arc<Path>) -> bool {
        self.by_object.get(key).is_some_and(|claim| claim.owner == *path || claim.rivals.contains(path))
    }

    /// The file whose definition is used, and the files that lost against it.
    pub(super) fn standing(&self, key: &ObjectKey) -> Option<(Arc<Path>, Vec<Arc<Path>>)> {
        self.by_object.get(key).map(|claim| (Arc::clone(&claim.owner), claim.rivals.clone()))
    }
}

impl Claim {
    fn add_rival(&mut self, path: &Arc<Path>) {
        if !self.rivals.contains(path) {
            self.rivals.push(Arc::clone(path));
        }
    }

    fn remove_rival(&mut self, path: &Arc<Path>) {
        self.rivals.retain(|rival| rival != path);
    }
}

#[cfg(test)]
mod tests {
    use model::NamespacedName;

    use super::*;
    use crate::k8s::Kind;

    fn won(news: bool, deposed: bool) -> Offer {
        Offer::Won { news, deposed }
    }

    #[test]
    fn the_first_path_owns_and_the_next_inherits() {
        let mut claims = Claims::default();
        let key = ObjectKey { kind: Kind::Service, name: NamespacedName::new("a", "x") };
        let [a, b, c]: [Arc<Path>; 3] = ["a", "b", "c"].map(|p| Arc::from(Path::new(p)));
        assert_eq!(claims.offer(&key, 1, &b), won(true, false));
        assert_eq!(claims.offer(&key, 1, &b), won(false, false));
        assert_eq!(claims.offer(&key, 2, &c), Offer::LostTo(Arc::clone(&b)));
        assert_eq!(claims.offer(&key, 1, &a), won(false, true));
        assert_eq!(claims.standing(&key), Some((Arc::clone(&a), vec![Arc::clone(&c), Arc::clone(&b)])));
        assert_eq!(claims.withdraw(&key, &c), Withdrawal::Unnoticed);
        assert_eq!(claims.withdraw(&key, &a), Withdrawal::Inherited(Arc::clone(&b)));
        assert!(claims.holds(&key, &b) && !claims.holds(&key, &a));
        assert_eq!(claims.offer(&key, 1, &b), won(false, false));
        assert_eq!(claims.withdraw(&key, &b), Withdrawal::Gone);
        assert_eq!(claims.withdraw(&key, &b), Withdrawal::Unnoticed);
    }
}
