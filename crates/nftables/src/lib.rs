//! The nftables dataplane: constant chains, one element per frontend and one per endpoint slot.
//!
//! ```text
//! services: daddr . proto . dport --vips--> goto pick-vip-07-of-4
//! pick-vip-07-of-4: daddr . proto . dport . random(4) --vip-slots-07--> dnat to endpoint
//! ```
//!
//! `layout` says what is in each chain, `sets` what kind each set is, `ground` what belongs to no Service, `lower` what a
//! Route becomes; `observe` and `apply` talk to the kernel, `text` prints the same objects. See docs/dataplanes/nftables.md.
//!
//! In [`Style::Ipvs`] the same objects, in tables of their own, do what IPVS cannot (docs/dataplanes/ipvs.md):
//!
//! ```text
//! services: daddr . proto . dport --vips--> goto to-ipvs-masq: mark for masquerade, accept --> IPVS
//! ```
//!
//! Invariants:
//! * only the tables `towpath` (or `towpath-ipvs`) and `towpath-drain` of `ip` and `ip6` are written, and nothing of another table is looked into;
//! * only expressions that `nft` itself emits, so that `nft list ruleset` can print them;
//! * no decision about endpoints here: Routes come decided;
//! * one piece of code for both families.

mod affinity;
mod apply;
mod chain_id;
mod codec;
mod ground;
mod ids;
mod layout;
mod lower;
mod objects;
mod observe;
mod probe;
mod resets;
mod rule;
mod sets;
mod slots;
mod some;
mod strange;
mod style;
mod text;
mod userdata;

pub use codec::kernel_element;
pub use ids::{ChainId, Pick, SetId, TABLE};
pub use layout::Layout;
pub use objects::{ElementKey, Key, PortKey, Stray, Target, Value, VipKey};
pub use probe::{Missing, probe, probe_as};
pub use resets::{Connection, DRAIN_TABLE, MOST_RESETS, RESET_FOR, Resets, remove_resets};
pub use style::Style;

use std::cell::RefCell;
use std::error::Error;

use dataplane::{ApplyError, Dataplane, Ground, Operate, Plan, Refusal};
use model::{FrontendKey, IpFamily};
use netlink::{NetlinkError, Socket, nft};
use resolve::Route;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::affinity::{Losses, StickyFrontends};
use crate::strange::StrangeChains;

/// The dataplane. Without a kernel it can still lower and print.
#[derive(Debug, Default)]
pub struct Nftables {
    style: Style,
    socket: Option<Socket>,
    layouts: Vec<Layout>,
    /// The last ground changed what Routes become.
    relowers: bool,
    sticky: StickyFrontends,
    /// What frontends with affinity have lost by plans that were not wholly applied yet.
    losses: Losses,
    /// Families whose table has to be replaced as a whole.
    replace: Vec<IpFamily>,
    definitions: RefCell<FxHashMap<(IpFamily, ChainId), Value>>,
    /// Whether others have touched the tables since they were looked at.
    sentry: nft::Sentry,
    /// Chains that somebody has changed, as they were found the last time.
    strange: StrangeChains,
}

const NO_KERNEL: NetlinkError = NetlinkError::Malformed("this dataplane was opened without a kernel");

pub(crate) fn kernel_family(family: IpFamily) -> nft::Family {
    match family {
        IpFamily::V4 => nft::Family::Ip,
        IpFamily::V6 => nft::Family::Ip6,
    }
}

impl Nftables {
    /// Talks to the kernel of this network namespace, in [`Style::Dnat`]. Needs CAP_NET_ADMIN.
    pub fn open() -> Result<Self, NetlinkError> {
        Self::open_as(Style::Dnat)
    }

    /// The same in any style.
    pub fn open_as(style: Style) -> Result<Self, NetlinkError> {
        let socket = Some(Socket::open(nft::NETLINK_NETFILTER)?);
        Ok(Self { socket, ..Self::offline_as(style) })
    }

    /// One that only lowers and prints, in any style: it knows no kernel, and needs no privilege.
    pub fn offline_as(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    /// What its tables are for.
    pub fn style(&self) -> Style {
        self.style
    }

    /// What each family's chains are made from; empty before the first [`Dataplane::ground`].
    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }

    /// The virtual servers that the tables of [`Style::Ipvs`] name as ours, also tables that another version has made. None
    /// where there are no such tables. Errors: they cannot be read.
    pub fn virtual_servers(&mut self) -> Result<Vec<VipKey>, ApplyError> {
        let socket = self.kernel().map_err(|e| failed("cannot use nf_tables", e))?;
        let mut all = Vec::new();
        for family in IpFamily::ALL {
            let found = observe::virtual_servers(socket, family);
            all.extend(found.map_err(|e| failed("cannot read which virtual servers are ours", e))?);
        }
        Ok(all)
    }

