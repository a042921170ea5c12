//! TO of `forward`.

use std::path::{Path, PathBuf};

use crate::place::Problem;
use crate::read::address::server_address;
use crate::read::context::Context;
use crate::syntax::Token;
use crate::types::{To, Transport, Upstream};

/// Port of DNS over TLS (RFC 7858).
const TLS_PORT: u16 = 853;

/// One TO; `None`: it is not honoured, and that has been noted.
pub fn read(context: &mut Context<'_>, token: &Token) -> Result<Option<To>, Problem> {
    let (scheme, rest) = token.text.split_once("://").unwrap_or(("", &token.text));
    match scheme.to_ascii_lowercase().as_str() {
        "tls" => tls(token, rest).map(Some),
        "" | "dns" => plain(context, token, rest, scheme.is_empty()),
        "https" | "grpc" | "quic" | "https3" => {
            let why = "not honoured: upstreams are asked by plain DNS or DNS over TLS (tls://)";
            context.unsupported(&token.at, format!("forward {}", token.text), why);
            Ok(None)
        }
        _ => Err(token.problem(format!("forward: {scheme} is not a protocol: write dns:// or tls://"))),
    }
}

fn tls(token: &Token, rest: &str) -> Result<To, Problem> {
    let wrong = || token.problem(format!("forward: {} is not tls://ADDRESS[%NAME][:PORT]", token.text));
    let (address, name) = match rest.split_once('%') {
        None => (rest.to_owned(), None),
        Some((address, name)) => {
            let (name, port) = name.split_once(':').map_or((name, None), |(name, port)| (name, Some(port)));
            let name = Some(name.to_owned()).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            (port.map_or(address.to_owned(), |port| with_port(address, port)), Some(name))
        }
    };
    let address = server_address(&address, TLS_PORT).ok_or_else(wrong)?;
    Ok(To::Server(Upstream { address, transport: Transport::Tls { server_name: name } }))
}

fn with_port(address: &str, port: &str) -> String {
    let bare = address.contains(':') && !address.starts_with('[');
    if bare { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn plain(
    context: &mut Context<'_>,
    token: &Token,
    rest: &str,
    may_be_file: bool,
) -> Result<Option<To>, Problem> {
    if let Some(address) = server_address(rest, crate::types::DNS_PORT) {
        return Ok(Some(To::Server(Upstream { address, transport: Transport::Plain })));
    }
    if may_be_file && (rest.contains('/') || context.env.file(Path::new(rest)).is_ok()) {
        context.note_file(Path::new(rest));
        return Ok(Some(To::File(PathBuf::from(rest))));
    }
    if is_mistyped(rest) {
        return Err(token
            .problem(format!("forward: {} is not an address with an optional port, or a file", token.text)));
    }
    let why = "not honoured: neither an address nor a file; write the addresses of the upstream";
    context.unsupported(&token.at, format!("forward {}", token.text), why);
    Ok(None)
}

/// Whether this was meant as an address: no name ends in a number (RFC 3696 section 2).
fn is_mistyped(text: &str) -> bool {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
}
