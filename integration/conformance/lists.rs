//! Servers without streams of first events (`sendInitialEvents`): the source lists, then watches.

use anyhow::{Result, ensure};
use apiserver::{Fault, Mode, Options, Rule};
use libtest_mimic::Completion;

use crate::Test;
use crate::case::{Case, done, ignored, port};
use crate::cluster::Cluster;
use crate::reader::state_of_service;

pub(crate) const TESTS: &[Test] = &[
    ("a_server_that_refuses_streams_is_listed", a_server_that_refuses_streams_is_listed),
    ("a_server_that_does_not_know_streams_is_listed", a_server_that_does_not_know_streams_is_listed),
];

fn a_server_that_refuses_streams_is_listed(case: &Case) -> Result<Completion> {
    listed(case, Fault::RefuseWatchList { code: 422 })
}

fn a_server_that_does_not_know_streams_is_listed(case: &Case) -> Result<Completion> {
    listed(case, Fault::IgnoreWatchList)
}

/// On a server of its own: what it cannot do would hurt other tests.
fn listed(case: &Case, fault: Fault) -> Result<Completion> {
    if case.cluster.own.is_none() {
        return ignored("the source has no option for it: it lists where the server has no streams");
    }
    let cluster = Cluster::own(Options::secure("lists"))?;
    let result = cluster.prepare().and_then(|()| list_and_watch(&cluster, fault));
    ensure!(cluster.clean_up(), "objects are left on the server: {:?}", cluster.ledger.there());
    result.and_then(|()| done())
}

fn list_and_watch(cluster: &Cluster, fault: Fault) -> Result<()> {
    let case = Case::new(cluster, "lists".into());
    let Some(server) = &cluster.own else { return Ok(()) };
    server.faults().add(Rule::new(fault));
    case.service("web", port(80))?;
    let mut options = case.options();
    options.limits.list_silence = std::time::Duration::from_secs(1);
    let mut reader = case.reader_with(options)?;
    reader.sync()?;
    ensure!(state_of_service(&reader.log, &case.name("web")).is_some(), "{:#?}", reader.log);
    case.service("later", port(80))?;
    reader.service(&case.name("later"), "new", |_| true)?;
    let lists = server.requests().in_mode("services", Mode::CachedList);
    ensure!(lists == 1, "{lists} lists");
    reader.stop()
}
