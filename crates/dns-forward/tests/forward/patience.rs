//! How long an upstream is waited for, what is asked twice, and what one fault may change.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dns_wire::{Name, rcode, rtype};
use towpath_dns_forward::{Asking, Stale, StaleMode, Why};

use crate::client::{Client, asking, hit, last, until, why};
use crate::message::Asked;
use crate::upstream::{Do, Upstream};

fn good(asked: &Asked) -> Do {
    Do::Send(vec![asked.good(1)])
}

/// A name that one upstream fails is not waited for as long as a dead one takes.
#[test]
fn a_poor_answer_does_not_wait_for_the_dead() {
    let servfail = Upstream::start(|asked| Do::Send(vec![asked.reply(2, &[], &[])]));
    let dead = Upstream::dead();
    for upstreams in [[&servfail, &dead], [&dead, &servfail]] {
        let client = Client::with(&upstreams, |group| group.cache = None);
        for number in 0..6 {
            let start = Instant::now();
            assert_eq!(hit(client.ask(&format!("n{number}.test."))).stored.rcode(), rcode::SERVFAIL);
            let limit = if number < 4 { 1_900 } else { 400 };
            assert!(start.elapsed() < Duration::from_millis(limit), "{number}: {:?}", start.elapsed());
        }
    }
}

/// What is known to take its time is not asked again before that.
#[test]
fn a_slow_upstream_is_asked_once() {
    let upstream = Upstream::start(|asked| Do::Later(Duration::from_millis(700), asked.good(1)));
    let client = Client::with(&[&upstream], |group| group.cache = None);
    client.ask("first.test.");
    let before = upstream.seen().len();
    let waiting: Vec<_> = (0..20).map(|number| client.resolve(&format!("n{number}.test."))).collect();
    waiting.into_iter().for_each(|pending| assert_eq!(last(&pending.wait()), 1));
    assert_eq!(upstream.seen().len() - before, 20);
}

/// Those who wait at the end get what there is.
#[test]
fn flights_that_are_stopped() {
    let upstream = Upstream::start(|asked| if asked.number == 0 { good(asked) } else { Do::Drop });
    let client = Client::with(&[&upstream], |group| {
        let cache = group.cache.as_mut().unwrap();
        cache.success = (Duration::ZERO, Duration::from_millis(1));
        let (max_age, mode) = (Duration::from_secs(3600), StaleMode::Verify(Duration::from_secs(3)));
        cache.stale = Some(Stale { max_age, mode });
    });
    client.ask("old.test.");
    until("the end of its life", || client.cached("old.test.", Instant::now()).is_none());
    let start = Instant::now();
    let (old, new) = (client.resolve("old.test."), client.resolve("new.test."));
    let name: Name = "NEW.test.".parse().unwrap();
    assert!(client.forwarder.is_under_way(&client.group, &asking(&name, rtype::A)));
    client.forwarder.stop_flights();
    assert!(hit(old.wait()).stale);
    assert_eq!(why(new.wait()), Why::Stopped);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!client.forwarder.is_under_way(&client.group, &asking(&name, rtype::A)));
}

/// FORMERR for one name is about that name; for several, about EDNS.
#[test]
fn edns_is_left_out_after_several_names_only() {
    let upstream = Upstream::start(|asked| match asked.edns && asked.name.starts_with("odd") {
        true => Do::Send(vec![asked.reply(1, &[], &[])]),
        false => good(asked),
    });
    let client = Client::new(&[&upstream]);
    let ask = |name: &str| {
        assert_eq!(last(&client.ask(name)), 1);
        upstream.seen().last().unwrap().edns
    };
    assert!(!ask("odd1.test.") && !ask("odd2.test."));
    assert!(ask("a.test."));
    assert!(!ask("odd3.test."));
    assert!(!ask("b.test."), "three names failed");
}

/// What was asked without DO is no answer for those who set it.
#[test]
fn a_reply_without_do_is_not_kept_for_those_who_set_it() {
    let upstream = Upstream::start(|asked| match asked.edns {
        true => Do::Send(vec![asked.reply(1, &[], &[])]),
        false => good(asked),
    });
    let client = Client::new(&[&upstream]);
    let name: Name = "www.test.".parse().unwrap();
    for (dnssec_ok, kept) in [(true, false), (false, true)] {
        let asking = Asking { dnssec_ok, ..asking(&name, rtype::A) };
        assert_eq!(last(&client.resolve_as(&asking).wait()), 1);
        let found = client.forwarder.cached(&client.group, &asking, Instant::now());
        assert_eq!(found.is_some(), kept, "DO {dnssec_ok}");
    }
}

/// A stale answer is not given any longer once the upstreams answer again.
#[test]
fn stale_answers_end_with_the_recovery() {
    let upstream = Upstream::start(|asked| match asked.number {
        0 => good(asked),
        _ if asked.name == "www.test." && asked.number < 8 => Do::Drop,
        _ => Do::Send(vec![asked.good(2)]),
    });
    upstream.well.store(false, Ordering::SeqCst);
    let client = Client::with(&[&upstream], |group| {
        let cache = group.cache.as_mut().unwrap();
        cache.success = (Duration::ZERO, Duration::from_millis(1));
        group.health_interval = Duration::from_millis(20);
    });
    assert_eq!(last(&client.ask("www.test.")), 1);
    until("the end of its life", || client.cached("www.test.", Instant::now()).is_none());
    assert!(hit(client.ask("www.test.")).stale);
    client.until("the question has failed", |metrics| metrics.in_flight == 0);
    assert!(hit(client.ask("www.test.")).stale, "at once, as nothing has changed");
    (0..8).for_each(|number| drop(client.ask(&format!("n{number}.test."))));
    upstream.well.store(true, Ordering::SeqCst);
    let start = Instant::now();
    until("the new answer", || last(&client.ask("www.test.")) == 2);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
