//! Clients that mean no good: whatever they do, changes reach the kernel, others get their pages, and memory has a bound.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::wait;

use crate::Test;
use crate::cluster::{crowd, endpoint, service, shop, slice};
use crate::place::{OUTSIDE, PAGES, PATIENCE, Place};

pub(crate) const TESTS: &[Test] = &[
    ("who_does_not_read", who_does_not_read),
    ("who_says_nothing", who_says_nothing),
    ("who_asks_for_everything_all_the_time", who_asks_for_everything),
    ("odd_requests", odd_requests),
    ("names_that_others_turn_to_this_node", names),
    ("who_asks_and_goes_away", who_goes_away),
];

/// Services that make the pages large.
const MANY: usize = 3_000;
/// How long a change may take in the worst case: the file is read, and programmed. Without anybody asking it takes some 0.2 s in a
/// debug build.
const IN_TIME: Duration = Duration::from_secs(3);
/// Beyond what the program needs: copies of the largest page for a few readers.
const MEMORY: u64 = 192 << 20;
/// Changes that are measured.
const CHANGES: u8 = 8;

/// Makes changes, and says how long the slowest took to reach the kernel.
fn slowest_change(place: &Place) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for n in 1..=CHANGES {
        let ip = format!("10.96.9.{n}");
        let slice = slice("probe", &[endpoint("10.244.7.7", "worker-7", true)]);
        let started = Instant::now();
        place.set("probe", &[service("probe", &ip, &json!({})), slice])?;
        let element = format!("{{ {ip} . tcp . 80 }}");
        let args = ["get", "element", "ip", "towpath", "vips", &element];
        wait::until("the change in the kernel", PATIENCE, || Ok(place.ns.command("nft", &args).ok()))?;
        slowest = slowest.max(started.elapsed());
    }
    Ok(slowest)
}

fn in_time(place: &Place, who: &str) -> Result<()> {
    let slowest = slowest_change(place)?;
    println!("beside {who}, the slowest of {CHANGES} changes took {slowest:?}");
    ensure!(slowest < IN_TIME, "beside {who}, a change took {slowest:?}");
    Ok(())
}

