//! Records as octets, names compressed.

use crate::layout::{Layout, layout};
use crate::name::NameRef;
use crate::query::HEADER;
use crate::reply::{Data, Reply};

impl Reply<'_> {
    pub(super) fn write_record(
        &mut self,
        owner: NameRef<'_>,
        rtype: u16,
        class: u16,
        ttl: u32,
        data: Data<'_>,
    ) {
        self.write_name(owner, true);
        let [t0, t1] = rtype.to_be_bytes();
        let [c0, c1] = class.to_be_bytes();
        let [l0, l1, l2, l3] = ttl.to_be_bytes();
        self.last_ttl = self.out.len() + 4;
        self.out.extend_from_slice(&[t0, t1, c0, c1, l0, l1, l2, l3, 0, 0]);
        let begin = self.out.len();
        self.write_data(rtype, data);
        // Data longer than this does not fit any message: the record is taken back by the caller.
        let length = u16::try_from(self.out.len() - begin).unwrap_or(u16::MAX);
        self.out[begin - 2..begin].copy_from_slice(&length.to_be_bytes());
    }

    fn write_data(&mut self, rtype: u16, data: Data<'_>) {
        match data {
            Data::A(address) => self.out.extend_from_slice(&address.octets()),
            Data::Aaaa(address) => self.out.extend_from_slice(&address.octets()),
            Data::Name(name) => self.write_name(name, layout(rtype).is_none_or(|layout| layout.compress)),
            Data::Srv { priority, weight, port, target } => {
                [priority, weight, port]
                    .iter()
                    .for_each(|word| self.out.extend_from_slice(&word.to_be_bytes()));
                self.write_name(target, false);
            }
            Data::Soa { mname, rname, serial, refresh, retry, expire, minimum } => {
                self.write_name(mname, true);
                self.write_name(rname, true);
                let numbers = [serial, refresh, retry, expire, minimum];
                numbers.iter().for_each(|number| self.out.extend_from_slice(&number.to_be_bytes()));
            }
            Data::Txt(texts) => texts.iter().for_each(|text| self.write_text(text)),
            Data::Raw(octets) => self.out.extend_from_slice(octets),
            Data::Wire(octets) => self.write_wire(rtype, octets),
        }
    }

    /// Data whose names are where the type's layout says. What does not look so is copied.
    fn write_wire(&mut self, rtype: u16, octets: &[u8]) {
        let layout = layout(rtype).unwrap_or(Layout { head: 0, names: 0, compress: false });
        let Some((head, mut rest)) = octets.split_at_checked(layout.head) else {
            return self.out.extend_from_slice(octets);
        };
        self.out.extend_from_slice(head);
        for _ in 0..layout.names {
            let Some(name) = NameRef::read(rest) else { break };
            self.write_name(name, layout.compress);
            rest = &rest[name.wire().len()..];
        }
        self.out.extend_from_slice(rest);
    }

    fn write_text(&mut self, text: &[u8]) {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        self.out.push(length);
        self.out.extend_from_slice(&text[..usize::from(length)]);
    }

    fn write_name(&mut self, name: NameRef<'_>, compress: bool) {
        let asked = self.base + HEADER;
        if compress && !name.is_root() && name.wire() == &self.out[asked..asked + self.name] {
            self.out.extend_from_slice(&[0xc0, 0x0c]);
            return;
        }
        self.know_the_question();
        let at = self.out.len() - self.base;
        let found = self.places.find(&self.out[self.base..], name);
        match found {
            Some((left, to)) if compress => {
                self.out.extend_from_slice(&name.wire()[..left]);
                self.out.extend_from_slice(&(0xc000 | to).to_be_bytes());
            }
            _ => self.out.extend_from_slice(name.wire()),
        }
        self.places.remember(at, name, found.map_or(name.wire().len(), |(left, _)| left));
    }

    /// The names of the question are remembered only when they are needed: most replies have no other owner.
    fn know_the_question(&mut self) {
        if self.places.used() == 0 {
            let begin = self.base + HEADER;
            let name = NameRef::trusted(&self.out[begin..begin + self.name]);
            self.places.remember(HEADER, name, self.name);
        }
    }
}
