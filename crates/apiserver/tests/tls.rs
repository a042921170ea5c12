//! HTTPS, and certificates that change.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use towpath_apiserver::{Options, Server};

/// The status line of an answer, by somebody who trusts this CA and calls the server by this name.
fn ask(server: &Server, ca_pem: &str, name: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(server.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(client, socket);
    let head =
        "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer secret\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    let mut text = String::new();
    // Whether the server says goodbye is of no interest.
    let _ = stream.read_to_string(&mut text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

const OK: &str = "HTTP/1.1 200 OK";

#[test]
fn the_certificate_has_all_names() {
    let names = vec!["kubernetes.default.svc".into(), "192.0.2.7".into()];
    let server = Server::start(Options { names, ..Options::secure("secret") }).unwrap();
    let ca = server.tls().unwrap().ca_pem();
    for name in ["kubernetes.default.svc", "192.0.2.7", "localhost", "127.0.0.1", "::1"] {
        assert_eq!(ask(&server, &ca, name).unwrap(), OK, "{name}");
    }
    assert!(ask(&server, &ca, "other.example").is_err());
}

#[test]
fn certificates_and_cas_change_while_it_runs() {
    let server = Server::start(Options::secure("secret")).unwrap();
    let tls = server.tls().unwrap();
    let first = tls.ca_pem();
    tls.rotate_certificate().unwrap();
    assert_eq!(ask(&server, &first, "localhost").unwrap(), OK);
    tls.rotate_ca().unwrap();
    assert!(ask(&server, &first, "localhost").is_err());
    assert_eq!(ask(&server, &tls.ca_pem(), "localhost").unwrap(), OK);
}

#[test]
fn kubeconfigs() {
    let server = Server::start(Options::secure("secret")).unwrap();
    let directory = std::env::temp_dir().join(format!("towpath-kubeconfig-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = server.kubeconfig().server(&server.url_at("::1")).token_file(&directory.join("token"));
    let config = config.ca_file(&directory.join("ca.pem")).unwrap();
    let text = config.text();
    for part in ["https://[::1]:", "tokenFile", "certificate-authority\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(server.kubeconfig().text().contains("\"token\": \"secret\"") && !text.contains("secret"));
    let written = std::fs::read_to_string(config.write(directory.join("config")).unwrap()).unwrap();
    assert_eq!(written, text);
    assert_eq!(std::fs::read_to_string(directory.join("ca.pem")).unwrap(), server.tls().unwrap().ca_pem());
    std::fs::remove_dir_all(&directory).unwrap();
}
