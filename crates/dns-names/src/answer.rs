//! From what a name stands for to the records of a reply.

mod address;
mod alias;
mod ptr;
mod srv;
mod zone;

use dns_wire::{Data, Mark, NameBuf, NameRef, Reply, Section, rcode, rtype};

use crate::locate::{Found, Scope};
use crate::object::{Kind, Object, Which};
use crate::set::Member;
use crate::view::Zone;
use crate::{Ask, Names, Verdict, View};

impl Names {
    /// Answers a question for a name of the cluster.
    ///
    /// The records go behind those that `reply` has already (CNAMEs of a search path); with [`Verdict::Pass`] nothing is written.
    /// AA and the response code are set, RA is not.
    #[inline]
    pub fn answer(&self, view: &View, ask: &Ask<'_>, reply: &mut Reply<'_>) -> Verdict {
        let Some(zone) = view.zone_of(ask.name) else { return Verdict::Pass };
        let scope = Scope { names: self, view, external: None };
        let found = scope.locate(ask.name, &zone);
        let mark = reply.mark();
        Writer { scope, ask, reply, mark, owner: ask.name, zone, ttl: view.ttl }.write(found)
    }
}

/// Writes the reply to one question.
pub(crate) struct Writer<'w, 'b> {
    pub scope: Scope<'w>,
    pub ask: &'w Ask<'w>,
    pub reply: &'w mut Reply<'b>,
    /// Where this answer began.
    pub mark: Mark,
    /// The name that the next records belong to: the one asked, or the target of a CNAME.
    pub owner: NameRef<'w>,
    /// The zone of the owner.
    pub zone: Zone<'w>,
    /// Seconds.
    pub ttl: u32,
}

impl<'w> Writer<'w, '_> {
    pub fn write(mut self, found: Found<'w, 'w>) -> Verdict {
        match found {
            Found::Object(Object { kind: Kind::Alias(alias), .. }, Which::All) => self.alias(alias),
            Found::Object(Object { kind: Kind::Host(host), .. }, Which::All)
                if self.qtype() != rtype::SRV =>
            {
                self.follow(host.as_ref())
            }
            found => self.plain(found),
        }
    }

    /// Everything but an alias.
    fn plain(&mut self, found: Found<'w, 'w>) -> Verdict {
        let before = self.reply.counts()[0];
        match found {
            Found::Missing(_) => return self.name_error(),
            Found::Empty => {}
            Found::Apex => self.apex(),
            Found::Version => self.version(),
            Found::Server => self.server(),
            Found::Object(object, which) => self.object(&object, which),
            Found::Pod(ip) => self.address(Section::Answer, self.owner, ip),
            Found::Reverse(ip) => self.pointer(ip),
        }
        if self.reply.counts()[0] == before && !self.reply.is_truncated() {
            return self.no_data();
        }
        self.reply.set_authoritative(true);
        Verdict::Answered
    }

    fn object(&mut self, object: &Object<'w>, which: Which<'w>) {
        match (self.qtype(), which) {
            (rtype::A | rtype::AAAA, Which::Port(_)) => {}
            (rtype::A | rtype::AAAA, _) => self.addresses(object, which),
            (rtype::SRV, _) => self.srv(object, which),
            _ => {}
        }
    }

    fn qtype(&self) -> u16 {
        self.ask.query.qtype
    }

    fn put(&mut self, section: Section, owner: NameRef<'_>, rtype: u16, data: Data<'_>) {
        self.reply.push(section, owner, rtype, self.ttl, data);
    }

    /// The name exists, but not with this type.
    fn no_data(&mut self) -> Verdict {
        self.negative(rcode::NOERROR)
    }

    /// The name does not exist: it falls through, or is an error. Until all is known, that cannot be said.
    fn name_error(&mut self) -> Verdict {
        if self.falls_through(self.owner) {
            self.reply.back_to(self.mark);
            return Verdict::Pass;
        }
        if self.scope.names.is_synced() {
            return self.negative(rcode::NXDOMAIN);
        }
        self.reply.back_to(self.mark);
        self.negative(rcode::SERVFAIL)
    }

    fn falls_through(&self, name: NameRef<'_>) -> bool {
        match self.scope.external {
            Some(external) => external.fallthrough.iter().any(|zone| name.ends_with(zone.as_ref())),
            None => self.scope.view.falls_through(name),
        }
    }

    fn negative(&mut self, rcode: u16) -> Verdict {
        self.reply.set_rcode(rcode);
        self.reply.set_authoritative(true);
        self.soa(Section::Authority);
        Verdict::Answered
    }

    /// The name of an object, or of one of its endpoints, in a zone. Service and namespace are spelled as in the store, the zone as given.
    /// `None`: it would be longer than a name may be.
    fn name_of<'k>(
        &self,
        buffer: &'k mut NameBuf,
        object: &Object<'_>,
        member: Option<&Member<'_>>,
        zone: NameRef<'_>,
    ) -> Option<NameRef<'k>> {
        buffer.clear();
        if let Some(member) = member {
            buffer.push(member.label(self.scope.view).as_bytes())?;
            if let Some(cluster) = member.cluster {
                buffer.push(cluster.as_bytes())?;
            }
        }
        buffer.push(object.name.name.as_bytes())?.push(object.name.namespace.as_bytes())?;
        if self.scope.external.is_none() {
            buffer.push(b"svc")?;
        }
        buffer.under(zone)
    }
}
