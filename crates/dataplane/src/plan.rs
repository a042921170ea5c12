//! A plan: what has to change in the kernel.

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<V> {
    /// It does not exist yet.
    Create(V),
    /// It exists and is something else.
    Update {
        /// What it is.
        old: V,
        /// What it shall be.
        new: V,
    },
    /// It shall not exist any more.
    Delete(V),
}

/// Changes in no particular order; each key at most once. An empty plan means that nothing differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K, V> {
    /// The changes.
    pub steps: Vec<(K, Step<V>)>,
}

impl<K, V> Default for Plan<K, V> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<K, V> Plan<K, V> {
    /// Whether nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Number of objects that change.
    pub fn len(&self) -> usize {
        self.steps.len()
    }
}

/// What a plan does, in numbers and, as far as it is short, in lines of text: what logs and pages show of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects that did not exist.
    pub created: usize,
    /// Objects that were something else.
    pub updated: usize,
    /// Objects that go.
    pub deleted: usize,
    /// One object a line, at most [`Summary::LINES`], sorted: `+ new`, `- old`, `! new (was old)`.
    pub lines: Vec<String>,
}

impl Summary {
    /// Lines that are kept; what a plan has beyond is only counted.
    pub const LINES: usize = 64;

    /// Of steps, with `describe` to print one object.
    pub fn new<'a, K: 'a, V: 'a>(
        steps: impl IntoIterator<Item = &'a (K, Step<V>)>,
        describe: impl Fn(&K, &V) -> String,
    ) -> Self {
        let mut summary = Self::default();
        for (key, step) in steps {
            summary.count(step);
            if summary.lines.len() < Self::LINES {
                summary.lines.push(line(key, step, &describe));
            }
        }
        summary.lines.sort_unstable();
        summary
    }

    /// Number of objects that change.
    pub fn total(&self) -> usize {
        self.created + self.updated + self.deleted
    }

    fn count<V>(&mut self, step: &Step<V>) {
        *match step {
            Step::Create(_) => &mut self.created,
            Step::Update { .. } => &mut self.updated,
            Step::Delete(_) => &mut self.deleted,
        } += 1;
    }
}

fn line<K, V>(key: &K, step: &Step<V>, describe: &impl Fn(&K, &V) -> String) -> String {
    match step {
        Step::Create(new) => format!("+ {}", describe(key, new)),
        Step::Delete(old) => format!("- {}", describe(key, old)),
        Step::Update { old, new } => format!("! {} (was {})", describe(key, new), describe(key, old)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_all_and_prints_some() {
        let steps: Vec<(u8, Step<char>)> = (0..200)
            .map(|key| match key % 3 {
                0 => (key, Step::Create('n')),
                1 => (key, Step::Update { old: 'o', new: 'n' }),
                _ => (key, Step::Delete('o')),
            })
            .collect();
        let summary = Summary::new(&steps, |key, value| format!("{key:03}{value}"));
        assert_eq!((summary.created, summary.updated, summary.deleted), (67, 67, 66));
        assert_eq!((summary.total(), summary.lines.len()), (200, Summary::LINES));
        assert_eq!(summary.lines[0], "! 001n (was 001o)");
        assert!(summary.lines.contains(&"- 002o".to_owned()));
    }
}
