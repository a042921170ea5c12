//! A plan as texts for the tools.
//!
//! An ordinary change is one text for each family. A large plan, or one that was refused, goes in phases: shared
//! chains, ServicePorts in pieces, jumps after the first of these, deletions. A piece that is refused is halved until
//! the ServicePorts are found that the kernel does not take, or the chains that cannot go.

use dataplane::{ApplyError, Refusal, Step};
use model::IpFamily;
use xtables::RestoreError;

use crate::names::Place;
use crate::objects::Value;
use crate::pieces::{FIRST, Group, LATER, Parts, comment_of};
use crate::shadow::{Draft, KeyStep, Shadow};

/// ServicePorts, or removals of chains, that may be refused before the fault must be in something else.
pub const MOST_REFUSED: usize = 64;

/// Hands a text of one family to the tool.
pub type Restore<'a> = dyn Fn(IpFamily, &str) -> Result<(), RestoreError> + 'a;

/// Writes to the kernel.
pub struct Writer<'a> {
    /// Hands a text of one family to the tool.
    pub restore: &'a Restore<'a>,
    /// What the kernel has in shared chains.
    pub shadow: &'a mut Shadow,
    /// Tables that the kernel has taken so far.
    pub commits: u32,
    /// A text was refused, perhaps after half of it was taken: what follows may repeat a part of it.
    pub repeats: bool,
    /// Chains that could not be deleted, and were emptied: a rule of somebody else leads to them.
    pub stuck: Vec<Place>,
}

/// Why a text was not taken.
pub enum Failure {
    /// The rules are at fault. The line, if it was named.
    Refused { line: Option<String>, message: String },
    /// Something else is.
    Other(ApplyError),
}

impl Failure {
    /// The error that it is where nothing can be done without the text.
    pub fn fatal(self, family_rules: &str) -> ApplyError {
        match self {
            Failure::Other(error) => error,
            Failure::Refused { line, message } => {
                // Where a tool gives no reason, the message is the line.
                let line = line.map(|line| format!("{line:?}")).filter(|line| !message.contains(line));
                let line = line.map(|line| format!(" (the rule {line})")).unwrap_or_default();
                ApplyError::new(&format!("cannot write {family_rules}"))(format!("{message}{line}"))
            }
        }
    }
}

