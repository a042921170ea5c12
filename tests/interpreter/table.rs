//! One table: chains of expressions, sets of bytes, as the kernel has them.

use std::collections::{BTreeMap, HashMap};

use model::IpFamily;
use netlink::nft::{Element, ElementData, Expr, Hook};
use nftables::{Key, Layout, Value, kernel_element};

use super::machine::holds;
use super::skb::Remembered;

/// One table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// By name.
    pub chains: BTreeMap<String, Chain>,
    /// By name.
    pub sets: HashMap<String, Vec<Element>>,
}

/// One chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Of a base chain.
    pub hook: Option<Hook>,
    /// What it does.
    pub rules: Vec<Vec<Expr>>,
}

impl Table {
    /// Takes one object in.
    pub fn add(&mut self, layout: &Layout, key: &Key, value: &Value) {
        match key {
            Key::Set(_, id) => {
                self.sets.entry(id.to_string()).or_default();
            }
            Key::Chain(_, id) => {
                let chain = Chain { hook: Layout::hook(*id), rules: layout.encoded(*id) };
                self.chains.insert(id.to_string(), chain);
            }
            Key::Element(_, id, element) => {
                self.sets.entry(id.to_string()).or_default().push(kernel_element(*id, element, value));
            }
            Key::Stray(..) => {}
        }
    }

    /// What the kernel would refuse in its sets: keys of different lengths, keys that meet.
    pub fn check(&self, family: IpFamily) -> Result<(), String> {
        for (name, elements) in &self.sets {
            let length = elements.first().map_or(0, |element| element.key.len());
            for (i, element) in elements.iter().enumerate() {
                let meets = |other: &Element| {
                    holds(other, &element.key, family) || holds(element, &other.key, family)
                };
                if element.key.len() != length || elements[..i].iter().any(meets) {
                    return Err(format!("set {name} cannot take {element:?}"));
                }
            }
        }
        Ok(())
    }

    /// Puts what a packet left behind into the maps.
    pub fn remember(&mut self, remembered: &[Remembered]) {
        for Remembered { set, bytes, key_len, .. } in remembered {
            let (key, data) = bytes.split_at(*key_len);
            let element =
                Element { key: key.to_vec(), key_end: None, data: ElementData::Value(data.to_vec()) };
            self.sets.entry(set.clone()).or_default().push(element);
        }
    }
}
