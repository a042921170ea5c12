//! One question to one upstream.

use std::sync::Arc;
use std::time::Instant;

use dns_wire::{Stored, rcode};
use tokio::time::timeout;

use crate::ATTEMPT_TIMEOUT;
use crate::pending::{Fault, Question};
use crate::remote::Remote;

/// A reply.
pub(crate) struct Heard {
    pub(crate) message: Stored,
    /// Asked with EDNS: the reply knows what DO was.
    pub(crate) edns: bool,
}

/// What came of it.
pub(crate) struct Attempt {
    /// The upstream's place in the schedule.
    pub(crate) at: usize,
    pub(crate) result: Result<Heard, Fault>,
}

/// Asks, for [`ATTEMPT_TIMEOUT`] at most.
pub(crate) async fn attempt(at: usize, remote: Arc<Remote>, question: Arc<Question>) -> Attempt {
    let result = timeout(ATTEMPT_TIMEOUT, ask(&remote, &question)).await;
    Attempt { at, result: result.unwrap_or(Err(Fault::Timeout)) }
}

/// Asks with EDNS, and without it if the upstream does not know it (RFC 6891, section 6.2.2). One that says FORMERR to
/// several names is not asked with it for a while; one that cannot even echo the question may only have had a bad moment.
async fn ask(remote: &Remote, question: &Arc<Question>) -> Result<Heard, Fault> {
    let edns = remote.health.edns.is_known(Instant::now());
    let result = remote.exchange(question, edns).await;
    let formerr = matches!(&result, Ok(message) if message.rcode() == rcode::FORMERR);
    if !edns || !(formerr || matches!(&result, Err(Fault::Broken))) {
        return result.map(|message| Heard { message, edns });
    }
    let plain = remote.exchange(question, false).await?;
    if formerr && plain.rcode() != rcode::FORMERR {
        remote.health.edns.failed(&question.asking(), Instant::now());
    }
    Ok(Heard { message: plain, edns: false })
}
