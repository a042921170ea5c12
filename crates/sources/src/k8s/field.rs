//! What is wrong with one field, and the checks that every kind shares.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{Interner, NamespacedName, Protocol, parse_ip, parse_net};

use super::kind::{Kind, ObjectKey};
use super::types::Metadata;

/// What is wrong with one field of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FieldError {
    /// The field as a path (`spec.ports[0].port`); empty when it is the object as a whole.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl FieldError {
    /// An error about one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Longest name of an object that Kubernetes accepts.
const NAME_LIMIT: usize = 253;

/// The identity of an object.
pub(super) fn key(
    kind: Kind,
    metadata: Option<&Metadata>,
    names: &mut Interner,
) -> Result<ObjectKey, FieldError> {
    let name = metadata.and_then(|m| m.name.as_deref()).unwrap_or_default();
    if name.is_empty() {
        return Err(FieldError::new("metadata.name", "missing: give the object a name"));
    }
    check_name("metadata.name", name)?;
    let namespace = match metadata.and_then(|m| m.namespace.as_deref()) {
        _ if !kind.is_namespaced() => "",
        None | Some("") => "default",
        Some(namespace) => namespace,
    };
    check_name("metadata.namespace", namespace)?;
    Ok(ObjectKey { kind, name: NamespacedName::new(names.get(namespace), name) })
}

/// Refuses what Kubernetes would not take as a name: names end up in rulesets, logs and DNS answers.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), FieldError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    if name.len() <= NAME_LIMIT && name.bytes().all(allowed) {
        return Ok(());
    }
    let message =
        format!("{name:?} cannot be a name: use letters, digits, '-' and '.', at most {NAME_LIMIT}");
    Err(FieldError::new(field, message))
}

/// A port number, 1 to 65535.
pub(super) fn port(field: &str, value: Option<i64>) -> Result<u16, FieldError> {
    match value.map(u16::try_from) {
        Some(Ok(port)) if port != 0 => Ok(port),
        Some(_) => Err(port_range(field, value.unwrap_or_default(), 1)),
        None => Err(FieldError::new(field, "missing: give a port number, 1 to 65535")),
    }
}

/// A port number, where 0 or nothing means that there is none.
pub(super) fn optional_port(field: &str, value: Option<i64>) -> Result<u16, FieldError> {
    let value = value.unwrap_or_default();
    u16::try_from(value).map_err(|_| port_range(field, value, 0))
}

fn port_range(field: &str, value: i64, lowest: u16) -> FieldError {
    FieldError::new(field, format!("{value} is not a port number: give {lowest} to 65535"))
}

/// A protocol; TCP when nothing is said.
pub(super) fn protocol(field: &str, value: Option<&str>) -> Result<Protocol, FieldError> {
    match value {
        None | Some("") => Ok(Protocol::Tcp),
        Some(text) => Protocol::parse(text).ok_or_else(|| one_of(field, text, "TCP, UDP or SCTP")),
    }
}

/// The error for a word that is none of the allowed ones.
pub(super) fn one_of(field: &str, found: &str, allowed: &str) -> FieldError {
    FieldError::new(field, format!("{found:?} is not known: give {allowed}"))
}

/// The addresses of a list; bad ones are left out and reported.
pub(super) fn addresses<'a>(
    items: impl IntoIterator<Item = (String, &'a str)>,
    warnings: &mut Vec<FieldError>,
) -> Vec<IpAddr> {
    keep_good(items, parse_ip, warnings)
}

/// The CIDRs of a list; bad ones are left out and reported.
pub(super) fn networks<'a>(
    items: impl IntoIterator<Item = (String, &'a str)>,
    warnings: &mut Vec<FieldError>,
) -> Vec<IpNet> {
    keep_good(items, parse_net, warnings)
}

fn keep_good<'a, T>(
    items: impl IntoIterator<Item = (String, &'a str)>,
    parse: impl Fn(&str) -> Result<T, model::AddressError>,
    warnings: &mut Vec<FieldError>,
) -> Vec<T> {
    let mut good = Vec::new();
    for (field, text) in items {
        match parse(text) {
            Ok(value) => good.push(value),
            Err(error) => {
                warnings.push(FieldError::new(field, format!("{error}: left out, mend or remove it")))
            }
        }
    }
    good
}

/// The entries of an optional list with their paths (`spec.externalIPs[1]`).
pub(super) fn entries<'a>(
    path: &'a str,
    list: Option<&'a Vec<String>>,
) -> impl Iterator<Item = (String, &'a str)> {
    list.into_iter().flatten().enumerate().map(move |(i, text)| (format!("{path}[{i}]"), text.as_str()))
}

/// A shared copy of a name, unless there is none.
pub(super) fn shared(name: Option<&String>, names: &mut Interner) -> Option<Arc<str>> {
    name.filter(|name| !name.is_empty()).map(|name| names.get(name))
}
