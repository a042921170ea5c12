//! One request: who asks, what for, what goes wrong on purpose, and the answer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Method, Request as HttpRequest, Version};

use crate::answers::{Answer, JSON, json, not_found, refuse, respond};
use crate::auth::Tokens;
use crate::body::{Body, StreamFaults};
use crate::faults::Faults;
use crate::list::List;
use crate::options::Options;
use crate::query::{Query, Target};
use crate::render::View;
use crate::requests::{Mode, Request, Requests};
use crate::rules::Fault;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Store;
use crate::watch::{Times, Watch};
use crate::{control, discovery, openapi, writes};

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub store: Store,
    pub tokens: Tokens,
    pub faults: Faults,
    pub requests: Requests,
    pub options: Arc<Options>,
    pub tls: Option<crate::tls::Tls>,
}

/// Answers a request. An error closes the connection.
pub(crate) async fn handle(shared: Shared, request: HttpRequest<Incoming>) -> io::Result<Answer> {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with("/_test/") {
        let body = read(body).await?;
        return Ok(control::answer(&shared, &parts, &body).await);
    }
    let call = Call::new(&shared, &parts);
    let outcome = call.answer(&parts, body).await;
    let status = outcome.as_ref().map_or(0, |answer| answer.status().as_u16());
    shared.requests.push(call.log(&parts, status));
    outcome
}

async fn read(body: Incoming) -> io::Result<Bytes> {
    Ok(body.collect().await.map_err(io::Error::other)?.to_bytes())
}

/// A request, understood.
struct Call<'a> {
    shared: &'a Shared,
    target: Option<Target>,
    verb: &'static str,
    query: Query,
}

