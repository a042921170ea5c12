//! What commands ask of the agent that runs on this node.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

/// How long the agent may take to say anything.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Asks for a page; `path` begins with `/`, the values of `query` are written as they need to be. Errors name the agent
/// and what to do.
pub(crate) fn ask(agent: SocketAddr, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
    let request = format!("GET {} HTTP/1.0\r\nHost: towpath\r\n\r\n", target(path, query));
    let reply = exchange(agent, &request).with_context(|| {
        format!("cannot ask the agent at {agent} (is it running? --agent names another address)")
    })?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
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
    let mut stream = TcpStream::connect_timeout(&agent, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
