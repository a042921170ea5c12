//! Nothing grows: sockets, connections, who waits; and all are told when it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dns_wire::{Name, class, rtype};
use towpath_dns_forward::{Asking, CONNECTIONS, Forwarder, Resolved, SOCKETS, Why};

use crate::client::{Client, Pending, asking, last, why};
use crate::upstream::{Do, Upstream};

/// Many questions by UDP: each socket at its own port, no more of them than the bound allows.
#[test]
fn sockets() {
    let upstream = Upstream::good(1);
    let client = Client::with(&[&upstream], |group| group.cache = None);
    for number in 0..640 {
        assert_eq!(last(&client.ask(&format!("n{number}.test."))), 1);
    }
    let metrics = &client.metrics().upstreams[0];
    assert_eq!(metrics.replies[0].count, metrics.conn_hits + metrics.conn_misses);
    assert!(metrics.conn_misses >= SOCKETS as u64 / 2, "ports change: {metrics:?}");
    assert!(metrics.conn_misses <= SOCKETS as u64 + 640 / 64, "sockets are used again: {metrics:?}");
}

/// IDs cannot be foreseen.
#[test]
fn ids() {
    let upstream = Upstream::good(1);
    let client = Client::with(&[&upstream], |group| group.cache = None);
    (0..64).for_each(|number| drop(client.ask(&format!("n{number}.test."))));
    let mut ids: Vec<_> = upstream.seen().iter().map(|asked| [asked.message[0], asked.message[1]]).collect();
    let steps = ids.windows(2).filter(|pair| pair[0][0] == pair[1][0]).count();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() >= 60 && steps < 8, "{ids:?}");
}

/// Many questions by TCP at once: few connections.
#[test]
fn connections() {
    let upstream = Upstream::good(1);
    let client = Client::with(&[&upstream], |group| (group.force_tcp, group.cache) = (true, None));
    let waiting: Vec<_> = (0..800).map(|number| client.resolve(&format!("n{number}.test."))).collect();
    waiting.into_iter().for_each(|pending| assert_eq!(last(&pending.wait()), 1));
    assert!(upstream.connections.load(Ordering::SeqCst) <= CONNECTIONS);
}

/// An idle connection is closed.
#[test]
fn idle_connections_end() {
    let upstream = Upstream::good(1);
    let client = Client::with(&[&upstream], |group| {
        (group.force_tcp, group.cache, group.expire) = (true, None, Duration::from_millis(1));
    });
    let mut number = 0;
    client.until("a second connection", |_| {
        number += 1;
        last(&client.ask(&format!("n{number}.test.")));
        upstream.connections.load(Ordering::SeqCst) >= 2
    });
}

/// Those who ask for one name are bounded too.
#[test]
fn waiters() {
    let upstream = Upstream::start(|asked| Do::Later(Duration::from_secs(1), asked.good(1)));
    let client = Client::with(&[&upstream], |group| group.max_concurrent = 2);
    let waiting: Vec<_> = (0..20).map(|_| client.resolve("www.test.")).collect();
    let resolved: Vec<_> = waiting.into_iter().map(Pending::wait).collect();
    let refused = resolved.iter().filter(|resolved| matches!(resolved, Resolved::Failed(Why::Overloaded)));
    assert_eq!(refused.count(), 12, "four times max_concurrent may wait");
    assert_eq!(client.metrics().waiting, 0);
}

/// Whoever waits is told when the forwarder ends; whoever asks later too.
#[test]
fn the_end() {
    let client = Client::new(&[&Upstream::dead()]);
    let pending = client.resolve("www.test.");
    let Client { forwarder, group } = client;
    drop(forwarder);
    assert_eq!(why(pending.wait()), Why::Stopped);
    let other = Client { forwarder: Forwarder::start().unwrap(), group };
    assert!(other.cached("www.test.", std::time::Instant::now()).is_none());
}

/// A group whose upstreams cannot be used says so.
#[test]
fn no_upstream() {
    assert_eq!(why(Client::new(&[]).ask("www.test.")), Why::NoUpstream);
}

/// Questions that differ by type, class, DO or CD are different ones, by letter case they are not.
#[test]
fn keys() {
    let upstream = Upstream::good(1);
    let client = Client::new(&[&upstream]);
    let (name, upper): (Name, Name) = ("www.test.".parse().unwrap(), "WWW.TEST.".parse().unwrap());
    let plain = asking(&name, rtype::A);
    let table: [(Asking<'_>, usize); 6] = [
        (plain, 1),
        (Asking { dnssec_ok: true, ..plain }, 2),
        (Asking { checking_disabled: true, ..plain }, 3),
        (Asking { dnssec_ok: true, checking_disabled: true, ..plain }, 4),
        (Asking { qclass: class::CH, ..plain }, 5),
        (Asking { name: upper.as_ref(), ..plain }, 5),
    ];
    for (asking, want) in table {
        let now = std::time::Instant::now();
        if client.forwarder.cached(&client.group, &asking, now).is_none() {
            client.resolve_as(&asking).wait();
        }
        assert_eq!(upstream.seen().len(), want, "{asking:?}");
    }
}
