//! HTTP for operators and probes: serves what others know, knows nothing itself.
//!
//! ```text
//! listener --request line--> Pages::get(path, query) --> Page
//! ```
//!
//! Invariants:
//! * read-only: GET and HEAD, nothing else; request bodies are not read;
//! * bounded: [`MAX_CONNECTIONS`] at a time, [`REQUEST_TIMEOUT`] for each;
//! * no state of its own; a page that takes long runs beside the listener, not in it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections served at a time on one address; further ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 64;
/// A request must be read, and its answer taken, within this time.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// HTTP status code.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub body: String,
}

impl Page {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    /// There is no such page.
    pub fn not_found() -> Self {
        Self::text(404, "there is no such page\n")
    }
}

/// What can be asked.
pub trait Pages: Send + Sync + 'static {
    /// Answers a GET. `query` is what follows `?`, not decoded. May block.
    fn get(&self, path: &str, query: &str) -> Page;

    /// Whether the answer takes no time to speak of, so that it is given at once, whatever else is being made.
    fn is_quick(&self, path: &str) -> bool;
}

/// Binds an address. Errors: it is in use, or not ours.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, pages: Arc<dyn Pages>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = Arc::clone(&pages);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection(stream, pages)).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, pages: Arc<dyn Pages>) {
    let answer = service_fn(move |request| respond(request, Arc::clone(&pages)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).max_buf_size(16 * 1024);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn respond(
    request: Request<Incoming>,
    pages: Arc<dyn Pages>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = response(Page::text(405, "only GET and HEAD\n"));
        refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or("").to_owned());
    if pages.is_quick(&path) {
        return Ok(response(pages.get(&path, &query)));
    }
    let page = tokio::task::spawn_blocking(move || pages.get(&path, &query)).await;
    Ok(response(page.unwrap_or_else(|_| Page::text(500, "this page failed; see the log\n"))))
}

fn response(page: Page) -> Response<Full<Bytes>> {
    let built = Response::builder()
        .status(page.status)
        .header(CONTENT_TYPE, page.content_type)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(Full::new(Bytes::from(page.body)));
    built.unwrap_or_default()
}
