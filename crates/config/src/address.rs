//! `IP:PORT` as kube-proxy reads and completes it.

use std::net::SocketAddr;

use model::parse_ip;

/// Host and port of `host:port` or `[host]:port`, as Go's `net.SplitHostPort` tells them apart; unchecked.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:")?;
        return Some((host, port)).filter(|_| !host.contains(['[', ']']) && !port.contains(':'));
    }
    text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))
}

/// Adds the port to an IP alone. Everything else stays as it is; the checks complain about it.
pub(crate) fn complete_port(text: &str, port: u16) -> String {
    match parse_ip(text) {
        _ if split_host_port(text).is_some() => text.into(),
        Ok(ip) if ip.is_ipv4() => format!("{text}:{port}"),
        Ok(_) => format!("[{text}]:{port}"),
        Err(_) => text.into(),
    }
}

/// The address, with a port of 1 to 65535; or what to write instead.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = split_host_port(text)
        .ok_or("is not IP:PORT: write it as in 0.0.0.0:10256, an IPv6 address as in [::]:10256")?;
    let ip = parse_ip(host).map_err(|_| format!("{host:?} is not an IP address: names are not looked up"))?;
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(SocketAddr::new(ip, port)),
        _ => Err(format!("{port:?} is not a port: write a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_alone_gets_the_port() {
        for (given, completed) in [
            ("127.0.0.1", "127.0.0.1:10256"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("::", "[::]:10256"),
            ("fd00::1", "[fd00::1]:10256"),
            ("[::]:80", "[::]:80"),
            ("nonsense", "nonsense"),
            ("", ""),
        ] {
            assert_eq!(complete_port(given, 10256), completed);
        }
    }

    #[test]
    fn addresses_and_what_is_none() {
        for good in ["0.0.0.0:10256", "[::1]:10249", "127.0.0.1:65535"] {
            assert_eq!(parse_address(good).unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("", "is not IP:PORT"),
            ("127.0.0.1", "is not IP:PORT"),
            ("::1", "is not IP:PORT"),
            ("[::1]", "is not IP:PORT"),
            ("localhost:80", "names are not looked up"),
            ("0.0.0.0:0", "is not a port"),
            ("0.0.0.0:65536", "is not a port"),
            ("0.0.0.0:http", "is not a port"),
            (":80", "is not an IP address"),
        ] {
            assert!(parse_address(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
