//! The same objects as text that `iptables-restore` reads.

use std::fmt::Write;

use model::IpFamily;

use crate::names::Table;
use crate::objects::{Entry, Key, Value};
use crate::shadow::append;

/// All of both families, to be loaded with `--noflush` into tables that have nothing of ours. It depends on the set
/// of objects, not on their order.
pub fn ruleset(objects: &[(Key, Value)]) -> String {
    let mut objects: Vec<&(Key, Value)> = objects.iter().collect();
    objects.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    for family in IpFamily::ALL {
        let of_family: Vec<_> = objects.iter().filter(|(key, _)| key.family() == family).collect();
        if of_family.is_empty() {
            continue;
        }
        let _ = writeln!(out, "# {family}");
        for table in Table::ALL {
            let here: Vec<_> = of_family.iter().filter(|(key, _)| key.place.table() == table).collect();
            let _ = writeln!(out, "*{}", table.as_str());
            let chains = here.iter().filter(|(key, _)| matches!(key.entry, Entry::Head | Entry::Whole));
            chains.for_each(|(key, _)| _ = writeln!(out, ":{} - [0:0]", key.place.chain));
            here.iter().for_each(|(key, rules)| append(&key.place.chain.to_string(), rules, &mut out));
            out += "COMMIT\n";
        }
    }
    out
}

/// One object in a line, for lists of what a Service became.
pub fn object(key: &Key, value: &Value) -> String {
    let tool = match key.family() {
        IpFamily::V4 => "iptables",
        IpFamily::V6 => "ip6tables",
    };
    let place = format!("{tool} -t {} {}", key.place.table().as_str(), key.place.chain);
    match key.entry {
        Entry::Head => format!("{place}: the chain"),
        Entry::Stray(_, ref rule) => format!("{place}: {rule}"),
        _ => format!("{place}: {}", value.lines().collect::<Vec<_>>().join("; ")),
    }
}
