//! Pages of text, as a browser shows them.

use anyhow::{Context, Result, ensure};

use crate::Test;
use crate::cluster::shop;
use crate::place::{PAGES, Place};
use crate::tab::Tab;

pub(crate) const TESTS: &[Test] = &[
    ("every_link_leads_to_a_page", links),
    ("explain_by_a_form", explain),
    ("a_text_follows_what_changes", follows),
    ("who_asks_for_text_gets_it", text),
    ("what_is_not_there_is_said_in_the_frame", missing),
];

/// All that the heads and the index link to have the frame, but for what is no page.
fn links() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::blank(&place)?;
    tab.scripts(false)?;
    tab.go("/debug/")?;
    let links = "[...document.querySelectorAll('header nav a, main a')].map(one => one.getAttribute('href'))";
    let links: Vec<String> = serde_json::from_value(tab.value(links)?)?;
    ensure!(links.len() > 15, "{links:?}");
    let framed = |link: &&String| {
        link.starts_with("/debug/") && !link.contains("format=") && !link.starts_with("/debug/dns")
    };
    for link in links.iter().filter(framed) {
        tab.go(link)?;
        ensure!(tab.value("document.querySelectorAll('header nav a').length")? == 9, "{link} has no frame");
        ensure!(tab.value("document.querySelectorAll('h1').length")? == 1, "{link}");
        let here = tab.value("document.querySelectorAll('header nav a[aria-current=page]').length")?;
        ensure!(here == 1, "{link}: the heads mark {here} as this page");
    }
    tab.is_content()
}

fn explain() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/explain")?;
    ensure!(tab.value("document.querySelector('#text').innerText")? == "", "an answer to no question");
    tab.value("document.getElementById('from').focus()")?;
    tab.write("10.244.1.5")?;
    tab.value("document.getElementById('to').focus()")?;
    tab.write("10.96.0.10:80/tcp")?;
    tab.value("document.querySelector('form button').click()")?;
    tab.loaded()?;
    let answer = tab.text("document.querySelector('#text').innerText")?;
    ensure!(answer.contains("dnat") && answer.contains("not ready"), "{answer}");
    ensure!(tab.value("document.getElementById('to').value")? == "10.96.0.10:80/tcp", "the question is gone");
    tab.value("[...document.querySelectorAll('#text a')].find(one => one.innerText === 'shop/web').click()")?;
    tab.loaded()?;
    ensure!(tab.text("document.querySelector('h1').innerText")?.starts_with("shop/web"));
    tab.go("/debug/explain?from=nobody&to=10.96.0.10:80")?;
    ensure!(tab.text("document.querySelector('#text li.bad').innerText")?.contains("nobody"));
    tab.events();
    Ok(())
}

fn follows() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/status")?;
    tab.value("window.same = true")?;
    ensure!(tab.text("document.body.innerText")?.contains("6 Services"));
    place.set("more", &crate::cluster::crowd(3)[1..])?;
    tab.until("document.getElementById('text').innerText.includes('9 Services')")?;
    ensure!(tab.value("window.same")? == true, "the page was loaded anew");
    tab.is_content()
}

fn text() -> Result<()> {
    let place = Place::start(&shop())?;
    for path in ["/debug/", "/debug/status", "/debug/flows", "/debug/top", "/debug/audit", "/debug/diff"] {
        for (accept, form) in [("*/*", "text/plain"), ("text/html,*/*;q=0.8", "text/html")] {
            let answer = place.ask(PAGES, path, accept).with_context(|| path.to_owned())?;
            ensure!(answer.status == 200, "{path}: {}", answer.head);
            let head = answer.head.to_lowercase();
            ensure!(head.contains(&format!("content-type: {form}")), "{path}, {accept}: {}", answer.head);
        }
        if path != "/debug/" {
            let json = place.ask(PAGES, path, "application/json")?;
            let is_json = serde_json::from_str::<serde_json::Value>(&json.body).is_ok();
            ensure!(json.status == 200 && is_json, "{path} as JSON: {} {}", json.head, json.body);
        }
        ensure!(
            place.get(&format!("{path}?format=xml"))?.status == 400,
            "{path} has a form that there is not"
        );
        ensure!(place.get(&format!("{path}?format=html"))?.body.starts_with("<!DOCTYPE html>"), "{path}");
    }
    Ok(())
}

fn missing() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules/shop/nobody")?;
    let page = tab.text("document.body.innerText")?;
    ensure!(page.contains("there is no such Service") && page.contains("Services"), "{page}");
    ensure!(place.get("/debug/rules/shop/nobody")?.body == "there is no such Service on this node\n");
    tab.events();
    Ok(())
}
