//! What the kernel has in our tables, as objects.

use std::hash::Hash;

use model::IpFamily;
use netlink::nft::{self, Expr, RuleInfo, SetSpec};
use netlink::{NetlinkError, Socket};
use rustc_hash::FxHashMap;

use crate::codec::decode;
use crate::ids::{ChainId, SetId};
use crate::kernel_family;
use crate::layout::{Layout, fingerprint};
use crate::objects::{ElementKey, Key, Stray, Value, VipKey};
use crate::sets::set_spec;
use crate::strange::StrangeChains;
use crate::style::Style;

/// What was found in the table of one family.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects.
    pub objects: FxHashMap<Key, Value>,
    /// A set of ours has another definition (another version of this program made it), a chain of ours is hooked that
    /// should not be, or is not, or somebody owns the table: it cannot be adapted, only replaced. `objects` is empty then.
    pub incompatible: bool,
    /// Chains of ours that are not as they should be, as far as a layout says how.
    pub strange: StrangeChains,
}

/// Lists one table. With its layout, changed chains are kept as they are.
pub fn observe(
    socket: &mut Socket,
    style: Style,
    family: IpFamily,
    layout: Option<&Layout>,
) -> Result<Found, NetlinkError> {
    let mut found = Found::default();
    let flags = nft::table(socket, kernel_family(family), style.table())?.unwrap_or_default();
    if flags.is_dormant() {
        found.objects.insert(Key::Stray(family, Box::new(Stray::Dormant)), Value::Member);
    }
    found.incompatible = flags.is_owned();
    let sets = nft::sets(socket, kernel_family(family), style.table())?;
    let mut ours = Vec::new();
    for mut spec in sets {
        match SetId::parse_in(&spec.name, style) {
            Some(id) => {
                without_remarks(id, &mut spec, family);
                found.incompatible |= set_spec(id, family) != spec;
                ours.push((id, spec));
            }
            None => {
                found.objects.insert(Key::Stray(family, Box::new(Stray::Set(spec.name))), Value::Member);
            }
        }
    }
    if !found.incompatible {
        found.incompatible = !observe_chains(socket, style, family, layout, &mut found)?;
    }
    if found.incompatible {
        return Ok(Found { incompatible: true, ..Found::default() });
    }
    for (id, spec) in ours {
        observe_set(socket, style, family, id, &spec, &mut found.objects)?;
    }
    Ok(found)
}

/// The virtual servers that the table of one family names as ours, also in a table that another version has made.
pub fn virtual_servers(socket: &mut Socket, family: IpFamily) -> Result<Vec<VipKey>, NetlinkError> {
    let (id, table) = (SetId::VirtualServers, Style::Ipvs.table());
    let sets = nft::sets(socket, kernel_family(family), table)?;
    if !sets.iter().any(|spec| spec.name == id.to_string()) {
        return Ok(Vec::new());
    }
    let elements = nft::elements(socket, kernel_family(family), table, &id.to_string())?;
    let key = |element| match decode(id, family, element) {
        Some((ElementKey::Vip(key), _)) => Some(key),
        _ => None,
    };
    Ok(elements.iter().filter_map(key).collect())
}

/// Where we need no user data, what `nft` leaves there for itself is no difference.
pub fn without_remarks(id: SetId, spec: &mut SetSpec, family: IpFamily) {
    if set_spec(id, family).userdata.is_empty() {
        spec.userdata.clear();
    }
}

fn observe_set(
    socket: &mut Socket,
    style: Style,
    family: IpFamily,
    id: SetId,
    spec: &SetSpec,
    objects: &mut FxHashMap<Key, Value>,
) -> Result<(), NetlinkError> {
    objects.insert(Key::Set(family, id), Value::Definition(fingerprint(spec)));
    if matches!(id, SetId::Affinity(_)) {
        return Ok(());
    }
    for element in nft::elements(socket, kernel_family(family), style.table(), &spec.name)? {
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

/// Whether those are base chains that should be: the kernel does not make one of the other.
fn observe_chains(
    socket: &mut Socket,
    style: Style,
    family: IpFamily,
    layout: Option<&Layout>,
    found: &mut Found,
) -> Result<bool, NetlinkError> {
    let mut hooked = true;
    let mut rules = by_chain(nft::rules(socket, kernel_family(family), style.table())?);
    for chain in nft::chains(socket, kernel_family(family), style.table())? {
        let rules = rules.remove(&chain.name).unwrap_or_default();
        let (key, value) = match ChainId::parse_in(&chain.name, style) {
            Some(id) => {
                hooked &= chain.hook.is_some() == Layout::hook(id).is_some();
                if let Some(layout) = layout {
                    layout.note(id, &chain, &rules, &mut found.strange);
                }
                (Key::Chain(family, id), definition(&chain.hook, chain.drops, &rules))
            }
            None => (Key::Stray(family, Box::new(Stray::Chain(chain.name))), Value::Member),
        };
        found.objects.insert(key, value);
    }
    Ok(hooked)
}

/// The value of a chain.
pub fn definition(hook: &Option<impl Hash>, drops: bool, rules: &[Vec<Expr>]) -> Value {
    Value::Definition(fingerprint((hook, drops, rules)))
}

fn by_chain(rules: Vec<RuleInfo>) -> FxHashMap<String, Vec<Vec<Expr>>> {
    let mut all: FxHashMap<String, Vec<Vec<Expr>>> = FxHashMap::default();
    for rule in rules {
        all.entry(rule.chain).or_default().push(rule.exprs);
    }
    all
}
