//! What no page shows, wherever it is asked from.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::Test;
use crate::cluster::shop;
use crate::place::{OUTSIDE, PAGES, Place, SECRET};

pub(crate) const TESTS: &[Test] = &[("no_page_shows_a_secret", none), ("only_reading", only_reading)];

/// In an object that is none of ours.
const TOKEN: &str = "dG9rZW4tb2YtYS1zZWNyZXQ=";

/// Every page that `/` names, and what it shows in each form.
pub(crate) fn paths(place: &Place) -> Result<Vec<String>> {
    let index = place.get("/")?;
    let named = index.body.lines().filter(|line| line.starts_with('/')).map(|line| {
        let line =
            line.replace("NAMESPACE/NAME", "shop/web").replace("ADDRESS:PORT/PROTOCOL", "10.96.0.10:80/tcp");
        line.replace("ADDRESS", "10.244.1.5")
            .replace("NAME", "web.shop.svc.cluster.local")
            .replace("IP:PORT", "10.96.0.10:80")
            .replace("=IP", "=10.244.1.5")
    });
    let named: Vec<String> = named.collect();
    ensure!(named.len() > 8, "the index names {named:?}");
    let forms = ["html", "json", "text"];
    let each = |path: &String| {
        let join = if path.contains('?') { '&' } else { '?' };
        forms.map(|form| format!("{path}{join}format={form}"))
    };
    let all: Vec<String> = named.iter().flat_map(each).collect();
    Ok([
        named,
        all,
        vec!["/".into(), "/nothing".into(), "/debug".into(), "/debug/pprof/".into(), "/flags/v".into()],
    ]
    .concat())
}

fn none() -> Result<()> {
    let mut objects = shop();
    objects.push(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": "shop", "name": "credentials" },
        "data": { "token": TOKEN }, "stringData": { "password": "correct-horse" },
    }));
    let mut place = Place::start(&objects)?;
    let mut shown = 0;
    for path in paths(&place)? {
        for at in [PAGES, OUTSIDE] {
            let answer = place.ask(at, &path, "*/*").with_context(|| path.clone())?;
            let all = format!("{}\n{}", answer.head, answer.body);
            for word in [SECRET, "TOWPATH_PAGE_TEST", TOKEN, "correct-horse", "stringData", "Bearer "] {
                ensure!(!all.contains(word), "{path} at {at} shows {word}");
            }
            shown += usize::from(answer.status == 200);
        }
    }
    ensure!(shown > 20, "only {shown} pages answered");
    place.still_runs()
}

fn only_reading() -> Result<()> {
    let place = Place::start(&shop())?;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/", "/debug/rules", "/debug/rules/shop/web", "/metrics", "/configz"] {
            let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
            let answer = place.exchange(OUTSIDE, request.as_bytes())?;
            ensure!(answer.status == 405, "{method} {path}: {}", answer.head);
        }
    }
    Ok(())
}
