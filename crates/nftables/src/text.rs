//! The same objects as text that `nft -f` reads.

use std::fmt::Write;

use ipnet::IpNet;
use model::IpFamily;
use netlink::nft::{Element, ElementData, SetData};

use crate::codec::decode;
use crate::ids::{ChainId, SetId};
use crate::layout::Layout;
use crate::objects::{ElementKey, Key, Stray, Target, Value, VipKey};
use crate::rule::{Field, Part, Side};
use crate::sets::{AFFINITY_SIZE, key_parts, set_data};

/// The table of one family. `objects` must be of that family; their order does not matter.
pub fn table(layout: &Layout, objects: &[(Key, Value)]) -> String {
    let mut objects: Vec<&(Key, Value)> = objects.iter().collect();
    objects.sort_by(|a, b| a.0.cmp(&b.0));
    let (ip, name) = (prefix(layout.family), layout.style.table());
    let mut out = format!("table {ip} {name}\ndelete table {ip} {name}\ntable {ip} {name} {{\n");
    let sets = objects.iter().filter_map(|(key, _)| match key {
        Key::Set(_, id) => Some(*id),
        _ => None,
    });
    for id in sets {
        let elements = objects.iter().filter(|(key, _)| matches!(key, Key::Element(_, set, _) if *set == id));
        out += &set(id, layout.family, elements.map(|(key, value)| element(id, key, value)));
    }
    let chains = objects.iter().filter_map(|(key, _)| match key {
        Key::Chain(_, id) => Some(*id),
        _ => None,
    });
    chains.for_each(|id| out += &chain(layout, id));
    out += "}\n";
    out
}

/// One object in a line, for lists of what a Service became.
pub fn object(layout: &Layout, key: &Key, value: &Value) -> String {
    let (ip, table) = (prefix(layout.family), layout.style.table());
    match key {
        Key::Set(_, id) => format!("set {ip} {table} {id}"),
        Key::Chain(_, id) => {
            let rules: Vec<String> = layout.rules(*id).iter().map(|r| rule(r, layout.family)).collect();
            format!("chain {ip} {table} {id} {{ {} }}", rules.join("; "))
        }
        Key::Element(_, id, _) => format!("element {ip} {table} {id} {{ {} }}", element(*id, key, value)),
        Key::Stray(_, stray) => match stray.as_ref() {
            Stray::Chain(name) => format!("chain {ip} {table} {name}"),
            Stray::Set(name) => format!("set {ip} {table} {name}"),
            Stray::Element(id, first, last) => {
                let found = stray_element(*id, layout.family, first, last.as_deref());
                format!("element {ip} {table} {id} {{ {found} }}")
            }
            Stray::Dormant => format!("table {ip} {table} {{ flags dormant; }}"),
        },
    }
}

/// A chain of ours that is otherwise than it should be; what is in it, where that is known.
pub fn strange_chain(layout: &Layout, id: ChainId, found: Option<&str>) -> String {
    let (ip, table) = (prefix(layout.family), layout.style.table());
    match found {
        Some(found) => format!("chain {ip} {table} {id} {{ {found} }}"),
        None => format!("chain {ip} {table} {id} with other rules"),
    }
}

