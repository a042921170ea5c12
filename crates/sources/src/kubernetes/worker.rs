//! Does what [`super::Requests`] asks for, beside the watches.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Limits;
use super::backoff::Backoff;
use super::failure::Failure;
use super::link::Link;
use super::posts::Posts;
use super::reason::Reason;
use super::requests::{EventRequest, Waiting};
use super::trouble::rule;

/// An Event is tried this often before it is given up.
const TRIES: u32 = 5;
/// An object that is asked for by its name is at the most this large.
const OBJECT_LIMIT: usize = 16 << 20;

/// Handles requests for ever.
pub(super) async fn serve(link: &Link, limits: &Limits, node: &str, waiting: Waiting) {
    let Waiting { mut events, mut taints } = waiting;
    let mut posts = Posts::default();
    let write = async {
        while let Some(event) = events.recv().await {
            post(link, limits, node, &mut posts, event).await;
        }
    };
    let untaint = async {
        while let Some(key) = taints.recv().await {
            remove_taint(link, limits, node, &key).await;
        }
    };
    tokio::join!(write, untaint);
}

/// Writes an Event, unless it is one too many.
async fn post(link: &Link, limits: &Limits, node: &str, posts: &mut Posts, event: EventRequest) {
    let Some(body) = posts.next(node, event) else { return };
    let namespace = body["metadata"]["namespace"].as_str().unwrap_or("default");
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let mut backoff = Backoff::new(limits.retry_first, limits.retry_last);
    for _ in 0..TRIES {
        let failure = match link.send(request(Method::POST, &path, "application/json", &body)).await {
            Ok(_) => return posts.may_be_written(),
            Err(failure) => failure,
        };
        match failure.reason {
            // A namespace that goes says nothing about the others.
            Reason::Forbidden if !failure.terminating => return forbidden(limits, posts, &failure),
            _ if is_refused(&failure) => {
                return tracing::debug!("api: an Event was refused: {}", failure.text);
            }
            _ => tokio::time::sleep(wait(&mut backoff, &failure)).await,
        }
    }
    tracing::debug!(reason = %body["reason"], "api: an Event was given up");
}

/// Whether this Event will never be taken.
fn is_refused(failure: &Failure) -> bool {
    matches!(failure.status, 400..500) && !matches!(failure.reason, Reason::Unauthorized | Reason::Throttled)
}

/// No Event may be written, for now: rules change.
fn forbidden(limits: &Limits, posts: &mut Posts, failure: &Failure) {
    if posts.turn_off(limits.ask_again) {
        let (rule, again) = (rule("", "events", &["create"]), limits.ask_again);
        let text = failure.text.as_str();
        tracing::warn!(
            "api: Events cannot be written, and are dropped for {again:?} each time: {text}; {rule}"
        );
    }
}

fn wait(backoff: &mut Backoff, failure: &Failure) -> Duration {
    backoff.pause().max(failure.retry_after.unwrap_or_default().min(Duration::from_secs(120)))
}

/// Takes a taint off the own Node, as long as it takes.
async fn remove_taint(link: &Link, limits: &Limits, node: &str, key: &str) {
    let mut backoff = Backoff::new(limits.retry_first, limits.retry_last);
    let mut said = false;
    loop {
        match try_to_remove(link, node, key).await {
            Ok(true) => return tracing::info!("api: took the taint {key} off the Node {node}"),
            Ok(false) => return tracing::debug!("api: the Node {node} has no taint {key}"),
            Err(failure) => {
                // Somebody else changed the Node in between: that is no fault.
                if failure.status != 409 && !std::mem::replace(&mut said, true) {
                    let rule = rule("", "nodes", &["get", "patch"]);
                    let help = if failure.reason == Reason::Forbidden { rule } else { "trying again".into() };
                    let text = failure.text.as_str();
                    tracing::warn!("api: cannot take the taint {key} off the Node {node}: {text}; {help}");
                }
                tokio::time::sleep(wait(&mut backoff, &failure)).await;
            }
        }
    }
}

/// One try; `false` when there is no such taint.
async fn try_to_remove(link: &Link, node: &str, key: &str) -> Result<bool, Failure> {
    let path = format!("/api/v1/nodes/{node}");
    let found = get(link, &path).await?;
    let Some(patch) = without_taint(&found, key) else { return Ok(false) };
    link.send(request(Method::PATCH, &path, "application/merge-patch+json", &patch)).await?;
    Ok(true)
}

/// One object as JSON.
pub(super) async fn get(link: &Link, path: &str) -> Result<Value, Failure> {
    let response = link.send(request(Method::GET, path, "", &Value::Null)).await?;
    let limited = http_body_util::Limited::new(response.into_body(), OBJECT_LIMIT);
    let broken = |text: String| Failure::new(Reason::Cut, text);
    let body = tokio::time::timeout(link.answer_limit(), limited.collect()).await;
    let body = body.map_err(|_| Failure::new(Reason::Timeout, "the object does not come"))?;
    let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| broken(error.to_string()))
}

/// The patch that takes the taint off this version of the Node, and of no other.
fn without_taint(node: &Value, key: &str) -> Option<Value> {
    let taints = node["spec"]["taints"].as_array()?;
    let rest: Vec<&Value> = taints.iter().filter(|taint| taint["key"] != key).collect();
    let version = &node["metadata"]["resourceVersion"];
    (rest.len() < taints.len())
        .then(|| json!({"metadata": {"resourceVersion": version}, "spec": {"taints": rest}}))
}

fn request(method: Method, path: &str, content: &'static str, body: &Value) -> Request<Vec<u8>> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut request = Request::new(bytes);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
    if !content.is_empty() {
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_taints_of_the_key_go() {
        let node = |taints: Value| json!({"metadata": {"resourceVersion": "7"}, "spec": {"taints": taints}});
        let patch =
            |rest: Value| Some(json!({"metadata": {"resourceVersion": "7"}, "spec": {"taints": rest}}));
        let (ours, other) = (json!({"key": "t", "effect": "NoSchedule"}), json!({"key": "o", "value": "v"}));
        for (taints, expected) in [
            (json!([ours, other]), patch(json!([other]))),
            (json!([ours, {"key": "t", "effect": "NoExecute"}]), patch(json!([]))),
            (json!([other]), None),
            (Value::Null, None),
        ] {
            assert_eq!(without_taint(&node(taints.clone()), "t"), expected, "{taints}");
        }
    }
}
