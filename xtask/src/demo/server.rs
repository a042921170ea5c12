//! The HTTP server of a pod: it answers every request with its name and who asked.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Said once it listens.
pub const READY: &str = "ready";

/// A client that says nothing for this long is forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until the end of standard input.
pub fn run(name: &str, listen: SocketAddr) -> Result<ExitCode> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    println!("{READY}");
    end_with_input();
    serve(&listener, name)
}

/// Whoever started us holds the other end: when it is gone, so are we.
fn end_with_input() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0)
    });
}

fn serve(listener: &TcpListener, name: &str) -> Result<ExitCode> {
    loop {
        let (stream, peer) = listener.accept().context("accepting a connection")?;
        let name = name.to_owned();
        // What goes wrong with one client is that client's, and it counts it.
        thread::spawn(move || answer(&stream, &name, peer));
    }
}

fn answer(mut stream: &TcpStream, name: &str, peer: SocketAddr) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    skip_request(stream)?;
    stream.write_all(response(name, peer).as_bytes())
}

/// Reads a request to its empty line. A GET has no body.
fn skip_request(stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn response(name: &str, peer: SocketAddr) -> String {
    let body = format!("{name} saw {}\n", peer.ip());
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::load;

    #[test]
    fn the_load_understands_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, peer) = listener.accept().unwrap();
            answer(&stream, "pod-x", peer).unwrap();
        });
        assert_eq!(load::request(address).unwrap(), "pod-x");
        server.join().unwrap();
    }
}
