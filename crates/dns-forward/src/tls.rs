//! DNS over TLS: whom to trust, what to show, which name to expect.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::group::lock;
use crate::{Tls, Upstream};

/// The authorities that are trusted if the settings name none: what Debian and most others have.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How to speak TLS with one upstream.
#[derive(Clone)]
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    /// When a failure was last told of.
    told: Arc<Mutex<Option<Instant>>>,
}

/// At most one line about an upstream's TLS in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Why TLS cannot be spoken with an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{0}: cannot be read as PEM: {1}")]
    File(PathBuf, rustls::pki_types::pem::Error),
    #[error("{0}: has no certificate that can be used")]
    Empty(PathBuf),
    #[error("server name {0:?} is neither a name nor an address")]
    Name(String),
    #[error("its certificate and key cannot be used: {0}")]
    Config(#[from] rustls::Error),
}

impl Secure {
    /// Reads the files. Nothing if the upstream is a plain one.
    pub(crate) fn read(upstream: &Upstream) -> Result<Option<Self>, TlsError> {
        let Some(tls) = &upstream.tls else { return Ok(None) };
        let name = server_name(upstream.address, tls)?;
        let connector = Arc::new(config(tls)?).into();
        Ok(Some(Self { address: upstream.address, name, connector, told: Arc::default() }))
    }

    /// Tells the operator, once in [`QUIET`], why there is no TLS with this upstream: most often its certificate.
    pub(crate) fn complain(&self, error: &io::Error) {
        if self.may_tell(Instant::now()) {
            let (address, name) = (self.address, self.name.to_str());
            tracing::error!("DNS upstream {address}: no TLS with it as {name:?}: {error}");
        }
    }

    fn may_tell(&self, now: Instant) -> bool {
        let mut told = lock(&self.told);
        let may = told.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if may {
            *told = Some(now);
        }
        may
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn server_name(address: SocketAddr, tls: &Tls) -> Result<ServerName<'static>, TlsError> {
    match &tls.server_name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name.clone())),
        None => Ok(ServerName::from(address.ip())),
    }
}

fn config(tls: &Tls) -> Result<ClientConfig, TlsError> {
    let file = tls.authorities.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(certificates(file)?);
    if good == 0 {
        return Err(TlsError::Empty(file.into()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File(key.clone(), error))?;
    Ok(builder.with_client_auth_cert(certificates(certificate)?, key)?)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::File(file.into(), error))
}
