//! The end of a plan: chains that go, where the kernel does not let go of all of them.

use dataplane::{ApplyError, Step};

use crate::apply::{Failure, MOST_REFUSED, Writer};
use crate::names::Place;
use crate::objects::{Entry, Value};
use crate::shadow::KeyStep;

impl Writer<'_> {
    /// Deletes what has to go. A chain that a rule of somebody else leads to stays, empty.
    pub fn delete(&mut self, deletions: &[KeyStep]) -> Result<(), ApplyError> {
        match self.attempt(deletions.iter()) {
            Ok(()) => return Ok(()),
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Refused { message, .. }) => tracing::debug!(message, "a chain cannot be deleted"),
        }
        // Once all of them are empty none leads to another, and each can be deleted by itself.
        let emptied: Vec<KeyStep> = deletions.iter().filter_map(emptied).collect();
        self.attempt(emptied.iter()).map_err(|f| f.fatal("the removal of rules"))?;
        let mut stuck = Vec::new();
        self.take_away(&chains_of(deletions), &mut stuck)?;
        self.stuck = stuck;
        Ok(())
    }

    /// Deletions beside refusals: a rule that could not be replaced may still need what leads to it, and leads to what
    /// should go. What stays is found by the next full comparison.
    pub fn delete_some(&mut self, deletions: &[KeyStep]) -> Result<(), ApplyError> {
        let unread = deletions.iter().filter(|(key, _)| key.entry.is_unread());
        self.attempt(unread).map_err(|f| f.fatal("the removal of rules"))?;
        let chains = chains_of(deletions).into_iter().filter(|(key, _)| key.entry == Entry::Whole);
        self.take_away(&chains.collect::<Vec<_>>(), &mut Vec::new())
    }

    /// Deletes chains; those that the kernel keeps are added to `kept`.
    fn take_away(&mut self, chains: &[&KeyStep], kept: &mut Vec<Place>) -> Result<(), ApplyError> {
        let Some((first, rest)) = chains.split_first() else { return Ok(()) };
        let (line, message) = match self.attempt(chains.iter().copied()) {
            Ok(()) => return Ok(()),
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Refused { line, message }) => (line, message),
        };
        let named =
            |(_, (key, _)): &(usize, &&KeyStep)| line.as_deref() == Some(&*format!("-X {}", key.place.chain));
        let mut named = chains.iter().enumerate().filter(named);
        match (named.next(), named.next()) {
            // Both families may have a chain of this name.
            (Some((at, (key, _))), None) => {
                kept.push(key.place.clone());
                too_many_kept(kept, &message)?;
                let others: Vec<_> = [&chains[..at], &chains[at + 1..]].concat();
                self.take_away(&others, kept)
            }
            _ if rest.is_empty() => {
                kept.push(first.0.place.clone());
                too_many_kept(kept, &message)
            }
            _ => {
                let (left, right) = chains.split_at(chains.len() / 2);
                self.take_away(left, kept)?;
                self.take_away(right, kept)
            }
        }
    }
}

fn too_many_kept(kept: &[Place], reason: &str) -> Result<(), ApplyError> {
    if kept.len() <= MOST_REFUSED {
        return Ok(());
    }
    let message =
        format!("{} chains cannot be deleted, the first is {}: {reason}", kept.len(), kept[0].chain);
    Err(ApplyError::new("cannot write the removal of chains")(message))
}

/// The deletions of whole chains among these.
fn chains_of(deletions: &[KeyStep]) -> Vec<&KeyStep> {
    deletions.iter().filter(|(key, _)| matches!(key.entry, Entry::Whole | Entry::Head)).collect()
}

/// The same step, but the chain stays. `None` for that of a shared chain: its rules have steps of their own.
fn emptied((key, step): &KeyStep) -> Option<KeyStep> {
    let step = match (&key.entry, step) {
        (Entry::Head, _) => return None,
        (Entry::Whole, Step::Delete(old)) => Step::Update { old: old.clone(), new: Value::from("") },
        _ => step.clone(),
    };
    Some((key.clone(), step))
}
