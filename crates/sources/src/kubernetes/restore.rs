//! Starting from the last known good state, when the API server cannot be reached.

use std::time::Duration;

use super::Snapshot;
use super::book::name_of;
use super::hub::Hub;
use super::watched::TARGETS;
use crate::k8s::Kept;
use crate::snapshot::{self, Saved};

/// How often it is asked whether it is time.
const ASK: Duration = Duration::from_secs(1);
/// A list that has got on within this time may still come.
const GETS_ON: Duration = Duration::from_secs(5);

/// Waits until the snapshot is needed, and uses it; or until it is not needed any more.
pub(super) async fn restore(hub: &Hub<'_>, node: &str, mut snapshot: Snapshot, kept: Kept) {
    tokio::time::sleep(snapshot.after).await;
    loop {
        if hub.is_synced() || !hub.awaits_required() {
            return;
        }
        if !hub.has_received_within(GETS_ON.min(snapshot.after)) && (snapshot.allowed)() {
            break;
        }
        tokio::time::sleep(ASK).await;
    }
    match snapshot::read(&snapshot.path, node, kept) {
        Ok(saved) => restore_from(hub, &snapshot, saved),
        Err(error) => hub.tell_of_snapshot(error.to_string()),
    }
}

fn restore_from(hub: &Hub<'_>, snapshot: &Snapshot, saved: Saved) {
    let age = saved.time.elapsed().unwrap_or_default();
    hub.tell_of_snapshot(format!(
        "the API server could not be reached for {:?}: starting from the state in {}, which is {} old; what changed \
         since then is not known",
        snapshot.after,
        snapshot.path.display(),
        words(age)
    ));
    let time = saved.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    hub.stats.set_snapshot(Some(time.as_secs()));
    for change in saved.changes {
        let Some((kind, name)) = name_of(&change) else { continue };
        let index = TARGETS.iter().position(|target| target.kind == kind);
        // What is not watched could never be taken back.
        if let Some(index) = index.filter(|index| hub.followed[*index]) {
            hub.books[index].borrow_mut().seed(&name, change, &mut |change| hub.send(change));
        }
    }
    (0..TARGETS.len()).for_each(|index| hub.count(index));
    hub.sync();
}

/// A time as people say it.
fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (seconds, expected) in
            [(5, "5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 days")]
        {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }
}
