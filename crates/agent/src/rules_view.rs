//! A copy of the rules of one dataplane, for pages: it prints them, and compares them with the kernel.

use dataplane::{ApplyError, Ledger, Operate, Step};
use resolve::Route;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

/// An object that the kernel has otherwise than it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Difference {
    /// The kernel lacks it.
    Missing {
        /// What it should be.
        wanted: String,
    },
    /// The kernel has it otherwise.
    Changed {
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The kernel has it where only ours should be.
    Foreign {
        /// What it is.
        found: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::Missing { wanted } => write!(f, "+ {wanted}"),
            Difference::Changed { wanted, found } => write!(f, "! {wanted} (has {found})"),
            Difference::Foreign { found } => write!(f, "- {found}"),
        }
    }
}

/// Rules that can be shown, whichever dataplane they are for.
pub(crate) trait RulesView: Send {
    /// Number of objects.
    fn len(&self) -> usize;
    /// All of them, as text that the kernel's own tool reads.
    fn render(&self) -> String;
    /// Every object in a line, sorted.
    fn lines(&self) -> Vec<String>;
    /// The objects that a Route became, a line each.
    fn objects_of(&self, route: &Route) -> Vec<String>;
    /// What the kernel has otherwise; sorted.
    fn differences(&mut self) -> Result<Vec<Difference>, ApplyError>;
    /// The same for those of some Services, and apart from it, sorted, what differs in the rules that lead to all of them.
    fn differences_on_the_way(&mut self) -> Result<(Vec<Difference>, Vec<Difference>), ApplyError>;
    /// What the kernel has otherwise, in lines, sorted: what the kernel lacks (`+`), has beyond (`-`) or has otherwise (`!`).
    fn difference(&mut self) -> Result<Vec<String>, ApplyError> {
        let mut lines: Vec<String> = self.differences()?.iter().map(ToString::to_string).collect();
        lines.sort_unstable();
        Ok(lines)
    }
}

/// Objects, and what prints them.
pub(crate) struct Rules<D: Operate> {
    printer: D,
    objects: FxHashMap<D::Key, D::Value>,
    /// The objects are all that the kernel should have.
    complete: bool,
    /// Where they are not: those that belong to no Service.
    ground: Vec<(D::Key, D::Value)>,
}

impl<D: Operate> Rules<D> {
    /// All of them. `printer` has its ground, and observes the kernel, if it can.
    pub(crate) fn all(printer: D, objects: FxHashMap<D::Key, D::Value>) -> Self {
        Self { printer, objects, complete: true, ground: Vec::new() }
    }

    /// Some of them, and those that belong to no Service: what the kernel has beyond is no difference, but for what others have
    /// put between them.
    pub(crate) fn some(
        printer: D,
        objects: FxHashMap<D::Key, D::Value>,
        ground: Vec<(D::Key, D::Value)>,
    ) -> Self {
        Self { printer, objects, complete: false, ground }
    }

    fn observe(&mut self) -> Result<FxHashMap<D::Key, D::Value>, ApplyError> {
        if self.complete {
            return self.printer.observe();
        }
        let keys: FxHashSet<D::Key> = self.objects.keys().cloned().collect();
        self.printer.observe_some(&keys)
    }

    fn steps(
        objects: Vec<(D::Key, D::Value)>,
        observed: &FxHashMap<D::Key, D::Value>,
    ) -> Vec<(D::Key, Step<D::Value>)> {
        let mut ledger = Ledger::default();
        ledger.set_tracking(false);
        ledger.replace((), objects);
        ledger.diff(observed).steps
    }

    fn owned(&self) -> Vec<(D::Key, D::Value)> {
        self.objects.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn in_text(&self, key: &D::Key, step: &Step<D::Value>) -> Difference {
        let text = |value| self.printer.describe(key, value);
        match step {
            Step::Create(new) => Difference::Missing { wanted: text(new) },
            Step::Delete(old) => Difference::Foreign { found: text(old) },
            Step::Update { old, new } => Difference::Changed { wanted: text(new), found: text(old) },
        }
    }
}

impl<D> RulesView for Rules<D>
where
    D: Operate + Send,
    D::Key: Send,
    D::Value: Send,
{
    fn len(&self) -> usize {
        self.objects.len()
    }

    fn render(&self) -> String {
        let objects: Vec<_> = self.objects.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        self.printer.render(&objects)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.objects.iter().map(|(key, value)| self.printer.describe(key, value)).collect();
        lines.sort_unstable();
        lines
    }

    fn objects_of(&self, route: &Route) -> Vec<String> {
        let now = |key: &D::Key| self.objects.get(key).cloned();
        let objects = self.printer.lower(route, &now);
        objects.iter().map(|(key, value)| self.printer.describe(key, value)).collect()
    }

    fn differences(&mut self) -> Result<Vec<Difference>, ApplyError> {
        let observed = self.observe()?;
        let steps = Self::steps(self.owned(), &observed);
        let mut all: Vec<Difference> = steps.iter().map(|(key, step)| self.in_text(key, step)).collect();
        all.sort_unstable();
        Ok(all)
    }

    fn differences_on_the_way(&mut self) -> Result<(Vec<Difference>, Vec<Difference>), ApplyError> {
        let all = [self.owned(), self.ground.clone()].concat();
        let keys: FxHashSet<D::Key> = all.iter().map(|(key, _)| key.clone()).collect();
        let observed = self.printer.observe_some(&keys)?;
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for (key, step) in &Self::steps(all, &observed) {
            let list = if self.objects.contains_key(key) { &mut own } else { &mut shared };
            list.push(self.in_text(key, step));
        }
        own.sort_unstable();
        shared.sort_unstable();
        Ok((own, shared))
    }
}
