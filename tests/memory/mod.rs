//! A kernel that is a map: it takes plans as strictly as the real one, and forgets nothing between two starts.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

use dataplane::{ApplyError, Dataplane, Ground, Operate, Plan, Refusal, Step};
use model::FrontendKey;
use resolve::Route;
use rustc_hash::FxHashMap;

/// What the kernel has of a dataplane.
pub type Objects<D> = FxHashMap<<D as Dataplane>::Key, <D as Dataplane>::Value>;

/// A dataplane over such a kernel. Clones share the kernel, not the dataplane's own memory.
#[derive(Debug)]
pub struct Memory<D: Dataplane> {
    /// What lowers.
    lowers: D,
    kernel: Rc<RefCell<Objects<D>>>,
}

impl<D: Operate> Memory<D> {
    /// Over a kernel that has nothing.
    pub fn new() -> Self {
        Self { lowers: D::offline(), kernel: Rc::default() }
    }

    /// The dataplane of a program that starts anew over the same kernel.
    pub fn restarted(&self) -> Self {
        Self { lowers: D::offline(), kernel: Rc::clone(&self.kernel) }
    }

    /// What the kernel has now.
    pub fn objects(&self) -> Objects<D> {
        self.kernel.borrow().clone()
    }
}

impl<D: Dataplane> Dataplane for Memory<D> {
    type Key = D::Key;
    type Value = D::Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(D::Key, D::Value)> {
        self.lowers.ground(ground)
    }

    fn relowers(&self) -> bool {
        self.lowers.relowers()
    }

    fn lower(&self, route: &Route, now: &dyn Fn(&D::Key) -> Option<D::Value>) -> Vec<(D::Key, D::Value)> {
        self.lowers.lower(route, now)
    }

    fn frontend(&self, key: &D::Key) -> Option<FrontendKey> {
        self.lowers.frontend(key)
    }

    fn describe(&self, key: &D::Key, value: &D::Value) -> String {
        self.lowers.describe(key, value)
    }

    fn observe(&mut self) -> Result<Objects<D>, ApplyError> {
        Ok(self.kernel.borrow().clone())
    }

    fn apply(&mut self, plan: Plan<D::Key, D::Value>) -> Result<Vec<Refusal>, ApplyError> {
        let mut kernel = self.kernel.borrow_mut();
        plan.steps.into_iter().try_for_each(|(key, step)| take(&mut kernel, key, step).map_err(refused))?;
        Ok(Vec::new())
    }
}

fn take<K: Clone + Eq + Hash + Debug, V: Clone + Eq + Debug>(
    kernel: &mut FxHashMap<K, V>,
    key: K,
    step: Step<V>,
) -> Result<(), String> {
    let (old, new) = match step {
        Step::Create(new) => (None, Some(new)),
        Step::Update { old, new } => (Some(old), Some(new)),
        Step::Delete(old) => (Some(old), None),
    };
    let had = match new {
        Some(new) => kernel.insert(key.clone(), new),
        None => kernel.remove(&key),
    };
    if had == old { Ok(()) } else { Err(format!("{key:?}: the plan says it was {old:?}, it is {had:?}")) }
}

fn refused(message: String) -> ApplyError {
    let source: Box<dyn Error + Send + Sync> = message.into();
    ApplyError { what: "refused".to_owned(), source }
}
