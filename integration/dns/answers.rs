//! Every case of the table, each a test of its own; those of a profile share a server.

use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::Trial;

use crate::ask;
use crate::compare::{Transport, check};
use crate::place::{Place, UPSTREAM};
use crate::profile::corefile;
use crate::shared::Shared;
use crate::table::{Case, Table};
use crate::trial;
use crate::wire::Query;

/// A test for each case.
pub(crate) fn trials(table: &Arc<Table>, obstacle: Option<&String>) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for profile in table.profiles() {
        let options = table.options(profile)?;
        let synced = options.synced != Some(false);
        let shared = Shared::new(table, corefile(&options, &UPSTREAM.to_string()), synced);
        for case in table.cases.iter().filter(|case| case.profile == profile).cloned() {
            let (name, shared) = (format!("answers::{profile}::{}", case.id), Arc::clone(&shared));
            trials.push(trial(name, obstacle.cloned(), move || shared.place()?.asks(&case)));
        }
    }
    Ok(trials)
}

impl Place {
    /// Over UDP and over TCP.
    fn asks(&self, case: &Case) -> Result<()> {
        [Transport::Udp, Transport::Tcp].into_iter().try_for_each(|transport| {
            let about = || format!("{transport:?} {:?}: {} {}", case.level, case.q.name, case.q.kind);
            let query = Query::new(&case.q.name, &case.q.kind)?;
            let reply =
                ask::ask(&self.ns, self.server, case.q.client, &query, transport).with_context(about)?;
            check(case, &reply, transport).with_context(about)
        })
    }
}