/// An element that is none of ours: with a key of ours it leads elsewhere.
fn stray_element(id: SetId, family: IpFamily, first: &[u8], last: Option<&[u8]>) -> String {
    if first.is_empty() {
        return "*".to_owned();
    }
    let bare = Element { key: first.to_vec(), key_end: last.map(<[u8]>::to_vec), data: ElementData::None };
    match decode(id, family, &bare) {
        Some((key, value)) => {
            let key = element(id, &Key::Element(family, id, key), &value);
            format!("{key} : another verdict")
        }
        None => first.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

fn set(id: SetId, family: IpFamily, elements: impl Iterator<Item = String>) -> String {
    let kind = if set_data(id, family) == SetData::None { "set" } else { "map" };
    let mut out = format!("\t{kind} {id} {{\n\t\t{}\n", set_type(id, family));
    match id {
        SetId::AllowedSources | SetId::NodePortSources => out += "\t\tflags interval\n",
        SetId::Affinity(_) => {
            let _ = writeln!(out, "\t\tsize {AFFINITY_SIZE}\n\t\tflags dynamic,timeout");
        }
        _ => {}
    }
    let elements: Vec<String> = elements.collect();
    if !elements.is_empty() {
        let _ = writeln!(out, "\t\telements = {{\n\t\t\t{}\n\t\t}}", elements.join(",\n\t\t\t"));
    }
    out + "\t}\n\n"
}

fn set_type(id: SetId, family: IpFamily) -> String {
    let ip = prefix(family);
    let slots = |key: &str| format!("typeof {key} . numgen random mod 65536 : {ip} daddr . th dport");
    let addr = if family == IpFamily::V4 { "ipv4_addr" } else { "ipv6_addr" };
    let names: Vec<&str> = key_parts(id, family)
        .iter()
        .map(|(kind, _)| match *kind {
            netlink::nft::data_type::PROTOCOL => "inet_proto",
            netlink::nft::data_type::SERVICE => "inet_service",
            _ => addr,
        })
        .collect();
    match (id, set_data(id, family)) {
        (SetId::VipSlots(_), _) => slots(&format!("{ip} daddr . meta l4proto . th dport")),
        (SetId::PortSlots(_), _) => slots("meta l4proto . th dport"),
        (_, SetData::None) => format!("type {}", names.join(" . ")),
        (_, SetData::Verdict) => format!("type {} : verdict", names.join(" . ")),
        (_, SetData::Value { .. }) => format!("type {} : {addr} . inet_service", names.join(" . ")),
    }
}

fn element(set: SetId, key: &Key, value: &Value) -> String {
    let Key::Element(_, _, element) = key else { return String::new() };
    let key = match element {
        ElementKey::Addr(ip) => ip.to_string(),
        ElementKey::Vip(vip) if set == SetId::Hairpin => format!("{} . {}", vip.ip, vip_text(vip)),
        ElementKey::Vip(vip) => vip_text(vip),
        ElementKey::Port(port) => format!("{} . {}", port.protocol, port.port),
        ElementKey::VipSlot(vip, slot) => format!("{} . {slot}", vip_text(vip)),
        ElementKey::PortSlot(port, slot) => format!("{} . {} . {slot}", port.protocol, port.port),
        ElementKey::Source(source) => format!("{} . {}", vip_text(&source.0), net_text(&source.1)),
        ElementKey::PortSource(source) => {
            format!("{} . {} . {}", source.0.protocol, source.0.port, net_text(&source.1))
        }
    };
    match value {
        Value::Member | Value::Definition(_) => key,
        Value::Verdict(Target::Drop) => format!("{key} : drop"),
        Value::Verdict(Target::Goto(chain)) => format!("{key} : goto {chain}"),
        Value::Endpoint(endpoint) => format!("{key} : {} . {}", endpoint.ip, endpoint.port),
    }
}

fn vip_text(vip: &VipKey) -> String {
    format!("{} . {} . {}", vip.ip, vip.protocol, vip.port)
}

fn net_text(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn chain(layout: &Layout, id: ChainId) -> String {
    let mut out = format!("\tchain {id} {{\n");
    if let Some(hook) = Layout::hook(id) {
        let names = ["prerouting", "input", "forward", "output", "postrouting"];
        let name = names[hook.number as usize];
        let _ =
            writeln!(out, "\t\ttype {} hook {name} priority {}; policy accept;", hook.kind, hook.priority);
    }
    for parts in layout.rules(id) {
        let _ = writeln!(out, "\t\t{}", rule(&parts, layout.family));
    }
    out + "\t}\n\n"
}

/// One rule in nft's syntax.
pub fn rule(parts: &[Part], family: IpFamily) -> String {
    let words: Vec<String> = parts.iter().map(|p| part(p, family)).collect();
    words.join(" ")
}

fn part(part: &Part, family: IpFamily) -> String {
    let ip = prefix(family);
    let not = |matches: &bool| if *matches { "" } else { "!= " };
    let key = |fields: &[Field]| fields.iter().map(|f| field(*f, family)).collect::<Vec<_>>().join(" . ");
    match part {
        Part::Addr(side, inside, net) => {
            format!("{ip} {} {}{}", side_text(*side), not(inside), net_text(net))
        }
        Part::Interface(name, is_prefix, matches) => {
            format!("iifname {}\"{name}{}\"", not(matches), if *is_prefix { "*" } else { "" })
        }
        Part::Local(side) => format!("fib {} type local", side_text(*side)),
        Part::Foreign(side) => format!("fib {} type != local", side_text(*side)),
        Part::Echo if family == IpFamily::V4 => "icmp type echo-request".into(),
        Part::Echo => "icmpv6 type echo-request".into(),
        Part::New => "ct state new".into(),
        Part::Translated => "ct status dnat".into(),
        Part::In(fields, set, inside) => format!("{} {}@{set}", key(fields), not(inside)),
        Part::Mark(mask) => format!("meta mark set meta mark | {mask:#010x}"),
        Part::Marked(mask) => format!("meta mark & {mask:#010x} != 0x00000000"),
        Part::Unmark(mask) => format!("meta mark set meta mark ^ {mask:#010x}"),
        Part::VerdictMap(fields, map) => format!("{} vmap @{map}", key(fields)),
        Part::Dnat(fields, map) => format!("dnat {ip} to {} map @{map}", key(fields)),
        Part::Remember(from, to, map, seconds) => {
            format!("update @{map} {{ {} timeout {seconds}s : {} }}", key(from), key(to))
        }
        Part::Jump(chain) => format!("jump {chain}"),
        Part::Goto(chain) => format!("goto {chain}"),
        Part::Masquerade => "masquerade fully-random".into(),
        Part::Reject => "reject".into(),
        Part::Reset => "meta l4proto tcp reject with tcp reset".into(),
        Part::Accept => "accept".into(),
        Part::Drop => "drop".into(),
    }
}

fn field(field: Field, family: IpFamily) -> String {
    let ip = prefix(family);
    match field {
        Field::Saddr => format!("{ip} saddr"),
        Field::Daddr => format!("{ip} daddr"),
        Field::L4Proto => "meta l4proto".into(),
        Field::Dport => "th dport".into(),
        Field::OriginalSaddr => format!("ct original {ip} saddr"),
        Field::OriginalDaddr => format!("ct original {ip} daddr"),
        Field::OriginalDport => "ct original proto-dst".into(),
        Field::Random(modulus) => format!("numgen random mod {modulus}"),
    }
}

fn side_text(side: Side) -> &'static str {
    match side {
        Side::Source => "saddr",
        Side::Destination => "daddr",
    }
}

fn prefix(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "ip",
        IpFamily::V6 => "ip6",
    }
}
