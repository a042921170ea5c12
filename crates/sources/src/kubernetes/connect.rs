//! Making the client: kube's TLS and credentials around a connection with limits of our own.

use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::ServiceExt as _;

use super::access::{Access, Found, one_line};
use super::failure::auth_text;
use super::{KubernetesError, Limits};

/// An HTTP/1.1 connection holds this much that was not read yet.
const BUFFER: usize = 64 << 10;
/// What the server may send on one stream before we have read it. Several watches share a connection, and none may hold
/// much memory.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all streams together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Says what is wrong with files and certificates, without making a connection or running a program.
pub(super) fn check(access: &Access) -> Result<(), KubernetesError> {
    let found = access.find()?;
    if let Some(file) = &found.token_file {
        let why = |e: std::io::Error| format!("cannot read it: {e}");
        std::fs::File::open(file)
            .map_err(|e| KubernetesError::Credentials { what: found.who.clone(), why: why(e) })?;
    }
    if !found.runs_program {
        let error =
            |what: &str, why: String| KubernetesError::Credentials { what: what.into(), why: one_line(&why) };
        found.config.rustls_client_config().map_err(|e| error(&found.ca, text(&e)))?;
        found.config.auth_layer().map_err(|e| error(&found.who, text(&e)))?;
    }
    Ok(())
}

/// What kube says, without the secrets in it.
fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(error) => auth_text(error),
        other => other.to_string(),
    }
}

/// A client with these credentials. Makes no connection, but runs the program that gives credentials, if there is one,
/// and waits for its end.
pub(super) fn client(found: &Found, limits: &Limits) -> Result<Client, KubernetesError> {
    let config = &found.config;
    let error = |e: kube::Error| KubernetesError::Credentials {
        what: if found.runs_program { found.who.clone() } else { format!("{}, {}", found.ca, found.who) },
        why: one_line(&text(&e)),
    };
    let mut tls = config.rustls_client_config().map_err(error)?;
    // A resumed session would not check the server's certificate again.
    tls.resumption = rustls::client::Resumption::disabled();
    let connection = connection(config, tls, limits)?;
    let builder = ClientBuilder::new(connection.map_err(tower::BoxError::from), "default")
        .with_layer(&config.extra_headers_layer().map_err(error)?)
        .with_layer(&config.base_uri_layer());
    Ok(match config.auth_layer().map_err(error)? {
        Some(credentials) => builder.with_layer(&credentials).build(),
        None => builder.build(),
    })
}

type Https = hyper_rustls::HttpsConnector<HttpConnector>;
/// What it takes to connect: TCP and TLS together have a limit of time.
type Connector = tower::util::BoxCloneSyncService<
    http::Uri,
    <Https as tower::Service<http::Uri>>::Response,
    tower::BoxError,
>;
type Connection = legacy::Client<Connector, Body>;

/// HTTP/2 where the server has it, and limits of time on every layer.
fn connection(
    config: &Config,
    tls: rustls::ClientConfig,
    limits: &Limits,
) -> Result<Connection, KubernetesError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match &config.tls_server_name {
        None => builder,
        Some(name) => {
            let resolver = name.clone().try_into().map(hyper_rustls::FixedServerNameResolver::new);
            let what = format!("tls-server-name {name:?}");
            builder.with_server_name_resolver(resolver.map_err(
                |e: rustls::pki_types::InvalidDnsNameError| KubernetesError::Credentials {
                    what,
                    why: e.to_string(),
                },
            )?)
        }
    };
    let connector =
        in_time(builder.enable_http1().enable_http2().wrap_connector(tcp(limits)), limits.connect);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .http1_max_buf_size(BUFFER)
        .http2_keep_alive_interval(limits.ping_every)
        .http2_keep_alive_timeout(limits.ping_answer)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector))
}

/// A server that accepts connections and then says nothing must not be waited for much longer than one that is not there.
fn in_time(connector: Https, limit: Duration) -> Connector {
    Connector::new(tower::service_fn(move |uri: http::Uri| {
        let connected = tokio::time::timeout(limit, connector.clone().oneshot(uri));
        async move {
            let late =
                |_| std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no TLS within {limit:?}"));
            connected.await.map_err(late)?
        }
    }))
}

fn tcp(limits: &Limits) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limits.connect));
    // The kernel counts whole seconds.
    let second = Duration::from_secs(1);
    tcp.set_keepalive(Some(limits.ping_every.max(second)));
    tcp.set_keepalive_interval(Some((limits.ping_every / 2).max(second)));
    tcp.set_keepalive_retries(Some(3));
    // What was sent must be acknowledged within this time; else the kernel would try for a quarter of an hour.
    tcp.set_tcp_user_timeout(Some(limits.ping_every + limits.ping_answer));
    tcp
}
