//! Real servers that get no new connections and go when they have none left, or when their time is over.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use model::{EndpointAddr, Protocol};
use rustc_hash::FxHashMap;

use crate::objects::Server;

/// Virtual servers that are looked at in one go.
const AT_ONCE: usize = 256;

/// What of one virtual server is draining.
#[derive(Debug, Default)]
pub struct Drain {
    /// The virtual server goes too, after its last real server.
    pub closing: bool,
    /// Each with the moment when it goes at the latest.
    pub reals: FxHashMap<EndpointAddr, Instant>,
}

/// All that is draining.
#[derive(Debug)]
pub struct Drains {
    all: BTreeMap<Server, Drain>,
    /// The virtual server that was looked at last.
    last: Option<Server>,
    patience: Duration,
}

impl Drains {
    /// Nothing drains yet; what will goes after this time at the latest.
    pub fn new(patience: Duration) -> Self {
        Self { all: BTreeMap::new(), last: None, patience }
    }

    /// Sets the patience with what begins to drain from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether nothing drains.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Forgets what is not in the kernel any more.
    pub fn retain(&mut self, mut there: impl FnMut(&Server, &EndpointAddr) -> bool) {
        self.all.retain(|server, drain| {
            drain.reals.retain(|endpoint, _| there(server, endpoint));
            drain.closing || !drain.reals.is_empty()
        });
    }

    /// A real server begins to drain; one that does so already keeps its deadline. `least`: how long its Service gives it at
    /// least.
    pub fn begin(&mut self, server: Server, endpoint: EndpointAddr, least: Duration) {
        let deadline = Instant::now() + self.patience.max(least);
        self.all.entry(server).or_default().reals.entry(endpoint).or_insert(deadline);
    }

    /// The time of an endpoint is over at the virtual servers of these frontends. Costs all that drains.
    pub fn end_now(&mut self, endpoint: &EndpointAddr, is_frontend: impl Fn(&Server) -> bool) {
        let now = Instant::now();
        for (_, drain) in self.all.iter_mut().filter(|(server, _)| is_frontend(server)) {
            if let Some(deadline) = drain.reals.get_mut(endpoint) {
                *deadline = now;
            }
        }
    }

    /// A real server is wanted again, or gone. Whether it was draining.
    pub fn end(&mut self, server: &Server, endpoint: &EndpointAddr) -> bool {
        let Some(drain) = self.all.get_mut(server) else { return false };
        let was = drain.reals.remove(endpoint).is_some();
        if drain.reals.is_empty() && !drain.closing {
            self.all.remove(server);
        }
        was
    }

    /// The virtual server goes after its last real server. False: nothing of it drains.
    pub fn close(&mut self, server: Server) -> bool {
        let found = self.all.get_mut(&server);
        found.map(|drain| drain.closing = true).is_some()
    }

    /// As [`Drains::close`], also for a virtual server of which nothing drains.
    pub fn close_when_empty(&mut self, server: Server) {
        self.all.entry(server).or_default().closing = true;
    }

    /// The virtual server stays.
    pub fn reopen(&mut self, server: &Server) {
        let Some(drain) = self.all.get_mut(server) else { return };
        drain.closing = false;
        if drain.reals.is_empty() {
            self.all.remove(server);
        }
    }

    /// Forgets a virtual server.
    pub fn forget(&mut self, server: &Server) {
        self.all.remove(server);
    }

    /// Whether the virtual server is on its way out.
    pub fn is_closing(&self, server: &Server) -> bool {
        self.all.get(server).is_some_and(|drain| drain.closing)
    }

    /// Whether a virtual server at this address is on its way out. Costs what drains there.
    pub fn is_closing_at(&self, ip: IpAddr) -> bool {
        let first = Server { ip, protocol: Protocol::Tcp, port: 0 };
        let there = self.all.range(first..).take_while(|(server, _)| server.ip == ip);
        { there }.any(|(_, drain)| drain.closing)
    }

    /// Every virtual server that is on its way out.
    pub fn closing(&self) -> impl Iterator<Item = Server> + '_ {
        self.all.iter().filter(|(_, drain)| drain.closing).map(|(server, _)| *server)
    }

    /// What of a virtual server drains.
    pub fn of(&self, server: &Server) -> Option<&Drain> {
        self.all.get(server)
    }

    /// The next virtual servers to look at: a bounded number, each in its turn.
    pub fn next(&mut self) -> Vec<Server> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.all.range((after, Bound::Unbounded)).map(|(server, _)| *server);
        let turn: Vec<Server> =
            behind.chain(self.all.keys().copied()).take(AT_ONCE.min(self.all.len())).collect();
        self.last = turn.last().copied();
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> Server {
        Server { ip: "10.0.0.1".parse().unwrap(), protocol: Protocol::Tcp, port }
    }

    fn endpoint() -> EndpointAddr {
        EndpointAddr { ip: "10.1.0.1".parse().unwrap(), port: 80 }
    }

    #[test]
    fn a_virtual_server_is_forgotten_with_its_last_real_server_unless_it_is_closing() {
        let mut drains = Drains::new(Duration::from_secs(1));
        drains.begin(server(1), endpoint(), Duration::ZERO);
        assert!(drains.end(&server(1), &endpoint()));
        assert!(drains.is_empty());
        assert!(!drains.close(server(1)));
        drains.begin(server(1), endpoint(), Duration::ZERO);
        assert!(drains.close(server(1)));
        assert!(drains.end(&server(1), &endpoint()));
        assert!(drains.is_closing(&server(1)));
        drains.reopen(&server(1));
        assert!(drains.is_empty());
    }

    #[test]
    fn a_deadline_is_not_put_off() {
        let mut drains = Drains::new(Duration::ZERO);
        drains.begin(server(1), endpoint(), Duration::ZERO);
        drains.set_patience(Duration::from_secs(3600));
        drains.begin(server(1), endpoint(), Duration::ZERO);
        assert!(drains.of(&server(1)).unwrap().reals[&endpoint()] <= Instant::now());
    }

    #[test]
    fn an_address_is_asked_for_with_all_its_ports_and_protocols() {
        let mut drains = Drains::new(Duration::ZERO);
        let (own, next) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            drains.close_when_empty(Server { ip: next, protocol, port: 0 });
            drains.begin(Server { ip: own, protocol, port: 9 }, endpoint(), Duration::ZERO);
            assert!(!drains.is_closing_at(own) && drains.is_closing_at(next), "{protocol}");
        }
        assert!(drains.close(Server { ip: own, protocol: Protocol::Sctp, port: 9 }));
        assert!(drains.is_closing_at(own) && !drains.is_closing_at("10.0.0.0".parse().unwrap()));
    }

    #[test]
    fn each_has_its_turn() {
        let mut drains = Drains::new(Duration::ZERO);
        (0..300).for_each(|port| drains.begin(server(port), endpoint(), Duration::ZERO));
        let (first, second) = (drains.next(), drains.next());
        assert_eq!((first.len(), second.len()), (256, 256));
        assert_eq!(second[..44], (256..300).map(server).collect::<Vec<_>>());
        assert_eq!(second[44], server(0));
    }
}
