//! One request that hangs: the others go on.

use std::time::{Duration, Instant};

use apiserver::{Fault, Options, Rule, Server};

use crate::run::*;

/// How long Services need to come back while Namespaces hang, at the worst.
fn worst(server: &Server, options: towpath_sources::kubernetes::Options) -> Duration {
    let answer = options.limits.answer;
    let mut run = Run::synced(options);
    server.faults().add(Rule::new(Fault::Hang).resource("namespaces"));
    server.faults().end_watches(Some("namespaces"));
    // The first time-out.
    std::thread::sleep(answer + Duration::from_millis(400));
    let mut worst = Duration::ZERO;
    for _ in 0..3 {
        server.faults().end_watches(Some("services"));
        std::thread::sleep(Duration::from_millis(150));
        let before = Instant::now();
        run.before_marker(server);
        worst = worst.max(before.elapsed());
        std::thread::sleep(answer / 4);
    }
    run.stop();
    worst
}

#[test]
fn a_kind_that_hangs_does_not_take_the_connection_of_the_others() {
    let server = server(Options { bookmark_every: Duration::from_millis(200), ..Options::default() });
    let mut options = plain(&server);
    options.namespaces = true;
    options.limits.answer = Duration::from_secs(3);
    let worst = worst(&server, options);
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

/// With nothing said by the server in the meantime, the time-out makes a new connection; the others wait for it a little.
#[test]
fn a_kind_that_hangs_delays_the_others_a_little_at_the_most() {
    let server = server(Options::default());
    let mut options = plain(&server);
    options.namespaces = true;
    options.limits.answer = Duration::from_secs(5);
    let worst = worst(&server, options);
    assert!(worst < Duration::from_secs(3), "{worst:?}");
}
