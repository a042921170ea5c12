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
