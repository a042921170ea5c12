//! Laws, each of any dataplane that is `Lawful` enough for it; `laws.rs` says which holds for which.
//!
//! ```text
//! converge   the kernel becomes what is desired, whatever the way     any dataplane
//! shape      what the objects of nf_tables look like                  modes nftables and ipvs
//! packets    they do what the explanation says                        modes nftables and ipvs
//! servers    virtual servers and routes                               mode ipvs
//! ```

pub mod converge;
pub mod packets;
pub mod servers;
pub mod shape;

use std::collections::BTreeMap;

use dataplane::{Engine, Operate, SyncReport};
use iptables::Iptables;
use ipvs::Ipvs;
use model::{Change, EndpointAddr, IpFamily, Service, Store};
use nftables::{ElementKey, Key, Nftables, SetId, Value};
use proptest::prelude::*;
use resolve::{Mode, ProxyConfig};

use crate::interpreter::{Lowered, Part};
use crate::memory::Memory;
use crate::worlds::{self, NODE, slice_of};

/// What a law comes to.
pub type Verdict = Result<(), TestCaseError>;

/// A program over a kernel that is a map.
pub type Program<D> = Engine<Memory<D>>;

/// What is desired, in order.
pub type Desired<D> = BTreeMap<<D as dataplane::Dataplane>::Key, <D as dataplane::Dataplane>::Value>;

/// A list of slots of one frontend.
pub type List = (IpFamily, SetId, ElementKey);

/// A dataplane with laws.
pub trait Lawful: Operate {
    /// Its mode.
    const MODE: Mode;

    /// The list and the endpoint, if the object is a slot. Which endpoint of a list has which slot depends on history,
    /// and nothing else does.
    fn slot(_key: &Self::Key, _value: &Self::Value) -> Option<(List, EndpointAddr)> {
        None
    }
}

impl Lawful for Nftables {
    const MODE: Mode = Mode::Nftables;

    fn slot(key: &Key, value: &Value) -> Option<(List, EndpointAddr)> {
        rule_slot::<Self>(key, value)
    }
}

impl Lawful for Ipvs {
    const MODE: Mode = Mode::Ipvs;

    fn slot(key: &ipvs::Key, value: &ipvs::Value) -> Option<(List, EndpointAddr)> {
        rule_slot::<Self>(key, value)
    }
}

impl Lawful for Iptables {
    const MODE: Mode = Mode::Iptables;
}

fn rule_slot<D: Lowered>(key: &D::Key, value: &D::Value) -> Option<(List, EndpointAddr)> {
    match D::part(key, value) {
        Part::Rule(key, Value::Endpoint(endpoint)) => Some((slot_of(key)?.0, *endpoint)),
        _ => None,
    }
}

/// The list that a slot belongs to, and its number in it.
pub fn slot_of(key: &Key) -> Option<(List, u16)> {
    let Key::Element(family, set, element) = key else { return None };
    let (frontend, slot) = match element {
        ElementKey::VipSlot(vip, slot) => (ElementKey::Vip(*vip), *slot),
        ElementKey::PortSlot(port, slot) => (ElementKey::Port(*port), *slot),
        _ => return None,
    };
    Some(((*family, *set, frontend), slot))
}

/// A configuration of the dataplane's mode.
pub fn config<D: Lawful>() -> impl Strategy<Value = ProxyConfig> {
    worlds::config().prop_map(|config| ProxyConfig { mode: D::MODE, ..config })
}

/// A program that starts over this kernel, before its first sync.
pub fn program<D: Lawful>(config: &ProxyConfig, kernel: Memory<D>, changes: &[Change]) -> Program<D> {
    let mut program = Engine::new(Store::new(NODE), config.clone(), kernel, &[]);
    changes.iter().for_each(|change| program.handle(change.clone()));
    program
}

/// Brings the kernel up to date.
pub fn sync<D: Lawful>(program: &mut Program<D>) -> Result<SyncReport, TestCaseError> {
    program.sync().map_err(|error| TestCaseError::fail(error.to_string()))
}

/// A program that met all changes at once.
pub fn at_once<D: Lawful>(config: &ProxyConfig, changes: &[Change]) -> Result<Program<D>, TestCaseError> {
    let mut program = program(config, Memory::new(), changes);
    sync(&mut program)?;
    Ok(program)
}

/// A program that met them one by one.
pub fn one_by_one<D: Lawful>(config: &ProxyConfig, changes: &[Change]) -> Result<Program<D>, TestCaseError> {
    let mut program = at_once(config, &[])?;
    for change in changes {
        program.handle(change.clone());
        sync(&mut program)?;
    }
    Ok(program)
}

/// What the program wants.
pub fn desired<D: Lawful>(program: &Program<D>) -> Desired<D> {
    program.objects().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What is in the program's kernel.
pub fn present<D: Lawful>(program: &Program<D>) -> Desired<D> {
    program.dataplane().objects().into_iter().collect()
}

/// One Service, with plain endpoints of these numbers.
pub fn lone_service(
    service: &Service,
    family: IpFamily,
    endpoints: impl IntoIterator<Item = u8>,
) -> Vec<Change> {
    let slice = slice_of(&service.name, "slice-0", family, endpoints.into_iter());
    vec![Change::Service(service.clone().into()), Change::Slice(slice.into())]
}
