//! The state of the node, and the list.

use anyhow::{Result, ensure};

use crate::Test;
use crate::cluster::{NAMES, crowd, shop, slice, web_endpoints};
use crate::place::Place;
use crate::tab::Tab;

pub(crate) const TESTS: &[Test] = &[
    ("list", list),
    ("search_while_typing", search),
    ("without_scripts", without_scripts),
    ("parts_of_a_long_list", parts),
    ("the_list_follows_a_change", follows),
    ("the_focus_stays", focus_stays),
    ("a_selection_stays", selection_stays),
    ("a_stopped_agent_is_said", stopped),
    ("search_for_an_endpoint", search_for_an_endpoint),
    ("by_keyboard", keyboard),
];

const ROWS: &str = "#list tbody th";

fn list() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    ensure!(tab.texts(ROWS)? == NAMES, "{:?}", tab.texts(ROWS)?);
    let state = tab.text("document.getElementById('state').innerText")?;
    for part in ["synced", "mode nftables", "kernel objects", "ago"] {
        ensure!(state.contains(part) || state.contains("just now"), "{part:?} is not in {state}");
    }
    let web = tab.text("[...document.querySelectorAll('#list tr')].find(row => row.innerText.includes('shop/web')).innerText")?;
    for part in [
        "LoadBalancer",
        "10.96.0.10:80/tcp",
        "203.0.113.9:80/tcp",
        "node:30080/tcp",
        "3 of 5",
        "Local outside",
    ] {
        ensure!(web.contains(part), "{part:?} is not in {web}");
    }
    tab.is_content()
}

fn search() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.value("window.same = true; document.getElementById('q').focus()")?;
    tab.write("203.0.113.9")?;
    tab.until(&format!("document.querySelectorAll('{ROWS}').length === 1"))?;
    ensure!(tab.texts(ROWS)? == ["shop/web"]);
    ensure!(
        tab.value("new URL(location.href).searchParams.get('q')")? == "203.0.113.9",
        "the address does not have the search"
    );
    ensure!(tab.value("document.activeElement.id")? == "q", "the focus is gone");
    ensure!(tab.value("window.same")? == true, "the page was loaded anew");
    tab.value("document.getElementById('q').select()")?;
    tab.write("nobody")?;
    tab.until("document.getElementById('list').innerText.includes('No Service matches')")?;
    tab.is_content()
}

fn without_scripts() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::blank(&place)?;
    tab.scripts(false)?;
    tab.go("/debug/rules")?;
    ensure!(tab.texts(ROWS)? == NAMES);
    ensure!(
        tab.value("document.querySelector('.check').hidden")? == true,
        "a switch without a script behind it"
    );
    tab.value("document.getElementById('q').focus()")?;
    tab.write("cart")?;
    tab.value("document.querySelector('#search button').click()")?;
    tab.loaded()?;
    ensure!(tab.texts(ROWS)? == ["shop/cart"], "{:?}", tab.texts(ROWS)?);
    tab.value("document.querySelector('#list tbody a').click()")?;
    tab.loaded()?;
    let page = tab.text("document.body.innerText")?;
    ensure!(page.contains("shop/cart") && page.contains("10.244.12.20:8080"), "{page}");
    tab.is_content()
}

fn parts() -> Result<()> {
    let place = Place::start(&crowd(250))?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    ensure!(tab.texts(ROWS)?.len() == 100);
    tab.value("[...document.querySelectorAll('.pages a')].find(link => link.innerText === 'Last').click()")?;
    tab.loaded()?;
    let rows = tab.texts(ROWS)?;
    ensure!(rows.len() == 50 && rows[49] == "shop/s00249", "{rows:?}");
    ensure!(tab.text("document.getElementById('found').innerText")? == "250 Services");
    // A search goes to its first part.
    tab.value("document.getElementById('q').focus()")?;
    tab.write("s0024")?;
    tab.until(&format!("document.querySelectorAll('{ROWS}').length === 10"))?;
    tab.is_content()
}

fn follows() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.value("window.same = true")?;
    place.set("more", &crowd(3)[1..])?;
    tab.until("document.getElementById('list').innerText.includes('shop/s00002')")?;
    ensure!(tab.value("window.same")? == true, "the page was loaded anew");
    tab.value("document.getElementById('follow').click()")?;
    ensure!(tab.value("document.getElementById('follow').checked")? == false);
    tab.is_content()
}

