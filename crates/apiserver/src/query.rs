//! The options of lists and watches, and the path of a request.

use std::collections::BTreeMap;

use crate::resources::Resource;
use crate::status::ApiError;

/// The parameters of a request; of several with one name the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=b&c=d`.
    pub fn parse(text: &str) -> Self {
        let mut all = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.entry(decode(name)).or_insert_with(|| decode(value));
        }
        Self(all)
    }

    /// A parameter; empty if absent.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("invalid value for parameter {name}: {text:?}: invalid syntax"))
            }),
        }
    }

    /// A parameter that is on or off.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), "1" | "true" | "True" | "TRUE" | "t" | "T")
            || (self.0.contains_key(name) && self.get(name).is_empty())
    }

    /// The query without some parameters.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// Whether the parameter was given at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Undoes `%21` and `+`.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a path names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub resource: &'static Resource,
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
    /// `status`, or empty.
    pub subresource: String,
}

impl Target {
    /// Reads a path under `/api/` or `/apis/`; `None` is a 404.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path.split('/').skip(1).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        match rest {
            ["namespaces", namespace, plural, rest @ ..]
                if !(group.is_empty() && matches!(*plural, "status" | "finalize")) =>
            {
                let resource = Resource::find(group, version, plural)?;
                if resource.namespaced { Self::build(resource, namespace, rest) } else { None }
            }
            [plural, rest @ ..] => {
                let resource = Resource::find(group, version, plural)?;
                if resource.namespaced && !rest.is_empty() { None } else { Self::build(resource, "", rest) }
            }
            [] => None,
        }
    }

    fn build(resource: &'static Resource, namespace: &str, rest: &[&str]) -> Option<Self> {
        let (name, subresource) = match rest {
            [] => ("", ""),
            [name] => (*name, ""),
            [name, "status"] if resource.status => (*name, "status"),
            _ => return None,
        };
        Some(Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=%21a%2Fb&watch=1&x=a+b&limit=z");
        assert_eq!(query.get("labelSelector"), "!a/b");
        assert_eq!(query.get("x"), "a b");
        assert!(query.flag("watch") && !query.flag("follow"));
        assert_eq!(query.number("limit").unwrap_err().code, 400);
    }

    #[test]
    fn paths() {
        let found = |path: &str| {
            Target::parse(path).map(|it| (it.resource.plural, it.namespace, it.name, it.subresource))
        };
        let is = |plural, a: &str, b: &str, c: &str| Some((plural, a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found("/api/v1/services"), is("services", "", "", ""));
        assert_eq!(found("/api/v1/namespaces/a/services/b/status"), is("services", "a", "b", "status"));
        assert_eq!(found("/api/v1/namespaces/a"), is("namespaces", "", "a", ""));
        assert_eq!(found("/api/v1/namespaces/a/status"), is("namespaces", "", "a", "status"));
        assert_eq!(found("/apis/discovery.k8s.io/v1/endpointslices"), is("endpointslices", "", "", ""));
        assert_eq!(found("/apis/discovery.k8s.io/v1beta1/endpointslices"), None);
        assert_eq!(found("/api/v1/namespaces/a/nodes"), None);
        assert_eq!(found("/api/v1/services/a"), None);
    }
}
