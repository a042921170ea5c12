//! From Routes to a kernel that agrees with them.
//!
//! ```text
//! Route --Dataplane::lower--> keyed objects --Ledger--> Plan --Dataplane::apply--> kernel
//!                                   kernel --Dataplane::observe--> the same keyed objects
//! ```
//!
//! Invariants:
//! * the desired state is the union of what every owner asks for; a key may have several owners;
//! * a change costs what its owner's objects cost; a full reconcile is the same diff against what the kernel has;
//! * there is no other path: first sync, restart, repair and cleanup are diffs;
//! * no rule syntax, no sockets here.

mod drain;
mod draining;
mod engine;
mod flows;
mod ledger;
mod pace;
mod place;
mod plan;
mod refusals;
mod report;
mod start;

pub use drain::{DrainCheck, DrainNews, DrainTracker, Leaver};
pub use draining::{Draining, Drains, MOST_DRAINING};
pub use engine::Engine;
pub use flows::{FlowCheck, FlowTracker};
pub use ledger::Ledger;
pub use pace::Pace;
pub use place::place;
pub use plan::{Plan, Step, Summary};
pub use refusals::conflict_problem;
pub use report::{FullReport, SyncReport};
pub use start::Start;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use ipnet::IpNet;
use model::{FrontendKey, IpFamily, NamespacedName, NodeFacts};
use resolve::{ProxyConfig, Route};
use rustc_hash::{FxHashMap, FxHashSet};

/// What a dataplane is asked for beside the Services: the facts that shape its constant part.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The configuration.
    pub config: &'a ProxyConfig,
    /// This node.
    pub facts: &'a NodeFacts,
    /// Every ServiceCIDR.
    pub service_cidrs: &'a [IpNet],
}

/// Why a plan did not reach the kernel. The kernel is then as it was before the failed transaction.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct ApplyError {
    /// The phase.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ApplyError {
    /// Wraps an error, naming the phase.
    pub fn new<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &str) -> impl FnOnce(E) -> Self {
        move |source| Self { what: what.to_owned(), source: source.into() }
    }
}

/// One way to program the kernel.
pub trait Dataplane {
    /// Identity of an object in the kernel.
    type Key: Clone + Eq + Hash + Debug + Ord;
    /// What the object is.
    type Value: Clone + Eq + Debug;

    /// Takes in new ground facts; returns the objects that belong to no Service.
    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Self::Key, Self::Value)>;

    /// Whether the last [`Dataplane::ground`] changed what [`Dataplane::lower`] makes of a Route, so that every Service
    /// has to be lowered again.
    fn relowers(&self) -> bool {
        false
    }

    /// The objects that one Route becomes. `now` tells what an object is at present, so that endpoints can keep
    /// their slots; apart from that choice the result depends on the Route and the ground alone.
    fn lower(
        &self,
        route: &Route,
        now: &dyn Fn(&Self::Key) -> Option<Self::Value>,
    ) -> Vec<(Self::Key, Self::Value)>;

    /// The frontend that an object serves, if it is the one object that stands for it.
    fn frontend(&self, key: &Self::Key) -> Option<FrontendKey>;

    /// One object in a line of text.
    fn describe(&self, key: &Self::Key, value: &Self::Value) -> String;

    /// Everything of ours that the kernel has.
    fn observe(&mut self) -> Result<FxHashMap<Self::Key, Self::Value>, ApplyError>;

    /// Makes the kernel follow the plan. What it does not take of single Services is named, and does not keep it from
    /// taking the rest; these objects are then not in the kernel.
    fn apply(&mut self, plan: Plan<Self::Key, Self::Value>) -> Result<Vec<Refusal>, ApplyError>;
}

/// A Service whose objects the kernel did not take, or not as they were asked for, while it took those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The Service.
    pub service: NamespacedName,
    /// Why, in the words of the kernel or its tool.
    pub reason: String,
    /// What the kernel has in their place, as "scheduler rr instead of lc": the Service is served so. `None`: it has
    /// nothing, and the Service is not served.
    pub instead: Option<String>,
}

/// How far [`Operate::retire`] has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retired {
    /// Nothing of ours is left; the number of objects that this call removed.
    Gone(usize),
    /// New connections are not taken any more, old ones still are: ask again. What it waits for, to be read after "until":
    /// "3 connections end".
    Draining(String),
}

/// What a running program needs of a dataplane beside reconciling: to print it, to guard it, to remove it.
pub trait Operate: Dataplane {
    /// One that only lowers and prints: it knows no kernel, and needs no privilege.
    fn offline() -> Self
    where
        Self: Sized;

    /// A second one that observes the same kernel.
    fn reader(&self) -> Result<Self, ApplyError>
    where
        Self: Sized;

    /// The family that an object is for.
    fn family(&self, key: &Self::Key) -> IpFamily;

    /// The ruleset of these objects, as text that the kernel's own tool reads. It depends on the set of objects, not
    /// on their order.
    fn render(&self, objects: &[(Self::Key, Self::Value)]) -> String;

    /// What the kernel has under these keys, and what others have put where it keeps packets from these objects; keys that it does
    /// not have are left out. By default all of it is read and most
    /// of it dropped; a dataplane that can ask for single objects does.
    fn observe_some(
        &mut self,
        keys: &FxHashSet<Self::Key>,
    ) -> Result<FxHashMap<Self::Key, Self::Value>, ApplyError> {
        let mut all = self.observe()?;
        all.retain(|key, _| keys.contains(key));
        Ok(all)
    }

    /// Whether somebody else may have changed what [`Dataplane::observe`] sees, since it was last called or a plan was
    /// applied. Cheap: it is asked a few times a second.
    fn touched_by_others(&mut self) -> bool;

    /// Who it was that the last `true` of [`Operate::touched_by_others`] was about, as "nft (pid 4711)"; `None` where that is
    /// not known.
    fn touched_by(&self) -> Option<String> {
        None
    }

    /// Settings of the kernel beside our objects that others had changed and that were set again, since this was last asked: a
    /// name each, as "net.ipv4.vs.conntrack". By default there are none.
    fn settings_set_again(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether rules of ours are in force, of this program or of an earlier one.
    fn is_installed(&mut self) -> Result<bool, ApplyError>;

    /// Removes everything of ours, and nothing else; the number of objects that were there. Does nothing where nothing
    /// is.
    fn remove(&mut self) -> Result<usize, ApplyError>;

    /// Does the work that only time brings, as ending what drains, as far as it is due. It returns after how long it is to
    /// be called again at the latest; `None`: nothing is waited for. Cheap when nothing is due. An error leaves what was
    /// due for the next call.
    fn tend(&mut self) -> Result<Option<Duration>, ApplyError> {
        Ok(None)
    }

    /// The drain deadline of an endpoint is over: what this dataplane still keeps for connections that came through these
    /// frontends goes with the next [`Operate::tend`]. By default there is no such thing.
    fn end_drain(&mut self, _who: &Leaver, _frontends: &[FrontendKey]) {}

    /// Removes everything of ours as [`Operate::remove`] does, but lets what is in use end first: to be called, about once a
    /// second, until it is [`Retired::Gone`]. By default nothing is waited for.
    fn retire(&mut self) -> Result<Retired, ApplyError> {
        self.remove().map(Retired::Gone)
    }
}
