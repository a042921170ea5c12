//! What upstreams do wrong, and what becomes of a question then.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dns_wire::rcode;
use towpath_dns_forward::{Resolved, Why};

use crate::client::{Client, hit, last, why};
use crate::message::{Asked, a};
use crate::upstream::{Do, Upstream, bind};

/// What comes of a question to one upstream with this script.
struct Case {
    name: &'static str,
    force_tcp: bool,
    script: fn(&Asked) -> Do,
    want: Result<u8, Why>,
    /// Questions by UDP and TCP.
    asked: (usize, usize),
}

fn good(asked: &Asked) -> Do {
    Do::Send(vec![asked.good(1)])
}

fn broken(asked: &Asked) -> Vec<u8> {
    let mut message = asked.good(1);
    message[7] = 9; // ANCOUNT
    message
}

const CASES: &[Case] = &[
    Case { name: "answers", force_tcp: false, script: good, want: Ok(1), asked: (1, 0) },
    Case { name: "answers by TCP", force_tcp: true, script: good, want: Ok(1), asked: (0, 1) },
    Case {
        name: "loses the first packet",
        force_tcp: false,
        script: |asked| if asked.number == 0 { Do::Drop } else { good(asked) },
        want: Ok(1),
        asked: (2, 0),
    },
    Case {
        name: "says FORMERR to EDNS",
        force_tcp: false,
        script: |asked| if asked.edns { Do::Send(vec![asked.reply(1, &[], &[])]) } else { good(asked) },
        want: Ok(1),
        asked: (2, 0),
    },
    Case {
        name: "says FORMERR to EDNS with a bare header",
        force_tcp: false,
        script: |asked| match asked.edns {
            true => Do::Send(vec![[&asked.message[..2], &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat()]),
            false => good(asked),
        },
        want: Ok(1),
        asked: (2, 0),
    },
    Case {
        name: "sends what cannot be read",
        force_tcp: false,
        script: |asked| Do::Send(vec![broken(asked)]),
        want: Err(Why::Broken),
        asked: (2, 0),
    },
    Case {
        name: "truncates, and closes TCP at once",
        force_tcp: false,
        script: |asked| if asked.tcp { Do::Close } else { Do::Send(vec![asked.truncated()]) },
        want: Err(Why::Unreachable),
        asked: (1, 3),
    },
    Case {
        name: "closes TCP once",
        force_tcp: true,
        script: |asked| if asked.number == 0 { Do::Close } else { good(asked) },
        want: Ok(1),
        asked: (0, 2),
    },
    Case {
        name: "sends a datagram that is too long for us, without TC",
        force_tcp: false,
        script: |asked| {
            let records = (0..300).map(|_| a("www.test.", 300, 1)).collect::<Vec<_>>();
            Do::Send(vec![if asked.tcp { asked.good(1) } else { asked.reply(0, &records, &[]) }])
        },
        want: Ok(1),
        asked: (1, 1),
    },
    Case {
        name: "sends an OPT record with an option that is cut off",
        force_tcp: false,
        script: |asked| {
            let mut message = asked.good(1);
            message[11] = 1; // ARCOUNT
            message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 5, 0, 15, 0, 9, 1]);
            Do::Send(vec![message])
        },
        want: Ok(1),
        asked: (1, 0),
    },
    Case {
        name: "truncates by TCP too",
        force_tcp: false,
        script: |asked| Do::Send(vec![asked.truncated()]),
        want: Err(Why::Broken),
        asked: (2, 2),
    },
    Case {
        name: "sends an empty message by TCP",
        force_tcp: true,
        script: |asked| if asked.number == 0 { Do::Raw(vec![0, 0]) } else { good(asked) },
        want: Ok(1),
        asked: (0, 2),
    },
    Case {
        name: "sends another's reply first by TCP",
        force_tcp: true,
        script: |asked| {
            let mut other = asked.good(66);
            other[0] ^= 0x55;
            Do::Send(vec![other, vec![0xff; 40], asked.good(1)])
        },
        want: Ok(1),
        asked: (0, 1),
    },
    Case {
        name: "sends the half of a message and closes",
        force_tcp: true,
        script: |asked| Do::SendAndClose(asked.good(1)[..20].to_vec()),
        want: Err(Why::Unreachable),
        asked: (0, 3),
    },
];

