//! Lists: from the cache, consistent, at a version, page by page.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::body::{Closed, Writer};
use crate::object::Revision;
use crate::query::Query;
use crate::render::View;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Store;
use crate::{render, table};

/// How many bytes are gathered before they are sent.
const PIECE: usize = 64 * 1024;

/// What a list will say.
pub(crate) struct List {
    pub resource: &'static Resource,
    meta: Map<String, Value>,
    items: Vec<Arc<Revision>>,
}

/// The token of the next page, as the real server makes it.
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: i64,
    start: String,
}

impl Continue {
    /// A token that goes on after a key.
    fn after(version: i64, slash: &str, key: &str) -> String {
        let token = Self { v: "meta.k8s.io/v1".into(), rv: version, start: format!("{slash}{key}\0") };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn read(text: &str) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| ApiError::bad_request("continue key is not valid: unable to decode the token"))
    }

    fn key(&self) -> &str {
        self.start.trim_start_matches('/').trim_end_matches('\0')
    }
}

/// Where a list starts, and of which version it is.
struct Place {
    version: u64,
    snapshot: BTreeMap<String, Arc<Revision>>,
    after: Option<String>,
    limit: usize,
}

impl List {
    /// Chooses what a list will say.
    pub fn new(
        store: &Store,
        resource: &'static Resource,
        selector: &Selector,
        query: &Query,
    ) -> Result<Self, ApiError> {
        let place = place(store, resource, query)?;
        let start = place.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = place
            .snapshot
            .range::<String, _>((start, Bound::Unbounded))
            .filter(|(_, object)| selector.matches(object));
        let items: Vec<_> = left.by_ref().take(place.limit).map(|(_, object)| object.clone()).collect();
        let rest = left.count();
        let mut meta = Map::from_iter([("resourceVersion".into(), place.version.to_string().into())]);
        if let Some(last) = items.last().filter(|_| rest > 0) {
            let version = i64::try_from(place.version).unwrap_or_default();
            meta.insert("continue".into(), Continue::after(version, "/", &last.key()).into());
            if selector.is_everything() {
                meta.insert("remainingItemCount".into(), rest.into());
            }
        }
        Ok(Self { resource, meta, items })
    }

    /// Writes the list.
    pub async fn write(self, view: View, writer: &mut Writer) -> Result<(), Closed> {
        match view {
            View::Table => {
                let objects: Vec<Value> = self.items.iter().map(|object| object.value()).collect();
                let table = table::table(self.resource, Value::Object(self.meta), &objects, true);
                writer.send(format!("{table}\n")).await
            }
            View::Whole => {
                let (kind, version) = (format!("{}List", self.resource.kind), self.resource.api_version());
                let item = |out: &mut Vec<u8>, object: &Revision| {
                    out.push(b'{');
                    out.extend_from_slice(object.item());
                };
                self.write_items(&kind, &version, item, writer).await
            }
            View::Metadata => {
                let item = |out: &mut Vec<u8>, object: &Revision| {
                    out.extend_from_slice(render::metadata(&object.value()).to_string().as_bytes());
                };
                self.write_items("PartialObjectMetadataList", "meta.k8s.io/v1", item, writer).await
            }
        }
    }

    async fn write_items(
        self,
        kind: &str,
        version: &str,
        item: impl Fn(&mut Vec<u8>, &Revision),
        writer: &mut Writer,
    ) -> Result<(), Closed> {
        let meta = Value::Object(self.meta);
        let mut out =
            format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{meta},"items":["#).into_bytes();
        for (index, object) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item(&mut out, object);
            if out.len() >= PIECE {
                writer.send(std::mem::take(&mut out)).await?;
            }
        }
        out.extend_from_slice(b"]}\n");
        writer.send(out).await
    }
}

fn place(store: &Store, resource: &'static Resource, query: &Query) -> Result<Place, ApiError> {
    let limit = query.number("limit")?.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
    let wanted = query.number("resourceVersion")?;
    check_match(query, wanted)?;
    if !query.get("continue").is_empty() {
        return next_page(store, resource, query, limit);
    }
    let (current, known) = {
        let mut state = store.lock();
        let current = state.version;
        let table = state.table(resource);
        if wanted.is_none() {
            table.known = current;
        }
        (current, table.known)
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted > current) {
        return Err(ApiError::version_too_large(wanted, current));
    }
    let exact = wanted.filter(|wanted| *wanted > 0 && query.get("resourceVersionMatch") == "Exact");
    let version = match (exact, wanted) {
        (Some(exact), _) => exact,
        // The cache knows of its own kind alone.
        (None, Some(wanted)) => known.max(wanted),
        (None, None) => current,
    };
    let gone = || ApiError::new(410, "Expired", "The resourceVersion for the provided list is too old.");
    let snapshot = store.snapshot(resource, exact).ok_or_else(gone)?;
    // As the real one, the cache gives everything to those who take any version.
    let limit = if wanted == Some(0) { usize::MAX } else { limit };
    Ok(Place { version, snapshot, after: None, limit })
}

fn next_page(
    store: &Store,
    resource: &'static Resource,
    query: &Query,
    limit: usize,
) -> Result<Place, ApiError> {
    let token = Continue::read(query.get("continue"))?;
    let expired = || ApiError::continue_expired(&Continue::after(-1, "", token.key()));
    let version = u64::try_from(token.rv).ok();
    let snapshot = store.snapshot(resource, version).ok_or_else(expired)?;
    let version = version.unwrap_or_else(|| store.version());
    Ok(Place { version, snapshot, after: Some(token.key().to_owned()), limit })
}

/// The rules for `resourceVersionMatch` of a list.
fn check_match(query: &Query, version: Option<u64>) -> Result<(), ApiError> {
    let forbidden = |why: &str| Err(ApiError::forbidden_option("resourceVersionMatch", why));
    if query.has("sendInitialEvents") {
        return Err(ApiError::forbidden_option(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    match query.get("resourceVersionMatch") {
        "" => Ok(()),
        _ if !query.get("continue").is_empty() => {
            forbidden("resourceVersionMatch is forbidden when continue is provided")
        }
        _ if version.is_none() => {
            forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        "Exact" if version == Some(0) => {
            forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        "Exact" | "NotOlderThan" => Ok(()),
        other => Err(ApiError::unsupported_match(other)),
    }
}