    /// Takes the chains out of force that decide about new connections, for [`Style::Ipvs`] while another mode is in force and
    /// connections of IPVS are still here: they need masquerading, and nobody may reach the node's own ports at VIPs.
    /// Observing finds what is missing. Errors: the kernel refused.
    pub fn stand_back(&mut self) -> Result<(), ApplyError> {
        let style = self.style;
        let socket = self.kernel().map_err(|e| failed("cannot use nf_tables", e))?;
        for family in IpFamily::ALL {
            apply::stand_back(socket, style, family)
                .map_err(|e| failed("cannot take chains of our tables out of force", e))?;
        }
        self.sentry.forget();
        Ok(())
    }

    /// Transactions of ours that the kernel has taken.
    fn commits(&self) -> u32 {
        self.socket.as_ref().map_or(0, Socket::commits)
    }

    fn tables_with_chains(&mut self) -> Result<usize, NetlinkError> {
        let table = self.style.table();
        let socket = self.kernel()?;
        let mut tables = 0;
        for family in IpFamily::ALL {
            tables += usize::from(!nft::chains(socket, kernel_family(family), table)?.is_empty());
        }
        Ok(tables)
    }

    /// Deletes our tables, and nothing else. One that is not there costs no commit.
    fn remove_tables(&mut self) -> Result<usize, NetlinkError> {
        let there = self.tables_with_chains()?;
        if there > 0 {
            let style = self.style;
            let socket = self.kernel()?;
            IpFamily::ALL.into_iter().try_for_each(|family| apply::delete_table(socket, style, family))?;
        }
        self.sentry.forget();
        Ok(there)
    }

    fn kernel(&mut self) -> Result<&mut Socket, NetlinkError> {
        self.socket.as_mut().ok_or(NO_KERNEL)
    }

    fn observe_all(&mut self) -> Result<FxHashMap<Key, Value>, NetlinkError> {
        // Before the look: what others commit meanwhile must be seen the next time.
        self.sentry.know(self.socket.as_mut().ok_or(NO_KERNEL)?)?;
        let mut all = FxHashMap::default();
        let style = self.style;
        self.replace.clear();
        self.strange.clear();
        for family in IpFamily::ALL {
            let layout = self.layouts.iter().find(|layout| layout.family == family);
            let socket = self.socket.as_mut().ok_or(NO_KERNEL)?;
            let found = observe::observe(socket, style, family, layout)?;
            self.strange.extend(found.strange);
            if found.incompatible {
                self.replace.push(family);
            }
            if all.is_empty() { all = found.objects } else { all.extend(found.objects) }
        }
        self.sticky.adopt(all.iter());
        Ok(all)
    }

    fn apply_all(&mut self, plan: Plan<Key, Value>) -> Result<(), NetlinkError> {
        self.losses.add(self.sticky.follow(&plan.steps));
        let (v4, v6): (Vec<_>, Vec<_>) =
            plan.steps.into_iter().partition(|(key, _)| key.family() == IpFamily::V4);
        let socket = self.socket.as_mut().ok_or(NO_KERNEL)?;
        let mut result = Ok(());
        for (layout, steps) in self.layouts.iter().zip([v4, v6]).filter(|(_, steps)| !steps.is_empty()) {
            match apply::apply(socket, layout, steps, self.replace.contains(&layout.family)) {
                Ok(()) => self.replace.retain(|family| *family != layout.family),
                // The other family gets its share all the same.
                Err(error) => result = Err(error),
            }
        }
        if result.is_ok() {
            self.forget_losses();
        }
        result
    }
}

impl Nftables {
    /// The rules are in force by now, so a failure here is no failure of the plan.
    fn forget_losses(&mut self) {
        let losses = std::mem::take(&mut self.losses);
        let Some(socket) = self.socket.as_mut() else { return };
        let mut failed = false;
        for family in IpFamily::ALL {
            match losses.forget(socket, self.style, family) {
                Ok(count) => tracing::debug!(count, "forgot clients' choices of endpoints that are gone"),
                Err(error) => {
                    tracing::warn!(%error, "cannot forget clients' choices of endpoints that are gone; trying again with the next change");
                    failed = true;
                }
            }
        }
        if failed {
            self.losses.add(losses);
        }
    }
}

impl Dataplane for Nftables {
    type Key = Key;
    type Value = Value;

    fn ground(&mut self, ground: &Ground<'_>) -> Vec<(Key, Value)> {
        self.take_ground(ground);
        self.layouts.iter().flat_map(|layout| self.constant_objects(layout)).collect()
    }

    fn relowers(&self) -> bool {
        self.relowers
    }

