//! What is not required holds nothing up for long: whatever its requests suffer, Synced comes without it.

use std::time::{Duration, Instant};

use super::hub::Hub;
use super::watched::TARGETS;

/// How often it is asked whether it is time.
const ASK: Duration = Duration::from_millis(100);

/// Waits until all kinds are listed, but once all that are required are, for the others only a while longer. Their first
/// list is then one among later ones: a batch.
pub(super) async fn wait(hub: &Hub<'_>) {
    let mut since = None;
    while hub.awaited().next().is_some() {
        tokio::time::sleep(ASK).await;
        if hub.awaits_required() {
            continue;
        }
        let since: &mut Instant = since.get_or_insert_with(Instant::now);
        if since.elapsed() >= hub.limits.grace {
            let late: Vec<usize> =
                hub.awaited().filter(|index| !hub.gets_on(*index, hub.limits.grace)).collect();
            late.into_iter().for_each(|index| go_on_without(hub, index));
        }
    }
}

fn go_on_without(hub: &Hub<'_>, index: usize) {
    let plural = TARGETS[index].plural;
    tracing::warn!("api: {plural} are not listed yet: going on without them until they are");
    hub.listed(index);
}
