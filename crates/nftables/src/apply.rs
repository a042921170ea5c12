//! A plan as transactions.
//!
//! Order within a plan: sets, chains, strange elements out, slots, verdicts, base chains, then deletions of elements; chains and sets are
//! deleted in a transaction of their own, since kernels before 6.2 still count a verdict that the same transaction
//! deletes. A plan is cut into transactions of bounded size, and this order makes every cut safe: a verdict never
//! leads to a slot that is not filled. On an empty table the base chains come last, so nothing is served half loaded.

use dataplane::Step;
use model::IpFamily;
use netlink::nft::{self, Element, ElementData, Transaction};
use netlink::{NetlinkError, Socket};

use crate::codec::kernel_element;
use crate::ids::{ChainId, SetId};
use crate::kernel_family;
use crate::layout::Layout;
use crate::objects::{ElementKey, Key, Stray, Value};
use crate::sets::{set_data, set_spec};
use crate::style::Style;
use netlink::nft::SetData;

/// Bytes after which a transaction is sent and another begun (about 50,000 elements). The kernel holds a lock while
/// it takes one.
const TRANSACTION_LIMIT: usize = 4 << 20;

/// Steps of one family, in any order.
pub type Steps = Vec<(Key, Step<Value>)>;

/// Applies the steps of one family. With `replace`, the table that is there goes first, in the same transaction,
/// whatever its size.
pub fn apply(
    socket: &mut Socket,
    layout: &Layout,
    mut steps: Steps,
    replace: bool,
) -> Result<(), NetlinkError> {
    steps.sort_by_cached_key(|(key, step)| rank(key, step));
    let removals = steps.split_off(steps.partition_point(|(key, step)| rank(key, step).0 < FIRST_REMOVAL));
    if steps.iter().any(|(key, _)| matches!(key, Key::Stray(_, stray) if **stray == Stray::Dormant)) {
        wake(socket, layout)?;
    }
    if !steps.is_empty() {
        let mut writer = Writer::new(socket, layout, replace);
        for (key, step) in &steps {
            writer.step(key, step)?;
        }
        writer.finish()?;
    }
    if removals.is_empty() { Ok(()) } else { remove(socket, layout, &removals) }
}

/// Puts a dormant table into force. By itself: the kernel takes no hooks in the transaction that does that.
fn wake(socket: &mut Socket, layout: &Layout) -> Result<(), NetlinkError> {
    let mut transaction = begin(socket, layout.style, layout.family);
    transaction.add_table();
    transaction.commit(socket)
}

/// Deletes chains and sets. They may refer to each other in any way (a table that another version has made), so chains
/// are emptied first, then sets go, then chains.
fn remove(socket: &mut Socket, layout: &Layout, steps: &Steps) -> Result<(), NetlinkError> {
    let (mut chains, mut sets) = (Vec::new(), Vec::new());
    for (key, _) in steps {
        match key {
            Key::Chain(_, id) => chains.push(id.to_string()),
            Key::Set(_, id) => sets.push(id.to_string()),
            Key::Stray(_, stray) => match stray.as_ref() {
                Stray::Chain(name) => chains.push(name.clone()),
                Stray::Set(name) => sets.push(name.clone()),
                Stray::Element(..) | Stray::Dormant => {}
            },
            Key::Element(..) => {}
        }
    }
    let mut empty = begin(socket, layout.style, layout.family);
    chains.iter().for_each(|chain| empty.flush_chain(chain));
    sets.iter().for_each(|set| empty.delete_set(set));
    empty.commit(socket)?;
    let mut delete = begin(socket, layout.style, layout.family);
    chains.iter().for_each(|chain| delete.delete_chain(chain));
    delete.commit(socket)
}

fn begin(socket: &mut Socket, style: Style, family: IpFamily) -> Transaction {
    Transaction::new(socket, kernel_family(family), style.table(), None)
}

/// Deletes one table, if it is there.
pub fn delete_table(socket: &mut Socket, style: Style, family: IpFamily) -> Result<(), NetlinkError> {
    let mut transaction = begin(socket, style, family);
    transaction.add_table();
    transaction.delete_table();
    transaction.commit(socket)
}

/// What decides about new connections before they come to the node itself.
const DECIDING: [ChainId; 9] = [
    ChainId::FirewallPrerouting,
    ChainId::FirewallOutput,
    ChainId::FirewallNodePortsPrerouting,
    ChainId::FirewallNodePortsOutput,
    ChainId::NatPrerouting,
    ChainId::NatOutput,
    ChainId::FilterInput,
    ChainId::FilterForward,
    ChainId::FilterOutput,
];

