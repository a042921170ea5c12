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
    ("what_is_used_is_left_alone", left_alone),
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

/// A link that has the focus would lose it if the list were written anew.
fn left_alone() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules")?;
    tab.value("document.querySelector('#list tbody a').focus(); window.state = document.getElementById('state').firstElementChild")?;
    let mut objects = shop();
    objects.retain(|object| object["metadata"]["name"] != "web-1");
    objects.push(slice("web", &web_endpoints(&["10.244.1.5"])));
    place.set("objects", &objects)?;
    // The state is written anew meanwhile: the script is at work.
    tab.until("window.state !== document.getElementById('state').firstElementChild && document.getElementById('state').innerText.length > 0")?;
    ensure!(tab.value("document.activeElement.closest('#list') !== null")? == true, "the focus is gone");
    tab.value("document.activeElement.blur()")?;
    tab.until("document.getElementById('list').innerText.includes('1 of 3')")?;
    tab.is_content()
}
