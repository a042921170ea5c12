//! The connection to the API server: kube's configuration and credentials, over a connection of our own.
//!
//! What is found how soon, with the default [`Limits`]:
//!
//! | what stopped | HTTP/2 (over TLS) | HTTP/1.1 |
//! |---|---|---|
//! | the host or the network | 20 s (ping) | 25 s (TCP keep-alive); 20 s while we send |
//! | the server's process (its kernel goes on) | 20 s (ping) | 30 s in a request or list, 85 s in a watch |
//! | one stream only | 30 s in a request or list, 85 s in a watch | the same |

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::sync::{Mutex, MutexGuard};

use super::access::Access;
use super::connect::client;
use super::failure::Failure;
use super::reason::Reason;
use super::{KubernetesError, Limits};

/// Of the body of an answer that is no success, this much is read.
const ERROR_BODY: usize = 64 << 10;
/// Who asks.
const AGENT: &str = concat!("towpath/", env!("CARGO_PKG_VERSION"));
/// Makes requests; makes its client anew when credentials change.
pub(super) struct Link {
    access: Access,
    limits: Limits,
    made: RefCell<Option<Made>>,
    generation: Cell<u64>,
    about: RefCell<About>,
    /// The last token that was read from a file.
    token: RefCell<Option<String>>,
    /// The client that has a connection, as far as is known.
    connected: Cell<u64>,
    /// Held by the request that makes a connection; see [`Link::turn`].
    connecting: Mutex<()>,
}

#[derive(Clone)]
struct Made {
    client: Client,
    digest: u64,
    token_file: Option<Arc<Path>>,
    generation: u64,
}

/// What a client talks to, for people.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The server's URL without a slash at its end.
    pub(super) url: String,
    /// What its certificate is checked against.
    pub(super) ca: String,
    /// What tells it who we are.
    pub(super) who: String,
}

impl Link {
    /// Makes no client yet, and no request.
    pub(super) fn new(access: Access, limits: Limits) -> Self {
        let about =
            About { url: "the API server".into(), ca: "its CA".into(), who: "the credentials".into() };
        let (made, generation) = (RefCell::new(None), Cell::new(0));
        let (connected, connecting) = (Cell::new(0), Mutex::new(()));
        let (about, token) = (RefCell::new(about), RefCell::default());
        Self { access, limits, made, generation, about, token, connected, connecting }
    }

    /// Whether the server's address is a ClusterIP.
    pub(super) fn is_cluster_ip(&self) -> bool {
        self.access.is_cluster_ip()
    }

    /// How long an answer may take.
    pub(super) fn answer_limit(&self) -> Duration {
        self.limits.answer
    }

    /// What the present client talks to, or the last one did.
    pub(super) fn about(&self) -> About {
        self.about.borrow().clone()
    }

    /// Makes a request and waits for the head of its answer. What is no success is a [`Failure`].
    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, Failure> {
        let turn = self.turn().await;
        let made = self.made()?;
        let result = self.answer(&made, request).await;
        drop(turn);
        match &result {
            Err(failure) if failure.wants_new_client() => self.discard(made.generation),
            Err(failure) if !failure.is_answer() => self.connected.set(0),
            _ => self.connected.set(made.generation),
        }
        result
    }

    /// While there is no connection, waits for the request that makes one, if there is such a request: over HTTP/2 the
    /// others then share it. However that request ends, all go on.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let is_connected = self.connected.get() != 0 && self.connected.get() == self.generation.get();
        if is_connected && self.made.borrow().is_some() {
            return None;
        }
        match self.connecting.try_lock() {
            Ok(turn) => Some(turn),
            Err(_) => {
                drop(self.connecting.lock().await);
                None
            }
        }
    }

    async fn answer(&self, made: &Made, mut request: Request<Vec<u8>>) -> Result<Response<Body>, Failure> {
        request.headers_mut().insert(http::header::USER_AGENT, http::HeaderValue::from_static(AGENT));
        if let Some(file) = &made.token_file {
            request.headers_mut().insert(http::header::AUTHORIZATION, self.bearer(file)?);
        }
        let response = self.in_time(made.client.send(request.map(Body::from))).await?;
        let response = response.map_err(|error| Failure::of_error(&error, &self.about().ca))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let after = response.headers().get(http::header::RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = self.in_time(beginning(response.into_body())).await.unwrap_or_default();
        Err(Failure::of_answer(code, after, &body))
    }

    /// The token as it is now; the last one that could be read, should the file be away for a moment.
    fn bearer(&self, file: &Path) -> Result<http::HeaderValue, Failure> {
        let unusable = |why: String| {
            Failure::new(Reason::Unauthorized, format!("the token in {}: {why}", file.display()))
        };
        let read = std::fs::read_to_string(file);
        let token = match read.as_deref().map(str::trim) {
            Ok("") => Err(unusable("the file is empty".into())),
            Ok(token) => Ok(token.to_owned()),
            Err(error) => {
                self.token.borrow().clone().ok_or_else(|| unusable(format!("cannot read it: {error}")))
            }
        }?;
        let value = http::HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| unusable("it is more than one line, or no text".into()))?;
        value.set_sensitive(true);
        self.token.replace(Some(token));
        Ok(value)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.limits.answer;
        let late = |_| Failure::new(Reason::Timeout, format!("no answer within {limit:?}"));
        tokio::time::timeout(limit, work).await.map_err(late)
    }

    /// The next bytes of a body; `None` at its end. A pause above `limit` is [`Silence`].
    pub(super) async fn read(
        &self,
        body: &mut Body,
        limit: Duration,
    ) -> Result<Result<Option<hyper::body::Bytes>, Failure>, Silence> {
        loop {
            let frame = tokio::time::timeout(limit, body.frame()).await.map_err(|_| Silence)?;
            match frame {
                None => return Ok(Ok(None)),
                Some(Err(error)) => {
                    self.connected.set(0);
                    return Ok(Err(Failure::of_error(&error, &self.about().ca)));
                }
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Ok(Some(bytes)));
                    }
                }
            }
        }
    }

    /// Looks whether the files of the credentials have changed: a new client is made if so. Watches that are open go on.
    pub(super) fn refresh(&self) {
        let known = self.made.borrow().as_ref().map(|made| (made.digest, made.generation));
        if let Some((digest, generation)) = known
            && self.access.find().is_ok_and(|found| found.digest != digest)
        {
            tracing::info!("kubernetes: credentials have changed, connecting anew");
            self.discard(generation);
        }
    }

    /// The next request makes a new client, unless that has happened since this one.
    fn discard(&self, generation: u64) {
        let mut made = self.made.borrow_mut();
        if made.as_ref().is_some_and(|made| made.generation == generation) {
            *made = None;
        }
    }

    fn made(&self) -> Result<Made, Failure> {
        if let Some(made) = &*self.made.borrow() {
            return Ok(made.clone());
        }
        let unusable = |error: KubernetesError| Failure::new(Reason::Unauthorized, error.to_string());
        let found = self.access.find().map_err(unusable)?;
        let client = client(&found, &self.limits).map_err(unusable)?;
        let url = found.config.cluster_url.to_string().trim_end_matches('/').to_owned();
        self.generation.set(self.generation.get() + 1);
        let token_file = found.token_file.map(Arc::from);
        let made = Made { client, digest: found.digest, token_file, generation: self.generation.get() };
        self.about.replace(About { url, ca: found.ca, who: found.who });
        *self.made.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}

/// Nothing came for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence;

async fn beginning(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if bytes.len() >= ERROR_BODY {
            break;
        }
    }
    bytes
}
