//! Health servers on all addresses, in a network namespace where no other process has a port. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use model::NamespacedName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use towpath_admin::service_health::{Failure, Owner, ServiceHealth, Wanted};

const INSIDE: &str = "TOWPATH_TEST_IN_NETNS";

struct TestOwner(UnboundedSender<Failure>);

impl Owner for TestOwner {
    fn is_healthy(&self) -> bool {
        true
    }

    fn failed(&self, failure: &Failure) {
        self.0.send(failure.clone()).unwrap();
    }
}

#[test]
fn both_families_have_their_own_socket() {
    if std::env::var_os(INSIDE).is_none() {
        let mut again = Command::new("unshare");
        again.arg("--net").arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        let status = again.args(["--exact", "both_families_have_their_own_socket", "--nocapture"]).status();
        assert!(status.unwrap().success(), "failed inside, or this is not root");
        return;
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let in_time = async { tokio::time::timeout(Duration::from_secs(30), inside()).await };
    runtime.block_on(in_time).expect("ends in 30 s");
}

async fn inside() {
    let (failures, mut failed) = unbounded_channel();
    let (handle, servers) = ServiceHealth::new(Arc::new(TestOwner(failures)));
    tokio::spawn(servers.run());
    let service = |name: &str| NamespacedName::new("ns", name);

    handle.set(service("a"), Some(Wanted { port: 30_001, endpoints: 1 }));
    for at in ["127.0.0.1:30001", "[::1]:30001", "127.9.9.9:30001"] {
        assert!(probe(at.parse().unwrap()).await.starts_with("HTTP/1.1 200 OK"), "{at}");
    }

    // One family is taken: the other serves, and that is told.
    let _occupant = TcpListener::bind("0.0.0.0:30002").await.unwrap();
    handle.set(service("b"), Some(Wanted { port: 30_002, endpoints: 0 }));
    let failure = failed.recv().await.unwrap();
    assert_eq!((failure.service, failure.port), (service("b"), 30_002));
    assert_eq!(failure.reason, "cannot listen on 0.0.0.0:30002: Address already in use (os error 98)");
    assert!(probe("[::1]:30002".parse().unwrap()).await.starts_with("HTTP/1.1 503 "));
}

/// Asks once, as soon as somebody listens.
async fn probe(at: SocketAddr) -> String {
    let mut stream = loop {
        match TcpStream::connect(at).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
