//! The tables of this network namespace: read, written and watched with the programs of one variant.

use std::collections::BTreeSet;

use dataplane::{ApplyError, Refusal, Step};
use model::IpFamily;
use rustc_hash::{FxHashMap, FxHashSet};
use xtables::{RestoreError, ToolError, Tools, Variant};

use crate::apply::Writer;
use crate::names::{ChainId, Hook, Place, Table};
use crate::objects::{Entry, Key, Value};
use crate::shadow::{KeyStep, Shadow};
use crate::stuck::Stuck;
use crate::watch::{Watch, Written};
use crate::{nft, observe, remove, unread};

/// What it takes to read and write the tables.
#[derive(Debug)]
pub struct Kernel {
    /// The programs.
    pub tools: Tools,
    /// The families whose tables can be used; both, until the first attempt says otherwise.
    pub families: Vec<IpFamily>,
    shadow: Shadow,
    stuck: Stuck,
    watch: Watch,
    probed: bool,
    reads_only: bool,
    /// It is asked what others do, so this is a running program that may wake tables: who only compares writes nothing.
    guards: bool,
    /// Tables that somebody had put out of force, and that are in force again since somebody asked.
    woken: Vec<String>,
}

impl Kernel {
    /// Nothing is read yet.
    pub fn new(tools: Tools, families: Vec<IpFamily>) -> Self {
        let (watch, shadow) = (Watch::new(&tools), Shadow::default());
        Self {
            tools,
            families,
            shadow,
            stuck: Stuck::default(),
            watch,
            probed: false,
            reads_only: false,
            guards: false,
            woken: Vec::new(),
        }
    }

    /// A second one that never writes.
    pub fn reader(&self) -> Self {
        // What cannot be read is known from what was written.
        let shadow = if self.shadow.is_read() { Shadow::default() } else { self.shadow.clone() };
        let (tools, families, stuck) = (self.tools.clone(), self.families.clone(), self.stuck.clone());
        Self { shadow, stuck, probed: true, reads_only: true, ..Self::new(tools, families) }
    }

    /// Whose programs these are.
    pub fn variant(&self) -> Variant {
        self.tools.variant()
    }

    /// Finds out once whether IPv6 can be programmed. IPv4 works all the same.
    pub fn probe(&mut self) {
        if self.probed || !self.families.contains(&IpFamily::V6) {
            return;
        }
        let result = self.tools.restore(IpFamily::V6, "*filter\nCOMMIT\n*nat\nCOMMIT\n");
        self.probed = !matches!(result, Err(RestoreError::Locked { .. } | RestoreError::TimedOut));
        if let Err(error) = result.as_ref().map_err(|error| error.to_string())
            && self.probed
        {
            self.families.retain(|family| *family != IpFamily::V6);
            tracing::warn!(error, "iptables for IPv6 cannot be used: only IPv4 is programmed");
        }
    }

    /// Everything of ours, but for empty chains that cannot be deleted; that is tried again.
    pub fn observe(&mut self) -> Result<FxHashMap<Key, Value>, ApplyError> {
        if !self.reads_only {
            let tools = &self.tools;
            self.stuck.retry(|place| tools.restore(place.family, &deletion(place)).is_ok());
            self.watch.know();
        }
        let (mut objects, mut unread) = (FxHashMap::default(), Vec::new());
        for family in self.families.clone() {
            for table in Table::ALL {
                self.mind_dormant(family, table, &mut objects);
                match self.tools.save_text(family, table.as_str()) {
                    Ok(saved) => {
                        observe::observe(family, table, &saved, &mut objects);
                        if self.reads_only {
                            observe::ahead(family, table, &saved, &mut objects);
                        }
                    }
                    Err(ToolError::Incompatible { .. }) => {
                        self.observe_unread(family, table, &mut objects)?;
                        unread.push((family, table));
                    }
                    Err(error) => return Err(ApplyError::new("cannot read the tables")(error)),
                }
            }
        }
        self.stuck.leave_out(&mut objects);
        self.shadow = Shadow::new(objects.iter(), unread);
        Ok(objects)
    }

    /// What it has of some chains, with what others have put in there. Only for a reader: it remembers nothing.
    pub fn observe_some(&mut self, places: &FxHashSet<&Place>) -> Result<FxHashMap<Key, Value>, ApplyError> {
        let mut objects = FxHashMap::default();
        for (family, table) in
            places.iter().map(|place| (place.family, place.table())).collect::<BTreeSet<_>>()
        {
            let here = places.iter().filter(|place| (place.family, place.table()) == (family, table));
            let names: FxHashSet<String> = here.map(|place| place.chain.to_string()).collect();
            self.mind_dormant(family, table, &mut objects);
            match self.tools.save_text(family, table.as_str()) {
                Ok(saved) => {
                    observe::observe_some(family, table, &saved, &|name| names.contains(name), &mut objects);
                    observe::ahead(family, table, &saved, &mut objects);
                }
                Err(ToolError::Incompatible { .. }) => self.observe_unread(family, table, &mut objects)?,
                Err(error) => return Err(ApplyError::new("cannot read the tables")(error)),
            }
        }
        self.stuck.leave_out(&mut objects);
        Ok(objects)
    }

    /// Whether it never writes.
    pub fn is_reader(&self) -> bool {
        self.reads_only
    }

