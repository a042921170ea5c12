//! Forgetting clients' choices of endpoints that are gone.
//!
//! The kernel's affinity maps are written by the packets themselves. When a frontend with affinity loses an endpoint,
//! the elements that still lead there are deleted right after the rules were committed, so that their clients are
//! balanced anew (kubernetes/kubernetes#110302).

use dataplane::Step;
use model::{EndpointAddr, IpFamily};
use netlink::nft::{self, Element, ElementData, Transaction};
use netlink::{NetlinkError, Socket};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::decode_affinity;
use crate::ids::{AFFINITY_SHARDS, ChainId, SetId};
use crate::kernel_family;
use crate::objects::{ElementKey, Key, PortKey, Target, Value, VipKey};
use crate::style::Style;

/// The kernel's number for "no such element".
const ENOENT: i32 = 2;

/// A frontend with affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sticky {
    Vip(VipKey),
    Port(IpFamily, PortKey),
}

/// Which frontends have affinity, and where their choices are kept.
#[derive(Debug, Default)]
pub struct StickyFrontends {
    shards: FxHashMap<Sticky, u8>,
}

/// Endpoints that frontends with affinity have lost.
#[derive(Debug, Default)]
pub struct Losses {
    lost: FxHashMap<Sticky, FxHashSet<EndpointAddr>>,
    /// Frontends that have no affinity any more.
    ended: FxHashSet<Sticky>,
    shards: FxHashSet<u8>,
}

impl StickyFrontends {
    /// Learns from what the kernel has.
    pub fn adopt<'a>(&mut self, objects: impl Iterator<Item = (&'a Key, &'a Value)>) {
        self.shards.clear();
        for (key, value) in objects {
            self.learn(key, value);
        }
    }

    fn learn(&mut self, key: &Key, value: &Value) {
        if let (Some(sticky), Value::Verdict(Target::Goto(ChainId::Record { shard, .. }))) =
            (sticky_of(key), value)
        {
            self.shards.insert(sticky, *shard);
        }
    }

    /// Follows a plan; returns what it takes away from frontends with affinity.
    pub fn follow(&mut self, steps: &[(Key, Step<Value>)]) -> Losses {
        for (key, step) in steps {
            if let Step::Create(value) | Step::Update { new: value, .. } = step {
                self.learn(key, value);
            }
        }
        if self.shards.is_empty() {
            return Losses::default();
        }
        let mut losses = self.losses(steps);
        self.ended(steps, &mut losses);
        losses
    }

    /// An endpoint that leaves one list of a frontend is lost, though it may stay in another: what a client got from
    /// the list it may use must not outlive that list.
    fn losses(&self, steps: &[(Key, Step<Value>)]) -> Losses {
        let mut losses = Losses::default();
        let mut kept: FxHashSet<(SetId, Sticky, EndpointAddr)> = FxHashSet::default();
        let mut gone: Vec<(SetId, Sticky, EndpointAddr, u8)> = Vec::new();
        for (key, step) in steps {
            let Some((list, frontend)) = slot_of(key) else { continue };
            let Some(shard) = self.shards.get(&frontend) else { continue };
            let (old, new) = match step {
                Step::Create(new) => (None, Some(new)),
                Step::Update { old, new } => (Some(old), Some(new)),
                Step::Delete(old) => (Some(old), None),
            };
            if let Some(Value::Endpoint(endpoint)) = new {
                kept.insert((list, frontend, *endpoint));
            }
            if let Some(Value::Endpoint(endpoint)) = old {
                gone.push((list, frontend, *endpoint, *shard));
            }
        }
        for (list, frontend, endpoint, shard) in gone {
            if !kept.contains(&(list, frontend, endpoint)) {
                losses.lost.entry(frontend).or_default().insert(endpoint);
                losses.shards.insert(shard);
            }
        }
        losses
    }

    /// Frontends that have no affinity any more: everything about them is forgotten.
    fn ended(&mut self, steps: &[(Key, Step<Value>)], losses: &mut Losses) {
        for (key, step) in steps {
            if let (Step::Delete(_), Some(sticky)) = (step, sticky_of(key)) {
                losses.shards.extend(self.shards.remove(&sticky));
                losses.ended.insert(sticky);
            }
        }
    }
}

impl Losses {
    /// Takes in later losses.
    pub fn add(&mut self, later: Losses) {
        for (frontend, lost) in later.lost {
            self.lost.entry(frontend).or_default().extend(lost);
        }
        self.ended.extend(later.ended);
        self.shards.extend(later.shards);
    }

    /// Deletes the elements that lead to a lost endpoint. Returns how many.
    pub fn forget(&self, socket: &mut Socket, style: Style, family: IpFamily) -> Result<usize, NetlinkError> {
        if self.lost.is_empty() && self.ended.is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        for shard in 0..AFFINITY_SHARDS {
            if self.shards.contains(&shard) {
                count += self.forget_in(socket, style, family, shard)?;
            }
        }
        Ok(count)
    }

    fn forget_in(
        &self,
        socket: &mut Socket,
        style: Style,
        family: IpFamily,
        shard: u8,
    ) -> Result<usize, NetlinkError> {
        let name = SetId::Affinity(shard).to_string();
        let mut stale = nft::elements(socket, kernel_family(family), style.table(), &name)?;
        stale.retain(|element| {
            decode_affinity(family, element)
                .is_some_and(|(vip, endpoint)| self.is_lost(family, vip, &endpoint))
        });
        stale.iter_mut().for_each(|element| element.data = ElementData::None);
        match delete(socket, style, family, &name, &stale) {
            // One has expired meanwhile: then one by one, since a transaction fails as a whole.
            Err(error) if error.errno() == Some(ENOENT) => {
                for element in stale.chunks(1) {
                    delete(socket, style, family, &name, element).or_else(|error| match error.errno() {
                        Some(ENOENT) => Ok(()),
                        _ => Err(error),
                    })?;
                }
                Ok(stale.len())
            }
            result => result.map(|()| stale.len()),
        }
    }

    fn is_lost(&self, family: IpFamily, vip: VipKey, endpoint: &EndpointAddr) -> bool {
        let port = PortKey { protocol: vip.protocol, port: vip.port };
        let frontend = [Sticky::Vip(vip), Sticky::Port(family, port)];
        let lost = |f: &Sticky| self.lost.get(f).is_some_and(|lost| lost.contains(endpoint));
        frontend.iter().any(|f| self.ended.contains(f) || lost(f))
    }
}

fn delete(
    socket: &mut Socket,
    style: Style,
    family: IpFamily,
    map: &str,
    elements: &[Element],
) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new(socket, kernel_family(family), style.table(), None);
    elements.iter().for_each(|element| transaction.delete_element(map, element));
    transaction.commit(socket)
}

fn sticky_of(key: &Key) -> Option<Sticky> {
    match key {
        Key::Element(_, SetId::AffinityVips, ElementKey::Vip(vip)) => Some(Sticky::Vip(*vip)),
        Key::Element(family, SetId::AffinityNodePorts, ElementKey::Port(port)) => {
            Some(Sticky::Port(*family, *port))
        }
        _ => None,
    }
}

/// The list that a slot is in, and the frontend.
fn slot_of(key: &Key) -> Option<(SetId, Sticky)> {
    match key {
        Key::Element(_, list @ SetId::VipSlots(_), ElementKey::VipSlot(vip, _)) => {
            Some((*list, Sticky::Vip(*vip)))
        }
        Key::Element(family, list @ SetId::PortSlots(_), ElementKey::PortSlot(port, _)) => {
            Some((*list, Sticky::Port(*family, *port)))
        }
        _ => None,
    }
}
