//! One question to one upstream.

use std::sync::Arc;

use dns_wire::{Stored, rcode};
use tokio::time::timeout;

use crate::ATTEMPT_TIMEOUT;
use crate::pending::{Fault, Question};
use crate::remote::Remote;

/// What came of it.
pub(crate) struct Attempt {
    /// The upstream's place in the schedule.
    pub(crate) at: usize,
    pub(crate) result: Result<Stored, Fault>,
}

/// Asks, for [`ATTEMPT_TIMEOUT`] at most.
pub(crate) async fn attempt(at: usize, remote: Arc<Remote>, question: Arc<Question>) -> Attempt {
    let result = timeout(ATTEMPT_TIMEOUT, ask(&remote, &question)).await;
    Attempt { at, result: result.unwrap_or(Err(Fault::Timeout)) }
}

/// Asks with EDNS, and without it if the upstream does not know it (RFC 6891, section 6.2.2). One that says FORMERR is not asked
/// with it again; one that cannot even echo the question may only have had a bad moment.
async fn ask(remote: &Remote, question: &Arc<Question>) -> Result<Stored, Fault> {
    let edns = remote.health.knows_edns();
    let result = remote.exchange(question, edns).await;
    let formerr = matches!(&result, Ok(message) if message.rcode() == rcode::FORMERR);
    if !edns || !(formerr || matches!(&result, Err(Fault::Broken))) {
        return result;
    }
    let plain = remote.exchange(question, false).await?;
    if formerr && plain.rcode() != rcode::FORMERR {
        remote.health.set_without_edns();
    }
    Ok(plain)
}
