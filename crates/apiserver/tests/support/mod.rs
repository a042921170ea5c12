//! A small HTTP client that shows exactly what came.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer whose body is still to be read.
pub struct Answer {
    pub status_line: String,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    /// What is left of the chunk, or of the whole body.
    left: usize,
    chunked: bool,
}

/// Sends a request with these lines, the blank line and the body, and reads the head of the answer.
pub fn send(address: SocketAddr, lines: &[String], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    write!(stream, "{}\r\n\r\n{body}", lines.join("\r\n")).unwrap();
    Answer::read(stream).unwrap()
}

/// A request for JSON.
pub fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    request_as(address, method, path, "application/json", body)
}

/// A request with a body of some type.
pub fn request_as(address: SocketAddr, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
    let lines = [
        format!("{method} {path} HTTP/1.1"),
        "Host: test".into(),
        "Accept: application/json".into(),
        "Connection: close".into(),
        "Authorization: Bearer secret".into(),
        format!("Content-Type: {content_type}"),
        format!("Content-Length: {}", body.len()),
    ];
    send(address, &lines, body)
}

/// `GET`.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "")
}

impl Answer {
    fn read(stream: TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let status_line = if head.is_empty() { String::new() } else { head.remove(0) };
        let headers: Vec<_> = head.iter().filter_map(|line| line.split_once(": ")).map(owned).collect();
        let mut answer = Self { status_line, headers, reader, left: 0, chunked: false };
        answer.chunked = answer.header("Transfer-Encoding") == Some("chunked");
        answer.left = answer.header("Content-Length").and_then(|it| it.parse().ok()).unwrap_or(0);
        Ok(answer)
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The next byte of the body; `None` at its end. An error is a connection that broke.
    fn byte(&mut self) -> std::io::Result<Option<u8>> {
        if self.left == 0 && !(self.chunked && self.next_chunk()?) {
            return Ok(None);
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.left -= 1;
        Ok(Some(byte[0]))
    }

    fn next_chunk(&mut self) -> std::io::Result<bool> {
        let mut line = String::new();
        while line.trim().is_empty() {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        self.chunked = self.left > 0;
        Ok(self.left > 0)
    }

    /// The next line of the body; `None` at its end.
    pub fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                Some(b'\n') => return Ok(Some(String::from_utf8_lossy(&line).into_owned())),
                Some(byte) => line.push(byte),
                None if line.is_empty() => return Ok(None),
                None => return Ok(Some(String::from_utf8_lossy(&line).into_owned())),
            }
        }
    }

    /// The next event of a watch: its type and object.
    pub fn event(&mut self) -> (String, Value) {
        let line = self.line().unwrap().expect("the watch has ended");
        let mut event: Value = serde_json::from_str(&line).expect(&line);
        (event["type"].as_str().unwrap().to_owned(), event["object"].take())
    }

    /// All that is left of the body.
    pub fn text(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        while let Some(line) = self.line()? {
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The body, as one JSON value.
    pub fn json(mut self) -> Value {
        serde_json::from_str(&self.text().unwrap()).unwrap()
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
