//! The endpoints of one Service or ServiceImport: its slices, with two indexes over the ready ones.

mod held;
mod keys;
mod turn;

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Endpoint, Slice};

use crate::View;
use crate::label::{Label, hash};
pub(crate) use held::Held;
use held::{Slot, indexed};
use keys::{Key, address_hash, insert, number, range, remove};
pub(crate) use turn::{Turn, turned};

/// One endpoint with its slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'n> {
    pub slice: &'n Slice,
    /// The cluster that it is in, of a ServiceImport.
    pub cluster: Option<&'n str>,
    pub endpoint: &'n Endpoint,
    place: (u32, u32),
}

impl Member<'_> {
    pub fn label(&self, view: &View) -> Label {
        Label::of(self.endpoint, view.endpoint_pod_names)
    }

    /// Whether both have the same name.
    pub fn is_namesake(&self, other: &Member<'_>, view: &View) -> bool {
        self.cluster == other.cluster && self.label(view).as_bytes() == other.label(view).as_bytes()
    }
}

/// What an update changed: addresses that no endpoint has any more, and those that were added.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub gone: Vec<IpAddr>,
    pub come: Vec<IpAddr>,
    /// Whether any slice is another one.
    pub changed: bool,
    /// Endpoints that were indexed or forgotten.
    pub work: u64,
}

/// The slices of one Service. A slice keeps its slot as long as it is the same.
#[derive(Debug, Default)]
pub(crate) struct EndpointSet {
    slots: Vec<Option<Slot>>,
    names: BTreeSet<Key>,
    addresses: BTreeSet<Key>,
    /// How many entries of each index share their hash with an earlier one. Where none do, nothing is looked for twice.
    twin_names: usize,
    twin_addresses: usize,
    ready: usize,
}

impl EndpointSet {
    /// Makes these its slices. Costs O(slices) comparisons of pointers, and O(endpoints) of the slices that are not the same.
    pub fn update(&mut self, wanted: impl Iterator<Item = Held>) -> Difference {
        let mut difference = Difference::default();
        let mut wanted: Vec<Held> = wanted.collect();
        wanted.sort_unstable_by_key(Held::identity);
        let mut kept = Vec::new();
        for slot in 0..self.slots.len() {
            let Some(Slot { held, .. }) = &self.slots[slot] else { continue };
            match wanted.binary_search_by_key(&held.identity(), Held::identity) {
                Ok(_) => kept.push(held.identity()),
                Err(_) => self.forget(slot, &mut difference),
            }
        }
        kept.sort_unstable();
        for held in wanted {
            if kept.binary_search(&held.identity()).is_err() {
                self.add(held, &mut difference);
            }
        }
        difference.gone.retain(|ip| self.at(*ip).next().is_none());
        difference
    }

    fn add(&mut self, held: Held, difference: &mut Difference) {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        for (at, endpoint) in indexed(held.slice()) {
            let place = (number(slot), number(at));
            for name in names_of(endpoint).into_iter().flatten() {
                self.twin_names += insert(&mut self.names, name, place);
            }
            self.twin_addresses += insert(&mut self.addresses, address_hash(endpoint.ip), place);
            difference.come.push(endpoint.ip);
        }
        difference.note(held.slice());
        let ready = indexed(held.slice()).count();
        self.ready += ready;
        match self.slots.get_mut(slot) {
            Some(free) => *free = Some(Slot { held, ready }),
            None => self.slots.push(Some(Slot { held, ready })),
        }
    }

    fn forget(&mut self, slot: usize, difference: &mut Difference) {
        let Some(Slot { held, ready }) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        for (at, endpoint) in indexed(held.slice()) {
            let place = (number(slot), number(at));
            for name in names_of(endpoint).into_iter().flatten() {
                self.twin_names -= remove(&mut self.names, name, place);
            }
            self.twin_addresses -= remove(&mut self.addresses, address_hash(endpoint.ip), place);
            difference.gone.push(endpoint.ip);
        }
        self.ready -= ready;
        difference.note(held.slice());
    }

