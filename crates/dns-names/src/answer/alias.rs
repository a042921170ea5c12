//! ExternalName: CNAME records, and what they lead to.

use dns_wire::{Data, Name, NameRef, Section, rtype};

use crate::locate::Found;
use crate::object::{Kind, Object, Which};
use crate::record::Alias;
use crate::{Chase, Link, MAX_CHAIN, Verdict};

use super::Writer;

impl<'w> Writer<'w, '_> {
    pub(super) fn alias(mut self, alias: &'w Alias) -> Verdict {
        match alias {
            Alias::Address(ip) => self.literal(*ip),
            Alias::Name(target) if self.qtype() != rtype::SRV => self.follow(target.as_ref()),
            // CoreDNS has no SRV records of such a Service.
            Alias::Name(_) => self.no_data(),
            Alias::Bad(_) => self.name_error(),
        }
    }

    /// An `externalName` that is an address: a record with it, where CoreDNS has none.
    fn literal(&mut self, ip: std::net::IpAddr) -> Verdict {
        self.plain(Found::Pod(ip))
    }

    /// Writes CNAMEs as long as they lead to aliases of ours, then what the last one leads to.
    pub(super) fn follow(&mut self, first: NameRef<'w>) -> Verdict {
        let start = (self.owner, self.zone);
        let mut targets = [NameRef::ROOT; MAX_CHAIN];
        let mut target = first;
        for hop in 0..MAX_CHAIN.saturating_sub(self.ask.hops) {
            self.put(Section::Answer, self.owner, rtype::CNAME, Data::Name(target));
            self.reply.set_authoritative(true);
            if matches!(self.qtype(), rtype::CNAME | rtype::ANY) {
                return Verdict::Answered;
            }
            targets[hop] = target;
            match self.step(target) {
                Step::Alias(next) => target = next,
                Step::Done(verdict) => return verdict,
                Step::Leave => return Verdict::Chase(self.chase(start.0, &targets[..=hop])),
            }
        }
        // A loop, or a chain without end: as if there were no alias at all.
        self.reply.back_to(self.mark);
        (self.owner, self.zone) = start;
        self.no_data()
    }

    /// What one target leads to.
    fn step(&mut self, target: NameRef<'w>) -> Step<'w> {
        let inside = self.scope.external.is_none().then(|| self.scope.view.zone_of(target)).flatten();
        let Some(zone) = inside else { return Step::Leave };
        let found = self.scope.locate(target, &zone);
        if matches!(found, Found::Missing(_)) && self.scope.view.falls_through(target) {
            return Step::Leave;
        }
        if let Found::Object(Object { kind: Kind::Alias(alias), .. }, Which::All) = found {
            (self.owner, self.zone) = (target, zone);
            return match alias {
                Alias::Name(next) => Step::Alias(next.as_ref()),
                Alias::Address(ip) => Step::Done(self.literal(*ip)),
                Alias::Bad(_) => Step::Done(self.name_error()),
            };
        }
        (self.owner, self.zone) = (target, zone);
        Step::Done(self.plain(found))
    }

    fn chase(&self, owner: NameRef<'_>, targets: &[NameRef<'_>]) -> Chase {
        let owners = std::iter::once(owner).chain(targets.iter().copied());
        let links = owners
            .zip(targets)
            .map(|(owner, target)| Link { owner: Name::from(owner), target: Name::from(*target) });
        Chase { links: links.collect(), ttl: self.ttl }
    }
}

/// Where one CNAME leads.
enum Step<'w> {
    /// To another alias of ours.
    Alias(NameRef<'w>),
    /// To an answer, which is written.
    Done(Verdict),
    /// Out of our names.
    Leave,
}
