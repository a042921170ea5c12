//! What the kernel has in shared chains, as far as this process knows, and texts that change it.
//!
//! A chain is written whole, so a text may be sent again after half of it was taken. The one exception is a chain in
//! which the order of rules means nothing and to which rules only come: they are appended, which spares the nf_tables
//! variant of the tools from reading and writing the others (a load of 10,000 Services in two texts: 4 s, not 20 s).
//! Such a text must not be sent twice.
//!
//! Of tables that cannot be read every chain is kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use dataplane::Step;
use model::IpFamily;
use rustc_hash::FxHashMap;

use crate::names::{Place, Table};
use crate::objects::{Entry, Key, UNREAD, Value};

/// The rules of one shared chain, in order.
type Rules = BTreeMap<Entry, Value>;

/// A step of a plan.
pub type KeyStep = (Key, Step<Value>);

/// The shared chains that exist.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    chains: FxHashMap<Place, Rules>,
    /// Tables that cannot be read.
    unread: Vec<(IpFamily, Table)>,
    /// The chains of these that have one owner.
    whole: FxHashMap<Place, Value>,
}

/// What steps make of chains: not in the kernel yet.
#[derive(Debug, Default)]
pub struct Draft {
    shared: BTreeMap<Place, Rules>,
    whole: BTreeMap<Place, Option<Value>>,
    /// Of shared chains to which rules only come: these rules.
    appended: BTreeMap<Place, Vec<Value>>,
}

impl Shadow {
    /// What was observed; these tables could not be read.
    pub fn new<'a>(
        objects: impl Iterator<Item = (&'a Key, &'a Value)>,
        unread: Vec<(IpFamily, Table)>,
    ) -> Self {
        let mut shadow = Self { unread, ..Self::default() };
        for (key, value) in objects {
            if key.place.chain.is_shared() {
                let rules = shadow.chains.entry(key.place.clone()).or_default();
                rules.insert(key.entry.clone(), value.clone());
            } else if key.entry == Entry::Whole && shadow.is_unread(&key.place) {
                shadow.whole.insert(key.place.clone(), value.clone());
            }
        }
        shadow
    }

    /// Whether a table could not be read.
    pub fn has_unread(&self, family: IpFamily, table: Table) -> bool {
        self.unread.contains(&(family, table))
    }

    /// Rules of a shared chain; `None`: there is no such chain.
    pub fn rules(&self, place: &Place) -> Option<usize> {
        let rules = self.chains.get(place)?;
        Some(rules.values().map(|rule| rule.lines().count()).sum())
    }

    /// Whether every table could be read.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether a chain of a table that cannot be read is known.
    pub fn has(&self, place: &Place) -> bool {
        self.chains.contains_key(place) || self.whole.contains_key(place)
    }

    /// The chains of a table that cannot be read.
    pub fn places(&self, family: IpFamily, table: Table) -> impl Iterator<Item = &Place> {
        let places = self.chains.keys().chain(self.whole.keys());
        places.filter(move |place| place.family == family && place.table() == table)
    }

    /// What this process has written into a table that cannot be read.
    pub fn objects(&self, family: IpFamily, table: Table) -> impl Iterator<Item = (Key, Value)> {
        let shared = self.chains.iter().flat_map(|(place, rules)| {
            rules.iter().map(move |(entry, value)| (place, entry.clone(), value.clone()))
        });
        let whole = self.whole.iter().map(|(place, value)| (place, Entry::Whole, value.clone()));
        let here =
            shared.chain(whole).filter(move |(place, ..)| place.family == family && place.table() == table);
        here.map(|(place, entry, value)| (Key { place: place.clone(), entry }, value))
    }

    fn is_unread(&self, place: &Place) -> bool {
        !self.unread.is_empty() && self.has_unread(place.family, place.table())
    }

    /// What steps make of the chains that they touch. Jumps are not looked at.
    pub fn draft<'a>(&self, steps: impl Iterator<Item = &'a KeyStep>) -> Draft {
        let mut draft = Draft::default();
        for (key, step) in steps {
            let new = match step {
                Step::Create(new) | Step::Update { new, .. } => Some(new),
                Step::Delete(_) => None,
            };
            match key.entry {
                Entry::Jump => {}
                Entry::Whole => {
                    draft.whole.insert(key.place.clone(), new.cloned());
                }
                _ => draft.shared_step(self, key, new),
            }
        }
        draft
    }

    /// Takes in what the kernel has taken.
    pub fn commit(&mut self, draft: Draft) {
        for (place, value) in draft.whole {
            match value {
                Some(value) if self.is_unread(&place) => _ = self.whole.insert(place, value),
                _ => _ = self.whole.remove(&place),
            }
        }
        for (place, mut rules) in draft.shared {
            if !draft.appended.contains_key(&place) {
                rules.retain(|entry, _| !entry.is_unread());
            }
            if rules.is_empty() {
                self.chains.remove(&place)
            } else {
                self.chains.insert(place, rules)
            };
        }
    }
}

