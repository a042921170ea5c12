//! Pages on one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::ACCEPT;
use hyper::{Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::connection::{self, Patience};
use crate::host::stranger;
use crate::places::{Busy, Places};
use crate::{Page, PageRequest, Pages};

/// The kernel's queue of what a client has not read, of one connection, in bytes; it takes twice as much memory.
const SEND_BUFFER: usize = 256 << 10;

/// Pages of one listener that take long, in the making or waiting for their turn. Fewer than places, so that who is among them is
/// not sent away for others who come later; who is not is told to come again.
const SLOW_PAGES: usize = 16;

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
    let slow = Arc::new(Semaphore::new(SLOW_PAGES));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (pages, slow, place) = (Arc::clone(&pages), Arc::clone(&slow), places.take());
                let (number, loopback) = (place.number(), is_loopback(&stream));
                let task = tokio::spawn(async move {
                    connection::answer(stream, patience, |request| {
                        let (pages, slow) = (Arc::clone(&pages), Arc::clone(&slow));
                        respond(request, pages, loopback, slow, place.answering())
                    })
                    .await;
                });
                places.belongs_to(number, task.abort_handle());
                // What it asks is read before others come and take its place.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Whether the client came to a loopback address. Has the kernel hold no more for it than it must.
fn is_loopback(stream: &TcpStream) -> bool {
    // If it cannot be set, more memory is used.
    let _ = socket2::SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
    stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

async fn respond(
    request: Request<Incoming>,
    pages: Arc<dyn Pages>,
    loopback: bool,
    slow: Arc<Semaphore>,
    busy: Busy,
) -> Response<Full<Bytes>> {
    let page = page(&request, pages, loopback, slow).await;
    let unsent = busy.holds(page.body.len());
    page.counted(Some(unsent))
}

async fn page(
    request: &Request<Incoming>,
    pages: Arc<dyn Pages>,
    loopback: bool,
    slow: Arc<Semaphore>,
) -> Page {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Page::text(405, "only GET and HEAD\n").with("Allow", "GET, HEAD");
    }
    if loopback && stranger(request, |name| pages.answers_to(name)).is_some() {
        return Page::text(421, STRANGER);
    }
    let request = question(request);
    if pages.is_quick(&request.path) {
        return pages.get_with(&request);
    }
    let Ok(turn) = slow.try_acquire_owned() else {
        return Page::text(503, CROWDED).with("Retry-After", "1");
    };
    let make = move || {
        let page = pages.get_with(&request);
        drop(turn);
        page
    };
    let mut errand = Errand(tokio::task::spawn_blocking(make));
    (&mut errand.0).await.unwrap_or_else(|_| Page::text(500, "this page failed; see the log\n"))
}

/// What is said to who came by a name that may be anybody's.
const STRANGER: &str =
    "the host name in this request is not known here: ask by address, as localhost, or by the node's name\n";

/// What is said when too many pages are asked for at once.
const CROWDED: &str = "too many ask for pages that take long; ask again in 1 s\n";

/// A page that is being made, or waits for its turn: who does not wait for it any more gives up the turn.
struct Errand(JoinHandle<Page>);

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.abort();
    }
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
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

        fn answers_to(&self, name: &str) -> bool {
            name == "node.example.com"
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
                ("GET /quick HTTP/1.1\r\nHost: node.example.com:80\r\n\r\n", 200, "/quick "),
                ("GET /quick HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "by address"),
                ("GET /slow HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "by address"),
                ("GET http://evil.example/quick HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "by address"),
                ("GET /quick HTTP/1.1\r\nAccept: \x1b[2J\r\n\r\n", 400, ""),
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

    /// Counts the pages that it makes; each waits until the gate is open.
    #[derive(Default)]
    struct Slow {
        made: AtomicUsize,
        gate: Mutex<()>,
    }

    impl Pages for Slow {
        fn get(&self, path: &str, _: &str) -> Page {
            if !self.is_quick(path) {
                drop(self.gate.lock());
                self.made.fetch_add(1, Ordering::Relaxed);
            }
            Page::text(200, path)
        }

        fn is_quick(&self, path: &str) -> bool {
            path == "/quick"
        }
    }

    /// Who is told that the page is being made gets it, however many come later; they are told to come again.
    #[test]
    fn who_has_a_turn_keeps_it() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
        let pages = Arc::new(Slow::default());
        let shut = pages.gate.lock().unwrap();
        let (first, held) = runtime.block_on(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, Arc::clone(&pages) as _));
            let mut first = TcpStream::connect(address).await.unwrap();
            first.write_all(b"GET /slow HTTP/1.0\r\n\r\n").await.unwrap();
            let mut held = Vec::new();
            for _ in 0..200 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
                held.push(stream);
            }
            let answer = ask(address, "GET /slow HTTP/1.1\r\n\r\n").await;
            assert!(answer.contains(" 503 ") && answer.contains("retry-after: 1"), "{answer}");
            (first, held)
        });
        drop(shut);
        let mut first = first;
        let mut answer = String::new();
        runtime.block_on(async { first.read_to_string(&mut answer).await }).unwrap();
        assert!(answer.ends_with("/slow"), "{answer}");
        drop(held);
    }

    /// Those who ask and go away would otherwise keep those who wait from their pages.
    #[test]
    fn a_page_that_nobody_waits_for_is_not_made() {
        const GONE: usize = 400;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
        let pages = Arc::new(Slow::default());
        let shut = pages.gate.lock().unwrap();
        let address = runtime.block_on(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, Arc::clone(&pages) as _));
            for _ in 0..GONE {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
            }
            // Was accepted after all of those.
            let answer = ask(address, "GET /quick HTTP/1.1\r\n\r\n").await;
            assert!(answer.ends_with("/quick"), "{answer}");
            address
        });
        drop(shut);
        let answer = runtime.block_on(async { ask(address, "GET /slow HTTP/1.1\r\n\r\n").await });
        assert!(answer.ends_with("/slow"), "{answer}");
        let made = pages.made.load(Ordering::Relaxed);
        assert!(made < GONE / 8, "{made} pages were made for nobody");
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

    /// All are in the kernel's queue before the listener looks.
    #[test]
    fn many_at_once_are_all_answered() {
        const MANY: usize = 100;
        in_runtime(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut streams = Vec::new();
            for _ in 0..MANY {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /quick HTTP/1.0\r\n\r\n").await.unwrap();
                streams.push(stream);
            }
            tokio::spawn(serve(listener, Arc::new(Echo)));
            for (n, mut stream) in streams.into_iter().enumerate() {
                let mut answer = String::new();
                let read = stream.read_to_string(&mut answer).await;
                assert!(read.is_ok() && answer.contains("200 OK"), "{n}: {read:?} {answer}");
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
