//! Who may do what: bearer tokens, and a little of RBAC.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::resources::Resource;

/// The tokens that are let in. Clones are the same set. An empty set lets everybody in.
#[derive(Clone, Default)]
pub struct Tokens(Arc<RwLock<BTreeMap<String, Grant>>>);

/// What the bearer of a token is called and may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The name in messages.
    pub user: String,
    /// With this, everything else is forbidden.
    #[serde(default)]
    pub only: Option<Vec<Permission>>,
    /// What is forbidden in any case.
    #[serde(default)]
    pub denied: Vec<Permission>,
}

/// A verb on a resource; `*` is any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permission {
    /// `list`, `watch`, ... or `*`.
    pub verb: String,
    /// The API group or `*`.
    pub group: String,
    /// The plural name, with `/status` for the subresource, or `*`.
    pub resource: String,
}

impl Permission {
    /// A verb on a resource of a group; `*` is any.
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self { verb: verb.into(), group: group.into(), resource: resource.into() }
    }

    fn covers(&self, verb: &str, group: &str, resource: &str) -> bool {
        let fits = |rule: &str, value: &str| rule == "*" || rule == value;
        fits(&self.verb, verb) && fits(&self.group, group) && fits(&self.resource, resource)
    }
}

impl Grant {
    /// Everything, for a user of this name.
    pub fn everything(user: &str) -> Self {
        Self { user: user.to_owned(), only: None, denied: Vec::new() }
    }

    /// Forbids one thing.
    pub fn deny(mut self, verb: &str, group: &str, resource: &str) -> Self {
        self.denied.push(Permission::new(verb, group, resource));
        self
    }

    /// Allows one thing, and nothing else but what is allowed in this way.
    pub fn allow_only(mut self, verb: &str, group: &str, resource: &str) -> Self {
        self.only.get_or_insert_default().push(Permission::new(verb, group, resource));
        self
    }

    /// Nothing at all.
    pub fn nothing(user: &str) -> Self {
        Self { only: Some(Vec::new()), ..Self::everything(user) }
    }

    /// Whether the bearer may do this.
    pub(crate) fn allows(&self, verb: &str, resource: &Resource, subresource: &str) -> bool {
        let name = match subresource {
            "" => resource.plural.to_owned(),
            _ => format!("{}/{subresource}", resource.plural),
        };
        let covered =
            |rules: &[Permission]| rules.iter().any(|rule| rule.covers(verb, resource.group, &name));
        !covered(&self.denied) && self.only.as_deref().is_none_or(covered)
    }
}

impl Tokens {
    /// Lets a bearer in, with all rights.
    pub fn add(&self, token: &str) {
        self.grant(token, Grant::everything("system:serviceaccount:kube-system:towpath"));
    }

    /// Lets a bearer in, or changes what it may.
    pub fn grant(&self, token: &str, grant: Grant) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), grant);
    }

    /// Does not know this token any more. Watches that are open go on, as with the real server.
    pub fn remove(&self, token: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    /// Accepts exactly these tokens, with all rights.
    pub fn set(&self, tokens: &[&str]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
        tokens.iter().for_each(|token| self.add(token));
    }

    /// What the bearer of this `Authorization` header may; `None` is nobody that is known.
    pub(crate) fn of_header(&self, header: Option<&str>) -> Option<Grant> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if tokens.is_empty() {
            return Some(Grant::everything("system:anonymous"));
        }
        let token = header.and_then(|header| header.strip_prefix("Bearer "))?;
        tokens.get(token.trim()).cloned()
    }
}
