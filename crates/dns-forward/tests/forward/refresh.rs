//! Answers past their life, and those about to end.

use std::time::{Duration, Instant};

use dns_wire::rcode;
use towpath_dns_forward::{Group, Stale, StaleMode};

use crate::client::{Client, hit, last, ttls, until};
use crate::upstream::{Do, Upstream};

/// Answers live for a millisecond.
fn short(mode: StaleMode) -> impl FnOnce(&mut Group) {
    move |group| {
        let cache = group.cache.as_mut().unwrap();
        cache.success = (Duration::ZERO, Duration::from_millis(1));
        cache.stale = Some(Stale { max_age: Duration::from_secs(3600), mode });
        cache.prefetch = None;
    }
}

/// CoreDNS's `serve_stale ... immediate`: the old answer at once, the new one the next time.
#[test]
fn immediate() {
    let upstream = Upstream::start(|asked| Do::Send(vec![asked.good(asked.number.min(1) as u8)]));
    let client = Client::with(&[&upstream], short(StaleMode::Immediate));
    assert_eq!(last(&client.ask("www.test.")), 0);
    until("a stale answer", || {
        client.cached("www.test.", Instant::now()).is_some_and(|hit| hit.stale && ttls(&hit) == [30])
    });
    until("the new answer", || last(&client.ask("www.test.")) == 1);
}

/// With `verify` an old answer is not given as long as there is a new one in time.
#[test]
fn verify() {
    let upstream = Upstream::start(|asked| Do::Send(vec![asked.good(asked.number as u8)]));
    let client = Client::with(&[&upstream], short(StaleMode::Verify(Duration::from_millis(1800))));
    for number in 0..3 {
        until("the end of its life", || client.cached("www.test.", Instant::now()).is_none());
        let hit = hit(client.resolve("www.test.").wait());
        assert_eq!((hit.stale, last(&towpath_dns_forward::Resolved::Answer(hit))), (false, number));
    }
}

/// SERVFAIL does not take the place of an old answer.
#[test]
fn servfail_after_an_answer() {
    let upstream = Upstream::start(|asked| match asked.number {
        0 => Do::Send(vec![asked.good(1)]),
        _ => Do::Send(vec![asked.reply(2, &[], &[])]),
    });
    let client = Client::with(&[&upstream], short(StaleMode::Verify(Duration::from_millis(1800))));
    client.ask("www.test.");
    until("the end of its life", || client.cached("www.test.", Instant::now()).is_none());
    for _ in 0..3 {
        let hit = hit(client.ask("www.test."));
        assert_eq!((hit.stale, hit.stored.rcode()), (true, rcode::NOERROR));
    }
    assert_eq!(upstream.seen().len(), 2, "for a while it is not asked again (RFC 8767, section 5)");
}

/// A slow upstream: the old answer after the client's wait, the new one when it is there.
#[test]
fn slow_upstream() {
    let upstream = Upstream::start(|asked| match asked.number {
        0 => Do::Send(vec![asked.good(1)]),
        _ => Do::Later(Duration::from_millis(400), asked.good(2)),
    });
    let client = Client::with(&[&upstream], |group| {
        short(StaleMode::Verify(Duration::from_millis(50)))(group);
        group.cache.as_mut().unwrap().success.1 = Duration::from_millis(100);
    });
    client.ask("www.test.");
    until("the end of its life", || client.cached("www.test.", Instant::now()).is_none());
    let hit = hit(client.ask("www.test."));
    assert!(hit.stale);
    until("the new answer", || last(&client.ask("www.test.")) == 2);
}
