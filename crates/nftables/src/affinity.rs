//! Forgetting clients' choices of endpoints that are gone.
//!
//! The kernel's affinity maps are written by the packets themselves. When a frontend with affinity loses an endpoint,
//! the elements that still lead there are deleted right after the rules were committed, so that their clients are
//! balanced anew (kubernetes/kubernetes#110302).

use dataplane::Step;
use model::{EndpointAddr, IpFamily};
use netlink::nft::{self, ElementData, Transaction};
use netlink::{NetlinkError, Socket};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::decode_affinity;
use crate::ids::{AFFINITY_SHARDS, ChainId, SetId, TABLE};
use crate::kernel_family;
use crate::objects::{ElementKey, Key, PortKey, Target, Value, VipKey};

/// Times that a deletion is tried again when elements expire under it.
const ATTEMPTS: usize = 4;

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
        let losses = if self.shards.is_empty() { Losses::default() } else { self.losses(steps) };
        for (key, step) in steps {
            if let (Step::Delete(_), Some(sticky)) = (step, sticky_of(key)) {
                self.shards.remove(&sticky);
            }
        }
        losses
    }

    fn losses(&self, steps: &[(Key, Step<Value>)]) -> Losses {
        let mut losses = Losses::default();
        let mut kept: FxHashSet<(Sticky, EndpointAddr)> = FxHashSet::default();
        for (key, step) in steps {
            let Some((frontend, shard)) = slot_of(key).and_then(|s| Some((s, *self.shards.get(&s)?))) else {
                continue;
            };
            let (old, new) = match step {
                Step::Create(new) => (None, Some(new)),
                Step::Update { old, new } => (Some(old), Some(new)),
                Step::Delete(old) => (Some(old), None),
            };
            if let Some(Value::Endpoint(endpoint)) = new {
                kept.insert((frontend, *endpoint));
            }
            if let Some(Value::Endpoint(endpoint)) = old {
                losses.lost.entry(frontend).or_default().insert(*endpoint);
                losses.shards.insert(shard);
            }
        }
        for (frontend, lost) in &mut losses.lost {
            lost.retain(|endpoint| !kept.contains(&(*frontend, *endpoint)));
        }
        losses.lost.retain(|_, lost| !lost.is_empty());
        losses
    }
}

impl Losses {
    /// Deletes the elements that lead to a lost endpoint. Returns how many.
    pub fn forget(&self, socket: &mut Socket, family: IpFamily) -> Result<usize, NetlinkError> {
        if self.lost.is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        for shard in 0..AFFINITY_SHARDS {
            if self.shards.contains(&shard) {
                count += self.forget_in(socket, family, shard)?;
            }
        }
        Ok(count)
    }

    fn forget_in(&self, socket: &mut Socket, family: IpFamily, shard: u8) -> Result<usize, NetlinkError> {
        let name = SetId::Affinity(shard).to_string();
        for attempt in 1.. {
            let mut transaction = Transaction::new(socket, kernel_family(family), TABLE, None);
            let mut count = 0;
            for mut element in nft::elements(socket, kernel_family(family), TABLE, &name)? {
                let Some((vip, endpoint)) = decode_affinity(family, &element) else { continue };
                if self.is_lost(family, vip, &endpoint) {
                    element.data = ElementData::None;
                    transaction.delete_element(&name, &element);
                    count += 1;
                }
            }
            match transaction.commit(socket) {
                Err(error) if error.errno() == Some(libc_enoent()) && attempt < ATTEMPTS => {}
                result => return result.map(|()| count),
            }
        }
        Ok(0)
    }

    fn is_lost(&self, family: IpFamily, vip: VipKey, endpoint: &EndpointAddr) -> bool {
        let port = PortKey { protocol: vip.protocol, port: vip.port };
        let frontend = [Sticky::Vip(vip), Sticky::Port(family, port)];
        frontend.iter().any(|f| self.lost.get(f).is_some_and(|lost| lost.contains(endpoint)))
    }
}

const fn libc_enoent() -> i32 {
    2
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

fn slot_of(key: &Key) -> Option<Sticky> {
    match key {
        Key::Element(_, SetId::VipSlots(_), ElementKey::VipSlot(vip, _)) => Some(Sticky::Vip(*vip)),
        Key::Element(family, SetId::PortSlots(_), ElementKey::PortSlot(port, _)) => {
            Some(Sticky::Port(*family, *port))
        }
        _ => None,
    }
}
