//! By which name somebody came.
//!
//! A page of the web that a browser on this node shows may be of a host whose name its owner turns to 127.0.0.1 (DNS
//! rebinding): to the browser, what listens there is then of that page's own site, and its scripts may read it. The request tells,
//! by its `Host`. Such a name has a dot, since it is a name of the public DNS; addresses, `localhost` and names without a dot
//! are nobody's to turn.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::HOST;

/// The first name in a request that may be a stranger's; `known` says which others are ours. A header that is no text counts as a
/// stranger's name.
pub(crate) fn stranger<B>(request: &Request<B>, known: impl Fn(&str) -> bool) -> Option<String> {
    let of_headers = request.headers().get_all(HOST).iter();
    let of_headers = of_headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    // In the absolute form the URI says it (RFC 9112, section 3.2.2); both have to be good here.
    let of_uri = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let mut hosts = of_headers.chain(of_uri);
    hosts.find(|host| {
        let name = name_of(host);
        !is_nobodys(name) && !known(name)
    })
}

/// Without the port, and without the dot at the end.
fn name_of(host: &str) -> &str {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
        }
        _ => host,
    };
    without_port.strip_suffix('.').unwrap_or(without_port)
}

/// Whether no foreign DNS server can say what it means.
fn is_nobodys(name: &str) -> bool {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let last = name.rsplit('.').next().unwrap_or_default();
    plain(name)
        || name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        || last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_can_turn_to_this_node() {
        for (host, stranger) in [
            ("", false),
            ("127.0.0.1:10249", false),
            ("127.0.0.1", false),
            ("192.0.2.7:10249", false),
            ("[::1]:10249", false),
            ("[::1]", false),
            ("localhost:8080", false),
            ("LOCALHOST.", false),
            ("towpath.localhost", false),
            ("towpath", false),
            ("worker_1:80", false),
            ("worker-1.example.com:10249", false),
            ("WORKER-1.example.com.", false),
            ("evil.example", true),
            ("evil.example:10249", true),
            ("127.0.0.1.evil.example:10249", true),
            ("localhost.evil.example", true),
            ("evil.example.", true),
            ("x.worker-1.example.com", true),
            ("::1", true),
            ("[evil.example]", true),
            ("evil.example:80:80", true),
            ("evil.example:x", true),
            ("127.1", true),
            ("a b", true),
        ] {
            let request = Request::builder().uri("/").header(HOST, host).body(()).unwrap();
            let known = |name: &str| name.eq_ignore_ascii_case("worker-1.example.com");
            assert_eq!(self::stranger(&request, known), stranger.then(|| host.to_owned()), "{host:?}");
        }
    }

    #[test]
    fn every_name_counts() {
        let none = |_: &str| false;
        let bare = Request::builder().uri("/").body(()).unwrap();
        assert_eq!(stranger(&bare, none), None);
        let two = Request::builder().uri("/").header(HOST, "localhost").header(HOST, "evil.example");
        assert_eq!(stranger(&two.body(()).unwrap(), none).as_deref(), Some("evil.example"));
        let absolute = Request::builder().uri("http://evil.example:80/x").header(HOST, "localhost");
        assert_eq!(stranger(&absolute.body(()).unwrap(), none).as_deref(), Some("evil.example:80"));
        let binary = Request::builder().uri("/").header(HOST, &b"\xff.example"[..]).body(()).unwrap();
        assert!(stranger(&binary, none).is_some());
    }
}
