//! A DNS server that does what a script says, by UDP, TCP and TLS at one port of loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::message::Asked;

/// What an upstream does with a question.
#[derive(Clone)]
pub enum Do {
    /// Sends these messages, one after the other.
    Send(Vec<Vec<u8>>),
    /// Sends a message after a time.
    Later(Duration, Vec<u8>),
    /// Nothing.
    Drop,
    /// UDP: sends a message from another port, then the true one.
    FromElsewhere(Vec<u8>, Vec<u8>),
    /// TCP: closes the connection without a word.
    Close,
    /// TCP: sends these octets as they are.
    Raw(Vec<u8>),
    /// TCP: sends a message and closes the connection.
    SendAndClose(Vec<u8>),
}

pub type Script = dyn Fn(&Asked) -> Do + Send + Sync;

/// A running upstream; it ends with the test process.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    pub connections: Arc<AtomicUsize>,
    probes: Arc<AtomicUsize>,
    /// Whether probes are answered.
    pub well: Arc<AtomicBool>,
    script: Arc<Script>,
}

impl Upstream {
    pub fn start(script: impl Fn(&Asked) -> Do + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), script)
    }

    pub fn start_at(ip: IpAddr, script: impl Fn(&Asked) -> Do + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind(ip);
        let upstream = Self::without_sockets(udp.local_addr().unwrap(), script);
        let (one, two) = (upstream.clone(), upstream.clone());
        thread::spawn(move || one.serve_udp(&Arc::new(udp)));
        thread::spawn(move || two.serve_tcp(&tcp));
        upstream
    }

    pub fn without_sockets(
        address: SocketAddr,
        script: impl Fn(&Asked) -> Do + Send + Sync + 'static,
    ) -> Self {
        let (seen, connections, probes) = Default::default();
        let well = Arc::new(AtomicBool::new(true));
        Self { address, seen, connections, probes, well, script: Arc::new(script) }
    }

    /// Answers all with one address.
    pub fn good(last: u8) -> Self {
        Self::start(move |asked| Do::Send(vec![asked.good(last)]))
    }

    /// Never answers, not even probes.
    pub fn dead() -> Self {
        let upstream = Self::start(|_| Do::Drop);
        upstream.well.store(false, Ordering::SeqCst);
        upstream
    }

    /// Questions that came, without probes.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    pub fn probes(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    /// What to do with a message.
    pub fn decide(&self, message: &[u8], tcp: bool) -> (Asked, Do) {
        let mut seen = self.seen.lock().unwrap();
        let asked = Asked::read(message, tcp, seen.len());
        if asked.is_probe() {
            self.probes.fetch_add(1, Ordering::SeqCst);
            let well = self.well.load(Ordering::SeqCst);
            let reply = asked.reply(0, &[], &[]);
            return (asked, if well { Do::Send(vec![reply]) } else { Do::Drop });
        }
        seen.push(asked.clone());
        drop(seen);
        let action = (self.script)(&asked);
        (asked, action)
    }

    fn serve_udp(&self, socket: &Arc<UdpSocket>) {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            match self.decide(&buffer[..length], false).1 {
                Do::Send(messages) => messages.iter().for_each(|message| {
                    let _ = socket.send_to(message, from);
                }),
                Do::Later(time, message) => {
                    let socket = socket.clone();
                    thread::spawn(move || {
                        thread::sleep(time); // it is slow
                        socket.send_to(&message, from)
                    });
                }
                Do::FromElsewhere(forged, message) => {
                    UdpSocket::bind((self.address.ip(), 0)).unwrap().send_to(&forged, from).unwrap();
                    socket.send_to(&message, from).unwrap();
                }
                _ => {}
            }
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            let (mut stream, upstream) = (stream.unwrap(), self.clone());
            self.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || upstream.serve_stream(&mut stream));
        }
    }

    /// Serves until the connection is closed, or the script closes it.
    pub fn serve_stream(&self, stream: &mut (impl Read + Write)) -> Option<()> {
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message).ok()?;
            match self.decide(&message, true).1 {
                Do::Send(messages) => messages.iter().try_for_each(|message| send(stream, message))?,
                Do::Later(time, message) => {
                    thread::sleep(time); // it is slow
                    send(stream, &message)?;
                }
                Do::Raw(octets) => stream.write_all(&octets).ok()?,
                Do::SendAndClose(message) => return send(stream, &message),
                Do::Close => return None,
                Do::Drop | Do::FromElsewhere(..) => {}
            }
        }
    }
}

fn send(stream: &mut impl Write, message: &[u8]) -> Option<()> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], message].concat()).ok()?;
    stream.flush().ok()
}

/// One port for UDP and TCP.
pub fn bind(ip: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((ip, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}
