//! Upstreams: one that answers everything after a fixed time, one that never answers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use dns_wire::{Data, Reply, Section, parse_query, rtype};
use testkit::netns::NetNs;

/// Replies on their way; more are lost, as on a real way.
const ON_THE_WAY: usize = 100_000;
const LARGEST: usize = 2048;

/// An upstream that answers A with one address and all else with nothing, `delay` after the query. It lives as long as the process.
pub(crate) fn answering(namespace: &NetNs, port: u16, delay: Duration) -> Result<()> {
    let socket = bound(namespace, port)?;
    let (send, receive) = sync_channel(ON_THE_WAY);
    let replies = socket.try_clone()?;
    thread::spawn(move || read(&socket, delay, &send));
    thread::spawn(move || deliver(&replies, &receive));
    Ok(())
}

/// An upstream that takes queries and never answers, as long as the socket lives.
pub(crate) fn dead(namespace: &NetNs, port: u16) -> Result<UdpSocket> {
    bound(namespace, port)
}

fn bound(namespace: &NetNs, port: u16) -> Result<UdpSocket> {
    Ok(namespace.run(|| UdpSocket::bind(("127.0.0.1", port)))??)
}

struct Letter {
    due: Instant,
    to: SocketAddr,
    octets: Vec<u8>,
}

fn read(socket: &UdpSocket, delay: Duration, letters: &SyncSender<Letter>) {
    let mut buffer = [0; LARGEST];
    while let Ok((length, to)) = socket.recv_from(&mut buffer) {
        let due = Instant::now() + delay;
        if let Some(octets) = answer(&buffer[..length]) {
            // Lost if there are too many.
            let _ = letters.try_send(Letter { due, to, octets });
        }
    }
}

fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let query = parse_query(message).ok()?;
    let mut out = Vec::with_capacity(128);
    let mut reply = Reply::new(&mut out, &query, query.udp_limit(1232));
    reply.set_recursion_available(true);
    if query.qtype == rtype::A {
        reply.push(Section::Answer, query.name, rtype::A, 3600, Data::A(Ipv4Addr::new(192, 0, 2, 1)));
    }
    reply.finish();
    Some(out)
}

fn deliver(socket: &UdpSocket, letters: &Receiver<Letter>) {
    for letter in letters {
        thread::sleep(letter.due.saturating_duration_since(Instant::now()));
        // Whoever asked may be gone.
        let _ = socket.send_to(&letter.octets, letter.to);
    }
}
