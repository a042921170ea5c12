//! What the kernel has in our tables, as objects.

use model::IpFamily;
use netlink::nft::{self, Expr, RuleInfo, SetSpec};
use netlink::{NetlinkError, Socket};
use rustc_hash::FxHashMap;

use crate::codec::decode;
use crate::ids::{ChainId, SetId, TABLE};
use crate::kernel_family;
use crate::layout::{fingerprint, set_spec};
use crate::objects::{Key, Stray, Value};

/// What was found in the table of one family.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects.
    pub objects: FxHashMap<Key, Value>,
    /// A set of ours has another definition (another version of this program made it): the table cannot be adapted,
    /// only replaced. `objects` is empty then.
    pub incompatible: bool,
}

/// Lists one table.
pub fn observe(socket: &mut Socket, family: IpFamily) -> Result<Found, NetlinkError> {
    let mut found = Found::default();
    let sets = nft::sets(socket, kernel_family(family), TABLE)?;
    let sets: Vec<SetSpec> = sets.into_iter().map(|spec| without_remarks(spec, family)).collect();
    if sets.iter().any(|spec| is_incompatible(spec, family)) {
        found.incompatible = true;
        return Ok(found);
    }
    observe_chains(socket, family, &mut found.objects)?;
    for spec in sets {
        match SetId::parse(&spec.name) {
            Some(id) => observe_set(socket, family, id, &spec, &mut found.objects)?,
            None => {
                found.objects.insert(Key::Stray(family, Box::new(Stray::Set(spec.name))), Value::Member);
            }
        }
    }
    Ok(found)
}

/// Where we need no user data, what `nft` leaves there for itself is no difference.
fn without_remarks(mut spec: SetSpec, family: IpFamily) -> SetSpec {
    if SetId::parse(&spec.name).is_some_and(|id| set_spec(id, family).userdata.is_empty()) {
        spec.userdata.clear();
    }
    spec
}

fn is_incompatible(spec: &SetSpec, family: IpFamily) -> bool {
    SetId::parse(&spec.name).is_some_and(|id| set_spec(id, family) != *spec)
}

fn observe_set(
    socket: &mut Socket,
    family: IpFamily,
    id: SetId,
    spec: &SetSpec,
    objects: &mut FxHashMap<Key, Value>,
) -> Result<(), NetlinkError> {
    objects.insert(Key::Set(family, id), Value::Definition(fingerprint(spec)));
    if matches!(id, SetId::Affinity(_)) {
        return Ok(());
    }
    for element in nft::elements(socket, kernel_family(family), TABLE, &spec.name)? {
        let (key, value) = match decode(id, family, &element) {
            Some((key, value)) => (Key::Element(family, id, key), value),
            None => {
                let stray = Stray::Element(id, element.key, element.key_end);
                (Key::Stray(family, Box::new(stray)), Value::Member)
            }
        };
        objects.insert(key, value);
    }
    Ok(())
}

fn observe_chains(
    socket: &mut Socket,
    family: IpFamily,
    objects: &mut FxHashMap<Key, Value>,
) -> Result<(), NetlinkError> {
    let mut rules = by_chain(nft::rules(socket, kernel_family(family), TABLE)?);
    for chain in nft::chains(socket, kernel_family(family), TABLE)? {
        let rules = rules.remove(&chain.name).unwrap_or_default();
        let (key, value) = match ChainId::parse(&chain.name) {
            Some(id) => (Key::Chain(family, id), Value::Definition(fingerprint((chain.hook, rules)))),
            None => (Key::Stray(family, Box::new(Stray::Chain(chain.name))), Value::Member),
        };
        objects.insert(key, value);
    }
    Ok(())
}

fn by_chain(rules: Vec<RuleInfo>) -> FxHashMap<String, Vec<Vec<Expr>>> {
    let mut all: FxHashMap<String, Vec<Vec<Expr>>> = FxHashMap::default();
    for rule in rules {
        all.entry(rule.chain).or_default().push(rule.exprs);
    }
    all
}
