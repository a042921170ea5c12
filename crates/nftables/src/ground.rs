//! What belongs to no Service: the facts of each family, and the objects made from them alone.

use std::net::IpAddr;

use dataplane::Ground;
use model::{IpFamily, is_link_local};
use resolve::{LocalSource, NodePortScope};

use crate::Nftables;
use crate::ids::{ChainId, SetId};
use crate::layout::{Layout, fingerprint};
use crate::objects::{ElementKey, Key, Value};
use crate::sets::set_spec;
use crate::style::Style;

impl Nftables {
    /// Makes the layouts anew, and says whether Routes become something else by that.
    pub(crate) fn take_ground(&mut self, ground: &Ground<'_>) {
        let layouts = IpFamily::ALL.map(|family| layout(self.style, ground, family)).to_vec();
        let before = std::mem::replace(&mut self.layouts, layouts);
        let changed = before.iter().zip(&self.layouts).any(|(old, new)| old.addresses != new.addresses);
        self.relowers = changed;
        self.definitions.borrow_mut().clear();
    }

    /// The layout of a family; `None` before the first ground.
    pub(crate) fn layout(&self, family: IpFamily) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.family == family)
    }

    /// The fingerprint of a chain; remembered, since many Routes share few chains.
    pub(crate) fn chain_value(&self, family: IpFamily, chain: ChainId) -> Value {
        let mut known = self.definitions.borrow_mut();
        *known.entry((family, chain)).or_insert_with(|| self.define(family, chain))
    }

    fn define(&self, family: IpFamily, chain: ChainId) -> Value {
        self.layout(family).map_or(Value::Definition(0), |layout| layout.definition(chain))
    }

    /// The objects of one family that are always there.
    pub(crate) fn constant_objects(&self, layout: &Layout) -> Vec<(Key, Value)> {
        let family = layout.family;
        let sets = SetId::constant(self.style)
            .map(|id| (Key::Set(family, id), Value::Definition(fingerprint(set_spec(id, family)))));
        let chains =
            ChainId::constant(self.style).map(|id| (Key::Chain(family, id), self.chain_value(family, id)));
        let element = |ip| Key::Element(family, SetId::NodePortIps, ElementKey::Addr(ip));
        let ips = layout.nodeport_ips().into_iter().map(|ip| (element(ip), Value::Member));
        sets.chain(chains).chain(ips).collect()
    }
}

fn layout(style: Style, ground: &Ground<'_>, family: IpFamily) -> Layout {
    let cidrs = ground.service_cidrs.iter().filter(|net| IpFamily::of(net.addr()) == family);
    Layout {
        style,
        family,
        local: LocalSource::new(ground.config, ground.facts, family),
        masquerade_all: ground.config.masquerade_all,
        mark: 1 << ground.config.masquerade_bit,
        scope: NodePortScope::new(ground.config, ground.facts, family),
        service_cidrs: cidrs.copied().collect(),
        addresses: addresses(style, ground, family),
    }
}

/// The node's own addresses where they matter; sorted, since the order in which they arrived does not. No VIP is
/// link-local, and links of pods that come and go have such addresses.
fn addresses(style: Style, ground: &Ground<'_>, family: IpFamily) -> Vec<IpAddr> {
    if style == Style::Dnat {
        return Vec::new();
    }
    let matters = |ip: &IpAddr| IpFamily::of(*ip) == family && !ip.is_loopback() && !is_link_local(ip);
    ground.facts.kernel_or_node_addresses().into_iter().filter(matters).collect()
}