impl<'a> Call<'a> {
    fn new(shared: &'a Shared, parts: &Parts) -> Self {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let served = |target: &Target| {
            let qualified = target.resource.qualified();
            !shared.options.without.iter().any(|it| *it == target.resource.plural || *it == qualified)
        };
        let target = Target::parse(parts.uri.path()).filter(served);
        let verb = verb(&parts.method, target.as_ref(), &query);
        Self { shared, target, verb, query }
    }

    fn resource(&self) -> &'static str {
        self.target.as_ref().map_or("", |target| target.resource.plural)
    }

    fn log(&self, parts: &Parts, status: u16) -> Request {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Request {
            verb: self.verb.to_owned(),
            resource: self.resource().to_owned(),
            mode: Mode::of(self.verb, &self.query),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            agent: text(USER_AGENT).to_owned(),
            http: if parts.version == Version::HTTP_2 { 2 } else { 1 },
            status,
        }
    }

    async fn answer(&self, parts: &Parts, body: Incoming) -> io::Result<Answer> {
        let watch_list = self.verb == "watch" && self.query.has("sendInitialEvents");
        let fault = self.shared.faults.take(self.resource(), self.verb, watch_list);
        match &fault {
            Some(Fault::Hang) => {
                self.shared.requests.push(self.log(parts, 0));
                std::future::pending().await
            }
            Some(Fault::Close) => return Err(io::Error::other("closed by a fault")),
            _ => {}
        }
        if let Some(error) = fault.as_ref().and_then(Fault::refusal) {
            return Ok(refuse(&error));
        }
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(grant) = self.shared.tokens.of_header(header) else {
            return Ok(refuse(&ApiError::unauthorized()));
        };
        let Some(target) = &self.target else {
            return Ok(self.without_resource(parts));
        };
        if !grant.allows(self.verb, target.resource, &target.subresource) {
            let Target { resource, namespace, name, .. } = target;
            return Ok(refuse(&ApiError::forbidden(&grant.user, self.verb, resource, namespace, name)));
        }
        let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let view = View::of_accept(accept);
        let served = match self.verb {
            "list" => self.list(target, view, fault.as_ref()),
            "watch" => self.watch(target, view, fault.as_ref()),
            "get" => self.get(target, view),
            "" => Err(ApiError::method_not_allowed()),
            _ => {
                let body = read(body).await?;
                let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let write = writes::Write {
                    store: &self.shared.store,
                    target,
                    query: &self.query,
                    content_type: content_type.unwrap_or(JSON),
                    manager: manager(&self.query, parts),
                    body: &body,
                };
                write.answer(self.verb).map(|(code, value)| json(code, &value))
            }
        };
        Ok(served.unwrap_or_else(|error| refuse(&error)))
    }

    fn without_resource(&self, parts: &Parts) -> Answer {
        let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let path = parts.uri.path();
        let found = discovery::answer(&self.shared.options, path)
            .or_else(|| openapi::answer(&self.shared.options, path, accept));
        match found {
            Some(answer) if parts.method == Method::GET => answer,
            Some(_) => refuse(&ApiError::method_not_allowed()),
            None => not_found(),
        }
    }

    fn selector(&self, target: &Target) -> Result<Selector, ApiError> {
        let (labels, fields) = (self.query.get("labelSelector"), self.query.get("fieldSelector"));
        Selector::parse(target.resource, &target.namespace, labels, fields)
    }

    fn get(&self, target: &Target, view: View) -> Result<Answer, ApiError> {
        let found = self.shared.store.lock().get(target.resource, &target.namespace, &target.name);
        let object = found.ok_or_else(|| ApiError::not_found(target.resource, &target.name))?;
        let mut text = view.object(&object);
        text.push(b'\n');
        Ok(respond(200, JSON, Body::full(text)))
    }

    fn list(&self, target: &Target, view: View, fault: Option<&Fault>) -> Result<Answer, ApiError> {
        let selector = self.selector(target)?;
        let list = List::new(&self.shared.store, target.resource, &selector, &self.query)?;
        let (mut writer, body) = Body::stream(stream_faults(fault));
        tokio::spawn(async move { drop(list.write(view, &mut writer).await) });
        Ok(respond(200, JSON, body))
    }

    fn watch(&self, target: &Target, view: View, fault: Option<&Fault>) -> Result<Answer, ApiError> {
        let selector = self.selector(target)?;
        let options = &self.shared.options;
        let times = Times { bookmark_every: options.bookmark_every, timeout: options.watch_timeout };
        let query = fault.map_or_else(|| self.query.clone(), |fault| fault.reread(self.query.clone()));
        let (mut writer, body) = Body::stream(stream_faults(fault));
        let mut watch = Watch::new(&self.shared.store, target.resource, &selector, &query, view, times)?;
        if fault == Some(&Fault::Gone) {
            watch.fail(ApiError::too_old(
                query.number("resourceVersion")?.unwrap_or(0),
                self.shared.store.version(),
            ));
        }
        tokio::spawn(async move { watch.run(&mut writer).await });
        Ok(respond(200, JSON, body))
    }
}

fn stream_faults(fault: Option<&Fault>) -> StreamFaults {
    fault.map(Fault::of_stream).unwrap_or_default()
}

/// What RBAC calls a request; empty for what the resource cannot do.
fn verb(method: &Method, target: Option<&Target>, query: &Query) -> &'static str {
    let one = target.is_some_and(|target| !target.name.is_empty());
    match (method.as_str(), target.is_some(), one) {
        ("GET", false, _) => "GET",
        ("GET", true, false) if query.flag("watch") => "watch",
        ("GET", true, false) => "list",
        ("GET", true, true) => "get",
        ("POST", true, false) => "create",
        ("PUT", true, true) => "update",
        ("PATCH", true, true) => "patch",
        ("DELETE", true, true) => "delete",
        ("DELETE", true, false) => "deletecollection",
        _ => "",
    }
}

/// Who is written into managed fields.
fn manager(query: &Query, parts: &Parts) -> String {
    let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    match query.get("fieldManager") {
        "" => agent.split('/').next().unwrap_or_default().to_owned(),
        manager => manager.to_owned(),
    }
}
