//! In words: which object, which rule.

use std::fmt;

use dns_wire::{NameRef, rtype};

use crate::locate::{Found, Scope};
use crate::object::{Kind, Object, Which};
use crate::record::Alias;
use crate::{Names, View};

/// Why a question is answered as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The zone of ours that the name is in, in the letter case of the question.
    pub zone: Option<String>,
    /// The object that decides: `Service data/db`.
    pub object: Option<String>,
    /// The rule, as one sentence.
    pub rule: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iter().map(|zone| format!("zone {zone}"));
        let parts: Vec<String> = zone.chain(self.object.clone()).chain([self.rule.clone()]).collect();
        f.write_str(&parts.join(": "))
    }
}

impl Names {
    /// Says what a name stands for and by which rule a question for it is answered. The same search as for an answer.
    pub fn explain(&self, view: &View, name: NameRef<'_>, qtype: u16) -> Explanation {
        let Some(zone) = view.zone_of(name) else {
            let rule = "the name is in none of the cluster's zones".to_owned();
            return Explanation { zone: None, object: None, rule };
        };
        let scope = Scope { names: self, view, external: None };
        let found = scope.locate(name, &zone);
        let object = match found {
            Found::Object(object, _) => Some(title(&object)),
            Found::Reverse(ip) => {
                scope.services_at(ip).chain(scope.endpoints_at(ip)).next().map(|o| title(&o))
            }
            _ => None,
        };
        Explanation { zone: Some(zone.name.to_string()), object, rule: self.rule(view, name, qtype, &found) }
    }

    fn rule(&self, view: &View, name: NameRef<'_>, qtype: u16, found: &Found<'_, '_>) -> String {
        match found {
            Found::Missing(why) => format!("{why}: {}", self.name_error_words(view, name)),
            Found::Empty => "the name has no records, but names below it can exist: NODATA".to_owned(),
            Found::Apex => "the zone itself: SOA and NS".to_owned(),
            Found::Version => "the version of the DNS schema: TXT".to_owned(),
            Found::Server => "the name of this server: its addresses".to_owned(),
            Found::Pod(ip) => format!("the name of a pod: {ip}"),
            Found::Reverse(ip) => format!("the Service or endpoint with the address {ip}: PTR"),
            Found::Object(object, which) => object_words(object, *which, view, qtype),
        }
    }

    fn name_error_words(&self, view: &View, name: NameRef<'_>) -> &'static str {
        match (view.falls_through(name), self.is_synced()) {
            (true, _) => "passed on (fallthrough)",
            (false, false) => "SERVFAIL, since not all objects have been read yet",
            (false, true) => "NXDOMAIN",
        }
    }
}

fn title(object: &Object<'_>) -> String {
    let kind = if object.imported { "ServiceImport" } else { "Service" };
    format!("{kind} {}", object.name)
}

fn object_words(object: &Object<'_>, which: Which<'_>, view: &View, qtype: u16) -> String {
    if let Kind::Alias(alias) = object.kind {
        return alias_words(alias);
    }
    let part = match which {
        Which::All => "",
        Which::Port(_) => "its port of this name: ",
        Which::Host(_) => "its endpoint of this name: ",
        Which::Zone(_) => "its endpoints of this topology zone: ",
    };
    let counted = object.members(which, view, None).count();
    let addresses: Vec<String> = object.addresses().map(|ip| ip.to_string()).collect();
    let leads = match (object.kind, which) {
        (Kind::Cluster, Which::All | Which::Port(_)) if addresses.is_empty() => "no address yet".to_owned(),
        (Kind::Cluster, Which::All | Which::Port(_)) => addresses.join(", "),
        _ => format!("ready endpoints: {counted}"),
    };
    let other = !matches!(
        (qtype, which),
        (rtype::SRV, _) | (rtype::A | rtype::AAAA, Which::All | Which::Host(_) | Which::Zone(_))
    );
    format!("{part}{leads}{}", if other { "; it has no records of this type: NODATA" } else { "" })
}

fn alias_words(alias: &Alias) -> String {
    match alias {
        Alias::Name(target) => format!("ExternalName: CNAME {target}"),
        Alias::Address(ip) => format!("ExternalName with an address: {ip}"),
        Alias::Bad(text) => format!("ExternalName {text:?}, which is no name"),
    }
}