    /// How many ready endpoints there are, those counted twice that two slices have.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// The ready endpoints that are shown. `turn` says which of them comes first, of its family; the others follow in their order.
    pub fn members<'n>(&'n self, view: &View, turn: Option<Turn>) -> impl Iterator<Item = Member<'n>> {
        let slots = if view.noendpoints || self.ready == 0 { &[][..] } else { &self.slots[..] };
        let (first, at) = turn.and_then(|turn| begin(slots, view, turn)).unwrap_or((0, 0));
        let order = (first..slots.len()).chain(0..first);
        // The endpoints of the first slot that are before the first one are the last ones of all.
        let parts = order.map(move |slot| (slot, if slot == first { at } else { 0 }..usize::MAX));
        let parts = parts.chain((at > 0).then_some((first, 0..at)));
        let shown = parts.filter_map(|(slot, part)| Some((slot, part, slots.get(slot)?.as_ref()?)));
        let shown = shown.filter(|(_, _, slot)| view.shows(&slot.held.slice().labels));
        shown.flat_map(|(slot, part, Slot { held, .. })| {
            let end = part.end.min(held.slice().endpoints.len());
            (part.start..end).filter_map(move |at| member(slot, at, held))
        })
    }

    /// The ready endpoints of a name that are shown.
    pub fn named<'n>(&'n self, label: &[u8], view: &View) -> impl Iterator<Item = Member<'n>> {
        let same = move |member: &Member<'_>| member.label(view).as_bytes().eq_ignore_ascii_case(label);
        self.behind(&self.names, hash(label), view).filter(same)
    }

    /// The ready endpoints of an address that are shown.
    pub fn at_address<'n>(&'n self, ip: IpAddr, view: &View) -> impl Iterator<Item = Member<'n>> {
        self.behind(&self.addresses, address_hash(ip), view).filter(move |member| member.endpoint.ip == ip)
    }

    /// Whether no endpoint with the same address in an earlier place, of those that are shown, is `same` too.
    pub fn is_first_address(
        &self,
        member: &Member<'_>,
        view: &View,
        mut same: impl FnMut(&Member<'_>) -> bool,
    ) -> bool {
        let ip = member.endpoint.ip;
        let mut earlier = |other: Member<'_>| other.place < member.place && same(&other);
        self.twin_addresses == 0 || !self.at_address(ip, view).any(&mut earlier)
    }

    /// Whether no namesake in an earlier place, of those that are shown, is `same` too.
    pub fn is_first_of_name(
        &self,
        member: &Member<'_>,
        view: &View,
        mut same: impl FnMut(&Member<'_>) -> bool,
    ) -> bool {
        let earlier = |other: &Member<'_>| other.place < member.place && member.is_namesake(other, view);
        self.twin_names == 0
            || !self.named(member.label(view).as_bytes(), view).any(|other| earlier(&other) && same(&other))
    }

    fn at(&self, ip: IpAddr) -> impl Iterator<Item = Member<'_>> {
        let found = range(&self.addresses, address_hash(ip)).filter_map(|key| self.member(key));
        found.filter(move |member| member.endpoint.ip == ip)
    }

    fn behind<'n>(
        &'n self,
        index: &'n BTreeSet<Key>,
        hash: u32,
        view: &View,
    ) -> impl Iterator<Item = Member<'n>> {
        let found = range(index, hash).filter(|_| !view.noendpoints).filter_map(|key| self.member(key));
        found.filter(|member| view.shows(&member.slice.labels))
    }

    fn member(&self, &(_, slot, at): &Key) -> Option<Member<'_>> {
        let Slot { held, .. } = self.slots.get(slot as usize)?.as_ref()?;
        member(slot as usize, at as usize, held)
    }
}

impl Difference {
    fn note(&mut self, slice: &Slice) {
        self.changed = true;
        self.work += slice.endpoints.len() as u64;
    }
}

/// The place of the ready endpoint that comes first in a turn. Costs O(slices), and O(endpoints) of one slice.
fn begin(slots: &[Option<Slot>], view: &View, turn: Turn) -> Option<(usize, usize)> {
    let counts =
        |slice: &Slice| turn.family.is_none_or(|family| slice.family == family) && view.shows(&slice.labels);
    let shown = slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
    let shown = shown.filter(|(_, slot)| counts(slot.held.slice()));
    let mut left = turn.among(shown.clone().map(|(_, slot)| slot.ready).sum());
    for (at, slot) in shown {
        if left < slot.ready {
            return Some((at, indexed(slot.held.slice()).nth(left)?.0));
        }
        left -= slot.ready;
    }
    None
}

/// The endpoint in a place of a slice, if it is ready.
fn member(slot: usize, at: usize, held: &Held) -> Option<Member<'_>> {
    let slice = held.slice();
    let endpoint = slice.endpoints.get(at).filter(|endpoint| endpoint.conditions.ready)?;
    Some(Member { slice, cluster: held.cluster(), endpoint, place: (number(slot), number(at)) })
}

/// The hashes of an endpoint's names, without and with the option `endpoint_pod_names`, if that makes a difference.
fn names_of(endpoint: &Endpoint) -> [Option<u32>; 2] {
    let [plain, with_pods] = [false, true].map(|pods| hash(Label::of(endpoint, pods).as_bytes()));
    [Some(plain), (with_pods != plain).then_some(with_pods)]
}
