//! Pages on one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::ACCEPT;
use hyper::{Method, Request, Response};
use tokio::net::TcpListener;

use crate::connection::{self, Patience};
use crate::places::Places;
use crate::{Page, PageRequest, Pages};

/// How much a listener lets its clients take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time, 1 or more. A further one takes the place of the oldest that asks nothing. 64 by default.
    pub connections: usize,
    /// For the line and headers of a request, all together, and for the time between requests. 10 s by default.
    pub head_time: Duration,
    /// For a connection, its requests and answers, all together. 30 s by default.
    pub connection_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head_time: Duration::from_secs(10), connection_time: Duration::from_secs(30) }
    }
}

/// Binds an address.
///
/// # Errors
/// `AddrInUse`: somebody listens there. `AddrNotAvailable`: it is not an address of this node.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the future is dropped, within the [`Limits`] that hold by default.
pub async fn serve(listener: TcpListener, pages: Arc<dyn Pages>) {
    serve_within(listener, pages, Limits::default()).await;
}

/// Serves until the future is dropped.
pub async fn serve_within(listener: TcpListener, pages: Arc<dyn Pages>, limits: Limits) {
    let patience = Patience { head: limits.head_time, whole: limits.connection_time, keep_alive: true };
    let places = Places::new(limits.connections);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (pages, place) = (Arc::clone(&pages), places.take());
                let number = place.number();
                let task = tokio::spawn(async move {
                    connection::answer(stream, patience, |request| {
                        let (busy, response) = (place.answering(), respond(request, Arc::clone(&pages)));
                        async move {
                            let _busy = busy;
                            response.await
                        }
                    })
                    .await;
                });
                places.belongs_to(number, task.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn respond(request: Request<Incoming>, pages: Arc<dyn Pages>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Page::text(405, "only GET and HEAD\n").with("Allow", "GET, HEAD").into_response();
    }
    let request = question(&request);
    let page = if pages.is_quick(&request.path) {
        Ok(pages.get_with(&request))
    } else {
        tokio::task::spawn_blocking(move || pages.get_with(&request)).await
    };
    page.unwrap_or_else(|_| Page::text(500, "this page failed; see the log\n")).into_response()
}

fn question(request: &Request<Incoming>) -> PageRequest {
    let accept: Vec<&str> =
        request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    PageRequest {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or("").to_owned(),
        accept: (!accept.is_empty()).then(|| accept.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, interval, timeout};

    use super::*;
    use crate::testing::{ask, in_runtime};

    /// Says back what was asked; a path with `fail` in it panics.
    struct Echo;

    impl Pages for Echo {
        fn get(&self, path: &str, query: &str) -> Page {
            assert!(!path.contains("fail"), "as asked for");
            Page::text(200, format!("{path} {query}"))
        }

        fn get_with(&self, request: &PageRequest) -> Page {
            let page = self.get(&request.path, &request.query);
            match &request.accept {
                Some(accept) => page.with("X-Accept", accept),
                None => page,
            }
        }

        fn is_quick(&self, path: &str) -> bool {
            path == "/quick"
        }
    }

    async fn start(limits: Limits) -> SocketAddr {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_within(listener, Arc::new(Echo), limits));
        address
    }

    #[test]
    fn requests() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(70));
        let large = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(20_000));
        in_runtime(async move {
            let address = start(Limits::default()).await;
            for (request, status, part) in [
                ("GET /slow?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/slow a=b"),
                ("GET /quick HTTP/1.0\r\n\r\n", 200, "/quick "),
                ("GET /quick HTTP/1.1\r\nAccept: a/b\r\nAccept: c/d\r\n\r\n", 200, "x-accept: a/b,c/d"),
                ("HEAD /quick HTTP/1.1\r\n\r\n", 200, "content-length: 7"),
                ("POST /quick HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405, "allow: GET, HEAD"),
                ("GET /fail HTTP/1.1\r\n\r\n", 500, "see the log"),
                ("nonsense\r\n\r\n", 400, ""),
                (many.as_str(), 431, ""),
                (large.as_str(), 431, ""),
            ] {
                let answer = ask(address, request).await;
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with("HTTP/1.0 200"),
                    "{answer}"
                );
                assert!(answer.contains(part), "{answer}");
            }
        });
    }

    #[test]
    fn a_client_that_dawdles_is_cut_and_holds_up_nobody() {
        in_runtime(async {
            let limits = Limits { head_time: Duration::from_secs(1), ..Limits::default() };
            let address = start(limits).await;
            let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
            writer.write_all(b"GET /quick HTTP/1.1\r\nX-Slow: ").await.unwrap();
            let dawdler = tokio::spawn(async move {
                let mut pace = interval(Duration::from_millis(20));
                while writer.write_all(b"x").await.is_ok() {
                    pace.tick().await;
                }
            });
            let answer = ask(address, "GET /quick HTTP/1.1\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!dawdler.is_finished(), "the other is being waited for still");
            let mut rest = Vec::new();
            let _ = timeout(Duration::from_secs(10), reader.read_to_end(&mut rest)).await.expect("is cut");
            assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
            timeout(Duration::from_secs(10), dawdler).await.expect("cannot write any more").unwrap();
        });
    }

    #[test]
    fn idle_connections_keep_nobody_out() {
        in_runtime(async {
            let address = start(Limits { connections: 2, ..Limits::default() }).await;
            let mut idle = Vec::new();
            for _ in 0..20 {
                idle.push(TcpStream::connect(address).await.unwrap());
                let asked = Instant::now();
                let answer = ask(address, "GET /quick HTTP/1.1\r\n\r\n").await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                assert!(asked.elapsed() < Limits::default().head_time, "an idle one was waited for");
            }
        });
    }

    #[test]
    fn a_port_is_bound_once() {
        in_runtime(async {
            let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let second = bind(first.local_addr().unwrap()).await.unwrap_err();
            assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
            assert_eq!(second.to_string(), "Address already in use (os error 98)");
            let stranger = bind("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
            assert_eq!(stranger.kind(), std::io::ErrorKind::AddrNotAvailable);
        });
    }
}
