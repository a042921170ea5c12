//! The control endpoint, for tests whose server is another process. Bodies are JSON; every answer is JSON.
//!
//! | request | what it does |
//! | --- | --- |
//! | `POST /_test/fault/rule` `{"fault": "status", "code": 429, "retryAfter": 1, "resource": "services", "verb": "watch", "times": 1}` | adds a [`Rule`] |
//! | `GET /_test/fault/rules` | the rules in force |
//! | `POST /_test/fault/clear` | no rules, not frozen, not refusing |
//! | `POST /_test/fault/freeze` `{"frozen": true, "millis": 500}` | black hole; with `millis` it ends by itself |
//! | `POST /_test/fault/refuse` `{"refusing": true, "millis": 500}` | nobody listens; likewise |
//! | `POST /_test/fault/strand` | freezes the connections that there are; new ones work |
//! | `POST /_test/fault/drop` | drops all connections, this one too |
//! | `POST /_test/fault/inject` `{"inject": "huge", "megabytes": 50, "resource": "services"}` | an [`Injection`] |
//! | `POST /_test/fault/compact` | history is lost |
//! | `POST /_test/bookmark` `{"resource": "services"}` | bookmarks now |
//! | `POST /_test/apply` an object or an array | `Store::apply_all` |
//! | `POST /_test/delete` `{"resource": "services", "namespace": "shop", "name": "web"}` | `Store::delete` |
//! | `POST /_test/generate` `{"services": 10000, "endpoints": 10}` | `Store::generate` |
//! | `GET /_test/requests` | the log of requests, and how many connections there are |
//! | `POST /_test/requests/clear` | forgets it |
//! | `POST /_test/tokens` `{"add": "t", "remove": "u", "grants": {"v": {"user": "x", "denied": [...]}}}` | changes tokens |
//! | `POST /_test/tls/rotate` `{"ca": true}` | a new certificate, or a new CA too; the answer has `caPem` |
//!
//! A frozen server does not read this either, and a refusing one has no port: use `millis`, or `--control`, a listener
//! that no fault touches.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answers::{self, Answer};
use crate::api::Shared;
use crate::auth::Grant;
use crate::faults::Faults;
use crate::inject::Injection;
use crate::patch;
use crate::rules::Rule;
use crate::status::ApiError;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    frozen: bool,
    refusing: bool,
    millis: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    resource: Option<String>,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Inject {
    #[serde(flatten)]
    injection: Injection,
    #[serde(default)]
    resource: Option<String>,
}

#[derive(Deserialize)]
struct Size {
    services: usize,
    endpoints: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenChange {
    add: Option<String>,
    remove: Option<String>,
    grants: BTreeMap<String, Grant>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rotate {
    ca: bool,
}

/// Answers a request under `/_test/`.
pub(crate) async fn answer(shared: &Shared, parts: &Parts, body: &Bytes) -> Answer {
    let path = parts.uri.path().trim_start_matches("/_test/");
    let outcome = match path.strip_prefix("fault/") {
        Some(path) => fault(&shared.faults, path, body),
        None => other(shared, path, body),
    };
    match outcome {
        Ok(value) => answers::json(200, &value),
        Err(error) => answers::refuse(&error),
    }
}

/// The body; an empty one is `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn done() -> Result<Value, ApiError> {
    Ok(json!({"done": true}))
}

fn unknown(path: &str) -> ApiError {
    ApiError::new(404, "NotFound", format!("/_test/ has no {path:?}"))
}

fn fault(faults: &Faults, path: &str, body: &Bytes) -> Result<Value, ApiError> {
    match path {
        "rule" => faults.add(read::<Rule>(body)?),
        "rules" => {
            return serde_json::to_value(faults.current())
                .map_err(|error| ApiError::bad_request(error.to_string()));
        }
        "clear" => {
            faults.remove_rules();
            faults.freeze(false);
            faults.start_refusing(false);
        }
        "freeze" => {
            let switch: Switch = read(body)?;
            faults.freeze(switch.frozen);
            later(switch.millis, faults, |faults| faults.freeze(false));
        }
        "refuse" => {
            let switch: Switch = read(body)?;
            faults.start_refusing(switch.refusing);
            later(switch.millis, faults, |faults| faults.start_refusing(false));
        }
        "strand" => faults.strand_connections(),
        "drop" => faults.drop_connections(),
        "inject" => {
            let Inject { injection, resource } = read(body)?;
            return Ok(json!({"watches": faults.inject(resource.as_deref(), &injection)}));
        }
        "compact" => faults.compact(),
        _ => return Err(unknown(path)),
    }
    done()
}

fn later(millis: Option<u64>, faults: &Faults, what: impl FnOnce(&Faults) + Send + 'static) {
    if let Some(millis) = millis {
        let faults = faults.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            what(&faults);
        });
    }
}

fn other(shared: &Shared, path: &str, body: &Bytes) -> Result<Value, ApiError> {
    match path {
        "bookmark" => shared.store.bookmark(&read::<Names>(body)?.resource.unwrap_or_default()),
        "apply" => {
            let objects = match patch::parse(body)? {
                Value::Array(objects) => objects,
                object => vec![object],
            };
            return Ok(json!({"version": shared.store.apply_all(objects)?}));
        }
        "delete" => {
            let Names { resource, namespace, name } = read(body)?;
            return Ok(
                json!({"version": shared.store.delete(&resource.unwrap_or_default(), &namespace, &name)?}),
            );
        }
        "generate" => {
            let Size { services, endpoints } = read(body)?;
            shared.store.generate(services, endpoints)?;
        }
        "requests" => {
            let requests = &shared.requests;
            let (connections, accepted) = (requests.connections(), requests.accepted());
            return Ok(json!({"requests": requests.all(), "connections": connections, "accepted": accepted}));
        }
        "requests/clear" => shared.requests.clear(),
        "tokens" => {
            let change: TokenChange = read(body)?;
            change.add.iter().for_each(|token| shared.tokens.add(token));
            change.remove.iter().for_each(|token| shared.tokens.remove(token));
            change.grants.into_iter().for_each(|(token, grant)| shared.tokens.grant(&token, grant));
        }
        "tls/rotate" => return rotate(shared, read::<Rotate>(body)?.ca),
        _ => return Err(unknown(path)),
    }
    done()
}

fn rotate(shared: &Shared, ca: bool) -> Result<Value, ApiError> {
    let tls = shared.tls.as_ref().ok_or_else(|| ApiError::bad_request("this server has no TLS"))?;
    let rotated = if ca { tls.rotate_ca() } else { tls.rotate_certificate() };
    rotated.map_err(|error| ApiError::new(500, "InternalError", format!("{error:#}")))?;
    Ok(json!({"caPem": tls.ca_pem()}))
}
