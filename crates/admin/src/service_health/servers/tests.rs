//! No test here may start a process: between fork and exec it would hold listeners that were closed here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::testing::{ask, in_runtime};

const PROBE: &str = "GET /healthz HTTP/1.1\r\n\r\n";

struct TestOwner {
    healthy: AtomicBool,
    failures: Sender<Failure>,
}

impl Owner for TestOwner {
    fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    fn failed(&self, failure: &Failure) {
        self.failures.send(failure.clone()).unwrap();
    }
}

/// Health servers that do what waits when told to, on loopback addresses that no other process uses.
struct World {
    handle: Handle,
    servers: ServiceHealth,
    owner: Arc<TestOwner>,
    failures: Receiver<Failure>,
}

impl World {
    fn new(ips: &[IpAddr]) -> Self {
        let (failures, inbox) = channel();
        let owner = Arc::new(TestOwner { healthy: AtomicBool::new(true), failures });
        let (handle, servers) = ServiceHealth::new(Arc::clone(&owner) as Arc<dyn Owner>);
        handle.set_addresses(Addresses::These(ips.to_vec()));
        Self { handle, servers, owner, failures: inbox }
    }

    async fn set(&mut self, name: &str, wanted: Option<(u16, usize)>) {
        self.handle.set(service(name), wanted.map(|(port, endpoints)| Wanted { port, endpoints }));
        self.servers.take_turn().await;
    }

    fn open(&self) -> Vec<String> {
        let each = self.servers.servers.iter();
        each.flat_map(|(name, s)| s.listeners.keys().map(move |at| format!("{} {}", name.name, at.port())))
            .collect()
    }

    /// Which Services complained since this was asked last.
    fn failed(&self) -> Vec<String> {
        self.failures.try_iter().map(|failure| failure.service.name.to_string()).collect()
    }
}

fn service(name: &str) -> NamespacedName {
    NamespacedName::new("ns", name)
}

/// A loopback address of this process and test.
fn ip(test: u8) -> IpAddr {
    let pid = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, pid[2].max(1), pid[3], test).into()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

