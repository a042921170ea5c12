//! Which Services a search finds.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use model::Service;

use super::{frontends, kind};
use crate::catalogue::Entry;

/// What is searched, and room to write a Service in.
pub(super) struct Words {
    words: Vec<Word>,
    text: String,
}

struct Word {
    text: String,
    /// It is a whole address, perhaps with a port: an endpoint may have it.
    endpoint: Option<(IpAddr, Option<u16>)>,
}

impl Words {
    pub(super) fn new(query: &str) -> Self {
        let query = query.to_lowercase();
        let word = |text: &str| Word { text: text.to_owned(), endpoint: endpoint(text) };
        Self { words: query.split_whitespace().map(word).collect(), text: String::new() }
    }

    /// Whether all of them are.
    pub(super) fn are_in(&mut self, entry: &Entry) -> bool {
        if self.words.is_empty() {
            return true;
        }
        self.text.clear();
        describe(&entry.service, &mut self.text);
        self.words.iter().all(|word| self.text.contains(word.text.as_str()) || word.is_endpoint_of(entry))
    }
}

impl Word {
    fn is_endpoint_of(&self, entry: &Entry) -> bool {
        let Some((ip, port)) = self.endpoint else { return false };
        let has_port =
            |ports: &[model::SlicePort]| port.is_none_or(|port| ports.iter().any(|p| p.port == port));
        entry.slices.iter().any(|slice| slice.endpoints.iter().any(|e| e.ip == ip) && has_port(&slice.ports))
    }
}

fn endpoint(word: &str) -> Option<(IpAddr, Option<u16>)> {
    let word = word.split('/').next().unwrap_or(word);
    let with_port = || word.parse::<SocketAddr>().ok().map(|at| (at.ip(), Some(at.port())));
    word.parse().ok().map(|ip| (ip, None)).or_else(with_port)
}

fn describe(service: &Service, text: &mut String) {
    let _ = write!(text, "{} {} ", service.name, kind(service).to_ascii_lowercase());
    let addresses = service.cluster_ips.iter().chain(&service.external_ips).chain(&service.load_balancer_ips);
    for ip in addresses {
        let _ = write!(text, "{ip} ");
    }
    for port in &service.ports {
        let _ = write!(text, "{} :{}/{} ", port.name, port.port, port.protocol);
        if port.node_port != 0 {
            let _ = write!(text, ":{}/{} ", port.node_port, port.protocol);
        }
    }
    for frontend in frontends(service) {
        text.push_str(&frontend);
        text.push(' ');
    }
}
