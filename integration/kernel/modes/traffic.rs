//! Clients that make a new request every few milliseconds. Each must be answered, and soon.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use model::Protocol;
use socket2::{Domain, Socket, Type};
use testkit::world::World;

use crate::packets::ANSWER;
use crate::stage::{Stage, ip, socket};
use crate::vs::is_virtual_machine;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(8);
/// Each client makes at least so many requests in a second, on a busy machine.
const LEAST: f64 = 4.0;
/// The same in an emulated machine, which clients would otherwise have for themselves.
const EMULATED: (Duration, f64) = (Duration::from_millis(200), 1.0);
/// How long an answer may take there: the whole machine stands still for a second now and then. A SYN that was lost may be
/// sent again meanwhile; that datagrams are lost is seen all the same.
const EMULATED_ANSWER: Duration = Duration::from_secs(5);
/// How many losses of a client are shown.
const SHOWN: usize = 3;
/// Ports of the clients: others than those that single probes take.
const PORTS: (&str, &str) = ("ipv4/ip_local_port_range", "10000 29999");
const QUESTION: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// A client, a frontend, and how they talk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(pub(crate) &'static str, pub(crate) &'static str, pub(crate) Protocol);

/// What became of a client's requests.
#[derive(Default)]
struct Tally {
    answered: usize,
    lost: usize,
    /// The first losses, and when.
    shown: Vec<String>,
}

/// The pause between requests, and how many a second there must be at least.
fn pace() -> (Duration, f64) {
    if is_virtual_machine() { EMULATED } else { (PAUSE, LEAST) }
}

/// How long a client of these waits for an answer.
pub(crate) fn patience() -> Duration {
    if is_virtual_machine() { EMULATED_ANSWER } else { ANSWER }
}

/// Has the kernel pick other ports for clients than those that single probes take.
pub(crate) fn set_ports_apart(stage: &Stage, streams: &[Stream]) -> Result<()> {
    streams.iter().try_for_each(|Stream(from, ..)| stage.world.namespace(ip(from)?).set_sysctls(&[PORTS]))
}

/// Does something while all streams flow; the error names every stream that lost something.
pub(crate) fn during(
    stage: &mut Stage,
    streams: &[Stream],
    act: impl FnOnce(&mut Stage) -> Result<()>,
) -> Result<()> {
    let (stop, since) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let clients: Vec<_> = streams
        .iter()
        .map(|stream| start(*stream, Arc::clone(&stage.world), Arc::clone(&stop), since))
        .collect::<Result<_>>()?;
    let acted = act(stage);
    stop.store(true, Ordering::Relaxed);
    let judged = clients.into_iter().zip(streams).filter_map(|(client, stream)| {
        let tally = client.join().map_err(|_| anyhow!("the client panicked")).and_then(|joined| joined);
        let judged = tally.and_then(|tally| judge(&tally, since));
        judged.err().map(|error| format!("{stream:?}: {error:#}"))
    });
    let wrong: Vec<String> = judged.collect();
    match (acted, wrong.is_empty()) {
        (Ok(()), true) => Ok(()),
        (Ok(()), false) => Err(anyhow!("requests were lost:\n{}", wrong.join("\n"))),
        (Err(error), true) => Err(error),
        (Err(error), false) => Err(error.context(format!("and requests were lost:\n{}", wrong.join("\n")))),
    }
}

fn judge(tally: &Tally, since: Instant) -> Result<()> {
    let Tally { answered, lost, shown } = tally;
    ensure!(*lost == 0, "{lost} lost, {answered} answered: {}", shown.join("; "));
    let least = pace().1 * since.elapsed().as_secs_f64();
    ensure!(*answered as f64 >= least, "only {answered} requests, want {least:.0}");
    Ok(())
}

fn start(
    Stream(from, to, protocol): Stream,
    world: Arc<World>,
    stop: Arc<AtomicBool>,
    since: Instant,
) -> Result<JoinHandle<Result<Tally>>> {
    let (from, to) = (ip(from)?, socket(to)?);
    Ok(thread::spawn(move || {
        world.namespace(from).run(|| {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                tally.count(since, || ask(from, to, protocol));
                thread::sleep(pace().0);
            }
            tally
        })
    }))
}

impl Tally {
    fn count(&mut self, since: Instant, ask: impl FnOnce() -> io::Result<()>) {
        let start = Instant::now();
        let result = ask();
        let took = start.elapsed();
        let problem = match result {
            Ok(()) if took < patience() => {
                self.answered += 1;
                return;
            }
            Ok(()) => format!("answered only after {took:?}"),
            Err(error) => error.to_string(),
        };
        self.lost += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("after {:?}: {problem}", start.duration_since(since)));
        }
    }
}

/// One request on a socket of its own.
fn ask(from: IpAddr, to: SocketAddr, protocol: Protocol) -> io::Result<()> {
    let mut answer = [0; 256];
    let length = match protocol {
        Protocol::Udp => {
            let socket = UdpSocket::bind((from, 0))?;
            socket.set_read_timeout(Some(patience()))?;
            socket.connect(to)?;
            socket.send(QUESTION)?;
            socket.recv(&mut answer)?
        }
        Protocol::Tcp | Protocol::Sctp => {
            let mut stream = connect(from, to)?;
            stream.set_read_timeout(Some(patience()))?;
            stream.write_all(QUESTION)?;
            stream.read(&mut answer)?
        }
    };
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// A connection from this address: one namespace has several clients.
pub(crate) fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), patience())?;
    Ok(socket.into())
}