impl Writer<'_> {
    /// Makes the kernel follow the steps.
    pub fn apply(&mut self, steps: Vec<KeyStep>) -> Result<Vec<Refusal>, ApplyError> {
        let parts = Parts::new(steps);
        if parts.jumps.is_empty() && parts.groups.len() <= FIRST {
            match self.attempt(all(&parts)) {
                Err(Failure::Refused { message, .. }) => {
                    tracing::debug!(message, "the rules were refused as a whole; trying them in parts");
                }
                Err(Failure::Other(error)) => return Err(error),
                Ok(()) => return Ok(Vec::new()),
            }
        }
        self.in_phases(&parts)
    }

    fn in_phases(&mut self, parts: &Parts) -> Result<Vec<Refusal>, ApplyError> {
        self.attempt(parts.ground.iter()).map_err(|f| f.fatal("the rules that belong to no Service"))?;
        let mut refused = Vec::new();
        let first = parts.groups.len().min(FIRST);
        let (first, rest) = parts.groups.split_at(first);
        self.program(first, &mut refused)?;
        self.jumps(&parts.jumps)?;
        for piece in rest.chunks(LATER) {
            self.program(piece, &mut refused)?;
        }
        if refused.is_empty() {
            self.delete(&parts.deletions)?;
        } else {
            self.delete_some(&parts.deletions)?;
        }
        Ok(by_service(refused))
    }

    /// Programs groups; those that the kernel does not take are added to `refused`.
    fn program(&mut self, groups: &[Group], refused: &mut Vec<(Group, String)>) -> Result<(), ApplyError> {
        if groups.is_empty() {
            return Ok(());
        }
        let (line, message) = match self.attempt(groups.iter().flat_map(|group| &group.steps)) {
            Ok(()) => return Ok(()),
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Refused { line, message }) => (line, message),
        };
        if let [group] = groups {
            refused.push((group.clone(), message));
            return too_many(refused);
        }
        let suspect = line.as_deref().and_then(comment_of);
        match suspect.and_then(|name| groups.iter().position(|group| *group.name == *name)) {
            Some(at) => {
                self.program(&groups[at..=at], refused)?;
                self.program(&groups[..at], refused)?;
                self.program(&groups[at + 1..], refused)
            }
            None => {
                let (left, right) = groups.split_at(groups.len() / 2);
                self.program(left, refused)?;
                self.program(right, refused)
            }
        }
    }

    /// One text for each family that the steps touch.
    pub fn attempt<'s>(&mut self, steps: impl Iterator<Item = &'s KeyStep>) -> Result<(), Failure> {
        let draft: Draft = self.shadow.draft(steps);
        let draft = if self.repeats { draft.repeatable() } else { draft };
        for family in draft.families() {
            let taken = self.restore(family, &draft.text(family));
            if taken.is_err() {
                self.repeats = true;
                self.shadow.doubt(&draft);
            }
            taken?;
        }
        self.shadow.commit(draft);
        Ok(())
    }

    /// Jumps are written by themselves: a text that was half taken must not insert them twice.
    fn jumps(&mut self, steps: &[KeyStep]) -> Result<(), ApplyError> {
        for family in IpFamily::ALL {
            let text = jump_text(steps.iter().filter(|(key, _)| key.family() == family));
            if !text.is_empty() {
                self.restore(family, &text).map_err(|f| f.fatal("the jumps from built-in chains"))?;
            }
        }
        Ok(())
    }

    fn restore(&mut self, family: IpFamily, text: &str) -> Result<(), Failure> {
        let what = format!("cannot write the {family} rules");
        (self.restore)(family, text).map_err(|error| match error {
            RestoreError::Line { number, message } => {
                let line = text.lines().nth(number.saturating_sub(1)).map(str::to_owned);
                Failure::Refused { line, message }
            }
            RestoreError::Refused { message } => Failure::Refused { line: None, message },
            other => Failure::Other(ApplyError::new(&what)(other)),
        })?;
        self.commits += text.lines().filter(|line| *line == "COMMIT").count() as u32;
        Ok(())
    }
}

fn all(parts: &Parts) -> impl Iterator<Item = &KeyStep> {
    let groups = parts.groups.iter().flat_map(|group| &group.steps);
    parts.ground.iter().chain(groups).chain(&parts.deletions)
}

fn too_many(refused: &[(Group, String)]) -> Result<(), ApplyError> {
    if refused.len() <= MOST_REFUSED {
        return Ok(());
    }
    let (group, reason) = &refused[0];
    let message = format!(
        "{} ServicePorts were refused, so something else must be wrong; the first is {}: {reason}",
        refused.len(),
        group.name
    );
    Err(ApplyError::new("cannot write the rules")(message))
}

/// One refusal for each Service.
fn by_service(refused: Vec<(Group, String)>) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = Vec::new();
    for (group, reason) in refused {
        if !refusals.iter().any(|refusal| refusal.service == group.service) {
            refusals.push(Refusal { service: group.service, reason, instead: None });
        }
    }
    refusals
}

fn jump_text<'s>(steps: impl Iterator<Item = &'s KeyStep>) -> String {
    let mut tables: std::collections::BTreeMap<_, Vec<String>> = std::collections::BTreeMap::new();
    for (key, step) in steps {
        let (old, new) = change(step);
        let lines = tables.entry(key.place.table()).or_default();
        let hook = &key.place.chain;
        lines.extend(old.lines().map(|rule| format!("-D {hook} {rule}\n")));
        lines.extend(new.lines().map(|rule| format!("-I {hook} 1 {rule}\n")));
    }
    let table = |(table, lines): (crate::names::Table, Vec<String>)| {
        format!("*{}\n{}COMMIT\n", table.as_str(), lines.concat())
    };
    tables.into_iter().map(table).collect()
}

fn change(step: &Step<Value>) -> (&str, &str) {
    match step {
        Step::Create(new) => ("", new),
        Step::Update { old, new } => (old, new),
        Step::Delete(old) => (old, ""),
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
