//! The iptables dataplane: a tree of small chains leads to the rule of a frontend; one change rewrites few chains.
//!
//! ```text
//! SERVICES --last digit--> VIP-4 --digit before--> VIP-14 --address, port--> [FW] --> [EXT] --> SVC --> [SEP] --> DNAT
//!     \--an address of this node--> NODEPORTS --> NP-tcp-7 --> NP-tcp-75 --> NP-tcp-758 --port--> EXT
//! ```
//!
//! `layout` says what belongs to no Service, `tree` how a frontend is found, `lower` what a Route becomes, `observe`
//! what the tables have, `apply` writes a plan, `text` prints the same objects. See docs/dataplanes/iptables.md.
//!
//! Invariants:
//! * only chains whose name begins with `TOWPATH-`, and jumps to these, are looked into and written;
//! * rules are written in the form in which `iptables-save` prints them, so that they can be compared as text;
//! * a chain is written whole, in one text with what leads to it: nothing is ever half done;
//! * what the kernel refuses of one Service costs no other Service anything;
//! * no decision about endpoints here: Routes come decided; one piece of code for both families.

mod apply;
mod choose;
mod digest;
mod hash;
mod host;
mod layout;
mod lower;
mod names;
mod objects;
mod observe;
mod pieces;
mod remove;
mod rule;
mod shadow;
mod text;
mod tree;
mod watch;

pub use digest::Digest;
pub use names::{ChainId, Hook, PREFIX, Part, Place, Table, Tree};
pub use objects::{Entry, Key, Value};

use std::error::Error;

use dataplane::{ApplyError, Dataplane, Ground, Operate, Plan, Refusal};
use model::{FrontendKey, IpFamily};
use resolve::{LocalSource, NodePortScope, Route, localhost_nodeport_nets};
use rustc_hash::FxHashMap;
use xtables::{RestoreError, Tools, Variant};

use crate::apply::Writer;
use crate::layout::{LOCALNET_WAS_OFF, Layout};
use crate::rule::PodMatch;
use crate::shadow::Shadow;
use crate::watch::Watch;

/// The dataplane. Without a kernel it can still lower and print.
#[derive(Debug, Default)]
pub struct Iptables {
    kernel: Option<Kernel>,
    layouts: Vec<Layout>,
    /// The last ground changed what Routes become.
    relowers: bool,
    /// `route_localnet` was 0 before this program set it to 1; unknown before the tables were read.
    localnet_was_off: Option<bool>,
    /// This program, or an earlier run of it, has set `route_localnet` to 1.
    opened_loopback: bool,
}

/// What it takes to read and write the tables of this network namespace.
#[derive(Debug)]
struct Kernel {
    tools: Tools,
    shadow: Shadow,
    watch: Watch,
    /// The families whose tables can be used; both, until the first attempt says otherwise.
    families: Vec<IpFamily>,
    probed: bool,
}

impl Kernel {
    fn new(tools: Tools, families: Vec<IpFamily>) -> Self {
        let watch = Watch::new(tools.variant());
        Self { tools, shadow: Shadow::default(), watch, families, probed: false }
    }

    /// Finds out once whether IPv6 can be programmed. IPv4 works all the same.
    fn probe(&mut self) {
        if self.probed || !self.families.contains(&IpFamily::V6) {
            return;
        }
        let result = self.tools.restore(IpFamily::V6, "*filter\nCOMMIT\n*nat\nCOMMIT\n");
        self.probed = !matches!(result, Err(RestoreError::Locked { .. } | RestoreError::TimedOut));
        if let Err(error) = result.as_ref().map_err(|error| error.to_string())
            && self.probed
        {
            self.families.retain(|family| *family != IpFamily::V6);
            tracing::warn!(error, "iptables for IPv6 cannot be used: only IPv4 is programmed");
        }
    }
}

impl Iptables {
    /// Talks to the kernel of this network namespace with these programs. Needs CAP_NET_ADMIN and CAP_NET_RAW.
    pub fn open(tools: Tools) -> Self {
        let mut families = IpFamily::ALL.to_vec();
        if !tools.has(IpFamily::V6) || !host::has_ipv6() {
            families.pop();
            tracing::info!("only IPv4 is programmed: the kernel has no IPv6, or ip6tables is not installed");
        }
        Self { kernel: Some(Kernel::new(tools, families)), ..Self::default() }
    }

    /// Whose programs it uses; `None` without a kernel.
    pub fn variant(&self) -> Option<Variant> {
        self.kernel.as_ref().map(|kernel| kernel.tools.variant())
    }

    fn kernel(&mut self) -> Result<&mut Kernel, ApplyError> {
        let missing = "this dataplane was opened without a kernel";
        self.kernel.as_mut().ok_or_else(|| ApplyError::new("cannot use iptables")(missing))
    }

    fn layout(&self, ground: &Ground<'_>, family: IpFamily) -> Layout {
        let nets = localhost_nodeport_nets(ground.config);
        Layout {
            family,
            pods: PodMatch::new(&LocalSource::new(ground.config, ground.facts, family)),
            masquerade_all: ground.config.masquerade_all,
            mark: 1 << ground.config.masquerade_bit,
            scope: NodePortScope::new(ground.config, ground.facts, family),
            localhost: if family == IpFamily::V4 { nets } else { Vec::new() },
            drop_invalid: self.kernel.is_none() || !host::is_liberal(),
            localnet_was_off: self.localnet_was_off == Some(true),
        }
    }

