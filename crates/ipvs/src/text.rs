//! The objects as text: what `nft`, `ipvsadm` and `ip` read.

use std::net::SocketAddr;

use netlink::ipvs;

use crate::objects::{Choice, Key, Named, Value};

/// One object in a line; rules are the nftables crate's.
pub fn line(key: &Key, value: &Value) -> Option<String> {
    match (key, value) {
        (Key::Server(server), Value::Server(choice)) => {
            Some(format!("-A {}{}", Named(*server), options(choice)))
        }
        (Key::Real(server, endpoint), Value::Real(weight)) => {
            let place = SocketAddr::new(endpoint.ip, endpoint.port);
            Some(format!("-a {} -r {place} -m -w {weight}", Named(*server)))
        }
        (Key::Route(net), Value::Route(source)) => {
            let source = source.map(|ip| format!(" src {ip}")).unwrap_or_default();
            Some(format!(
                "ip route add local {net} dev lo proto {}{source}",
                netlink::route::TOWPATH_PROTOCOL
            ))
        }
        _ => None,
    }
}

fn options(choice: &Choice) -> String {
    let mut text = format!(" -s {}", choice.scheduler.map_or("?", |scheduler| scheduler.as_str()));
    if choice.persistence > 0 {
        text += &format!(" -p {}", choice.persistence);
    }
    let names = match choice.scheduler {
        Some(model::Scheduler::Mh) => ["mh-fallback", "mh-port"],
        _ => ["sh-fallback", "sh-port"],
    };
    let set = [(ipvs::HASH_FALLBACK, names[0]), (ipvs::HASH_PORT, names[1])];
    let flags: Vec<&str> =
        set.iter().filter(|(bit, _)| choice.flags & bit != 0).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        text += &format!(" -b {}", flags.join(","));
    }
    text
}

/// Everything but the rules: first the routes, then each virtual server with its real servers.
pub fn all<'a>(objects: impl Iterator<Item = (&'a Key, &'a Value)>) -> String {
    let mut objects: Vec<_> = objects.filter(|(key, _)| !matches!(key, Key::Rule(_))).collect();
    let order = |key: &Key| match key {
        Key::Route(_) => (0, None, false),
        Key::Server(server) => (1, Some(*server), false),
        Key::Real(server, _) => (1, Some(*server), true),
        Key::Rule(_) => (2, None, false),
    };
    objects.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
    let lines = objects.iter().filter_map(|(key, value)| line(key, value));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use model::{EndpointAddr, IpFamily, Protocol, Scheduler};

    use super::*;
    use crate::objects::Server;

    fn server(ip: &str, protocol: Protocol) -> Server {
        Server { ip: ip.parse().unwrap(), protocol, port: 80 }
    }

    #[test]
    fn virtual_servers_as_ipvsadm_takes_them() {
        use Protocol::{Sctp, Tcp, Udp};
        for (ip, protocol, scheduler, affinity, want) in [
            ("10.96.0.1", Tcp, Scheduler::Rr, None, "-A -t 10.96.0.1:80 -s rr"),
            ("10.96.0.1", Udp, Scheduler::Lc, Some(60), "-A -u 10.96.0.1:80 -s lc -p 60"),
            ("fd00::1", Sctp, Scheduler::Sh, None, "-A --sctp-service [fd00::1]:80 -s sh -b sh-fallback"),
            ("fd00::1", Tcp, Scheduler::Mh, Some(9), "-A -t [fd00::1]:80 -s mh -p 9 -b mh-fallback,mh-port"),
        ] {
            let server = server(ip, protocol);
            let choice = Choice::new(IpFamily::of(server.ip), scheduler, affinity);
            assert_eq!(line(&Key::Server(server), &Value::Server(choice)).as_deref(), Some(want));
        }
    }

    #[test]
    fn a_virtual_server_is_followed_by_its_real_servers() {
        let (first, second) = (server("10.96.0.1", Protocol::Tcp), server("fd00::1", Protocol::Udp));
        let real = |server, ip: &str, weight| {
            let endpoint = EndpointAddr { ip: ip.parse().unwrap(), port: 8080 };
            (Key::Real(server, endpoint), Value::Real(weight))
        };
        let choice = |server: Server| {
            let family = IpFamily::of(server.ip);
            (Key::Server(server), Value::Server(Choice::new(family, Scheduler::Rr, None)))
        };
        let route = |net: &str, source: Option<&str>| {
            (Key::Route(net.parse().unwrap()), Value::Route(source.map(|ip| ip.parse().unwrap())))
        };
        let objects = [
            real(second, "fd01::5", 1),
            real(first, "10.244.0.6", 65_535),
            choice(second),
            real(first, "10.244.0.5", 1),
            (crate::objects::record(first), Value::Rule(nftables::Value::Member)),
            choice(first),
            route("fd00::/112", None),
            route("10.96.0.0/12", Some("192.0.2.10")),
        ];
        let text = all(objects.iter().map(|(key, value)| (key, value)));
        let want = [
            "ip route add local 10.96.0.0/12 dev lo proto 107 src 192.0.2.10",
            "ip route add local fd00::/112 dev lo proto 107",
            "-A -t 10.96.0.1:80 -s rr",
            "-a -t 10.96.0.1:80 -r 10.244.0.5:8080 -m -w 1",
            "-a -t 10.96.0.1:80 -r 10.244.0.6:8080 -m -w 65535",
            "-A -u [fd00::1]:80 -s rr",
            "-a -u [fd00::1]:80 -r [fd01::5]:8080 -m -w 1",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), want);
    }
}
