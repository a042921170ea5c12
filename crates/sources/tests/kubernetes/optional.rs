//! Kinds that can be done without: they hold nothing up, and are given up only when they are surely gone.

use std::time::Duration;

use apiserver::{Fault, Options, Rule};
use model::Change;
use serde_json::json;
use towpath_sources::kubernetes::Kubernetes;

use crate::run::*;

fn is_synced(change: &Change) -> bool {
    *change == Change::Synced(Kubernetes::NAME)
}

fn is_cidr(change: &Change) -> bool {
    matches!(change, Change::ServiceCidr { .. })
}

fn is_cidr_gone(change: &Change) -> bool {
    matches!(change, Change::ServiceCidrGone(_))
}

fn status(code: u16, message: Option<&str>) -> Fault {
    Fault::Status { code, retry_after: None, message: message.map(str::to_owned) }
}

#[test]
fn whatever_befalls_them_synced_comes_and_they_come_later() {
    let too_large = status(504, Some("Timeout: Too large resource version: 9, current: 8"));
    for fault in [Fault::Hang, Fault::Close, Fault::Cut { after: 20 }, Fault::Stall { after: 20 }, too_large]
    {
        let server = server(Options::default());
        server.faults().add(Rule::new(fault.clone()).resource("namespaces"));
        let mut options = plain(&server);
        options.namespaces = true;
        let mut run = Run::start(options);
        let first = run.until("Synced", is_synced);
        assert!(first.iter().any(is_cidr), "{fault:?}: the others are there");
        server.faults().remove_rules();
        let later = run.until("the end of its batch", |change| *change == Change::BatchEnds);
        assert!(later.iter().any(|change| is_namespace(change, "default")), "{fault:?}: {later:?}");
        run.stop();
    }
}

#[test]
fn what_gets_on_is_waited_for() {
    let server = server(Options::default());
    server.faults().add(Rule::new(Fault::Slow { bytes_per_second: 250 }).resource("servicecidrs"));
    let mut options = plain(&server);
    options.limits.grace = Duration::from_millis(600);
    let before = std::time::Instant::now();
    let mut run = Run::start(options);
    assert!(run.until("Synced", is_synced).iter().any(is_cidr));
    assert!(before.elapsed() > Duration::from_millis(1000), "it was slow indeed: {:?}", before.elapsed());
    run.stop();
}

#[test]
fn versions_that_are_refused_again_and_again_are_said() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.faults().add(Rule::new(Fault::Gone).resource("services"));
    server.faults().end_watches(Some("services"));
    let told = run.problem("watch of Services");
    assert!(told.contains("cannot watch Services") && told.contains("410 Gone"), "{told}");
    server.faults().remove_rules();
    run.solved("watch of Services");
    run.before_marker(&server);
    run.stop();
}

#[test]
fn a_404_in_between_gives_nothing_up() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.faults().add(Rule::new(status(404, None)).resource("servicecidrs").times(2));
    server.faults().end_watches(Some("servicecidrs"));
    run.problem("watch of ServiceCIDRs");
    run.solved("watch of ServiceCIDRs");
    let more = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "more"}, "spec": {"cidrs": ["10.99.0.0/16"]}});
    server.store().apply(more).unwrap();
    let all = run
        .until("the other", |change| matches!(change, Change::ServiceCidr { name, .. } if &**name == "more"));
    assert!(!all.iter().any(is_cidr_gone), "{all:?}");
    run.stop();
}

#[test]
fn what_is_gone_for_long_is_given_up_and_comes_back_as_a_whole() {
    let server = server(Options::default());
    let mut run = Run::synced(plain(&server));
    server.faults().add(Rule::new(status(404, None)).resource("servicecidrs").times(12));
    server.faults().end_watches(Some("servicecidrs"));
    run.until("gone", is_cidr_gone);
    assert!(errors(&run.stats, "servicecidrs", "not_found") >= 3);
    run.solved("watch of ServiceCIDRs");
    run.until("back", is_cidr);
    run.stop();
}
