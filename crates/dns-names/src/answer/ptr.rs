//! PTR records.

use std::net::IpAddr;

use dns_wire::{Data, NameBuf, NameRef, Section, rtype};

use crate::object::Object;
use crate::set::Member;
use crate::view::External;

use super::Writer;

impl<'w> Writer<'w, '_> {
    /// The names of an address: that of the first Service with this ClusterIP, or else the names of endpoints, one for each Service.
    pub(super) fn pointer(&mut self, ip: IpAddr) {
        if self.qtype() != rtype::PTR {
            return;
        }
        if let Some(external) = self.scope.external {
            return self.outside_pointer(external, ip);
        }
        let Some(zone) = self.scope.view.primary() else { return };
        if let Some(object) = self.scope.services_at(ip).next() {
            return self.target(&object, None, zone);
        }
        for object in self.scope.endpoints_at(ip) {
            self.endpoint_pointers(&object, ip, zone);
        }
    }

    fn endpoint_pointers(&mut self, object: &Object<'w>, ip: IpAddr, zone: NameRef<'_>) {
        let view = self.scope.view;
        for member in object.set.at_address(ip, view) {
            if object.set.is_first_of_name(&member, view, |other| other.endpoint.ip == ip) {
                self.target(object, Some(&member), zone);
            }
        }
    }

    /// Services with this external address, in the first zone that is not reverse.
    fn outside_pointer(&mut self, external: &'w External, ip: IpAddr) {
        let mut zones = external.zones.iter().map(dns_wire::Name::as_ref);
        let Some(zone) = zones.find(|zone| !zone.is_reverse()) else { return };
        for object in self.scope.externals_at(ip) {
            self.target(&object, None, zone);
        }
    }

    fn target(&mut self, object: &Object<'_>, member: Option<&Member<'_>>, zone: NameRef<'_>) {
        let mut buffer = NameBuf::new();
        let Some(target) = self.name_of(&mut buffer, object, member, zone) else { return };
        self.put(Section::Answer, self.owner, rtype::PTR, Data::Name(target));
    }
}
