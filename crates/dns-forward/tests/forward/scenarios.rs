//! The scenarios of `cases/dns/cases.yaml` that are the forwarder's, each by its name.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use dns_wire::{Name, Ttls, rcode};
use towpath_dns_forward::{Forwarder, STALE_TTL, Upstream as At, Why};

use crate::client::{Client, asking, group, hit, last, query, reply, ttls, until, why};
use crate::message::{a, soa};
use crate::upstream::{Do, Upstream};

/// The first upstream drops packets: the second answers within 500 ms, later questions go to it at once.
#[test]
fn scen_17_first_upstream_drops() {
    let (dead, good) = (Upstream::dead(), Upstream::good(2));
    let client = Client::with(&[&dead, &good], |group| group.cache = None);
    for number in 0..20 {
        let start = Instant::now();
        assert_eq!(last(&client.ask(&format!("n{number}.test."))), 2);
        let limit = if number == 0 { 500 } else { 100 };
        assert!(start.elapsed() < Duration::from_millis(limit), "question {number}: {:?}", start.elapsed());
    }
    assert_eq!((dead.seen().len(), good.seen().len()), (1, 20));
}

/// All upstreams are down: what is past its life is given, with TTL 30, within 1.8 s; SERVFAIL when there is nothing.
#[test]
fn scen_18_stale_when_all_upstreams_are_down() {
    let dead = Upstream::start(|asked| match asked.number {
        0 => Do::Send(vec![asked.good(1)]),
        _ => Do::Drop,
    });
    dead.well.store(false, Ordering::SeqCst);
    let client = Client::with(&[&dead], |group| {
        group.cache.as_mut().unwrap().success = (Duration::ZERO, Duration::from_millis(1));
    });
    client.ask("www.test.");
    until("the end of its life", || client.cached("www.test.", Instant::now()).is_none());
    let start = Instant::now();
    let stale = hit(client.ask("www.test."));
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed()); // 1.8 s and a busy machine
    assert!(stale.stale && stale.cached);
    assert_eq!(ttls(&stale), [STALE_TTL]);
    let start = Instant::now();
    assert!(hit(client.ask("www.test.")).stale, "at once from now on");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(why(client.ask("other.test.")).ede(), 22);
    assert_eq!(why(client.ask("OTHER.test.")), Why::RecentFailure);
    assert!(client.metrics().cache.unwrap().served_stale >= 2);
}

/// 1,000 clients ask the same cold name at once: one question to the upstream. By TCP, where no packet is sent again.
#[test]
fn scen_19_equal_questions_are_one() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |asked| {
        let _ = gate.lock().unwrap().recv(); // until all have asked
        Do::Send(vec![asked.good(1)])
    });
    let client = Client::with(&[&upstream], |group| group.force_tcp = true);
    let waiting: Vec<_> = (0..1000)
        .map(|number| client.resolve(if number % 2 == 0 { "cold.test." } else { "COLD.test." }))
        .collect();
    drop(open);
    waiting.into_iter().for_each(|pending| assert_eq!(last(&pending.wait()), 1));
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(client.metrics().coalesced, 999);
}

/// A popular name about to end is answered from the cache and asked again once.
#[test]
fn scen_20_prefetch() {
    let upstream = Upstream::good(1);
    // Over TCP, where nothing is sent again because a busy machine is slow.
    let client = Client::with(&[&upstream], |group| group.force_tcp = true);
    client.ask("www.test.");
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    for seconds in [1, 250, 271] {
        assert!(client.cached("www.test.", at(seconds)).is_some());
    }
    assert_eq!(upstream.seen().len(), 1, "250 s: a first hit after a gap; 271 s: the second");
    assert!(client.cached("www.test.", at(272)).is_some());
    assert!(client.cached("www.test.", at(272)).is_some());
    client.until("the refresh", |metrics| upstream.seen().len() == 2 && metrics.in_flight == 0);
    assert_eq!(client.metrics().cache.unwrap().prefetches, 1);
}

/// TC=1 over UDP: asked by TCP once, the whole answer is kept, each client gets what fits.
#[test]
fn scen_21_truncated() {
    let records = || (1..=60).map(|last| a("big.test.", 60, last)).collect::<Vec<_>>();
    let upstream = Upstream::start(move |asked| {
        let whole = asked.reply(0, &records(), &[]);
        Do::Send(vec![if asked.tcp { whole } else { asked.truncated() }])
    });
    let client = Client::new(&[&upstream]);
    let first = hit(client.ask("big.test."));
    assert_eq!(first.stored.answers().count(), 60);
    let kept = client.cached("big.test.", Instant::now()).unwrap();
    let table = [(None, 512, true), (Some(1232), 1232, false), (Some(1232), 65_535, false)];
    for (payload, limit, truncated) in table {
        let reply = reply(&kept, &query(5, "big.test.", payload), limit);
        assert!(reply.len() <= limit, "{limit}");
        assert_eq!(reply[2] & 0x02 != 0, truncated, "{limit}");
    }
    let seen: Vec<bool> = upstream.seen().iter().map(|asked| asked.tcp).collect();
    assert_eq!(seen, [false, true]);
}