/// The list follows while one of its links has the focus, and that stays where it is; so does how far the page is scrolled.
fn focus_stays() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.size(600, 300)?;
    tab.value("window.link = [...document.querySelectorAll('#list tbody a')].find(a => a.innerText === 'shop/web'); window.link.focus(); scrollTo(0, 400)")?;
    let scrolled = tab.value("scrollY")?;
    ensure!(scrolled.as_f64() > Some(100.0), "nothing to scroll: {scrolled}");
    place.set("objects", &with_one_endpoint())?;
    tab.until("document.getElementById('list').innerText.includes('1 of 3')")?;
    ensure!(
        tab.value("document.activeElement === window.link && window.link.isConnected")? == true,
        "the focus is gone"
    );
    ensure!(tab.value("scrollY")? == scrolled, "scrolled to {}", tab.value("scrollY")?);
    tab.is_content()
}

/// Whoever copies something does not lose it.
fn selection_stays() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.value("getSelection().selectAllChildren(document.querySelector('#list tbody')); window.state = document.getElementById('state').innerText")?;
    place.set("objects", &with_one_endpoint())?;
    // The state changes meanwhile: the script is at work.
    tab.until("window.state !== document.getElementById('state').innerText")?;
    ensure!(tab.text("getSelection().toString()")?.contains("3 of 5"), "what was selected has changed");
    tab.value("getSelection().removeAllRanges()")?;
    tab.until("document.getElementById('list').innerText.includes('1 of 3')")?;
    tab.is_content()
}

fn with_one_endpoint() -> Vec<serde_json::Value> {
    let mut objects = shop();
    objects.retain(|object| object["metadata"]["name"] != "web-1");
    objects.push(slice("web", &web_endpoints(&["10.244.1.5"])));
    objects
}

/// What is shown stays, and is said to be old, wherever the page is scrolled to.
fn stopped() -> Result<()> {
    let mut place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.size(600, 300)?;
    tab.value("scrollTo(0, 600)")?;
    place.stop();
    tab.until("document.getElementById('said').innerText.includes('does not answer')")?;
    let visible = "(() => { const box = document.getElementById('said').getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; })()";
    ensure!(tab.value(visible)? == true, "it is out of sight");
    ensure!(tab.texts(ROWS)? == NAMES, "what was shown is gone");
    Ok(())
}

/// From the top of the page by the keyboard alone: to the content, or through the pages to the search; what has the focus is seen.
fn keyboard() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.key("Tab", 9)?;
    let focused = "document.activeElement.className";
    ensure!(tab.value(focused)? == "skip", "the first stop is {}", tab.value(focused)?);
    ensure!(
        tab.value("document.activeElement.getBoundingClientRect().left >= 0")? == true,
        "it is out of sight"
    );
    tab.key("Enter", 13)?;
    tab.until("location.hash === '#main'")?;
    for _ in 0..20 {
        tab.key("Tab", 9)?;
        let outlined = "document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none'";
        ensure!(
            tab.value(outlined)? == true,
            "nothing shows where the focus is: {}",
            tab.text("document.activeElement.outerHTML")?
        );
        if tab.value("document.activeElement.id")? == "q" {
            tab.write("cart")?;
            tab.key("Enter", 13)?;
            tab.until(&format!("document.querySelectorAll('{ROWS}').length === 1"))?;
            let landmarks = "['header', 'nav', 'main', 'footer', '[role=search]'].every(one => document.querySelector(one))";
            ensure!(tab.value(landmarks)? == true, "a landmark is missing");
            return tab.is_content();
        }
    }
    anyhow::bail!("twenty stops do not lead to the search")
}

/// An endpoint's address finds its Services.
fn search_for_an_endpoint() -> Result<()> {
    let place = Place::start(&shop())?;
    for (query, expected) in [
        ("10.244.2.21", "shop/heavy"),
        ("10.244.2.21:8080", "shop/heavy"),
        ("203.0.113.9:80/tcp", "shop/web"),
    ] {
        let page = place.get(&format!("/debug/rules?q={query}"))?;
        let rows: Vec<&str> = page.body.lines().filter(|line| !line.starts_with('#')).collect();
        ensure!(rows.len() == 1 && rows[0].starts_with(expected), "{query}: {}", page.body);
    }
    Ok(())
}