#[test]
fn faults_of_one_upstream() {
    for case in CASES {
        let upstream = Upstream::start(case.script);
        let client = Client::with(&[&upstream], |group| group.force_tcp = case.force_tcp);
        match (client.ask("www.test."), &case.want) {
            (Resolved::Answer(hit), Ok(want)) => {
                assert_eq!(last(&Resolved::Answer(hit)), *want, "{}", case.name);
                assert!(client.cached("www.test.", Instant::now()).is_some(), "{}", case.name);
            }
            (Resolved::Failed(why), Err(want)) => {
                assert_eq!(why, *want, "{}", case.name);
                assert!(client.cached("www.test.", Instant::now()).is_none(), "{}", case.name);
            }
            (got, want) => panic!("{}: {got:?}, not {want:?}", case.name),
        }
        let seen = upstream.seen();
        let tcp = seen.iter().filter(|asked| asked.tcp).count();
        assert_eq!((seen.len() - tcp, tcp), case.asked, "{}", case.name);
    }
}

/// The next upstream is asked at once when one refuses or is not there; a poor answer is given when there is no better.
#[test]
fn failover() {
    let (udp, tcp) = bind(Ipv4Addr::LOCALHOST.into());
    let absent = Upstream::without_sockets(udp.local_addr().unwrap(), good);
    drop((udp, tcp));
    let says = |rcode| Upstream::start(move |asked| Do::Send(vec![asked.reply(rcode, &[], &[])]));
    let (servfail, refused, nxdomain, fine) = (says(2), says(5), says(3), Upstream::good(1));
    let table: [(&str, &[&Upstream], u16); 6] = [
        ("not there", &[&absent, &fine], rcode::NOERROR),
        ("SERVFAIL", &[&servfail, &fine], rcode::NOERROR),
        ("REFUSED", &[&refused, &fine], rcode::NOERROR),
        ("NXDOMAIN is an answer", &[&nxdomain, &fine], rcode::NXDOMAIN),
        ("all poor", &[&refused, &servfail], rcode::SERVFAIL),
        ("poor and not there", &[&servfail, &absent], rcode::SERVFAIL),
    ];
    for (what, upstreams, want) in table {
        let (client, start) = (Client::new(upstreams), Instant::now());
        assert_eq!(hit(client.ask("www.test.")).stored.rcode(), want, "{what}");
        assert!(start.elapsed() < Duration::from_millis(190), "{what}: without waiting");
    }
    assert_eq!(why(Client::new(&[&absent]).ask("www.test.")), Why::Unreachable);
}

/// An upstream that failed is asked again when it is well, found by probes.
#[test]
fn recovery() {
    let first =
        Upstream::start(|asked| if asked.number == 0 { Do::Drop } else { Do::Send(vec![asked.good(1)]) });
    first.well.store(false, Ordering::SeqCst);
    let second = Upstream::good(2);
    let client = Client::with(&[&first, &second], |group| {
        group.health_interval = Duration::from_millis(20);
        (group.max_fails, group.cache) = (1, None);
    });
    assert_eq!(last(&client.ask("a.test.")), 2);
    client.until("it is down", |metrics| !metrics.upstreams[0].up);
    assert_eq!(last(&client.ask("b.test.")), 2);
    first.well.store(true, Ordering::SeqCst);
    client.until("it is up", |metrics| metrics.upstreams[0].up);
    assert_eq!(last(&client.ask("c.test.")), 1);
    assert!(client.metrics().upstreams[0].health_failures >= 1);
    assert!(first.probes() >= 2);
}

/// One code path for both families.
#[test]
fn ipv6() {
    let upstream = Upstream::start_at(Ipv6Addr::LOCALHOST.into(), |asked| match asked.tcp {
        true => Do::Send(vec![asked.good(6)]),
        false => Do::Send(vec![asked.truncated()]),
    });
    assert_eq!(last(&Client::new(&[&upstream]).ask("www.test.")), 6);
}

/// A connection that dies without a word is left after a second.
#[test]
fn silent_connection() {
    let upstream = Upstream::start(|asked| if asked.number == 1 { Do::Drop } else { good(asked) });
    let client = Client::with(&[&upstream], |group| group.force_tcp = true);
    assert_eq!(last(&client.ask("a.test.")), 1);
    let start = Instant::now();
    assert_eq!(last(&client.ask("b.test.")), 1);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

/// The answer of an upstream is relayed as it is, with record types that nobody knows.
#[test]
fn unknown_types_are_relayed() {
    let upstream = Upstream::start(|asked| {
        let unknown = crate::message::Record("www.test.", 65_280, 77, vec![0xc0, 0x0c, 0xff, 0, 1]);
        Do::Send(vec![asked.reply(0, &[a("www.test.", 300, 1), unknown], &[])])
    });
    let hit = hit(Client::new(&[&upstream]).ask("www.test."));
    let record = hit.stored.answers().nth(1).unwrap();
    assert_eq!((record.rtype, record.ttl, record.data), (65_280, 77, vec![0xc0, 0x0c, 0xff, 0, 1]));
}
