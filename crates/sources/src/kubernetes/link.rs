//! The connection to the API server: kube's configuration and credentials, over a connection of our own.
//!
//! What is found how soon, with the default [`Limits`]:
//!
//! | what stopped | HTTP/2 (over TLS) | HTTP/1.1 |
//! |---|---|---|
//! | the host or the network | 15 s (ping) | 11 s (TCP keep-alive); 15 s while we send |
//! | the server's process (its kernel goes on) | 15 s (ping) | 30 s in a request or list, 85 s in a watch |
//! | one stream only | 30 s in a request or list, 85 s in a watch | the same |

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::{Mutex, MutexGuard};

use super::Limits;
use super::access::Access;
use super::failure::Failure;
use super::maker::{Made, Maker};
use super::reason::Reason;

/// Of the body of an answer that is no success, this much is read.
const ERROR_BODY: usize = 64 << 10;
/// Who asks.
const AGENT: &str = concat!("towpath/", env!("CARGO_PKG_VERSION"));
/// A request that makes a connection is waited for no longer than this: it may be one that is never answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes requests; makes its client anew when credentials change.
pub(super) struct Link {
    limits: Limits,
    maker: Maker,
    /// The last token that was read from a file.
    token: RefCell<Option<String>>,
    /// The client that has a connection, as far as is known.
    connected: Cell<u64>,
    /// Held by the request that makes a connection; see [`Link::turn`].
    connecting: Mutex<()>,
    connecting_since: Cell<Instant>,
    /// When bytes came last, and over which client.
    heard: Cell<(u64, Instant)>,
}

/// The body of an answer that is a success.
pub(super) struct Answer {
    body: Body,
    generation: u64,
}

impl Answer {
    /// The body alone.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
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
        let maker = Maker::new(access, limits.clone());
        let now = Instant::now();
        let (connected, heard) = (Cell::new(0), Cell::new((0, now)));
        let (connecting, connecting_since) = (Mutex::new(()), Cell::new(now));
        Self { limits, maker, token: RefCell::default(), connected, connecting, connecting_since, heard }
    }

    /// Whether the server's address is a ClusterIP.
    pub(super) fn is_cluster_ip(&self) -> bool {
        self.maker.is_cluster_ip()
    }

    /// How long an answer may take.
    pub(super) fn answer_limit(&self) -> Duration {
        self.limits.answer
    }

    /// What the present client talks to, or the last one did.
    pub(super) fn about(&self) -> About {
        self.maker.about()
    }

    /// Looks whether the files of the credentials have changed.
    pub(super) fn refresh(&self) {
        self.maker.refresh();
    }

    /// Makes a request and waits for the head of its answer. What is no success is a [`Failure`].
    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Failure> {
        let turn = self.turn().await;
        let made = self.maker.made().await?;
        let began = Instant::now();
        let result = self.answer(&made, request).await;
        drop(turn);
        let generation = made.generation;
        let is_good = || !made.runs_program && self.has_heard(generation, began);
        match &result {
            // It is this request that hangs: the client is good, and others use it.
            Err(failure) if failure.reason == Reason::Timeout && is_good() => {}
            Err(failure) if failure.wants_new_client() => self.maker.discard(generation),
            Err(failure) if !failure.is_answer() => self.connected.set(0),
            _ => self.connected.set(generation),
        }
        let answer = |response: Response<Body>| Answer { body: response.into_body(), generation };
        result.map(answer).map_err(|failure| self.maker.blame(failure))
    }

    /// While there is no connection, waits a little for the request that makes one, if there is such a request: over HTTP/2
    /// the others then share it. However that request ends, all go on.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.connected.get() != 0 && self.connected.get() == self.maker.generation() {
            return None;
        }
        if let Ok(turn) = self.connecting.try_lock() {
            self.connecting_since.set(Instant::now());
            return Some(turn);
        }
        let left = PATIENCE.saturating_sub(self.connecting_since.get().elapsed());
        drop(tokio::time::timeout(left, self.connecting.lock()).await);
        None
    }

    fn hear(&self, generation: u64) {
        // What comes over a client that was replaced says nothing about the one that is used.
        if generation >= self.heard.get().0 {
            self.heard.set((generation, Instant::now()));
        }
    }

    fn has_heard(&self, generation: u64, since: Instant) -> bool {
        let (heard, at) = self.heard.get();
        heard == generation && at > since
    }

    async fn answer(&self, made: &Made, mut request: Request<Vec<u8>>) -> Result<Response<Body>, Failure> {
        request.headers_mut().insert(http::header::USER_AGENT, http::HeaderValue::from_static(AGENT));
        if let Some(file) = &made.token_file {
            request.headers_mut().insert(http::header::AUTHORIZATION, self.bearer(file)?);
        }
        let response = self.in_time(made.client.send(request.map(Body::from))).await?;
        let response = response.map_err(|error| Failure::of_error(&error, &self.about()))?;
        self.hear(made.generation);
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
        answer: &mut Answer,
        limit: Duration,
    ) -> Result<Result<Option<hyper::body::Bytes>, Failure>, Silence> {
        loop {
            let frame = tokio::time::timeout(limit, answer.body.frame()).await.map_err(|_| Silence)?;
            match frame {
                None => return Ok(Ok(None)),
                Some(Err(error)) => {
                    if self.connected.get() == answer.generation {
                        self.connected.set(0);
                    }
                    return Ok(Err(Failure::of_error(&error, &self.about())));
                }
                Some(Ok(frame)) => {
                    self.hear(answer.generation);
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Ok(Some(bytes)));
                    }
                }
            }
        }
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