/// Deletes these chains of one table, where they are.
pub fn stand_back(socket: &mut Socket, style: Style, family: IpFamily) -> Result<(), NetlinkError> {
    let there = nft::chains(socket, kernel_family(family), style.table())?;
    let names = DECIDING.map(|chain| chain.to_string());
    let mut transaction = begin(socket, style, family);
    let mut any = false;
    for name in names.iter().filter(|name| there.iter().any(|chain| chain.name == **name)) {
        transaction.delete_chain(name);
        any = true;
    }
    if any { transaction.commit(socket) } else { Ok(()) }
}

/// The first phase of what is deleted in transactions of their own.
const FIRST_REMOVAL: u8 = 9;

/// The phase of a step. Within a phase, elements of one set stand together.
fn rank(key: &Key, step: &Step<Value>) -> (u8, Option<SetId>) {
    let deletes = matches!(step, Step::Delete(_));
    match key {
        Key::Set(_, id) if deletes => (12, Some(*id)),
        Key::Set(_, id) => (0, Some(*id)),
        Key::Chain(_, id) if deletes && Layout::hook(*id).is_some() => (9, None),
        Key::Chain(..) if deletes => (10, None),
        Key::Chain(_, id) if Layout::hook(*id).is_some() => (5, None),
        Key::Chain(_, id) => (if is_target(*id) { 1 } else { 2 }, None),
        Key::Element(family, id, _) => (element_phase(*id, *family, deletes), Some(*id)),
        Key::Stray(_, stray) => match stray.as_ref() {
            // Before one with that key is made.
            Stray::Element(..) | Stray::Dormant => (3, None),
            Stray::Chain(_) => (11, None),
            Stray::Set(_) => (12, None),
        },
    }
}

/// Chains that others lead to are made first.
fn is_target(chain: ChainId) -> bool {
    !matches!(chain, ChainId::Services | ChainId::Idle | ChainId::ClusterIpCheck | ChainId::AffinityRecord)
}

fn element_phase(set: SetId, family: IpFamily, deletes: bool) -> u8 {
    let verdict = set_data(set, family) == SetData::Verdict;
    match (verdict, deletes) {
        (true, _) => 4,
        (false, false) => 3,
        (false, true) => 6,
    }
}

struct Writer<'a> {
    socket: &'a mut Socket,
    layout: &'a Layout,
    transaction: Transaction,
    atomic: bool,
}

impl<'a> Writer<'a> {
    fn new(socket: &'a mut Socket, layout: &'a Layout, replace: bool) -> Self {
        let mut transaction = begin(socket, layout.style, layout.family);
        if replace {
            transaction.delete_table();
        }
        transaction.add_table();
        Self { socket, layout, transaction, atomic: replace }
    }

    fn step(&mut self, key: &Key, step: &Step<Value>) -> Result<(), NetlinkError> {
        if !self.atomic && self.transaction.len() > TRANSACTION_LIMIT {
            self.commit()?;
        }
        match key {
            Key::Set(_, id) => self.set(*id),
            Key::Chain(_, id) => self.chain(*id, step),
            Key::Element(_, id, element) => self.element(*id, element, step),
            Key::Stray(_, stray) => self.stray(stray),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), NetlinkError> {
        self.commit()
    }

    fn commit(&mut self) -> Result<(), NetlinkError> {
        let next = begin(self.socket, self.layout.style, self.layout.family);
        std::mem::replace(&mut self.transaction, next).commit(self.socket)
    }

    fn set(&mut self, id: SetId) {
        self.transaction.add_set(&set_spec(id, self.layout.family));
    }

    fn chain(&mut self, id: ChainId, step: &Step<Value>) {
        let name = id.to_string();
        let hook = Layout::hook(id);
        match step {
            Step::Update { .. } if hook.is_some() => self.transaction.delete_chain(&name),
            Step::Update { .. } => self.transaction.flush_chain(&name),
            Step::Create(_) | Step::Delete(_) => {}
        }
        self.transaction.add_chain(&name, hook);
        for rule in self.layout.encoded(id) {
            self.transaction.add_rule(&name, &rule);
        }
    }

    fn element(&mut self, id: SetId, key: &ElementKey, step: &Step<Value>) {
        let name = id.to_string();
        let bytes = |value: &Value| kernel_element(id, key, value);
        match step {
            Step::Create(new) => self.transaction.add_element(&name, &bytes(new)),
            Step::Update { old, new } => {
                self.transaction.delete_element(&name, &bytes(old));
                self.transaction.add_element(&name, &bytes(new));
            }
            Step::Delete(old) => self.transaction.delete_element(&name, &bytes(old)),
        }
    }

    fn stray(&mut self, stray: &Stray) {
        if let Stray::Element(id, key, key_end) = stray {
            let element = Element { key: key.clone(), key_end: key_end.clone(), data: ElementData::None };
            self.transaction.delete_element(&id.to_string(), &element);
        }
    }
}
