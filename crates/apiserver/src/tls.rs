//! HTTPS: a CA of our own, and certificates that can be changed while the server runs.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::{default_provider, sign};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The CA and the certificate in use. Clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    names: Vec<String>,
    current: RwLock<Current>,
}

struct Current {
    ca: CertifiedIssuer<'static, KeyPair>,
    serving: Arc<CertifiedKey>,
}

impl Tls {
    /// A new CA, and a certificate for these names and addresses.
    pub(crate) fn new(names: Vec<String>) -> Result<Self> {
        let ca = new_ca()?;
        let serving = new_certificate(&ca, &names)?;
        Ok(Self(Arc::new(Inner { names, current: RwLock::new(Current { ca, serving }) })))
    }

    /// The CA's certificate, as PEM.
    pub fn ca_pem(&self) -> String {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).ca.pem()
    }

    /// New connections get a new certificate of the same CA.
    pub fn rotate_certificate(&self) -> Result<()> {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        current.serving = new_certificate(&current.ca, &self.0.names)?;
        Ok(())
    }

    /// New connections get a certificate of a new CA: [`Tls::ca_pem`] says another one from now on.
    pub fn rotate_ca(&self) -> Result<()> {
        let ca = new_ca()?;
        let serving = new_certificate(&ca, &self.0.names)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Current { ca, serving };
        Ok(())
    }

    /// The configuration of a TLS server, with HTTP/2 by ALPN.
    pub(crate) fn server_config(&self) -> Result<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(self.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Gives each new connection the certificate in use.
struct Resolver(Tls);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.0.current.read().unwrap_or_else(PoisonError::into_inner).serving.clone())
    }
}

fn new_ca() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("towpath test CA {}", crate::ids::suffix()));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("make a CA")
}

fn new_certificate(ca: &CertifiedIssuer<'static, KeyPair>, names: &[String]) -> Result<Arc<CertifiedKey>> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, ca).context("make a certificate")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = sign::any_supported_type(&key).context("use the key of a certificate")?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// The names and addresses of a certificate: those given, those listened at, and this host.
pub(crate) fn names(given: &[String], listening: impl Iterator<Item = IpAddr>) -> Vec<String> {
    let mut names: Vec<String> = given.to_vec();
    names.extend(["localhost".into(), "127.0.0.1".into(), "::1".into()]);
    names.extend(listening.filter(|address| !address.is_unspecified()).map(|address| address.to_string()));
    names.sort_unstable();
    names.dedup();
    names
}