    fn localhost_nodeports(&self) -> bool {
        self.layouts.iter().any(|layout| !layout.localhost.is_empty())
    }

    /// The rule that keeps others off loopback is in force: nodePorts may be reached there now.
    fn open_loopback(&mut self) {
        if self.kernel.is_some() && self.localhost_nodeports() {
            self.opened_loopback |= self.localnet_was_off == Some(true);
            host::route_localnet(true);
        }
    }

    /// That rule is about to go, if it was there.
    fn close_loopback(&mut self) {
        if self.opened_loopback && !self.localhost_nodeports() {
            self.opened_loopback = false;
            host::route_localnet(false);
        }
    }
}

impl Dataplane for Iptables {
    type Key = Key;
    type Value = Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Key, Value)> {
        let mut families = IpFamily::ALL.to_vec();
        if let Some(kernel) = &mut self.kernel {
            kernel.probe();
            families.clone_from(&kernel.families);
            self.localnet_was_off.get_or_insert_with(|| !host::routes_localnet());
        }
        let before = std::mem::take(&mut self.layouts);
        self.layouts = families.into_iter().map(|family| self.layout(ground, family)).collect();
        self.relowers = !before.iter().zip(&self.layouts).all(|(old, new)| old.lowers_as(new));
        self.layouts.iter().flat_map(Layout::objects).collect()
    }

    fn relowers(&self) -> bool {
        self.relowers
    }

    fn lower(&self, route: &Route, _now: &dyn Fn(&Key) -> Option<Value>) -> Vec<(Key, Value)> {
        let layout = self.layouts.iter().find(|layout| layout.family == route.family);
        layout.map(|layout| lower::lower(layout, route)).unwrap_or_default()
    }

    fn frontend(&self, key: &Key) -> Option<FrontendKey> {
        key.frontend()
    }

    fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let kernel = self.kernel()?;
        let variant = kernel.tools.variant();
        kernel.watch.know(variant);
        let mut objects = FxHashMap::default();
        for family in kernel.families.clone() {
            for table in Table::ALL {
                let saved = kernel.tools.save_text(family, table.as_str());
                let saved = saved.map_err(|error| failed("cannot read the tables", error))?;
                observe::observe(family, table, &saved, &mut objects);
            }
        }
        kernel.shadow = Shadow::new(objects.iter());
        self.adopt(&objects);
        Ok(objects)
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        self.close_loopback();
        let kernel = self.kernel()?;
        let variant = kernel.tools.variant();
        let touched = kernel.watch.is_touched(variant);
        let tools = &kernel.tools;
        let restore = |family: IpFamily, text: &str| tools.restore(family, text);
        let mut writer = Writer { restore: &restore, shadow: &mut kernel.shadow, commits: 0, repeats: false };
        let refusals = writer.apply(plan.steps)?;
        let commits = refusals.is_empty().then_some(writer.commits);
        kernel.watch.wrote(variant, touched, commits);
        self.open_loopback();
        Ok(refusals)
    }
}

impl Iptables {
    /// Learns what an earlier run has left in the rules, and repairs what goes with them.
    fn adopt(&mut self, objects: &FxHashMap<Key, Value>) {
        let input = Key::new(IpFamily::V4, ChainId::Input, Entry::Whole);
        let rules = objects.get(&input);
        if self.localnet_was_off.is_none() && self.variant().is_some_and(remove::other_variant_knows) {
            (self.localnet_was_off, self.opened_loopback) = (Some(true), true);
        }
        if rules.is_some_and(|rules| rules.contains(LOCALNET_WAS_OFF)) {
            self.localnet_was_off.get_or_insert(true);
            self.opened_loopback = true;
        }
        if rules.is_some_and(|rules| rules.contains("127.0.0.0/8")) {
            self.open_loopback();
        }
    }
}

impl Operate for Iptables {
    fn offline() -> Self {
        Self::default()
    }

    fn reader(&self) -> Result<Self, ApplyError> {
        let missing =
            || ApplyError::new("cannot read the tables")("this dataplane was opened without a kernel");
        let kernel = self.kernel.as_ref().ok_or_else(missing)?;
        let kernel = Kernel::new(kernel.tools.clone(), kernel.families.clone());
        Ok(Self { kernel: Some(kernel), ..Self::default() })
    }

    fn family(&self, key: &Key) -> IpFamily {
        key.family()
    }

    fn describe(&self, key: &Key, value: &Value) -> String {
        text::object(key, value)
    }

    fn render(&self, objects: &[(Key, Value)]) -> String {
        text::ruleset(objects)
    }

    fn touched_by_others(&mut self) -> bool {
        let Some(kernel) = &mut self.kernel else { return false };
        kernel.watch.is_touched(kernel.tools.variant())
    }

    fn is_installed(&mut self) -> Result<bool, ApplyError> {
        let kernel = self.kernel()?;
        remove::is_installed(&kernel.tools, &kernel.families)
            .map_err(|error| failed("cannot read the tables", error))
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        let kernel = self.kernel()?;
        let variant = kernel.tools.variant();
        let removed = remove::remove(&kernel.tools, &kernel.families)?;
        kernel.shadow = Shadow::default();
        // The other variant may need it, and puts it back when it goes.
        if removed.localnet_was_off && !remove::other_variant_knows(variant) {
            self.opened_loopback = false;
            host::route_localnet(false);
        }
        Ok(removed.chains)
    }
}

fn failed(what: &str, source: impl Error + Send + Sync + 'static) -> ApplyError {
    ApplyError { what: what.to_owned(), source: Box::new(source) }
}