/// Replies that do not fit are ignored and the wait goes on.
#[test]
fn scen_22_wrong_replies_are_ignored() {
    let upstream = Upstream::start(|asked| {
        let (mut id, mut question, mut query) = (asked.good(66), asked.good(66), asked.good(66));
        id[0] ^= 0xff;
        question[13] ^= 0x01;
        query[2] &= 0x7f; // QR
        let truth = asked.good(1);
        match asked.name.as_str() {
            "elsewhere.test." => Do::FromElsewhere(asked.good(66), truth),
            _ => Do::Send(vec![id, question, query, vec![], vec![1, 2, 3], vec![0xff; 600], truth]),
        }
    });
    let client = Client::new(&[&upstream]);
    assert_eq!(last(&client.ask("wrong.test.")), 1);
    assert_eq!(last(&client.ask("elsewhere.test.")), 1);
    let metrics = client.metrics();
    assert!(metrics.upstreams[0].mismatched >= 5, "{metrics:?}");
    assert_eq!(last(&client.ask("wrong.test.")), 1, "nothing forged is kept");
}

/// NXDOMAIN with SOA minimum 3600: kept no longer than the bound, the SOA's TTL counts down.
#[test]
fn scen_24_denial_is_bounded() {
    let upstream = Upstream::start(|asked| Do::Send(vec![asked.reply(3, &[], &[soa("test.", 3600, 3600)])]));
    let client = Client::with(&[&upstream], |group| {
        let cache = group.cache.as_mut().unwrap();
        cache.denial.1 = Duration::from_secs(30);
        (cache.stale, cache.prefetch) = (None, None);
    });
    assert_eq!(ttls(&hit(client.ask("no.test."))), [30]);
    let now = Instant::now();
    for (seconds, want) in [(0, Some(30)), (10, Some(20)), (29, Some(1)), (31, None), (61, None)] {
        let cached = client.cached("no.test.", now + Duration::from_secs(seconds));
        assert_eq!(cached.map(|hit| ttls(&hit)[0]), want, "{seconds} s");
    }
}

/// NXDOMAIN without SOA is not kept; SERVFAIL up to 5 s.
#[test]
fn scen_25_what_is_not_kept() {
    let upstream = Upstream::start(|asked| {
        let rcode = if asked.name.starts_with("no.") { 3 } else { 2 };
        Do::Send(vec![asked.reply(rcode, &[], &[])])
    });
    let client = Client::new(&[&upstream]);
    for _ in 0..2 {
        assert_eq!(hit(client.ask("no.test.")).stored.rcode(), rcode::NXDOMAIN);
    }
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(hit(client.ask("fail.test.")).stored.rcode(), rcode::SERVFAIL);
    let now = Instant::now();
    for (seconds, kept) in [(0, true), (4, true), (6, false)] {
        let cached = client.cached("fail.test.", now + Duration::from_secs(seconds));
        assert_eq!(cached.is_some(), kept, "{seconds} s");
    }
    assert_eq!(upstream.seen().len(), 3);
}

/// Ten seconds later: each TTL is less by ten, ID, RD and letter case are the query's, AA=0, OPT is made anew.
#[test]
fn scen_27_a_hit_ten_seconds_later() {
    let upstream = Upstream::start(|asked| {
        let mut message = asked.reply(0, &[a("www.test.", 300, 1), a("www.test.", 60, 2)], &[]);
        message[2] |= 0x04; // AA
        Do::Send(vec![message])
    });
    let client = Client::new(&[&upstream]);
    client.ask("www.test.");
    let later = Instant::now() + Duration::from_secs(10);
    let kept = client.cached("WwW.test.", later).unwrap();
    assert!(kept.cached && !kept.stale);
    assert_eq!(kept.ttls, Ttls { age: 10, least: 5, most: 3600, stale: None });
    assert_eq!(ttls(&kept), [290, 50]);
    for payload in [None, Some(1232)] {
        let mut query = query(0xabcd, "WwW.test.", payload);
        query[2] &= 0xfe; // RD
        let reply = reply(&kept, &query, 1232);
        assert_eq!(reply[..4], [0xab, 0xcd, 0x80, 0x80], "{payload:?}");
        assert_eq!(reply[12..16], *b"\x03WwW");
        assert_eq!(reply[11], u8::from(payload.is_some()), "OPT");
    }
}

