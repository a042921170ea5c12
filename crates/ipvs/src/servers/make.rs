//! Virtual and real servers that are wanted.

use model::{IpFamily, Scheduler};
use netlink::NetlinkError;
use netlink::ipvs::{self, Command};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{EAFNOSUPPORT, EEXIST, ENOENT, ESRCH, Present, Servers, numbered};
use crate::digest::Digest;
use crate::objects::{Choice, Server, kernel_key, real, server_of};
use crate::work::{Refused, Work};

/// Above this many, all virtual servers are listed rather than asked for one by one.
const MANY: usize = 256;

impl Servers {
    /// Which of the virtual servers to make are there already and not ours. Errors: the socket failed.
    pub fn taken(&mut self, wanted: &[(Server, Choice)]) -> Result<FxHashSet<Server>, NetlinkError> {
        let new =
            wanted.iter().map(|(server, _)| *server).filter(|server| !self.present.contains_key(server));
        let new: FxHashSet<Server> = new.collect();
        if new.len() > MANY {
            let all = ipvs::services(&mut self.socket)?;
            return Ok(all
                .iter()
                .filter_map(|found| server_of(&found.key))
                .filter(|s| new.contains(s))
                .collect());
        }
        let mut taken = FxHashSet::default();
        for server in new {
            match ipvs::service(&mut self.socket, &kernel_key(server)) {
                Ok(None) => {}
                Ok(Some(_)) => {
                    taken.insert(server);
                }
                // Without IPv6 there is nobody's.
                Err(error) if error.errno() == Some(EAFNOSUPPORT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Makes what is wanted. What the kernel refuses costs nothing else anything. Errors: the socket failed.
    pub fn make(&mut self, work: &Work, default: Scheduler) -> Result<Vec<Refused>, NetlinkError> {
        let mut refused = Vec::new();
        self.make_servers(&work.servers, default, &mut refused)?;
        let blocked: FxHashSet<Server> =
            refused.iter().filter(|r| r.foreign || r.instead.is_none()).map(|r| r.server).collect();
        self.make_reals(work, &blocked, &mut refused)?;
        Ok(refused)
    }

    fn make_servers(
        &mut self,
        wanted: &[(Server, Choice)],
        default: Scheduler,
        refused: &mut Vec<Refused>,
    ) -> Result<(), NetlinkError> {
        let command = |(server, choice): &(Server, Choice)| {
            let value = choice.server(*server);
            if self.present.contains_key(server) { Command::Edit(value) } else { Command::Add(value) }
        };
        let commands: Vec<Command> = wanted.iter().map(command).collect();
        let mut failed: FxHashMap<usize, NetlinkError> = numbered(ipvs::apply(&mut self.socket, &commands)?);
        for (number, (server, choice)) in wanted.iter().enumerate() {
            match failed.remove(&number) {
                None => self.made(*server, *choice),
                Some(error) => refused.extend(self.second_try(*server, *choice, default, &error)?),
            }
        }
        Ok(())
    }

    fn made(&mut self, server: Server, choice: Choice) {
        self.drains.reopen(&server);
        let mut digest = Digest::default();
        if let Some(before) = self.present.get(&server) {
            digest = before.digest;
            digest.remove_choice(&before.choice);
        }
        digest.add_choice(&choice);
        self.note(server, Present { choice, digest });
    }

    /// A virtual server that was not taken as it was wanted.
    fn second_try(
        &mut self,
        server: Server,
        choice: Choice,
        default: Scheduler,
        error: &NetlinkError,
    ) -> Result<Option<Refused>, NetlinkError> {
        let present = self.present.contains_key(&server);
        match error.errno() {
            // Somebody else has deleted it.
            Some(ESRCH) if present => {
                self.forget(&server);
                self.add(server, choice).map(|error| error.map(|e| Refused::other(server, &e)))
            }
            Some(ENOENT) if choice.scheduler != Some(default) => self.with_default(server, choice, default),
            Some(ENOENT) => Ok(Some(Refused::no_scheduler(server, choice.scheduler, None))),
            Some(EEXIST) => Ok(Some(Refused::foreign(server))),
            _ => Ok(Some(Refused::other(server, error))),
        }
    }

    fn add(&mut self, server: Server, choice: Choice) -> Result<Option<NetlinkError>, NetlinkError> {
        let value = choice.server(server);
        let edit = self.present.contains_key(&server);
        let command = if edit { Command::Edit(value) } else { Command::Add(value) };
        let error = ipvs::apply(&mut self.socket, &[command])?.pop();
        if error.is_none() {
            self.made(server, choice);
        }
        Ok(error)
    }

    fn with_default(
        &mut self,
        server: Server,
        choice: Choice,
        default: Scheduler,
    ) -> Result<Option<Refused>, NetlinkError> {
        let affinity = Some(choice.persistence).filter(|seconds| *seconds > 0);
        let instead = Choice::new(IpFamily::of(server.ip), default, affinity);
        Ok(Some(match self.add(server, instead)? {
            None => Refused::no_scheduler(server, choice.scheduler, Some(default)),
            Some(error) if error.errno() == Some(EEXIST) => Refused::foreign(server),
            Some(error) => Refused::other(server, &error),
        }))
    }

    fn make_reals(
        &mut self,
        work: &Work,
        blocked: &FxHashSet<Server>,
        refused: &mut Vec<Refused>,
    ) -> Result<(), NetlinkError> {
        // What is not there as ours belongs to somebody else, or was not taken.
        let may = |server: &Server| !blocked.contains(server) && self.present.contains_key(server);
        let wanted: Vec<_> = work.reals.iter().filter(|(server, ..)| may(server)).collect();
        let mut commands = Vec::with_capacity(wanted.len());
        for (server, endpoint, old, weight) in &wanted {
            let (key, real) = (kernel_key(*server), real(*endpoint, *weight));
            let there = self.drains.end(server, endpoint) || old.is_some();
            commands.push(if there {
                Command::EditDestination(key, real)
            } else {
                Command::AddDestination(key, real)
            });
        }
        let mut failed = numbered(ipvs::apply(&mut self.socket, &commands)?);
        for (number, (server, endpoint, old, weight)) in wanted.into_iter().enumerate() {
            let error = match failed.remove(&number) {
                Some(error) => self.other_way(&commands[number], error)?,
                None => None,
            };
            match error {
                // The virtual server went meanwhile: everything has to be compared.
                Some(error) if error.errno() == Some(ESRCH) => return Err(error),
                Some(error) => refused.push(Refused::other(*server, &error)),
                None => self.count(server, *endpoint, *old, Some(*weight)),
            }
        }
        Ok(())
    }

    /// Edits what is there against expectation, and adds what is not.
    fn other_way(
        &mut self,
        command: &Command,
        error: NetlinkError,
    ) -> Result<Option<NetlinkError>, NetlinkError> {
        let other = match (error.errno(), command) {
            (Some(EEXIST), Command::AddDestination(key, real)) => Command::EditDestination(*key, *real),
            (Some(ENOENT), Command::EditDestination(key, real)) => Command::AddDestination(*key, *real),
            _ => return Ok(Some(error)),
        };
        Ok(ipvs::apply(&mut self.socket, &[other])?.pop())
    }
}
