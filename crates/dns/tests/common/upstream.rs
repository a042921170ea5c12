//! A server to be asked by the forwarder: knows a few names, fails for `broken.`, counts what it is asked.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use dns_wire::{Data, Name, Query, Reply, Section, parse_query, rcode, rtype};

type Known = Vec<(Name, u16, Vec<u8>)>;

/// It runs until the test's process ends.
pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Records for it: owner, type, data as octets.
pub fn records() -> Known {
    let name = |text: &str| text.parse::<Name>().unwrap();
    vec![
        (name("www.example.net."), rtype::A, vec![198, 51, 100, 80]),
        (name("v4only.example.net."), rtype::A, vec![198, 51, 100, 81]),
        (name("alias.example.net."), rtype::CNAME, name("www.example.net.").wire().to_vec()),
    ]
}

impl Upstream {
    pub fn start(known: Known) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut octets = [0; 1500];
            while let Ok((count, from)) = socket.recv_from(&mut octets) {
                let Ok(query) = parse_query(&octets[..count]) else { continue };
                log.lock().unwrap().push(format!("{} {}", query.name, query.qtype));
                let reply = reply(&known, &query);
                let _ = socket.send_to(&reply, from);
            }
        });
        Self { address, asked }
    }

    /// What it was asked, but for loop probes and health checks.
    pub fn asked(&self) -> Vec<String> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|line| !line.ends_with(" 13") && !line.starts_with(". ")).cloned().collect()
    }
}

fn reply(known: &Known, query: &Query<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, query, 1232);
    reply.set_recursion_available(true);
    let of_name = || known.iter().filter(|(name, ..)| name.as_ref().eq_ignore_case(query.name));
    let mut found = 0;
    for (name, kind, data) in of_name().filter(|(_, kind, _)| *kind == query.qtype || *kind == rtype::CNAME) {
        reply.push(Section::Answer, name.as_ref(), *kind, 60, Data::Wire(data));
        found += 1;
    }
    if query.name.first_label() == Some(b"broken") {
        reply.set_rcode(rcode::SERVFAIL);
    } else if found == 0 {
        if of_name().next().is_none() {
            reply.set_rcode(rcode::NXDOMAIN);
        }
        let root: Name = "example.net.".parse().unwrap();
        let data = Data::Soa {
            mname: root.as_ref(),
            rname: root.as_ref(),
            serial: 1,
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 30,
        };
        reply.push(Section::Authority, root.as_ref(), rtype::SOA, 60, data);
    }
    reply.finish();
    out
}
