//! The program is replaced while much is asked, and what is under way when it ends is answered.

use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use model::Protocol::{Tcp, Udp};
use nix::sys::signal::Signal::SIGTERM;
use testkit::wait;
use testkit::world::World;

use crate::Test;
use crate::dns::ask::{self, A, NAME, Reply, connect, query, receive, send};
use crate::dns::falls::WHILE;
use crate::dns::program::{INTERCEPT, await_intercepted, build, config};
use crate::dns::{POD, POD6, VIP, VIP6, plan};
use crate::stage::{Stage, ip, socket};

/// In every mode.
pub(crate) const TESTS: &[Test] = &[Test::new("an_upgrade_under_load_loses_no_query", upgrade)];
/// Once.
pub(crate) const ONCE: &[Test] = &[Test::new("what_is_under_way_at_the_end_is_answered", under_way)];

const CLIENTS: [(&str, &str); 2] = [(POD, VIP), (POD6, VIP6)];
/// Sockets that ask a hundred times a second each: together 1,000 queries a second.
const SOCKETS: usize = 10;
const PACE: Duration = Duration::from_millis(10);
/// Connections that are kept for as long as they last.
const CONNECTIONS: usize = 50;
const TCP_PACE: Duration = Duration::from_millis(100);
/// How long an answer may take at the most.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of the queries of some clients.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: usize,
    /// Answered by somebody, at once or at the second try.
    answered: usize,
    /// Asked again by a new connection, since the one before ended.
    again: usize,
}

impl Count {
    fn and(self, other: Self) -> Self {
        let Self { sent, answered, again } = other;
        Self { sent: self.sent + sent, answered: self.answered + answered, again: self.again + again }
    }
}

type Client = JoinHandle<Result<Count>>;

fn sum(clients: Vec<Client>) -> Result<Count> {
    let mut all = Count::default();
    for client in clients {
        all = all.and(client.join().map_err(|_| anyhow!("a client panicked"))??);
    }
    Ok(all)
}

/// One socket that sends without waiting for answers.
fn udp_client(world: &World, from: &str, to: &str, stop: &AtomicBool) -> Result<Count> {
    let (source, to) = (ip(from)?, socket(to)?);
    let bind = || UdpSocket::bind(SocketAddr::new(source, 0));
    let socket = world.namespace(source).run(bind)??;
    socket.connect(to)?;
    let mut count = Count::default();
    while !stop.load(Ordering::SeqCst) {
        // A refusal of an earlier query is its loss.
        let sent = socket.send(&query(NAME, A)).or_else(|_| socket.send(&query(NAME, A)))?;
        count.sent += usize::from(sent > 0);
        count.answered += hear(&socket, Instant::now() + PACE, usize::MAX)?;
    }
    let left = count.sent - count.answered;
    count.answered += hear(&socket, Instant::now() + PATIENCE, left)?;
    Ok(count)
}

/// Counts replies until then, or until there are so many.
fn hear(socket: &UdpSocket, until: Instant, most: usize) -> Result<usize> {
    let (mut heard, mut reply) = (0, [0; 1500]);
    while heard < most {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        heard += usize::from(socket.recv(&mut reply).is_ok());
    }
    Ok(heard)
}

/// One client that keeps its connection, and asks once more by a new one where it has ended, as RFC 7766 wants it.
fn tcp_client(world: &World, from: &str, to: &str, stop: &AtomicBool) -> Result<Count> {
    let (source, to) = (ip(from)?, socket(to)?);
    let namespace = world.namespace(source);
    let connect = || namespace.run(|| connect(source, to, PATIENCE));
    let (mut count, mut kept) = (Count::default(), None);
    while !stop.load(Ordering::SeqCst) {
        count.sent += 1;
        let mut stream = kept.take().map_or_else(connect, |stream| Ok(Ok(stream)))?;
        if !answers(&mut stream) {
            count.again += 1;
            stream = connect()?;
            if !answers(&mut stream) {
                continue;
            }
        }
        count.answered += 1;
        // A stand-in closes after each answer.
        kept = stream.ok().filter(is_open);
        thread::sleep(TCP_PACE);
    }
    Ok(count)
}