    fn lower(&self, route: &Route, now: &dyn Fn(&Key) -> Option<Value>) -> Vec<(Key, Value)> {
        let addresses = self.layout(route.family).map_or(&[][..], |layout| &layout.addresses);
        let mut objects = lower::lower(route, now, self.style, addresses);
        for (key, value) in &mut objects {
            if let Key::Chain(family, chain) = key {
                *value = self.chain_value(*family, *chain);
            }
        }
        objects
    }

    fn frontend(&self, key: &Key) -> Option<FrontendKey> {
        match key {
            Key::Element(_, SetId::Vips | SetId::IdleVips, ElementKey::Vip(vip)) => {
                Some(FrontendKey::Vip { ip: vip.ip, protocol: vip.protocol, port: vip.port })
            }
            Key::Element(family, SetId::NodePorts | SetId::IdleNodePorts, ElementKey::Port(port)) => {
                Some(FrontendKey::NodePort { family: *family, protocol: port.protocol, port: port.port })
            }
            _ => None,
        }
    }

    fn describe(&self, key: &Key, value: &Value) -> String {
        let Some(layout) = self.layout(key.family()) else { return String::new() };
        match key {
            Key::Chain(family, id) if *value != self.chain_value(*family, *id) => {
                let found = self.strange.get(&(*family, *id)).map(|found| found.text(layout, *id));
                text::strange_chain(layout, *id, found.as_deref())
            }
            _ => text::object(layout, key, value),
        }
    }

    fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        self.observe_all().map_err(|e| failed("cannot read the tables from the kernel", e))
    }

    fn apply(&mut self, plan: Plan<Key, Value>) -> Result<Vec<Refusal>, ApplyError> {
        let (style, before) = (self.style, self.commits());
        self.sentry.before(nft::Writing::Objects(plan.len()), &|news| is_ours(style, news));
        let result = self.apply_all(plan);
        // Each transaction of ours has moved the generation by one.
        let own = self.commits().wrapping_sub(before);
        if let Some(socket) = self.socket.as_mut() {
            self.sentry.after(socket, Some(own));
        }
        result.map(|()| Vec::new()).map_err(|e| failed("cannot write the tables", e))
    }
}

impl Operate for Nftables {
    fn offline() -> Self {
        Self::default()
    }

    fn reader(&self) -> Result<Self, ApplyError> {
        Self::open_as(self.style).map_err(|e| failed("cannot open nf_tables", e))
    }

    fn family(&self, key: &Key) -> IpFamily {
        key.family()
    }

    fn render(&self, objects: &[(Key, Value)]) -> String {
        let mut by_family: [Vec<(Key, Value)>; 2] = Default::default();
        for (key, value) in objects {
            by_family[usize::from(key.family() == IpFamily::V6)].push((key.clone(), *value));
        }
        let of = |family: IpFamily| &by_family[usize::from(family == IpFamily::V6)];
        let layouts = self.layouts.iter().filter(|layout| !of(layout.family).is_empty());
        layouts.map(|layout| text::table(layout, of(layout.family))).collect::<Vec<_>>().join("\n")
    }

    fn observe_some(&mut self, keys: &FxHashSet<Key>) -> Result<FxHashMap<Key, Value>, ApplyError> {
        if keys.len() > some::MOST {
            let mut all = self.observe()?;
            all.retain(|key, _| keys.contains(key));
            return Ok(all);
        }
        let style = self.style;
        let socket = self.socket.as_mut().ok_or(NO_KERNEL);
        let found = socket.and_then(|socket| some::observe_some(socket, style, &self.layouts, keys));
        let (objects, strange) = found.map_err(|e| failed("cannot read objects from the kernel", e))?;
        self.strange = strange;
        Ok(objects)
    }

    fn touched_by_others(&mut self) -> bool {
        let style = self.style;
        let Some(socket) = self.socket.as_mut() else { return false };
        self.sentry.is_touched(socket, &|news| is_ours(style, news))
    }

    fn touched_by(&self) -> Option<String> {
        self.sentry.culprit().map(ToString::to_string)
    }

    fn is_installed(&mut self) -> Result<bool, ApplyError> {
        let tables = self.tables_with_chains().map_err(|e| failed("cannot look for our tables", e))?;
        Ok(tables > 0)
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        let what = format!("cannot delete the tables {}", self.style);
        self.remove_tables().map_err(|e| failed(&what, e))
    }
}

/// Whether it is in a table of ours, or is the table.
fn is_ours(style: Style, news: &nft::ObjectNews<'_>) -> bool {
    let family = IpFamily::ALL.iter().any(|family| kernel_family(*family) as u8 == news.family);
    family && news.table == style.table()
}

fn failed(what: &str, source: NetlinkError) -> ApplyError {
    let source: Box<dyn Error + Send + Sync> = Box::new(source);
    ApplyError { what: what.to_owned(), source }
}
