//! What the kernel has of single objects, without reading the rest.

use std::collections::BTreeMap;

use model::IpFamily;
use netlink::nft::{self, Element};
use netlink::{NetlinkError, Socket};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::{decode, key_bytes};
use crate::ids::{ChainId, SetId};
use crate::kernel_family;
use crate::layout::{Layout, fingerprint};
use crate::objects::{Key, Stray, Value};
use crate::observe::{definition, without_remarks};
use crate::strange::StrangeChains;
use crate::style::Style;

/// With more keys, reading everything is cheaper.
pub const MOST: usize = 10_000;

/// Looks at these objects, and whether their tables are in force; those that the kernel does not have are left out.
pub fn observe_some(
    socket: &mut Socket,
    style: Style,
    layouts: &[Layout],
    keys: &FxHashSet<Key>,
) -> Result<(FxHashMap<Key, Value>, StrangeChains), NetlinkError> {
    let (found, strange) = (FxHashMap::default(), StrangeChains::default());
    let mut look = Look { socket, style, layouts, found, strange };
    let mut elements: BTreeMap<(IpFamily, SetId), Vec<nft::KeyRange>> = BTreeMap::new();
    for key in keys {
        match key {
            Key::Set(family, id) => look.set(*family, *id)?,
            Key::Chain(family, id) => look.chain(*family, *id)?,
            Key::Element(family, id, element) => {
                elements.entry((*family, *id)).or_default().push(key_bytes(*id, element));
            }
            Key::Stray(family, stray) => look.stray(*family, stray)?,
        }
    }
    for ((family, id), at) in elements {
        look.elements(family, id, &at)?;
    }
    look.found.retain(|key, _| keys.contains(key));
    for family in IpFamily::ALL.into_iter().filter(|family| keys.iter().any(|key| key.family() == *family)) {
        // What is in a dormant table is as good as not there.
        look.stray(family, &Stray::Dormant)?;
    }
    Ok((look.found, look.strange))
}

struct Look<'a> {
    socket: &'a mut Socket,
    style: Style,
    layouts: &'a [Layout],
    found: FxHashMap<Key, Value>,
    strange: StrangeChains,
}

impl Look<'_> {
    fn set(&mut self, family: IpFamily, id: SetId) -> Result<(), NetlinkError> {
        let spec = nft::set(self.socket, kernel_family(family), self.style.table(), &id.to_string())?;
        if let Some(mut spec) = spec {
            without_remarks(id, &mut spec, family);
            self.found.insert(Key::Set(family, id), Value::Definition(fingerprint(&spec)));
        }
        Ok(())
    }

    fn chain(&mut self, family: IpFamily, id: ChainId) -> Result<(), NetlinkError> {
        let (kind, table, name) = (kernel_family(family), self.style.table(), id.to_string());
        if let Some(chain) = nft::chain(self.socket, kind, table, &name)? {
            let rules = nft::rules_of(self.socket, kind, table, &name)?;
            let rules: Vec<_> = rules.into_iter().map(|rule| rule.exprs).collect();
            self.found.insert(Key::Chain(family, id), definition(&chain.hook, chain.drops, &rules));
            if let Some(layout) = self.layouts.iter().find(|layout| layout.family == family) {
                layout.note(id, &chain, &rules, &mut self.strange);
            }
        }
        Ok(())
    }

    fn elements(&mut self, family: IpFamily, id: SetId, at: &[nft::KeyRange]) -> Result<(), NetlinkError> {
        let found = self.at(family, id, at)?;
        let known = found.iter().filter_map(|element| decode(id, family, element));
        self.found.extend(known.map(|(key, value)| (Key::Element(family, id, key), value)));
        Ok(())
    }

    fn stray(&mut self, family: IpFamily, stray: &Stray) -> Result<(), NetlinkError> {
        let (kind, table) = (kernel_family(family), self.style.table());
        let is_there = match stray {
            Stray::Chain(name) => nft::chain(self.socket, kind, table, name)?.is_some(),
            Stray::Dormant => nft::table(self.socket, kind, table)?.is_some_and(nft::TableFlags::is_dormant),
            Stray::Set(name) => nft::set(self.socket, kind, table, name)?.is_some(),
            Stray::Element(id, first, last) => {
                let found = self.at(family, *id, &[(first.clone(), last.clone())])?;
                found.iter().any(|element| element.key == *first && decode(*id, family, element).is_none())
            }
        };
        if is_there {
            self.found.insert(Key::Stray(family, Box::new(stray.clone())), Value::Member);
        }
        Ok(())
    }

    fn at(
        &mut self,
        family: IpFamily,
        id: SetId,
        at: &[nft::KeyRange],
    ) -> Result<Vec<Element>, NetlinkError> {
        nft::elements_at(self.socket, kernel_family(family), self.style.table(), &id.to_string(), at)
    }
}