impl Shadow {
    /// A draft was refused, perhaps after half of it was taken. Where that cannot be read, these chains are unknown now.
    pub fn doubt(&mut self, draft: &Draft) {
        for place in draft.whole.keys() {
            if let Some(value) = self.whole.get_mut(place) {
                *value = Value::from(UNREAD);
            }
        }
        for place in draft.shared.keys().filter(|place| self.unread.contains(&(place.family, place.table())))
        {
            if let Some(rules) = self.chains.get_mut(place) {
                rules.insert(Entry::unread(), Value::from(""));
            }
        }
    }
}

impl Draft {
    fn shared_step(&mut self, shadow: &Shadow, key: &Key, new: Option<&Value>) {
        let place = &key.place;
        let rules = self.shared.entry(place.clone()).or_insert_with(|| {
            let now = shadow.chains.get(place);
            if now.is_some() && !place.chain.is_ordered() {
                self.appended.insert(place.clone(), Vec::new());
            }
            now.cloned().unwrap_or_default()
        });
        let old = match new {
            Some(new) => rules.insert(key.entry.clone(), new.clone()),
            None => rules.remove(&key.entry),
        };
        match (new, self.appended.get_mut(place)) {
            (Some(new), Some(appended)) if old.is_none() => appended.push(new.clone()),
            _ => {
                self.appended.remove(place);
            }
        }
    }

    /// Has every chain written whole, so that the text may be sent again.
    pub fn repeatable(mut self) -> Self {
        self.appended.clear();
        self
    }

    /// Whether nothing is touched in a family.
    fn is_empty(&self, family: IpFamily) -> bool {
        let places = self.shared.keys().chain(self.whole.keys());
        places.into_iter().all(|place| place.family != family)
    }

    /// The families that are touched.
    pub fn families(&self) -> impl Iterator<Item = IpFamily> + '_ {
        IpFamily::ALL.into_iter().filter(|family| !self.is_empty(*family))
    }

    /// The text for one family.
    pub fn text(&self, family: IpFamily) -> String {
        let mut text = String::new();
        for table in Table::ALL {
            self.table(family, table, &mut text);
        }
        text
    }

    fn table(&self, family: IpFamily, table: Table, text: &mut String) {
        let here = |place: &&Place| place.family == family && place.table() == table;
        let places: BTreeSet<&Place> =
            self.shared.keys().chain(self.whole.keys()).filter(|place| here(place)).collect();
        if places.is_empty() {
            return;
        }
        let _ = writeln!(text, "*{}", table.as_str());
        // Declaring a chain empties it: nothing refers to a chain that goes, once all of this is read.
        let anew = places.iter().filter(|place| !self.appended.contains_key(place));
        anew.for_each(|place| _ = writeln!(text, ":{} - [0:0]", place.chain));
        places.iter().for_each(|place| self.rules(place, text));
        let gone = places.iter().filter(|place| self.is_gone(place));
        gone.for_each(|place| _ = writeln!(text, "-X {}", place.chain));
        text.push_str("COMMIT\n");
    }

    fn is_gone(&self, place: &Place) -> bool {
        match self.shared.get(place) {
            // Rules that could not be read go with their chain.
            Some(rules) => rules.keys().all(Entry::is_unread),
            None => self.whole.get(place).is_none_or(Option::is_none),
        }
    }

    fn rules(&self, place: &Place, text: &mut String) {
        if let Some(rules) = self.appended.get(place) {
            let name = place.chain.to_string();
            return rules.iter().for_each(|rule| append(&name, rule, text));
        }
        let shared = self.shared.get(place).into_iter().flat_map(BTreeMap::values);
        let whole = self.whole.get(place).into_iter().flatten();
        let name = place.chain.to_string();
        shared.chain(whole).for_each(|rules| append(&name, rules, text));
    }
}

/// The lines that append rules to a chain.
pub fn append(chain: &str, rules: &str, text: &mut String) {
    for rule in rules.lines() {
        text.push_str("-A ");
        text.push_str(chain);
        text.push(' ');
        text.push_str(rule);
        text.push('\n');
    }
}
