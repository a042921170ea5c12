//! What the kernel has of our virtual servers.

use std::time::Duration;

use netlink::NetlinkError;
use netlink::ipvs;
use rustc_hash::FxHashSet;

use model::EndpointAddr;

use super::{Present, Servers};
use crate::digest::Digest;
use crate::objects::{Choice, Key, Server, Value, endpoint_of, kernel_key, server_of};

/// Virtual servers of which [`Servers::look_at_some`] compares the real servers.
pub const SOME: usize = 16;

impl Servers {
    /// Everything that the kernel has of these virtual servers. What drains is not among it. Errors: the socket failed.
    pub fn observe(&mut self, is_ours: impl Fn(&Server) -> bool) -> Result<Vec<(Key, Value)>, NetlinkError> {
        let mut objects = Vec::new();
        let mut draining = FxHashSet::default();
        (self.present, self.ring) = Default::default();
        for server in ipvs::services(&mut self.socket)? {
            let Some(key) = server_of(&server.key).filter(&is_ours) else { continue };
            self.observe_one(key, &Choice::of(&server), &mut objects, &mut draining)?;
        }
        let present = &self.present;
        self.drains.retain(|server, endpoint| {
            present.contains_key(server) && draining.contains(&(*server, *endpoint))
        });
        let gone: Vec<Server> = self.drains.closing().filter(|key| !present.contains_key(key)).collect();
        gone.iter().for_each(|server| self.drains.forget(server));
        Ok(objects)
    }

    fn observe_one(
        &mut self,
        key: Server,
        choice: &Choice,
        objects: &mut Vec<(Key, Value)>,
        draining: &mut FxHashSet<(Server, EndpointAddr)>,
    ) -> Result<(), NetlinkError> {
        let mut digest = Digest::default();
        digest.add_choice(choice);
        let before = objects.len();
        for found in ipvs::destinations(&mut self.socket, &kernel_key(key))? {
            let (endpoint, weight) = (endpoint_of(&found.server), found.server.weight);
            if weight == 0 {
                draining.insert((key, endpoint));
                self.drains.begin(key, endpoint, Duration::ZERO);
            } else {
                digest.add(endpoint, weight);
                objects.push((Key::Real(key, endpoint), Value::Real(weight)));
            }
        }
        if objects.len() > before {
            self.drains.reopen(&key);
            objects.push((Key::Server(key), Value::Server(*choice)));
        } else {
            self.drains.close_when_empty(key);
        }
        self.note(key, Present { choice: *choice, digest });
        Ok(())
    }

    /// What the kernel has of one virtual server, as [`Servers::observe`] would tell it; nothing is noted. Errors: the
    /// socket failed.
    pub fn peek(&mut self, server: Server) -> Result<Vec<(Key, Value)>, NetlinkError> {
        let key = kernel_key(server);
        let Some(found) = ipvs::service(&mut self.socket, &key)? else { return Ok(Vec::new()) };
        let reals = ipvs::destinations(&mut self.socket, &key)?.into_iter().map(|found| found.server);
        let mut objects: Vec<(Key, Value)> = reals
            .filter(|real| real.weight > 0)
            .map(|real| (Key::Real(server, endpoint_of(&real)), Value::Real(real.weight)))
            .collect();
        if !objects.is_empty() {
            objects.push((Key::Server(server), Value::Server(Choice::of(&found))));
        }
        Ok(objects)
    }

    /// Whether somebody else has deleted a virtual server of ours, or has changed how it chooses. Asks for all of them, once.
    /// Errors: the socket failed.
    pub fn look_at_all(&mut self) -> Result<bool, NetlinkError> {
        let mut found = 0;
        for server in ipvs::services(&mut self.socket)? {
            let Some(key) = server_of(&server.key) else { continue };
            let Some(present) = self.present.get(&key) else { continue };
            found += 1;
            if !self.drains.is_closing(&key) && Choice::of(&server) != present.choice {
                return Ok(true);
            }
        }
        Ok(found != self.present.len())
    }

    /// Whether somebody else has changed one of [`SOME`] of ours or its real servers; each has its turn. Also whether all
    /// have had theirs. Errors: the socket failed.
    pub fn look_at_some(&mut self) -> Result<(bool, bool), NetlinkError> {
        let some = SOME.min(self.ring.len());
        for _ in 0..some {
            let Some(server) = self.ring.pop_front() else { break };
            let Some(present) = self.present.get(&server).copied() else { continue };
            self.ring.push_back(server);
            if !self.drains.is_closing(&server) && self.now(server)? != Some(present.digest) {
                return Ok((true, true));
            }
        }
        self.turn += some;
        let all = self.turn >= self.ring.len();
        if all {
            self.turn = 0;
        }
        Ok((false, all))
    }

    fn now(&mut self, server: Server) -> Result<Option<Digest>, NetlinkError> {
        let key = kernel_key(server);
        let Some(found) = ipvs::service(&mut self.socket, &key)? else { return Ok(None) };
        let mut digest = Digest::default();
        digest.add_choice(&Choice::of(&found));
        for real in ipvs::destinations(&mut self.socket, &key)? {
            if real.server.weight > 0 {
                digest.add(endpoint_of(&real.server), real.server.weight);
            }
        }
        Ok(Some(digest))
    }
}
