//! DNS over TLS (RFC 7858), with certificates made here.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use towpath_dns_forward::{Tls, Upstream as At, Why};

use crate::client::{Client, Pending, last, why};
use crate::message::Asked;
use crate::upstream::{Do, Upstream};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name or an address, and its key, as PEM.
fn certificate(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_string()]).unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

/// Answers by TLS only, with a certificate for this name; wants one of a client if `clients`.
fn server(
    authority: &Authority,
    name: &str,
    clients: bool,
    script: impl Fn(&Asked) -> Do + Send + Sync + 'static,
) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = Upstream::without_sockets(listener.local_addr().unwrap(), script);
    let (config, serving) = (Arc::new(config(authority, name, clients)), upstream.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (upstream, config) = (serving.clone(), config.clone());
            upstream.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                upstream.serve_stream(&mut StreamOwned::new(connection, stream.unwrap()))
            });
        }
    });
    upstream
}

fn config(authority: &Authority, name: &str, clients: bool) -> ServerConfig {
    let (certificate, key) = certificate(authority, name);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), default_provider().into()).build().unwrap();
    let builder =
        if clients { builder.with_client_cert_verifier(verifier) } else { builder.with_no_client_auth() };
    builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

/// A file that this test reads again.
fn file(content: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let path = std::env::temp_dir().join(format!("towpath-dot-{}-{number}.pem", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

fn client(address: SocketAddr, tls: Tls) -> Client {
    let files: Vec<PathBuf> = tls.authorities.iter().cloned().collect();
    let client = Client::with(&[], |group| group.upstreams = vec![At { address, tls: Some(tls) }]);
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    client
}

fn good(asked: &Asked) -> Do {
    Do::Send(vec![asked.good(1)])
}

/// Whom the client believes.
#[test]
fn names_and_authorities() {
    let (ours, other) = (authority(), authority());
    let table = [
        ("the name", "dns.test", Some("dns.test"), &ours, true),
        ("the address", "127.0.0.1", None, &ours, true),
        ("another name", "dns.test", Some("other.test"), &ours, false),
        ("no name", "dns.test", None, &ours, false),
        ("another authority", "dns.test", Some("dns.test"), &other, false),
    ];
    for (what, name, expected, trusted, works) in table {
        let upstream = server(&ours, name, false, good);
        let tls = Tls {
            server_name: expected.map(Into::into),
            authorities: Some(file(&trusted.pem())),
            identity: None,
        };
        let client = client(upstream.address, tls);
        if works {
            assert_eq!(last(&client.ask("www.test.")), 1, "{what}");
            assert!(client.metrics().upstreams[0].tls);
        } else {
            assert_eq!(why(client.ask("www.test.")), Why::Unreachable, "{what}");
            assert!(upstream.seen().is_empty(), "{what}: nothing is said to a stranger");
        }
    }
}

/// One connection for many questions at once.
#[test]
fn pipelined() {
    let ours = authority();
    let upstream = server(&ours, "dns.test", false, good);
    let tls =
        Tls { server_name: Some("dns.test".into()), authorities: Some(file(&ours.pem())), ..Tls::default() };
    let client = client(upstream.address, tls);
    let waiting: Vec<_> = (0..100).map(|number| client.resolve(&format!("n{number}.test."))).collect();
    waiting.into_iter().map(Pending::wait).for_each(|resolved| assert_eq!(last(&resolved), 1));
    assert_eq!((upstream.connections.load(Ordering::SeqCst), upstream.seen().len()), (1, 100));
}

/// The server closes after each reply: each question is answered all the same.
#[test]
fn closed_by_the_server() {
    let ours = authority();
    let upstream = server(&ours, "dns.test", false, |asked| Do::SendAndClose(asked.good(1)));
    let tls =
        Tls { server_name: Some("dns.test".into()), authorities: Some(file(&ours.pem())), ..Tls::default() };
    let client = client(upstream.address, tls);
    for number in 0..5 {
        assert_eq!(last(&client.ask(&format!("n{number}.test."))), 1);
    }
}

/// A certificate of the client's.
#[test]
fn identity() {
    let ours = authority();
    let upstream = server(&ours, "dns.test", true, good);
    let (certificate, key) = certificate(&ours, "node.test");
    let files = (file(&certificate.pem()), file(&key.serialize_pem()));
    let tls = |identity| Tls {
        server_name: Some("dns.test".into()),
        authorities: Some(file(&ours.pem())),
        identity,
    };
    assert_eq!(last(&client(upstream.address, tls(Some(files.clone()))).ask("www.test.")), 1);
    assert_eq!(why(client(upstream.address, tls(None)).ask("www.test.")), Why::Unreachable);
    [files.0, files.1].iter().for_each(|file| fs::remove_file(file).unwrap());
}
