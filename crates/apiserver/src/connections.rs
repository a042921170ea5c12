//! Listeners and connections, and what the state of all connections does to them.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::api::{self, Shared};
use crate::faults::LinkState;

/// Serves until it is told to stop. All connections end with it.
pub(crate) async fn serve(
    shared: Shared,
    listeners: Vec<StdListener>,
    control: Option<StdListener>,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = shared
        .tls
        .as_ref()
        .and_then(|tls| tls.server_config().ok())
        .map(|it| TlsAcceptor::from(Arc::new(it)));
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|it| it.local_addr().ok()).collect();
    if let Some(control) = control.and_then(|control| TcpListener::from_std(control).ok()) {
        tokio::spawn(serve_control(shared.clone(), control));
    }
    let listeners = listeners.into_iter().filter_map(|it| TcpListener::from_std(it).ok()).collect();
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => {}
        () = listen(shared, listeners, addresses, acceptor) => {}
    }
}

/// Listens, or does not, as the faults want it.
async fn listen(
    shared: Shared,
    mut listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    acceptor: Option<TlsAcceptor>,
) {
    let mut state = shared.faults.links.subscribe();
    loop {
        if state.borrow_and_update().refusing {
            listeners.clear();
            // One may have come in between.
            shared.faults.drop_connections();
            shared.faults.listening.set(false);
            if state.wait_for(|state| !state.refusing).await.is_err() {
                return;
            }
            for address in &addresses {
                listeners.push(bind_again(*address).await);
            }
        }
        shared.faults.listening.set(true);
        tokio::select! {
            biased;
            _ = state.changed() => {}
            () = accept_all(&shared, &listeners, acceptor.as_ref()) => return,
        }
    }
}

/// Listens where it did before, as soon as nobody else does.
async fn bind_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn accept_all(shared: &Shared, listeners: &[TcpListener], acceptor: Option<&TlsAcceptor>) {
    loop {
        let Some(stream) = accept_any(listeners).await else { continue };
        let _ = stream.set_nodelay(true);
        let link = Link::new(shared);
        let shared = shared.clone();
        match acceptor.cloned() {
            Some(acceptor) => tokio::spawn(link.supervise(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    converse(shared, stream).await;
                }
            })),
            None => tokio::spawn(link.supervise(converse(shared, stream))),
        };
    }
}

/// The next connection at any of the listeners.
async fn accept_any(listeners: &[TcpListener]) -> Option<TcpStream> {
    std::future::poll_fn(|cx| {
        for listener in listeners {
            if let std::task::Poll::Ready(accepted) = listener.poll_accept(cx) {
                return std::task::Poll::Ready(accepted.ok().map(|(stream, _)| stream));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// A listener that no fault touches.
async fn serve_control(shared: Shared, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(shared.clone(), stream));
    }
}

/// Serves one connection to its end.
async fn converse(shared: Shared, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(move |request| api::handle(shared.clone(), request));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).title_case_headers(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// A connection under the rule of the faults.
struct Link {
    state: watch::Receiver<LinkState>,
    epoch: u64,
    _counted: crate::requests::Connected,
}

impl Link {
    fn new(shared: &Shared) -> Self {
        let state = shared.faults.links.subscribe();
        let epoch = state.borrow().epoch;
        Self { state, epoch, _counted: shared.requests.connected() }
    }

    /// Lets the conversation go on while it may: a frozen one is not polled, so it neither reads nor sends.
    async fn supervise(mut self, conversation: impl Future<Output = ()>) {
        let mut conversation = std::pin::pin!(conversation);
        loop {
            let state: LinkState = *self.state.borrow_and_update();
            if self.epoch < state.dropped_before {
                return;
            }
            let frozen = state.frozen || self.epoch < state.stranded_before;
            tokio::select! {
                biased;
                changed = self.state.changed() => if changed.is_err() { return },
                () = conversation.as_mut(), if !frozen => return,
            }
        }
    }
}
