//! The stand-in's process: this test's own program in another role.
//!
//! Commands on standard input, one answer for each: `apply LISTEN VIPS OPTED-OUT NODE` (lists with commas, `-` for none),
//! `ask`, `pause`, `flip`, `alive`, `mute udp|tcp`, `cleanup`. To what begins as a DNS query it answers with its echo as a
//! reply, to all else in the way of [`testkit::server`].

use std::collections::BTreeSet;
use std::env;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dns_node::{DnsNode, PORT, Prober, Wanted, tcp_socket, udp_socket};
use model::Protocol;

/// The variable that gives a process this role.
pub(crate) const ROLE: &str = "TOWPATH_TEST_DNS_STAND_IN";
/// `. NS`, with an ID that the prober replaces.
const QUERY: [u8; 17] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// How long a client of TCP may take.
const CLIENT: Duration = Duration::from_secs(5);

static MUTE: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// Plays the role, if this process has it.
pub(crate) fn play_if_asked() -> Option<ExitCode> {
    env::var_os(ROLE)?;
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the stand-in: {error:#}");
            ExitCode::FAILURE
        }
    })
}

struct Server {
    node: DnsNode,
    prober: Prober,
    bound: BTreeSet<IpAddr>,
}

fn run() -> Result<()> {
    let mut server =
        Server { node: DnsNode::open()?, prober: Prober::start(&QUERY)?, bound: BTreeSet::new() };
    for line in io::stdin().lock().lines() {
        match server.obey(&line?) {
            Ok(said) => println!("ok {said}"),
            Err(error) => println!("error {error:#}"),
        }
    }
    Ok(())
}

impl Server {
    fn obey(&mut self, line: &str) -> Result<String> {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["apply", listen, vips, opted_out, node] => self.apply(&Wanted {
                listen: list(listen)?,
                intercept: list(vips)?,
                opted_out: list(opted_out)?,
                node: list(node)?,
            }),
            ["ask"] => self.done(|server| server.prober.resume()),
            ["pause"] => self.done(|server| server.prober.pause()),
            ["mute", protocol] => {
                self.done(|_| MUTE[usize::from(*protocol == "tcp")].store(true, Ordering::SeqCst))
            }
            ["flip"] => Ok(self.node.flip_back().map(|()| String::new())?),
            ["cleanup"] => Ok(self.node.cleanup()?.to_string()),
            ["alive"] => {
                let alive = self.node.alive()?;
                Ok(alive.iter().map(|(ip, protocol)| format!("{ip}/{protocol} ")).collect())
            }
            other => bail!("no command: {other:?}"),
        }
    }

    fn done(&self, work: impl FnOnce(&Self)) -> Result<String> {
        work(self);
        Ok(String::new())
    }

    fn apply(&mut self, wanted: &Wanted) -> Result<String> {
        let changed = self.node.apply(wanted)?;
        self.prober.set(self.node.ends());
        for ip in wanted.listen.iter().chain(&wanted.intercept) {
            if self.bound.insert(*ip) {
                serve(SocketAddr::new(*ip, PORT)).with_context(|| format!("serving at {ip}"))?;
            }
        }
        Ok(changed.to_string())
    }
}

fn list(text: &str) -> Result<Vec<IpAddr>> {
    let all = text.split(',').filter(|text| *text != "-");
    all.map(|text| text.parse().with_context(|| format!("{text:?} is no address"))).collect()
}

fn serve(at: SocketAddr) -> Result<()> {
    let (udp, tcp) = (udp_socket(at)?, tcp_socket(at)?);
    thread::spawn(move || {
        loop {
            // What the system says of one datagram is no reason to stop.
            let _ = answer_udp(&udp, at);
        }
    });
    thread::spawn(move || accept(&tcp, at));
    Ok(())
}

fn is_mute(protocol: Protocol) -> bool {
    MUTE[usize::from(protocol == Protocol::Tcp)].load(Ordering::SeqCst)
}

fn answer_udp(socket: &UdpSocket, own: SocketAddr) -> io::Result<()> {
    let mut question = [0; 512];
    let (length, peer) = socket.recv_from(&mut question)?;
    if !is_mute(Protocol::Udp) {
        socket.send_to(&answer(&question[..length], own, peer), peer)?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, own: SocketAddr) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || talk(stream, own));
    }
}

fn talk(mut stream: TcpStream, own: SocketAddr) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.set_read_timeout(Some(CLIENT))?;
    let mut question = [0; 512];
    let length = stream.read(&mut question)?;
    if is_mute(Protocol::Tcp) || length == 0 {
        return Ok(());
    }
    match &question[..length] {
        [0, _, query @ ..] => {
            let reply = answer(query, own, peer);
            stream.write_all(&[&(reply.len() as u16).to_be_bytes(), &reply[..]].concat())?;
            // The prober resets the connection when it has read that.
            let _ = stream.read(&mut question)?;
            Ok(())
        }
        other => stream.write_all(&answer(other, own, peer)),
    }
}

fn answer(question: &[u8], own: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    if question.starts_with(b"GET") {
        return format!("{own} {peer}\n").into_bytes();
    }
    let mut reply = question.to_vec();
    if let Some(flags) = reply.get_mut(2) {
        *flags |= 0x80;
    }
    reply
}
