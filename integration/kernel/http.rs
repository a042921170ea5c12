//! Just enough of an HTTP client, inside a namespace.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::netns::NetNs;

/// Pages stand back for everything else, and an emulated machine has one slow processor.
const PATIENCE: Duration = Duration::from_secs(8);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// Gets a page from inside `ns`; `None` while nobody listens there or the answer does not come.
pub(crate) fn get(ns: &NetNs, server: SocketAddr, path: &str) -> Result<Option<Answer>> {
    match ns.run(|| exchange(server, path))? {
        Ok(text) => parse(&text).map(Some).with_context(|| format!("no HTTP answer: {text:?}")),
        Err(_) => Ok(None),
    }
}

/// HTTP/1.0: the answer is not chunked and ends with the connection.
fn exchange(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}
