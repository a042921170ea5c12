//! A kernel that is a map: it takes plans as strictly as the real one, and forgets nothing between two starts.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use dataplane::{ApplyError, Dataplane, Ground, Operate, Plan, Refusal, Step};
use model::FrontendKey;
use nftables::{Key, Nftables, Value};
use resolve::Route;
use rustc_hash::FxHashMap;

/// What the kernel has.
pub type Objects = FxHashMap<Key, Value>;

/// The nftables dataplane over such a kernel. Clones share the kernel, not the dataplane's own memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// What lowers.
    pub nftables: Nftables,
    kernel: Rc<RefCell<Objects>>,
}

impl Memory {
    /// The dataplane of a program that starts anew over the same kernel.
    pub fn restarted(&self) -> Self {
        Self { nftables: Nftables::offline(), kernel: Rc::clone(&self.kernel) }
    }

    /// What the kernel has now.
    pub fn objects(&self) -> Objects {
        self.kernel.borrow().clone()
    }
}

impl Dataplane for Memory {
    type Key = Key;
    type Value = Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Key, Value)> {
        self.nftables.ground(ground)
    }

    fn lower(&self, route: &Route, now: &dyn Fn(&Key) -> Option<Value>) -> Vec<(Key, Value)> {
        self.nftables.lower(route, now)
    }

    fn frontend(&self, key: &Key) -> Option<FrontendKey> {
        self.nftables.frontend(key)
    }

    fn observe(&mut self) -> Result<Objects, ApplyError> {
        Ok(self.objects())
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        let mut kernel = self.kernel.borrow_mut();
        plan.steps.into_iter().try_for_each(|(key, step)| take(&mut kernel, key, step).map_err(refused))?;
        Ok(Vec::new())
    }
}

fn take(kernel: &mut Objects, key: Key, step: Step<Value>) -> Result<(), String> {
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
