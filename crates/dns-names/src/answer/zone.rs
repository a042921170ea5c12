//! Records of the zone itself: SOA, NS, the server's own names, the version of the schema.

use std::net::IpAddr;

use dns_wire::{Data, NameBuf, NameRef, Section, rtype};

use crate::object::{Kind, Object};
use crate::view::ZoneKind;

use super::Writer;

/// Seconds: refresh, retry, expire. As CoreDNS.
const TIMES: [u32; 3] = [7200, 1800, 86_400];
/// The most seconds that a SOA record lives, and with it a negative answer.
const MOST_SOA_TTL: u32 = 300;
/// The TTL of the version record, whatever the settings say.
const VERSION_TTL: u32 = 28_800;
/// The version of the Kubernetes DNS specification, and of the multicluster one.
const VERSIONS: [&[u8]; 2] = [b"1.1.0", b"1.0.0"];
/// The most NS records.
const MOST_NAME_SERVERS: usize = 8;
/// The port of a Service that makes it a name server.
const DNS_PORT: u16 = 53;

impl<'w> Writer<'w, '_> {
    pub(super) fn apex(&mut self) {
        match self.qtype() {
            rtype::SOA => self.soa(Section::Answer),
            rtype::NS => self.name_servers(),
            _ => {}
        }
    }

    /// The SOA record; zone and server in the letter case of the question.
    pub(super) fn soa(&mut self, section: Section) {
        let (mut server, mut mailbox) = (NameBuf::new(), NameBuf::new());
        let zone = self.zone.name;
        let Some(mname) = self.server_name(&mut server, zone) else { return };
        let Some(rname) = self.mailbox(&mut mailbox, zone) else { return };
        let [refresh, retry, expire] = TIMES;
        let serial = self.scope.names.serial();
        let data = Data::Soa { mname, rname, serial, refresh, retry, expire, minimum: self.ttl };
        self.reply.push(section, zone, rtype::SOA, self.ttl.min(MOST_SOA_TTL), data);
    }

    /// `ns.dns.<zone>`, seen from outside `ns1.<apex>.<zone>`.
    fn server_name<'k>(&self, buffer: &'k mut NameBuf, zone: NameRef<'_>) -> Option<NameRef<'k>> {
        match self.scope.external {
            Some(external) => buffer.push(b"ns1")?.push(external.apex.as_bytes())?.under(zone),
            None => buffer.push(b"ns")?.push(b"dns")?.under(zone),
        }
    }

    fn mailbox<'k>(&self, buffer: &'k mut NameBuf, zone: NameRef<'_>) -> Option<NameRef<'k>> {
        buffer.push(b"hostmaster")?;
        if let Some(external) = self.scope.external {
            buffer.push(external.apex.as_bytes())?;
        }
        buffer.under(zone)
    }

    /// The Services behind which this server stands, or else the server's own name; and the addresses of both.
    fn name_servers(&mut self) {
        let services = self.own_services();
        let primary = self.scope.view.primary().filter(|_| self.zone.kind != ZoneKind::Cluster);
        let zone = primary.unwrap_or(self.zone.name);
        let mut buffer = NameBuf::new();
        for object in services.iter().flatten() {
            let Some(target) = self.name_of(&mut buffer, object, None, zone) else { continue };
            self.put(Section::Answer, self.owner, rtype::NS, Data::Name(target));
        }
        for object in services.iter().flatten() {
            let Some(target) = self.name_of(&mut buffer, object, None, zone) else { continue };
            self.each_own(object, |writer, ip| writer.address(Section::Additional, target, ip));
        }
        if services[0].is_none() {
            self.own_name_server();
        }
    }

    fn own_name_server(&mut self) {
        let mut buffer = NameBuf::new();
        let Some(name) = self.server_name(&mut buffer, self.zone.name) else { return };
        self.put(Section::Answer, self.owner, rtype::NS, Data::Name(name));
        for ip in self.ask.own {
            self.address(Section::Additional, name, *ip);
        }
    }

    /// The addresses of this server's name: those that the NS records lead to.
    pub(super) fn server(&mut self) {
        let services = self.own_services();
        for object in services.iter().flatten() {
            self.each_own(object, |writer, ip| writer.address(Section::Answer, writer.owner, ip));
        }
        if services[0].is_none() {
            self.ask.own.iter().for_each(|ip| self.address(Section::Answer, self.owner, *ip));
        }
    }

    pub(super) fn version(&mut self) {
        let [plain, set] = VERSIONS;
        let version = if self.zone.kind == ZoneKind::ClusterSet { set } else { plain };
        if self.qtype() == rtype::TXT {
            let data = Data::Txt(&[version]);
            self.reply.push(Section::Answer, self.owner, rtype::TXT, VERSION_TTL, data);
        }
    }

    /// The DNS Services that lead to an address of this server. From outside they are not to be seen.
    fn own_services(&self) -> [Option<Object<'w>>; MOST_NAME_SERVERS] {
        let mut found: [Option<Object<'w>>; MOST_NAME_SERVERS] = [None; MOST_NAME_SERVERS];
        if self.scope.external.is_some() {
            return found;
        }
        for ip in self.ask.own {
            for object in self.scope.services_at(*ip).chain(self.scope.endpoints_at(*ip)) {
                let serves = object.ports.iter().any(|port| port.port == DNS_PORT);
                let known = found.iter().flatten().any(|other| other.name == object.name);
                if let Some(free) = found.iter_mut().find(|slot| slot.is_none()).filter(|_| serves && !known)
                {
                    *free = Some(object);
                }
            }
        }
        found
    }

    /// The addresses of such a Service: its ClusterIPs, or of a headless one those of this server.
    fn each_own(&mut self, object: &Object<'w>, mut each: impl FnMut(&mut Self, IpAddr)) {
        if let Kind::Headless = object.kind {
            let view = self.scope.view;
            let own = self.ask.own.iter().filter(|ip| object.set.at_address(**ip, view).next().is_some());
            own.for_each(|ip| each(self, *ip));
        } else {
            object.addresses().for_each(|ip| each(self, ip));
        }
    }
}
