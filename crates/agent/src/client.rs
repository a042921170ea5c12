//! What commands ask of the agent that runs on this node.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

/// How long the agent may take to say anything, and for all of its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer that is larger is not the agent's: whatever listens there may send for ever.
const LARGEST: usize = 256 << 20;

/// Which agent is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct AgentArgs {
    /// The debug address of the agent that is asked (its metricsBindAddress).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10249")]
    pub(crate) agent: SocketAddr,
}

/// An answer of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The page.
    pub(crate) body: String,
}

/// How long it is asked again, once a second, if too many others ask.
const CROWDED: Duration = Duration::from_secs(15);

/// Asks for a page; `path` begins with `/`, the values of `query` are written as they need to be. Errors name the agent
/// and what to do.
pub(crate) fn ask(agent: SocketAddr, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
    let request = format!("GET {} HTTP/1.0\r\nHost: {agent}\r\n\r\n", target(path, query));
    let (asked, mut again) = (Instant::now(), true);
    let mut reply = String::new();
    while again {
        reply = exchange(agent, &request).with_context(|| {
            format!("cannot ask the agent at {agent} (is it running? --agent names another address)")
        })?;
        again = is_crowded(&reply) && asked.elapsed() < CROWDED;
        std::thread::sleep(if again { Duration::from_secs(1) } else { Duration::ZERO });
    }
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.with_context(|| format!("what answers at {agent} is no towpath agent"))?;
    Ok(Answer { status, body: body.to_owned() })
}

/// The same; anything but success is an error with the agent's words.
pub(crate) fn get(agent: SocketAddr, path: &str, query: &[(&str, &str)]) -> Result<String> {
    let answer = ask(agent, path, query)?;
    if answer.status != 200 {
        bail!("the agent at {agent} answers {}: {}", answer.status, answer.body.trim());
    }
    Ok(answer.body)
}

/// Whether the agent says to come again in a second.
fn is_crowded(reply: &str) -> bool {
    let head = reply.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    head.split(' ').nth(1) == Some("503") && head.lines().any(|line| line == "retry-after: 1")
}

fn target(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encoded (RFC 3986): all but letters, digits and what a query may hold as it is.
fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/:,[]".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// HTTP/1.0, so that the end of the connection is the end of the page.
fn exchange(agent: SocketAddr, request: &str) -> std::io::Result<String> {
    let late = || Error::new(ErrorKind::TimedOut, format!("no whole answer within {PATIENCE:?}"));
    let deadline = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&agent, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let (mut reply, mut part) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or_else(late)?))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(String::from_utf8_lossy(&reply).into_owned()),
            Ok(count) => reply.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if reply.len() > LARGEST {
            return Err(Error::other(format!("its answer has more than {} MiB", LARGEST >> 20)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_to_come_again() {
        for (reply, expected) in [
            ("HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nx", true),
            ("HTTP/1.0 503 Service Unavailable\r\nretry-after: 10\r\n\r\nx", false),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\nretry-after: 1", false),
            ("HTTP/1.0 200 OK\r\nretry-after: 1\r\n\r\nx", false),
            ("", false),
        ] {
            assert_eq!(is_crowded(reply), expected, "{reply}");
        }
    }

    #[test]
    fn queries_are_escaped() {
        for (query, expected) in [
            (&[][..], "/p"),
            (&[("to", "[fd00::1]:53/udp")][..], "/p?to=[fd00::1]:53/udp"),
            (&[("name", "a b&c"), ("x", "é")][..], "/p?name=a%20b%26c&x=%C3%A9"),
        ] {
            assert_eq!(target("/p", query), expected);
        }
    }
}
