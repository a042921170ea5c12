//! What the kernel has in our tables, as objects.

use model::IpFamily;
use netlink::nft::{self, Expr, RuleInfo, SetSpec};
use netlink::{NetlinkError, Socket};
use rustc_hash::FxHashMap;

use crate::codec::decode;
use crate::ids::{ChainId, SetId};
use crate::kernel_family;
use crate::layout::fingerprint;
use crate::objects::{ElementKey, Key, Stray, Value, VipKey};
use crate::sets::set_spec;
use crate::style::Style;

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
pub fn observe(socket: &mut Socket, style: Style, family: IpFamily) -> Result<Found, NetlinkError> {
    let mut found = Found::default();
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
    if found.incompatible {
        return Ok(Found { incompatible: true, ..Found::default() });
    }
    observe_chains(socket, style, family, &mut found.objects)?;
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

fn observe_chains(
    socket: &mut Socket,
    style: Style,
    family: IpFamily,
    objects: &mut FxHashMap<Key, Value>,
) -> Result<(), NetlinkError> {
    let mut rules = by_chain(nft::rules(socket, kernel_family(family), style.table())?);
    for chain in nft::chains(socket, kernel_family(family), style.table())? {
        let rules = rules.remove(&chain.name).unwrap_or_default();
        let (key, value) = match ChainId::parse_in(&chain.name, style) {
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
