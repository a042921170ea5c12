//! A copy of the rules of one dataplane, for pages: it prints them, and compares them with the kernel.

use dataplane::{ApplyError, Ledger, Operate, Step};
use resolve::Route;
use rustc_hash::{FxHashMap, FxHashSet};

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
    /// What the kernel lacks (`+`), has beyond (`-`) or has otherwise (`!`), a line each.
    fn difference(&mut self) -> Result<Vec<String>, ApplyError>;
}

/// Objects, and what prints them.
pub(crate) struct Rules<D: Operate> {
    printer: D,
    objects: FxHashMap<D::Key, D::Value>,
    /// The objects are all that the kernel should have.
    complete: bool,
}

impl<D: Operate> Rules<D> {
    /// All of them. `printer` has its ground, and observes the kernel, if it can.
    pub(crate) fn all(printer: D, objects: FxHashMap<D::Key, D::Value>) -> Self {
        Self { printer, objects, complete: true }
    }

    /// Some of them: what the kernel has beyond is no difference.
    pub(crate) fn some(printer: D, objects: FxHashMap<D::Key, D::Value>) -> Self {
        Self { printer, objects, complete: false }
    }

    fn observe(&mut self) -> Result<FxHashMap<D::Key, D::Value>, ApplyError> {
        if self.complete {
            return self.printer.observe();
        }
        let keys: FxHashSet<D::Key> = self.objects.keys().cloned().collect();
        self.printer.observe_some(&keys)
    }

    fn line(&self, key: &D::Key, step: &Step<D::Value>) -> String {
        let text = |value| self.printer.describe(key, value);
        match step {
            Step::Create(new) => format!("+ {}", text(new)),
            Step::Delete(old) => format!("- {}", text(old)),
            Step::Update { old, new } => format!("! {} (has {})", text(new), text(old)),
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

    fn difference(&mut self) -> Result<Vec<String>, ApplyError> {
        let observed = self.observe()?;
        let mut ledger = Ledger::default();
        ledger.set_tracking(false);
        ledger.replace((), self.objects.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        let plan = ledger.diff(&observed);
        let mut lines: Vec<String> = plan.steps.iter().map(|(key, step)| self.line(key, step)).collect();
        lines.sort_unstable();
        Ok(lines)
    }
}
