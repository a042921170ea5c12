//! A DNS server that knows one name. It answers when it is asked to look.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::netns::NetNs;

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The running server, at 127.0.0.1 of a namespace.
pub(crate) struct DnsServer {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Knows `name`, which is 127.0.0.1; nothing else exists.
    pub(crate) fn start(ns: &NetNs, name: &str) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let socket = ns.run(|| UdpSocket::bind(address))?.context("binding port 53")?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (ended, heard, wire) = (Arc::clone(&stop), Arc::clone(&asked), wire_name(name));
        let thread = thread::spawn(move || serve(&socket, &wire, &ended, &heard));
        Ok(Self { stop, asked, thread: Some(thread) })
    }

    /// Whether anybody has asked for the name.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, name: &[u8], stop: &AtomicBool, asked: &AtomicBool) {
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, client)) => {
                if let Some((answer, known)) = answer(&buffer[..length], name) {
                    asked.fetch_or(known, Ordering::Relaxed);
                    let _ = socket.send_to(&answer, client);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// Labels, each with its length before it, and an empty one at the end.
fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).unwrap_or_default());
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

/// The answer to a question, and whether it was for the name.
fn answer(question: &[u8], name: &[u8]) -> Option<(Vec<u8>, bool)> {
    let rest = question.get(HEADER..)?;
    let length = rest.iter().position(|byte| *byte == 0)? + 1;
    let kind = u16::from_be_bytes([*rest.get(length)?, *rest.get(length + 1)?]);
    let known = rest[..length].eq_ignore_ascii_case(name);
    let address = known && kind == TYPE_A;
    let code = if known { 0 } else { NO_SUCH_NAME };
    // Response, recursion available; one question, and one answer if it is for an address.
    let mut answer =
        vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, 0, u8::from(address), 0, 0, 0, 0];
    answer.extend(rest.get(..length + 4)?);
    if address {
        // The name of the question, A, IN, 60 seconds, 4 bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some((answer, known))
}