async fn is_closed(at: SocketAddr) -> bool {
    TcpStream::connect(at).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn answers() {
    in_runtime(async {
        let mut world = World::new(&[ip(1)]);
        let at = SocketAddr::new(ip(1), 30_001);
        for (endpoints, healthy, expected) in
            [(2, true, "200"), (0, true, "503"), (2, false, "503"), (0, false, "503"), (1, true, "200")]
        {
            world.set("web", Some((30_001, endpoints))).await;
            world.owner.healthy.store(healthy, Ordering::Relaxed);
            let answer = ask(at, PROBE).await;
            assert_eq!(status(&answer), expected, "{endpoints} {healthy}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            for header in [
                "content-type: application/json",
                "x-content-type-options: nosniff",
                &format!("x-load-balancing-endpoint-weight: {endpoints}"),
                "connection: close",
            ] {
                assert!(head.split("\r\n").any(|line| line == header), "{header} in {head}");
            }
            let expected = format!(
                "{{\n\t\"service\": {{\n\t\t\"namespace\": \"ns\",\n\t\t\"name\": \"web\"\n\t}},\n\t\
                 \"localEndpoints\": {endpoints},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
            );
            assert_eq!(body, expected);
        }
    });
}

#[test]
fn any_method_and_path() {
    in_runtime(async {
        let mut world = World::new(&[ip(2)]);
        world.set("web", Some((30_001, 1))).await;
        for request in [
            "GET / HTTP/1.0\r\n\r\n",
            "HEAD /any/path?x HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
            "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "DELETE / HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "BREW /pot HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(status(&ask(SocketAddr::new(ip(2), 30_001), request).await), "200", "{request}");
        }
    });
}

#[test]
fn servers_follow_what_is_wanted() {
    in_runtime(async {
        let mut world = World::new(&[ip(3)]);
        let at = |port| SocketAddr::new(ip(3), port);
        for (change, open) in [
            (("b", Some((30_002, 1))), vec!["b 30002"]),
            (("a", Some((30_001, 1))), vec!["a 30001", "b 30002"]),
            (("a", Some((30_001, 2))), vec!["a 30001", "b 30002"]),
            (("a", Some((30_003, 2))), vec!["a 30003", "b 30002"]),
            (("gone", None), vec!["a 30003", "b 30002"]),
            (("b", None), vec!["a 30003"]),
        ] {
            world.set(change.0, change.1).await;
            assert_eq!(world.open(), open);
        }
        assert!(is_closed(at(30_001)).await && is_closed(at(30_002)).await);
        assert!(ask(at(30_003), PROBE).await.contains("weight: 2"));
        assert_eq!(world.failed(), [""; 0]);
    });
}

#[test]
fn ports_pass_from_one_service_to_another() {
    in_runtime(async {
        let mut world = World::new(&[ip(4)]);
        world.set("a", Some((30_001, 1))).await;
        world.set("b", Some((30_002, 2))).await;
        // Two that change places, in one turn.
        world.handle.set(service("a"), Some(Wanted { port: 30_002, endpoints: 1 }));
        world.set("b", Some((30_001, 2))).await;
        assert_eq!((world.open(), world.failed()), (vec!["a 30002".into(), "b 30001".into()], vec![]));

        // A second one for a port waits, complains once, and gets it when the first one goes.
        world.set("c", Some((30_001, 3))).await;
        assert_eq!(
            (world.open(), world.failed()),
            (vec!["a 30002".into(), "b 30001".into()], vec!["c".into()])
        );
        world.set("c", Some((30_001, 4))).await;
        world.servers.try_again();
        assert_eq!(world.failed(), [""; 0]);
        world.set("b", None).await;
        assert_eq!(world.open(), ["a 30002", "c 30001"]);
        assert!(ask(SocketAddr::new(ip(4), 30_001), PROBE).await.contains("weight: 4"));
    });
}

#[test]
fn the_latest_of_what_waits_counts() {
    in_runtime(async {
        let mut world = World::new(&[ip(5)]);
        for port in 30_001..30_050 {
            world.handle.set(service("a"), Some(Wanted { port, endpoints: 1 }));
            world.handle.set(service("b"), Some(Wanted { port, endpoints: 1 }));
        }
        world.set("b", None).await;
        assert_eq!((world.open(), world.failed()), (vec!["a 30049".into()], vec![]));
    });
}

#[test]
fn addresses_come_and_go() {
    in_runtime(async {
        let mut world = World::new(&[ip(6)]);
        world.set("a", Some((30_001, 1))).await;
        let kept = TcpStream::connect(SocketAddr::new(ip(6), 30_001)).await.unwrap();

        let link_local = "fe80::1".parse().unwrap();
        world.handle.set_addresses(Addresses::These(vec![ip(7), ip(6), ip(7), link_local]));
        world.servers.take_turn().await;
        assert_eq!(world.open(), ["a 30001", "a 30001"]);
        assert_eq!(status(&ask(SocketAddr::new(ip(7), 30_001), PROBE).await), "200");
        assert!(kept.writable().await.is_ok(), "what stays is left alone");

        // An address that is not ours takes no other away, and is told.
        let foreign: IpAddr = "192.0.2.1".parse().unwrap();
        world.handle.set_addresses(Addresses::These(vec![ip(7), foreign]));
        world.servers.take_turn().await;
        assert!(is_closed(SocketAddr::new(ip(6), 30_001)).await);
        assert_eq!(world.open(), ["a 30001"]);
        let failure = world.failures.try_recv().unwrap();
        assert_eq!(
            failure.to_string(),
            "failed to start healthcheck \"ns/a\" on port 30001: \
             cannot listen on 192.0.2.1:30001: Cannot assign requested address (os error 99)"
        );
        world.handle.set_addresses(Addresses::These(vec![]));
        world.servers.take_turn().await;
        assert_eq!((world.open(), world.servers.retry_at), (vec![], None));
    });
}

#[test]
fn what_could_not_be_bound_is_tried_again_by_itself() {
    in_runtime(async {
        let mut world = World::new(&[ip(8)]);
        let at = SocketAddr::new(ip(8), 30_001);
        let occupant = TcpListener::bind(at).await.unwrap();
        world.set("a", Some((30_001, 1))).await;
        assert!(world.failures.try_recv().unwrap().reason.ends_with("Address already in use (os error 98)"));
        let planned = world.servers.retry_at;
        world.set("b", Some((30_002, 1))).await;
        assert!(planned.is_some() && world.servers.retry_at == planned, "other changes do not put it off");

        world.servers.retry = Duration::from_millis(20);
        world.servers.retry_at = Some(Instant::now());
        tokio::spawn(world.servers.run());
        drop(occupant);
        while is_closed(at).await {
            tokio::task::yield_now().await;
        }
        assert_eq!(status(&ask(at, PROBE).await), "200");
        assert!(world.failures.try_recv().is_err(), "told once");
    });
}

#[test]
fn it_is_driven_from_another_thread_and_closes_when_dropped() {
    in_runtime(async {
        let world = World::new(&[ip(9)]);
        let at = SocketAddr::new(ip(9), 30_001);
        let running = tokio::spawn(world.servers.run());
        let handle = world.handle.clone();
        std::thread::spawn(move || handle.set(service("a"), Some(Wanted { port: 30_001, endpoints: 1 })));
        while is_closed(at).await {
            tokio::task::yield_now().await;
        }
        running.abort();
        let _ = running.await;
        while !is_closed(at).await {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn dawdlers_do_not_keep_others_from_other_services_and_end_with_their_server() {
    in_runtime(async {
        let mut world = World::new(&[ip(10)]);
        world.set("a", Some((30_001, 1))).await;
        world.set("b", Some((30_002, 1))).await;
        let mut dawdlers = Vec::new();
        for _ in 0..40 {
            let mut stream = TcpStream::connect(SocketAddr::new(ip(10), 30_001)).await.unwrap();
            stream.write_all(b"GET").await.unwrap();
            dawdlers.push(stream);
        }
        for port in [30_001, 30_002] {
            assert_eq!(status(&ask(SocketAddr::new(ip(10), port), PROBE).await), "200");
        }
        assert!(world.servers.places.taken() <= 16);
        world.set("a", None).await;
        for stream in &mut dawdlers {
            let ended = timeout(Duration::from_secs(5), stream.readable()).await;
            assert!(ended.is_ok(), "the connection of a server that closed is closed");
        }
        assert_eq!(world.servers.places.taken(), 0);
    });
}

#[test]
fn a_family_that_is_lacking() {
    for (address, errno, lacks) in [
        ("[::]:1", EAFNOSUPPORT, true),
        ("[::]:1", 99, true),
        ("0.0.0.0:1", EAFNOSUPPORT, true),
        ("[::]:1", 98, false),
        ("[::1]:1", EAFNOSUPPORT, false),
        ("192.0.2.1:1", 99, false),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(lacks_family(address.parse().unwrap(), &error), lacks, "{address} {errno}");
    }
}
