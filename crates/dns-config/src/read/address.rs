//! Addresses with ports, as Go's `net.SplitHostPort` reads them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::place::Problem;
use crate::syntax::Token;
use crate::types::HttpAddress;

/// `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:53`: an address with its port or the default one.
/// `None`: something else; a scope (`fe80::1%eth0`) is something else too.
#[must_use]
pub fn server_address(text: &str, default_port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, default_port));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(Ok(address)) = bare.map(str::parse) {
        return Some(SocketAddr::new(IpAddr::V6(address), default_port));
    }
    let (host, _) = text.rsplit_once(':')?;
    (!host.contains('%')).then(|| text.parse().ok()).flatten()
}

/// `:8080`, `169.254.20.10:8080`, `[::1]:8080`, `localhost:8080`.
pub fn http_address(token: &Token) -> Result<HttpAddress, Problem> {
    let wrong = || token.problem(format!("{} is not [ADDRESS]:PORT", token.text));
    let (host, port) = token.text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host {
        "" => None,
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => {
            let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address: IpAddr = inner.unwrap_or(host).parse().map_err(|_| wrong())?;
            Some(address).filter(|address| address.is_ipv4() == inner.is_none()).ok_or_else(wrong)?.into()
        }
    };
    Ok(HttpAddress { host, port: port.parse().map_err(|_| wrong())? })
}
