//! A and AAAA records.

use std::net::IpAddr;

use dns_wire::{Data, NameRef, Section, rtype};

use model::IpFamily;

use crate::object::{Kind, Object, Which};
use crate::set::{Turn, turned};

use super::Writer;

impl<'w> Writer<'w, '_> {
    /// The addresses of an object, or of those of its endpoints that are meant, each once.
    pub(super) fn addresses(&mut self, object: &Object<'w>, which: Which<'w>) {
        if let (Kind::Cluster, Which::All) = (object.kind, which) {
            return self.own_addresses(object);
        }
        let view = self.scope.view;
        for member in object.members(which, view, self.turn()) {
            let ip = member.endpoint.ip;
            let first =
                || object.set.is_first_address(&member, view, |other| self.is_meant(other, &member, which));
            if is_of(ip, self.qtype()) && first() {
                self.address(Section::Answer, self.owner, ip);
                if self.reply.is_truncated() {
                    return;
                }
            }
        }
    }

    /// Those of the Service itself.
    fn own_addresses(&mut self, object: &Object<'w>) {
        let qtype = self.qtype();
        let fitting = || object.addresses().filter(|ip| is_of(*ip, qtype));
        for ip in turned(self.turn(), fitting, |_| true) {
            self.address(Section::Answer, self.owner, ip);
        }
    }

    /// Which address comes first, of those that are of the type asked; of all, where no addresses are asked for.
    pub(super) fn turn(&self) -> Option<Turn> {
        let family = match self.qtype() {
            rtype::A => Some(IpFamily::V4),
            rtype::AAAA => Some(IpFamily::V6),
            _ => None,
        };
        self.ask.turn.map(|number| Turn { number, family })
    }

    /// Whether another endpoint is of the same answer: all that are meant; for one name, its namesakes.
    fn is_meant(
        &self,
        other: &crate::set::Member<'_>,
        member: &crate::set::Member<'_>,
        which: Which<'_>,
    ) -> bool {
        let named = matches!(which, Which::Host(_));
        which.takes(other) && (!named || other.is_namesake(member, self.scope.view))
    }

    /// One record; in the answer only where it is of the type asked.
    pub(super) fn address(&mut self, section: Section, owner: NameRef<'_>, ip: IpAddr) {
        let (rtype, data) = Data::address(ip);
        if section == Section::Additional || rtype == self.qtype() {
            self.put(section, owner, rtype, data);
        }
    }
}

fn is_of(ip: IpAddr, qtype: u16) -> bool {
    if ip.is_ipv4() { qtype == rtype::A } else { qtype == rtype::AAAA }
}