    /// A dormant table has all rules, and none is in force. It is woken; who only reads sees it as something strange between the
    /// jumps.
    fn mind_dormant(&mut self, family: IpFamily, table: Table, objects: &mut FxHashMap<Key, Value>) {
        if self.variant() != Variant::Nft || !nft::is_dormant(family, table).unwrap_or(false) {
            return;
        }
        let name = format!("the flag dormant of the table {} of {family}", table.as_str());
        if self.reads_only {
            let rule: Value = Value::from("(the table is dormant: nothing in it is in force)");
            let hook = if table == Table::Nat { Hook::Prerouting } else { Hook::Forward };
            let key = Key::new(family, ChainId::BuiltIn(table, hook), Entry::Stray(0, rule.clone()));
            objects.insert(key, rule);
            return;
        }
        if !self.guards {
            return;
        }
        match nft::wake(family, table) {
            Ok(()) => {
                tracing::warn!(
                    "another program had set {name}, so that none of its rules was in force; it is taken away"
                );
                self.woken.push(name);
            }
            Err(error) => tracing::error!(%error, "cannot take away {name}: none of its rules is in force"),
        }
    }

    fn has_dormant(&self) -> bool {
        let all = self.families.iter().flat_map(|family| Table::ALL.map(|table| (*family, table)));
        let mut all = all.filter(|_| self.variant() == Variant::Nft);
        all.any(|(family, table)| nft::is_dormant(family, table).unwrap_or(false))
    }

    /// Tables that were woken since this was last asked.
    pub fn woken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.woken)
    }

    fn observe_unread(
        &self,
        family: IpFamily,
        table: Table,
        objects: &mut FxHashMap<Key, Value>,
    ) -> Result<(), ApplyError> {
        unread::tell(family, table);
        let look = nft::look(family, table).map_err(ApplyError::new("cannot read the tables"))?;
        unread::observe((family, table), &look, &self.shadow, &self.stuck, objects);
        Ok(())
    }

    /// Makes the tables follow the steps.
    pub fn apply(&mut self, mut steps: Vec<KeyStep>) -> Result<Vec<Refusal>, ApplyError> {
        let touched = self.watch.is_touched_now();
        self.stuck.want(&steps);
        self.watch.writes();
        let mut commits = 0;
        if !self.shadow.is_read() {
            let cut = unread::cut_jumps(&self.shadow, &mut steps);
            commits = cut.map_err(ApplyError::new("cannot write the jumps from built-in chains"))?;
        }
        let mut written = written(&steps);
        let tools = &self.tools;
        let restore = |family: IpFamily, text: &str| tools.restore(family, text);
        let shadow = &mut self.shadow;
        let mut writer = Writer { restore: &restore, shadow, commits, repeats: false, stuck: Vec::new() };
        let refusals = writer.apply(steps)?;
        let commits = (!writer.repeats).then_some(writer.commits);
        let stuck = writer.stuck;
        for one in written.iter_mut().filter(|one| one.place.chain.is_shared()) {
            one.entries = Some(self.shadow.rules(&one.place).map_or(0, |rules| rules + 1));
        }
        if !refusals.is_empty() || !stuck.is_empty() {
            written.iter_mut().for_each(|one| one.entries = None);
        }
        self.watch.wrote(touched, commits, &written);
        self.keep(stuck);
        Ok(refusals)
    }

    /// Remembers chains that could not be deleted, and says why.
    fn keep(&mut self, stuck: Vec<Place>) {
        for place in stuck {
            let rules = remove::leads_to(&self.tools, &place).join(", ");
            let (family, table) = (place.family, place.table().as_str());
            let chain = place.chain.to_string();
            if self.stuck.insert(place) {
                tracing::warn!(
                    chain, table, %family, rules,
                    "a chain of ours that has to go is kept, empty: these rules of another program lead to it; remove them"
                );
            }
        }
    }

    /// Whether somebody else may have changed what is ours. Where a table cannot be read, a closer look tells what is
    /// missing; everything is compared from time to time.
    pub fn is_touched(&mut self) -> bool {
        // A table may have been dormant before.
        if !std::mem::replace(&mut self.guards, true) && self.has_dormant() {
            return true;
        }
        let touched = self.watch.is_touched();
        if !touched || self.shadow.is_read() || self.watch.is_old() {
            return touched;
        }
        let (shadow, families) = (&self.shadow, &self.families);
        self.watch.is_wrong(|| unread::is_lacking(shadow, families).unwrap_or(true))
    }

    /// Who has changed what is ours, where that is known.
    pub fn touched_by(&self) -> Option<String> {
        self.watch.by()
    }

    /// Nothing of ours is there any more.
    pub fn forget(&mut self) {
        (self.shadow, self.stuck) = (Shadow::default(), Stuck::default());
    }
}

/// The chains of a plan; what shared ones have is not known before it is applied.
fn written(steps: &[KeyStep]) -> Vec<Written> {
    let entries = |key: &Key, step: &Step<Value>| match step {
        // A chain of ours has an end too.
        Step::Create(new) | Step::Update { new, .. } => {
            new.lines().count() + usize::from(key.entry != Entry::Jump)
        }
        Step::Delete(_) => 0,
    };
    let one = |(key, step): &KeyStep| Written { place: key.place.clone(), entries: Some(entries(key, step)) };
    steps.iter().map(one).collect()
}

fn deletion(place: &Place) -> String {
    let (table, chain) = (place.table().as_str(), &place.chain);
    format!("*{table}\n:{chain} - [0:0]\n-X {chain}\nCOMMIT\n")
}
