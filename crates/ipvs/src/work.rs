//! A plan, sorted by who carries it out.

use dataplane::{Plan, Step};
use model::{EndpointAddr, Scheduler};
use netlink::NetlinkError;
use netlink::route::LocalRoute;
use rustc_hash::FxHashSet;

use crate::objects::{Choice, Key, Named, Server, Value, recorded};
use crate::route::local_route;

/// What of a plan is not for nf_tables.
#[derive(Debug, Default)]
pub struct Work {
    /// Virtual servers to make or change.
    pub servers: Vec<(Server, Choice)>,
    /// Real servers to make or change, with their weight before and now.
    pub reals: Vec<(Server, EndpointAddr, Option<u32>, u32)>,
    /// Real servers that are not wanted any more, with their weight.
    pub lost: Vec<(Server, EndpointAddr, u32)>,
    /// Virtual servers that are not wanted any more.
    pub ended: Vec<Server>,
    /// Routes to make.
    pub routes: Vec<LocalRoute>,
    /// Routes that are not wanted any more.
    pub old_routes: Vec<LocalRoute>,
}

/// The rules of a plan.
pub type Rules = Plan<nftables::Key, nftables::Value>;

/// A plan in three parts: the rules to write first, the work of this crate, and the records of virtual servers that are
/// to be gone by then.
pub fn sort(plan: Plan<Key, Value>) -> (Rules, Work, Vec<Server>) {
    let (mut rules, mut work, mut records) = (Rules::default(), Work::default(), Vec::new());
    for (key, step) in plan.steps {
        match (&key, &step) {
            (_, Step::Delete(_)) if key.recorded().is_some() => records.extend(key.recorded()),
            (Key::Rule(rule), _) => rules.steps.extend(rule_step(&step).map(|step| (rule.clone(), step))),
            (Key::Server(server), _) => work.server(*server, &step),
            (Key::Real(server, endpoint), _) => work.real(*server, *endpoint, &step),
            (Key::Route(net), _) => match step {
                Step::Create(value) | Step::Update { new: value, .. } => {
                    work.routes.push(local_route(*net, &value));
                }
                Step::Delete(value) => work.old_routes.push(local_route(*net, &value)),
            },
        }
    }
    (rules, work, records)
}

impl Work {
    /// Leaves virtual servers to those who have made them: nothing of them is ours, and no record says so.
    pub fn leave(&mut self, taken: &FxHashSet<Server>, rules: &mut Rules) {
        if taken.is_empty() {
            return;
        }
        self.servers.retain(|(server, _)| !taken.contains(server));
        self.reals.retain(|(server, ..)| !taken.contains(server));
        rules.steps.retain(|(key, _)| !recorded(key).is_some_and(|server| taken.contains(&server)));
    }

    fn server(&mut self, server: Server, step: &Step<Value>) {
        match step {
            Step::Create(Value::Server(choice)) | Step::Update { new: Value::Server(choice), .. } => {
                self.servers.push((server, *choice));
            }
            Step::Delete(_) => self.ended.push(server),
            _ => {}
        }
    }

    fn real(&mut self, server: Server, endpoint: EndpointAddr, step: &Step<Value>) {
        match step {
            Step::Create(Value::Real(new)) => self.reals.push((server, endpoint, None, *new)),
            Step::Update { old: Value::Real(old), new: Value::Real(new) } => {
                self.reals.push((server, endpoint, Some(*old), *new));
            }
            Step::Delete(Value::Real(weight)) => self.lost.push((server, endpoint, *weight)),
            _ => {}
        }
    }
}

fn rule_step(step: &Step<Value>) -> Option<Step<nftables::Value>> {
    let rule = |value: &Value| match value {
        Value::Rule(value) => Some(*value),
        _ => None,
    };
    Some(match step {
        Step::Create(value) => Step::Create(rule(value)?),
        Step::Update { old, new } => Step::Update { old: rule(old)?, new: rule(new)? },
        Step::Delete(value) => Step::Delete(rule(value)?),
    })
}

/// A virtual server that the kernel did not take as it was wanted.
#[derive(Debug)]
pub struct Refused {
    /// Which.
    pub server: Server,
    /// Why.
    pub reason: String,
    /// What is in force in its place.
    pub instead: Option<String>,
    /// Somebody else has it: nothing of it is ours.
    pub foreign: bool,
}

impl Refused {
    /// Somebody else has it.
    pub fn foreign(server: Server) -> Self {
        let named = Named(server);
        let reason = format!(
            "there is a virtual server {named} that towpath has not made; delete it (ipvsadm -D {named}) or give the Service another address or port"
        );
        let instead = Some("its other frontends only".to_owned());
        Self { server, reason, instead, foreign: true }
    }

    /// There is no such scheduler.
    pub fn no_scheduler(server: Server, wanted: Option<Scheduler>, instead: Option<Scheduler>) -> Self {
        let wanted = wanted.unwrap_or_default();
        let reason = format!(
            "the kernel has no scheduler {wanted}: load the module {} or name another one",
            wanted.module()
        );
        Self {
            server,
            reason,
            instead: instead.map(|scheduler| format!("scheduler {scheduler}")),
            foreign: false,
        }
    }

    /// Whatever the kernel says.
    pub fn other(server: Server, error: &NetlinkError) -> Self {
        Self {
            server,
            reason: format!("virtual server {}: {error}", Named(server)),
            instead: None,
            foreign: false,
        }
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
