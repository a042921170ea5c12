//! The writing side: requests to the API server as they are, with `kube`'s credentials.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::{Method, Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The longest that an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a server that says "too many requests" is asked again.
const TRIES: u32 = 10;
/// A server that has not answered so many times is away.
const AWAY: u32 = 3;
/// Requests at a time, of many.
const AT_ONCE: usize = 20;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// An answer: the HTTP status and the object, `null` when it is no JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) object: Value,
}

/// A client that any thread may use.
pub(crate) struct Api {
    // Before the runtime: its tasks end first.
    client: Client,
    runtime: Runtime,
    pub(crate) url: String,
    /// Requests without an answer, one after the other.
    unanswered: AtomicU32,
}

impl Api {
    /// Makes no request yet.
    pub(crate) fn open(kubeconfig: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = async {
            let file = Kubeconfig::read_from(kubeconfig)?;
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
            let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
            anyhow::Ok((Client::try_from(config)?, url))
        };
        let (client, url) =
            runtime.block_on(client).with_context(|| format!("the kubeconfig {}", kubeconfig.display()))?;
        Ok(Self { client, runtime, url, unanswered: AtomicU32::new(0) })
    }

    /// One request. Any answer is a success here. A server that is away is not waited for again and again.
    pub(crate) fn ask(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<Answer> {
        ensure!(self.unanswered.load(Relaxed) < AWAY, "{method} {path}: the server does not answer any more");
        let asked = ask(self.client.clone(), method, path.to_owned(), content.to_owned(), body.clone());
        let answer = self.runtime.block_on(asked);
        match &answer {
            Ok(_) => self.unanswered.store(0, Relaxed),
            Err(_) => drop(self.unanswered.fetch_add(1, Relaxed)),
        }
        answer
    }

    /// The server may be back.
    pub(crate) fn try_again(&self) {
        self.unanswered.store(0, Relaxed);
    }

    /// The object at a path; `None` when there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.ask(Method::GET, path, JSON, &Value::Null)?;
        if answer.code == 404 { Ok(None) } else { answer.success("GET", path).map(Some) }
    }

    /// What is in the list at a path.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.get(path)?.unwrap_or_default();
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            Value::Null => Ok(Vec::new()),
            other => bail!("GET {path}: items is {other}"),
        }
    }

    /// Changes the object at a path as a merge patch says.
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.ask(Method::PATCH, path, MERGE, patch)?.success("PATCH", path)
    }

    /// Posts many, some at a time; the answers are in no order.
    pub(crate) fn post_all(&self, path: &str, objects: &[Value]) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        self.runtime.block_on(async {
            for some in objects.chunks(AT_ONCE) {
                let mut asked = JoinSet::new();
                for object in some {
                    asked.spawn(ask(
                        self.client.clone(),
                        Method::POST,
                        path.into(),
                        JSON.into(),
                        object.clone(),
                    ));
                }
                while let Some(answer) = asked.join_next().await {
                    answers.push(answer??);
                }
            }
            Ok(answers)
        })
    }
}

async fn ask(client: Client, method: Method, path: String, content: String, body: Value) -> Result<Answer> {
    let mut tries = 0;
    loop {
        let once = once(&client, &method, &path, &content, &body);
        let once = tokio::time::timeout(ANSWER, once).await;
        let (answer, after) = once
            .map_err(|_| anyhow!("no answer within {ANSWER:?}"))
            .and_then(|answer| answer)
            .with_context(|| format!("{method} {path}"))?;
        tries += 1;
        if answer.code != 429 || tries >= TRIES {
            return Ok(answer);
        }
        tokio::time::sleep(after).await;
    }
}

/// One request, and how long the server wants to be left alone.
async fn once(
    client: &Client,
    method: &Method,
    path: &str,
    content: &str,
    body: &Value,
) -> Result<(Answer, Duration)> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, JSON);
    if !bytes.is_empty() {
        request = request.header(header::CONTENT_TYPE, content);
    }
    let response = client.send(request.body(Body::from(bytes))?).await?;
    let code = response.status().as_u16();
    let after = response.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(1);
    let bytes = response.into_body().collect().await?.to_bytes();
    let object = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok((Answer { code, object }, Duration::from_secs(after)))
}

impl Answer {
    /// The object, or what the server says against it.
    pub(crate) fn success(self, verb: &str, path: &str) -> Result<Value> {
        if (200..300).contains(&self.code) {
            return Ok(self.object);
        }
        bail!("{verb} {path}: {} {}", self.code, self.object["message"].as_str().unwrap_or_default());
    }
}
