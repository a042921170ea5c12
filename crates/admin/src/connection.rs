//! One HTTP/1 connection, bounded.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

/// Bytes of a request's line and headers. Also hyper's buffer for a connection, of which 8 KiB is the least.
const MAX_HEAD: usize = 16 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 64;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the head of a request, from the answer to the one before (so this ends idle connections as well).
    pub(crate) head: Duration,
    /// For everything.
    pub(crate) whole: Duration,
    /// Whether several requests may come, one after the other.
    pub(crate) keep_alive: bool,
}

/// Answers what comes on `stream` until it ends or `patience` does.
pub(crate) async fn answer<F>(stream: TcpStream, patience: Patience, respond: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let response = respond(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .keep_alive(patience.keep_alive)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let served = server.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(patience.whole, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}