/// Each asks for the largest page and reads none of it.
fn who_does_not_read() -> Result<()> {
    let mut place = Place::start(&crowd(MANY))?;
    let before = place.memory()?;
    let mut readers: Vec<TcpStream> = Vec::new();
    for n in 0..100 {
        let mut stream = place.connect(PAGES)?;
        let form = if n % 2 == 0 { "text" } else { "json" };
        stream.write_all(format!("GET /debug/rules?format={form} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
        readers.push(stream);
    }
    in_time(&place, "readers that do not read")?;
    let grown = place.memory()?.saturating_sub(before);
    println!("memory grew by {} MiB", grown >> 20);
    ensure!(grown < MEMORY, "memory grew by {} MiB", grown >> 20);
    drop(readers);
    place.still_runs()
}

/// Most say nothing, some begin a request and go no further.
fn who_says_nothing() -> Result<()> {
    let mut place = Place::start(&shop())?;
    let before = place.memory()?;
    let mut silent = Vec::new();
    for n in 0..800 {
        let mut stream = place.connect(PAGES)?;
        if n % 3 == 0 {
            stream.write_all(b"GET /debug/rules HTTP/1.1\r\nX-Slow: ")?;
        }
        silent.push(stream);
    }
    let asked = Instant::now();
    ensure!(place.get("/debug/rules?page=1")?.status == 200);
    ensure!(asked.elapsed() < IN_TIME, "a page took {:?}", asked.elapsed());
    in_time(&place, "800 silent connections")?;
    let grown = place.memory()?.saturating_sub(before);
    ensure!(grown < MEMORY / 4, "memory grew by {} MiB", grown >> 20);
    place.still_runs()
}

/// Several at once, each page again and again.
fn who_asks_for_everything() -> Result<()> {
    let mut place = Place::start(&crowd(MANY))?;
    let alone = slowest_change(&place)?;
    let (ended, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let paths = [
        "/debug/rules?format=json&diff=1",
        "/debug/rules?format=text",
        "/debug/rules?format=html&q=s0",
        "/debug/rules/shop/s00007?format=html&diff=1",
        "/debug/rules?format=html&sort=problems&page=30",
        "/debug/diff",
    ];
    thread::scope(|scope| -> Result<()> {
        for path in paths.iter().cycle().take(12) {
            let (place, ended, answers) = (&place, &ended, &answers);
            scope.spawn(move || {
                while !ended.load(Relaxed) {
                    if place.get(path).is_ok() {
                        answers.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let measured =
            wait::until("the first answers", PATIENCE, || Ok((answers.load(Relaxed) > 20).then_some(())))
                .and_then(|()| in_time(&place, "12 greedy clients"));
        ended.store(true, Relaxed);
        measured
    })?;
    println!("alone: {alone:?}; {} pages were answered", answers.load(Relaxed));
    place.still_runs()
}

/// Requests that no client sends by mistake: each is answered or cut off, and none ends the program.
fn odd_requests() -> Result<()> {
    let mut place = Place::start(&shop())?;
    let long = "x".repeat(12_000);
    let words = "a+".repeat(5_000);
    for (request, expected) in [
        (format!("GET /debug/rules?format=html&q={words} HTTP/1.0\r\n\r\n"), Some(200)),
        (format!("GET /debug/rules?{long}={long} HTTP/1.0\r\n\r\n"), None),
        (format!("GET /{long} HTTP/1.0\r\n\r\n"), Some(404)),
        (format!("GET /debug/rules/{long}/{long} HTTP/1.0\r\n\r\n"), None),
        ("GET /debug/rules/shop/%00 HTTP/1.0\r\n\r\n".into(), Some(404)),
        ("GET /debug/rules/../../etc/passwd HTTP/1.0\r\n\r\n".into(), Some(404)),
        ("GET /debug/rules/shop/web/ HTTP/1.0\r\n\r\n".into(), Some(404)),
        ("GET /debug/rules// HTTP/1.0\r\n\r\n".into(), Some(404)),
        ("GET /debug/rules?format=xml HTTP/1.0\r\n\r\n".into(), Some(400)),
        ("GET /debug/rules?page=99999999999999999999&sort=%FF&q=%FF%FE HTTP/1.0\r\n\r\n".into(), Some(200)),
        (
            "GET /debug/rules/shop/web?endpoints=18446744073709551615&format=json HTTP/1.0\r\n\r\n".into(),
            Some(200),
        ),
        ("GET /debug/rules/shop/web?endpoints=-1 HTTP/1.0\r\n\r\n".into(), Some(200)),
        ("GET http://elsewhere/debug/rules?page=1 HTTP/1.0\r\n\r\n".into(), Some(200)),
        ("POST /debug/rules HTTP/1.0\r\nContent-Length: 4\r\n\r\nq=ab".into(), Some(405)),
        ("DELETE /debug/rules/shop/web HTTP/1.0\r\n\r\n".into(), Some(405)),
        ("TRACE / HTTP/1.0\r\n\r\n".into(), Some(405)),
        ("CONNECT a:1 HTTP/1.0\r\n\r\n".into(), Some(405)),
        ("GET / HTTP/9.9\r\n\r\n".into(), Some(400)),
        ("GET / HTTP/1.0\r\nContent-Length: -1\r\n\r\n".into(), None),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"
                .into(),
            None,
        ),
        ("\0\0\0\0\r\n\r\n".into(), None),
        (
            "GET /debug/rules?page=1 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200) + "GET / HTTP/1.0\r\n\r\n",
            Some(200),
        ),
    ] {
        let shown = request.chars().take(60).collect::<String>();
        match (place.exchange(PAGES, request.as_bytes()), expected) {
            (Ok(answer), Some(status)) => ensure!(answer.status == status, "{shown:?}: {}", answer.head),
            (Ok(answer), None) => ensure!(answer.status < 500, "{shown:?}: {}", answer.head),
            (Err(error), Some(_)) => return Err(error).context(shown),
            // Cut off.
            (Err(_), None) => {}
        }
        place.still_runs()?;
    }
    torn(&place)?;
    let page = place.get("/debug/rules?page=1")?;
    ensure!(page.status == 200 && page.body.contains("shop/web"));
    Ok(())
}

/// DNS rebinding: a browser on the node that was led to loopback by a foreign name is told nothing.
fn names() -> Result<()> {
    let place = Place::start(&shop())?;
    let ask = |at, path: &str, host: &str| {
        place.exchange(at, format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())
    };
    for path in ["/debug/rules?page=1", "/metrics", "/configz", "/debug/status", "/"] {
        for host in ["evil.example", "evil.example:10249", "127.0.0.1.evil.example", "worker-1.evil.example"]
        {
            let answer = ask(PAGES, path, host)?;
            ensure!(answer.status == 421 && !answer.body.contains("shop"), "{host}{path}: {}", answer.head);
            // A scraper comes to the node's address by whatever name its cluster has for it.
            ensure!(ask(OUTSIDE, path, host)?.status == 200, "{host}{path} from outside");
        }
        for host in ["127.0.0.1:10249", "localhost:9999", "[::1]:1", "worker-1", "WORKER-1:80", "192.0.2.1"] {
            ensure!(ask(PAGES, path, host)?.status == 200, "{host}{path}");
        }
    }
    let absolute = b"GET http://evil.example/debug/rules?page=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    ensure!(place.exchange(PAGES, absolute)?.status == 421);
    let probe = "127.0.0.1:10256".parse()?;
    ensure!(ask(probe, "/healthz", "evil.example")?.status == 200, "a probe has any name");
    Ok(())
}

/// Clients that ask for what costs most, and do not wait for it: others are answered, or told when to come again.
fn who_goes_away() -> Result<()> {
    let mut place = Place::start(&crowd(MANY))?;
    let (ended, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let paths = ["/debug/diff", "/debug/rules?format=json&diff=1", "/debug/audit?limit=10000&format=json"];
    thread::scope(|scope| -> Result<()> {
        for path in paths {
            let (place, ended, asked) = (&place, &ended, &asked);
            scope.spawn(move || {
                let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                while !ended.load(Relaxed) {
                    let sent = place.connect(PAGES).map(|mut stream| stream.write_all(request.as_bytes()));
                    asked.fetch_add(usize::from(sent.is_ok()), Relaxed);
                }
            });
        }
        let measured =
            others_are_answered(&place, &asked).and_then(|()| in_time(&place, "clients that go away"));
        ended.store(true, Relaxed);
        measured
    })?;
    place.still_runs()
}

fn others_are_answered(place: &Place, asked: &AtomicUsize) -> Result<()> {
    wait::until("the clients to ask", PATIENCE, || Ok((asked.load(Relaxed) > 100).then_some(())))?;
    let mut pages = 0;
    for _ in 0..40 {
        let answer = place.get("/debug/rules?page=1")?;
        let later = answer.status == 503 && answer.head.to_lowercase().contains("retry-after: 1");
        ensure!(answer.status == 200 || later, "{}", answer.head);
        pages += usize::from(answer.status == 200);
        ensure!(place.get("/metrics")?.status == 200);
    }
    println!("{pages} of 40 pages were answered beside {asked:?} that nobody waited for");
    ensure!(place.run(&["status"])?.status.success(), "towpath status has no answer");
    Ok(())
}

/// Clients that go away in the middle.
fn torn(place: &Place) -> Result<()> {
    for cut in 1..40 {
        let request = b"GET /debug/rules?format=json HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut stream = place.connect(PAGES)?;
        stream.write_all(&request[..cut.min(request.len())])?;
    }
    for read in [1, 10, 100] {
        let mut stream = place.connect(PAGES)?;
        stream.write_all(b"GET /debug/rules?format=html HTTP/1.0\r\n\r\n")?;
        stream.read_exact(&mut vec![0; read])?;
    }
    Ok(())
}
