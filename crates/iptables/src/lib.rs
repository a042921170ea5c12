//! The iptables dataplane: a tree of small chains leads to the rule of a frontend; one change rewrites few chains.
//!
//! ```text
//! SERVICES --last digit--> VIP-4 --digit before--> VIP-14 --address, port--> [FW] --> [EXT] --> SVC --> [SEP] --> DNAT
//!     \--an address of this node--> NODEPORTS --> NP-tcp-7 --> NP-tcp-75 --> NP-tcp-758 --port--> EXT
//! ```
//!
//! `layout` says what belongs to no Service, `tree` how a frontend is found, `lower` what a Route becomes, `observe`
//! what the tables have, `apply` writes a plan, `text` prints the same objects. `unread` is for tables that the tools
//! cannot print, `stuck` for chains that others hold. See docs/dataplanes/iptables.md.
//!
//! Invariants:
//! * only chains whose name begins with `TOWPATH-`, and jumps to these, are looked into and written;
//! * rules are written in the form in which `iptables-save` prints them, so that they can be compared as text;
//! * a chain is written whole, in one text with what leads to it: nothing is ever half done;
//! * what the kernel refuses of one Service costs no other Service anything;
//! * no decision about endpoints here: Routes come decided; one piece of code for both families.

mod apply;
mod choose;
mod delete;
mod digest;
mod hash;
mod host;
mod kernel;
mod layout;
mod loopback;
mod lower;
mod names;
mod nft;
mod objects;
mod observe;
mod pieces;
mod remove;
mod rule;
mod shadow;
mod stuck;
mod text;
mod tree;
mod unread;
mod watch;

pub use digest::Digest;
pub use names::{ChainId, Hook, PREFIX, Part, Place, Table, Tree};
pub use objects::{Entry, Key, Value};

use dataplane::{ApplyError, Dataplane, Ground, Operate, Plan, Refusal};
use model::{FrontendKey, IpFamily};
use resolve::{LocalSource, NodePortScope, Route, localhost_nodeport_nets};
use rustc_hash::{FxHashMap, FxHashSet};
use xtables::{Tools, Variant};

use crate::kernel::Kernel;
use crate::layout::{LOCALNET_WAS_OFF, Layout};
use crate::loopback::Loopback;
use crate::objects::UNREAD;
use crate::rule::PodMatch;

/// The dataplane. Without a kernel it can still lower and print.
#[derive(Debug, Default)]
pub struct Iptables {
    kernel: Option<Kernel>,
    layouts: Vec<Layout>,
    /// The last ground changed what Routes become.
    relowers: bool,
    loopback: Loopback,
}

impl Iptables {
    /// Talks to the kernel of this network namespace with these programs. Needs CAP_NET_ADMIN and CAP_NET_RAW.
    pub fn open(tools: Tools) -> Self {
        let mut families = IpFamily::ALL.to_vec();
        if !tools.has(IpFamily::V6) || !host::has_ipv6() {
            families.pop();
        }
        Self { kernel: Some(Kernel::new(tools, families)), ..Self::default() }
    }

    /// Whether IPv6 is programmed, as far as is known: the kernel has it, and ip6tables is installed.
    pub fn has_ipv6(&self) -> bool {
        self.kernel.as_ref().is_none_or(|kernel| kernel.families.contains(&IpFamily::V6))
    }

    /// Whose programs it uses; `None` without a kernel.
    pub fn variant(&self) -> Option<Variant> {
        self.kernel.as_ref().map(Kernel::variant)
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
            localnet_was_off: self.loopback.was_off(),
        }
    }

    fn localhost_nodeports(&self) -> bool {
        self.layouts.iter().any(|layout| !layout.localhost.is_empty())
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
            self.loopback.look();
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

    fn describe(&self, key: &Key, value: &Value) -> String {
        text::object(key, value)
    }

    fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let objects = self.kernel()?.observe()?;
        self.adopt(&objects);
        Ok(objects)
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        if !self.localhost_nodeports() {
            self.loopback.close();
        }
        let refusals = self.kernel()?.apply(plan.steps)?;
        if self.localhost_nodeports() {
            self.loopback.open();
        }
        Ok(refusals)
    }
}

impl Iptables {
    /// Learns what an earlier run has left in the rules, and repairs what goes with them.
    fn adopt(&mut self, objects: &FxHashMap<Key, Value>) {
        if !self.loopback.is_known() && self.variant().is_some_and(remove::other_variant_knows) {
            self.loopback.was_opened();
        }
        let input = Key::new(IpFamily::V4, ChainId::Input, Entry::Whole);
        let rules = match objects.get(&input).map(|rules| &**rules) {
            Some(UNREAD) => nft::input_comments().unwrap_or_default().join("\n"),
            Some(rules) => rules.to_owned(),
            None => return,
        };
        if rules.contains(LOCALNET_WAS_OFF) {
            self.loopback.was_opened();
        }
        if rules.contains("127.0.0.0/8") && self.localhost_nodeports() {
            self.loopback.open();
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
        let kernel = self.kernel.as_ref().ok_or_else(missing)?.reader();
        Ok(Self { kernel: Some(kernel), loopback: self.loopback.reader(), ..Self::default() })
    }

    fn family(&self, key: &Key) -> IpFamily {
        key.family()
    }

    fn render(&self, objects: &[(Key, Value)]) -> String {
        text::ruleset(objects)
    }

    /// The tables of these chains are read, whole; no tool of both variants reads less of them at less cost.
    fn observe_some(&mut self, keys: &FxHashSet<Key>) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let places: FxHashSet<&Place> = keys.iter().map(|key| &key.place).collect();
        let kernel = self.kernel()?;
        let mut some = if kernel.is_reader() { kernel.observe_some(&places)? } else { self.observe()? };
        some.retain(|key, _| {
            keys.contains(key) || matches!(key.entry, Entry::Stray(..)) && places.contains(&key.place)
        });
        Ok(some)
    }

    fn touched_by_others(&mut self) -> bool {
        let is_touched = self.kernel.as_mut().is_some_and(Kernel::is_touched);
        is_touched || self.loopback.is_closed_by_others()
    }

    fn touched_by(&self) -> Option<String> {
        self.kernel.as_ref().and_then(Kernel::touched_by)
    }

    fn settings_set_again(&mut self) -> Vec<String> {
        let woken = self.kernel.as_mut().map(Kernel::woken).unwrap_or_default();
        self.loopback.set_again().into_iter().chain(woken).collect()
    }

    fn is_installed(&mut self) -> Result<bool, ApplyError> {
        let kernel = self.kernel()?;
        remove::is_installed(&kernel.tools, &kernel.families)
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        let loopback = &mut self.loopback;
        let missing = || ApplyError::new("cannot use iptables")("this dataplane was opened without a kernel");
        let kernel = self.kernel.as_mut().ok_or_else(missing)?;
        let variant = kernel.variant();
        // The other variant may need it, and puts it back when it goes.
        if remove::says_localnet_was_off(&kernel.tools) && !remove::other_variant_knows(variant) {
            loopback.was_opened();
        } else {
            loopback.leave();
        }
        // Nobody may come to loopback at any time: while it is open, the rule against it stays.
        let before = |family, table| {
            if (family, table) == (IpFamily::V4, Table::Filter) {
                loopback.close();
            }
        };
        let removed = remove::remove(&kernel.tools, &kernel.families, before)?;
        kernel.forget();
        Ok(removed)
    }
}
