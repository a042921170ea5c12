//! Virtual and real servers that are not wanted any more.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::{EndpointAddr, Protocol, Scheduler};
use netlink::NetlinkError;
use netlink::ipvs::{self, Command};

use super::{Servers, ignore_absent};
use crate::objects::{Choice, Server, endpoint_of, kernel_key, real, server_of};
use crate::work::Work;

/// What [`Servers::retire`] leaves.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Virtual and real servers that went.
    pub gone: usize,
    /// Virtual servers that have connections.
    pub servers: usize,
    /// These connections.
    pub connections: u64,
    /// The addresses of these virtual servers.
    pub addresses: BTreeSet<IpAddr>,
}

impl Servers {
    /// Takes away what is not wanted any more: at once, or when its connections have ended. The virtual servers that are
    /// gone now. `least`: how long those of a virtual server may have connections at least. Errors: the socket failed.
    pub fn clear(
        &mut self,
        work: &Work,
        least: impl Fn(&Server) -> Duration,
    ) -> Result<Vec<Server>, NetlinkError> {
        let mut commands = Vec::new();
        for (server, endpoint, weight) in &work.lost {
            let Some(choice) = self.present.get(server).map(|present| present.choice) else { continue };
            self.count(server, *endpoint, Some(*weight), None);
            let key = kernel_key(*server);
            if drains(*server, &choice) {
                self.drains.begin(*server, *endpoint, least(server));
                commands.push(Command::EditDestination(key, real(*endpoint, 0)));
            } else {
                let place = SocketAddr::new(endpoint.ip, endpoint.port);
                commands.push(Command::DeleteDestination(key, place));
            }
        }
        ignore_absent(ipvs::apply(&mut self.socket, &commands)?)?;
        // What is not there was not made by us.
        let ended = work.ended.iter().filter(|server| self.present.contains_key(server));
        let now: Vec<Server> = ended.copied().filter(|server| !self.drains.close(*server)).collect();
        self.delete(&now)?;
        Ok(now)
    }

    /// Lets go what has drained; the virtual servers that are gone now. Errors: the socket failed.
    pub fn tend(&mut self) -> Result<Vec<Server>, NetlinkError> {
        let now = Instant::now();
        let (mut commands, mut done, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for server in self.drains.next() {
            let found = ipvs::destinations(&mut self.socket, &kernel_key(server))?;
            let Some(drain) = self.drains.of(&server) else { continue };
            let at_once = self.present.get(&server).is_some_and(|there| !drains(server, &there.choice));
            let over = |endpoint: &EndpointAddr, deadline: &Instant| {
                let real = found.iter().find(|real| endpoint_of(&real.server) == *endpoint);
                let idle = real.is_none_or(|real| real.active + real.inactive == 0);
                at_once || idle || *deadline <= now
            };
            let over: Vec<EndpointAddr> =
                drain.reals.iter().filter(|(e, at)| over(e, at)).map(|(endpoint, _)| *endpoint).collect();
            if drain.closing && over.len() == drain.reals.len() {
                gone.push(server);
                continue;
            }
            for endpoint in over {
                let place = SocketAddr::new(endpoint.ip, endpoint.port);
                commands.push(Command::DeleteDestination(kernel_key(server), place));
                done.push((server, endpoint));
            }
        }
        ignore_absent(ipvs::apply(&mut self.socket, &commands)?)?;
        done.iter().for_each(|(server, endpoint)| {
            self.drains.end(server, endpoint);
        });
        self.delete(&gone)?;
        Ok(gone)
    }

    /// Has all of ours drain: none gets a new connection, and what has no connection goes. `at_once`: also what has
    /// some. What is left. Errors: the socket failed.
    pub fn retire(&mut self, is_ours: impl Fn(&Server) -> bool, at_once: bool) -> Result<Left, NetlinkError> {
        let mut left = Left::default();
        let mut commands = Vec::new();
        for server in ipvs::services(&mut self.socket)? {
            if !server_of(&server.key).is_some_and(|key| is_ours(&key)) {
                continue;
            }
            let reals = ipvs::destinations(&mut self.socket, &server.key)?;
            let connections: u64 = reals.iter().map(|r| u64::from(r.active) + u64::from(r.inactive)).sum();
            if connections == 0 || at_once {
                left.gone += 1 + reals.len();
                commands.push(Command::Delete(server.key));
                continue;
            }
            left.servers += 1;
            left.addresses.extend(server_of(&server.key).map(|key| key.ip));
            left.connections += connections;
            let open = reals.iter().filter(|real| real.server.weight > 0);
            commands.extend(
                open.map(|r| {
                    Command::EditDestination(server.key, ipvs::RealServer { weight: 0, ..r.server })
                }),
            );
        }
        ignore_absent(ipvs::apply(&mut self.socket, &commands)?)?;
        Ok(left)
    }
}

/// Whether real servers keep their connections for a while. UDP has none to speak of; SCTP's flows are cleaned from conntrack
/// like those of UDP, so that IPVS could not carry them on. With dh, every client of a VIP would
/// be refused while the real server that its address hashes to drains.
fn drains(server: Server, choice: &Choice) -> bool {
    server.protocol == Protocol::Tcp && choice.scheduler != Some(Scheduler::Dh)
}