fn answers(stream: &mut io::Result<TcpStream>) -> bool {
    stream.as_mut().is_ok_and(|stream| exchange(stream).is_ok())
}

fn exchange(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    send(stream, &query(NAME, A))?;
    receive(stream)
}

fn is_open(stream: &TcpStream) -> bool {
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    peek().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// scen-11.
fn upgrade() -> Result<()> {
    let mut stage = build(plan()?, &[INTERCEPT])?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        let stop = Arc::new(AtomicBool::new(false));
        let start = |i: usize, ask: fn(&World, &str, &str, &AtomicBool) -> Result<Count>| {
            let (world, stop, (from, to)) = (Arc::clone(&stage.world), Arc::clone(&stop), CLIENTS[i % 2]);
            thread::spawn(move || ask(&world, from, to, &stop))
        };
        let udp = (0..SOCKETS).map(|i| start(i, udp_client)).collect();
        let tcp = (0..CONNECTIONS).map(|i| start(i, tcp_client)).collect();
        thread::sleep(WHILE);
        stage.stop()?;
        stage.start()?;
        await_intercepted(stage)?;
        thread::sleep(WHILE);
        stop.store(true, Ordering::SeqCst);
        let (udp, tcp) = (sum(udp)?, sum(tcp)?);
        ensure!(udp.answered == udp.sent, "queries were lost over UDP: {udp:?}");
        ensure!(tcp.answered == tcp.sent, "queries were lost over TCP: {tcp:?}");
        ensure!(tcp.again <= 2 * CONNECTIONS, "connections ended more than twice: {tcp:?}");
        Ok(())
    })
}

/// An upstream that takes its time, at the node's own address; ends with the test's process.
fn slow_upstream(stage: &Stage, at: &'static str, pause: Duration) -> Result<Arc<AtomicUsize>> {
    let upstream = stage.node().run(|| UdpSocket::bind(at))??;
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    thread::spawn(move || -> io::Result<()> {
        let mut query = [0; 1500];
        loop {
            let (length, peer) = upstream.recv_from(&mut query)?;
            let (mut reply, upstream) = (query[..length].to_vec(), upstream.try_clone()?);
            if !reply.windows(4).any(|part| part == b"slow") {
                continue;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                thread::sleep(pause);
                reply[2] |= 0x80;
                upstream.send_to(&reply, peer)
            });
        }
    });
    Ok(seen)
}

/// Queries that wait for an upstream when the program is told to end.
fn under_way() -> Result<()> {
    const UPSTREAM: &str = "127.0.0.1:5399";
    const COREFILE: &str = ".:53 {\n kubernetes cluster.local\n forward . 127.0.0.1:5399\n}\n";
    let mut stage = build(plan()?, &[INTERCEPT])?;
    config::write(&mut stage, COREFILE)?;
    let seen = slow_upstream(&stage, UPSTREAM, Duration::from_millis(700))?;
    stage.start()?;
    stage.play(|stage| {
        await_intercepted(stage)?;
        let kinds = CLIENTS.into_iter().flat_map(|client| [(client, Udp), (client, Tcp)]);
        let ask = |(i, ((from, to), protocol)): (usize, ((&'static str, &'static str), _))| {
            let world = Arc::clone(&stage.world);
            thread::spawn(move || {
                let name = format!("slow-{i}.example.org");
                ask::ask(&world, (ip(from)?, socket(to)?), protocol, (&name, A), PATIENCE)
            })
        };
        let clients: Vec<_> = kinds.cycle().take(20).enumerate().map(ask).collect();
        wait::until("the upstream to be asked", PATIENCE, || {
            Ok((seen.load(Ordering::SeqCst) >= clients.len()).then_some(()))
        })?;
        stage.signal(SIGTERM)?;
        for client in clients {
            let reply = client.join().map_err(|_| anyhow!("a client panicked"))??;
            ensure!(reply == Reply::Node(0, Vec::new()), "{reply:?}");
        }
        ensure!(stage.await_end()?.success(), "the program failed");
        Ok(())
    })
}