/// A stub domain's upstream changes: it is in use at once, the cache of other zones stays.
#[test]
fn scen_29_stub_domain_changes() {
    let (old, new, other) = (Upstream::good(1), Upstream::good(2), Upstream::good(3));
    let settings = |stub: &Upstream| {
        let mut acme = group(&[stub]);
        (acme.name, acme.zone) = ("acme.local".into(), "acme.local.".parse().unwrap());
        vec![acme, group(&[&other])]
    };
    let forwarder = Forwarder::start().unwrap();
    let clients = |groups: Vec<_>| {
        let client = |group| Client { forwarder: forwarder.clone(), group };
        groups.into_iter().map(client).collect::<Vec<_>>()
    };
    let before = clients(forwarder.configure(settings(&old), &[]).groups);
    assert_eq!((last(&before[0].ask("x.acme.local.")), last(&before[1].ask("www.test."))), (1, 3));
    let after = clients(forwarder.configure(settings(&new), &[]).groups);
    assert_eq!((last(&after[0].ask("x.acme.local.")), last(&after[1].ask("www.test."))), (2, 3));
    assert_eq!((old.seen().len(), new.seen().len(), other.seen().len()), (1, 1, 1));
    assert_eq!(last(&before[0].resolve("y.acme.local.").wait()), 1, "an old handle works");
}

/// New upstreams are in use at once; our own address and systemd-resolved's stub are refused, and say so.
#[test]
fn scen_30_resolv_conf_changes() {
    let (old, new) = (Upstream::good(1), Upstream::good(2));
    let forwarder = Forwarder::start().unwrap();
    let group_of = |settings| forwarder.configure(vec![settings], &[]).groups.remove(0);
    let client = Client { forwarder: forwarder.clone(), group: group_of(group(&[&old])) };
    assert_eq!(last(&client.ask("www.test.")), 1);
    let client = Client { forwarder: forwarder.clone(), group: group_of(group(&[&new])) };
    assert_eq!(last(&client.ask("www.test.")), 2);
    let mut settings = group(&[&new, &old]);
    settings.upstreams.push(At::plain("127.0.0.53:53".parse().unwrap()));
    let configured = forwarder.configure(vec![settings], &[old.address]);
    let problems: Vec<String> = configured.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2);
    assert!(
        problems.iter().all(|problem| problem.contains("a loop") && !problem.contains('\n')),
        "{problems:?}"
    );
    let client = Client { forwarder, group: configured.groups[0].clone() };
    assert_eq!(last(&client.ask("other.test.")), 2);
}

/// An upstream that asks this server is disabled; the others go on.
#[test]
fn scen_30_a_loop_is_found() {
    let good = Upstream::good(2);
    let (udp, _tcp) = crate::upstream::bind([127, 0, 0, 1].into());
    let looping = Upstream::without_sockets(udp.local_addr().unwrap(), |_| Do::Drop);
    let client = Client::new(&[&looping, &good]);
    let (forwarder, group) = (client.forwarder.clone(), client.group.clone());
    // It hands each question to our own server.
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let query = dns_wire::parse_query(&buffer[..length]).ok().unwrap();
            let name: Name = query.name.to_owned();
            let refused = forwarder.resolve(&group, &asking(&name, query.qtype), Box::new(|_| {}));
            let asked = crate::message::Asked::read(&buffer[..length], false, 0);
            if refused.is_err() {
                udp.send_to(&asked.reply(2, &[], &[]), from).unwrap();
            }
        }
    });
    client.until("the loop is found", |metrics| metrics.upstreams[0].looping);
    assert_eq!(last(&client.ask("www.test.")), 2);
    assert!(!client.metrics().upstreams[0].up && client.metrics().upstreams[1].up);
}

/// A slow upstream and many cold names: no more under way than the bound, the rest is refused at once.
#[test]
fn scen_38_slow_upstream() {
    let upstream = Upstream::start(|asked| Do::Later(Duration::from_secs(2), asked.good(1)));
    let client = Client::with(&[&upstream], |group| group.max_concurrent = 200);
    let waiting: Vec<_> = (0..2000).map(|number| client.resolve(&format!("n{number}.test."))).collect();
    let metrics = client.metrics();
    assert_eq!((metrics.in_flight, metrics.waiting, metrics.overloaded), (200, 200, 1800));
    let resolved: Vec<_> = waiting.into_iter().map(crate::client::Pending::wait).collect();
    let (answered, refused) = resolved
        .into_iter()
        .partition::<Vec<_>, _>(|resolved| matches!(resolved, towpath_dns_forward::Resolved::Answer(_)));
    assert_eq!((answered.len(), refused.len()), (200, 1800));
    assert!(refused.into_iter().all(|resolved| why(resolved) == Why::Overloaded));
    let metrics = client.metrics();
    assert!(metrics.upstreams[0].conn_misses <= 32 + 200 * 4 / 64, "sockets: {metrics:?}");
    client.until("all is over", |metrics| metrics.in_flight == 0 && metrics.waiting == 0);
}
