//! The page of one Service.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::wait;

use crate::Test;
use crate::cluster::{WEB, service as object, shop, slice, web_endpoints};
use crate::place::{PATIENCE, Place};
use crate::tab::Tab;

pub(crate) const TESTS: &[Test] = &[
    ("service", service),
    ("drawing", drawing),
    ("weights_are_shares", weights),
    ("a_long_list_of_endpoints_is_cut", long),
    ("the_difference_to_the_kernel", difference),
    ("a_service_follows_a_change", follows),
    ("a_deleted_service_is_said", deleted),
    ("its_changes_are_its_own", own_changes),
    ("what_others_did_to_its_rules", repaired),
];

fn service() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    let page = tab.text("document.body.innerText")?;
    for part in [
        "shop/web",
        "LoadBalancer",
        "ClientIP, 10800 s",
        "198.51.100.0/24, 203.0.113.0/25",
        "answers 200: 1 ready on this node",
        "terminating, and ready endpoints exist",
        "on node worker-3, and the traffic policy is Local",
        "not used: not ready",
        "Sources stay as they are.",
        "element ip towpath vips { 203.0.113.9 . tcp . 80 : goto local-policy-vips }",
    ] {
        ensure!(page.contains(part), "{part:?} is not in {page}");
    }
    // Who is used by whom, from the table itself.
    let row =
        "[...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes('10.244.2.7:8080'))";
    let cells =
        tab.value(&format!("[...{row}.querySelectorAll('td')].slice(-3).map(cell => cell.innerText)"))?;
    ensure!(cells[0] == "used" && cells[2] == "used", "{cells}");
    ensure!(cells[1] == "not used: on node worker-2, and the traffic policy is Local", "{cells}");
    ensure!(
        tab.value("document.getElementById('to').value")? == "203.0.113.9:80/tcp"
            || tab.value("document.getElementById('to').value")? == "10.96.0.10:80/tcp"
    );
    tab.is_content()
}

/// Every box has a size and lies inside; no two overlap; lines begin and end at boxes.
fn drawing() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    let texts = tab.texts("svg text")?.join("\n");
    for part in [
        "10.96.0.10:80",
        "port 30080",
        "only 198.51.100.0/24",
        "From outside (Local)",
        "10.244.1.5:8080",
        "33.3 % or 100 %",
    ] {
        ensure!(texts.contains(part), "{part:?} is not drawn: {texts}");
    }
    let boxes = "[...document.querySelectorAll('svg rect')].map(one => one.getBBox())";
    ensure!(tab.value(&format!("{boxes}.length"))? == 10, "{texts}");
    let apart = format!(
        "(() => {{ const all = {boxes}; const svg = document.querySelector('svg').viewBox.baseVal; \
         return all.every((a, i) => a.width > 50 && a.height > 20 && a.x >= 0 && a.x + a.width <= svg.width + 1 \
         && a.y + a.height <= svg.height + 1 && all.every((b, j) => i === j || a.x + a.width <= b.x || b.x + b.width <= a.x \
         || a.y + a.height <= b.y || b.y + b.height <= a.y)); }})()"
    );
    ensure!(tab.value(&apart)? == true, "boxes overlap or leave the drawing");
    let fits = "[...document.querySelectorAll('svg g')].every(one => { const box = one.querySelector('rect').getBBox(); \
                return [...one.querySelectorAll('text')].every(text => text.getBBox().x + text.getBBox().width <= box.x + box.width); })";
    ensure!(tab.value(fits)? == true, "a text is wider than its box");
    ensure!(
        tab.value("document.querySelectorAll('svg path').length")? == 13,
        "lines: {}",
        tab.value("document.querySelectorAll('svg path').length")?
    );
    let words = tab.text("document.querySelector('svg desc').textContent")?;
    ensure!(words.contains("From outside: 10.244.1.5:8080 100 %."), "{words}");
    tab.is_content()
}

fn weights() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules/shop/heavy")?;
    let texts = tab.texts("svg text")?.join("\n");
    ensure!(texts.contains("75 %, this node") && texts.contains("25 %, worker-2"), "{texts}");
    ensure!(tab.text("document.body.innerText")?.contains("10.244.1.21/32=3"));
    tab.is_content()
}

fn long() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, "/debug/rules/shop/many?endpoints=30")?;
    ensure!(tab.value("document.querySelectorAll('tbody tr').length")? == 30);
    let page = tab.text("document.body.innerText")?;
    ensure!(page.contains("60 endpoints") && page.contains("and 30 more"), "{page}");
    let drawn = tab.texts("svg text")?.join("\n");
    ensure!(drawn.contains("and 40 more"), "{drawn}");
    ensure!(!drawn.contains("10.244.9.21:"), "{drawn}");
    tab.is_content()
}

fn difference() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    tab.value("[...document.querySelectorAll('a')].find(link => link.innerText === 'Compare with the kernel').click()")?;
    tab.loaded()?;
    tab.until("document.getElementById('differs').innerText.startsWith('The same.')")?;
    tab.is_content()
}

fn follows() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    tab.value("window.same = true; document.querySelector('#ruleset pre').scrollTop = 77")?;
    let mut objects = shop();
    objects.retain(|object| object["metadata"]["name"] != "web-1");
    objects.push(slice("web", &web_endpoints(&["10.244.1.5", "10.244.1.99"])));
    place.set("objects", &objects)?;
    let shown = "document.getElementById('service').innerText.includes('10.244.1.99:8080')";
    tab.until(&format!("{shown} && document.getElementById('ruleset').innerText.includes('10.244.1.99')"))?;
    tab.until(
        "[...document.querySelectorAll('svg text')].some(text => text.textContent.includes('10.244.1.99'))",
    )?;
    ensure!(tab.value("window.same")? == true, "the page was loaded anew");
    ensure!(tab.value("document.querySelector('#ruleset pre').scrollTop")? == 77, "the rules were scrolled");
    tab.is_content()
}

/// Who deletes a rule of the Service is seen on its page, and not on that of another.
fn repaired() -> Result<()> {
    let place = Place::start(&shop())?;
    place.ns.command("nft", &["delete", "element", "ip", "towpath", "vips", "{ 10.96.0.11 . tcp . 80 }"])?;
    let changes = |name: &str| -> Result<String> {
        let body = place.get(&format!("/debug/rules/shop/{name}?format=json"))?.body;
        Ok(serde_json::from_str::<serde_json::Value>(&body)?["changes"].to_string())
    };
    wait::until("the repair", PATIENCE, || {
        let told = changes("cart")?;
        Ok((told.contains("repair") && told.contains("+ element ip towpath vips { 10.96.0.11")).then_some(()))
    })?;
    ensure!(!changes("heavy")?.contains("repair"), "{}", changes("heavy")?);
    Ok(())
}

fn deleted() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    let mut objects = shop();
    objects.retain(|object| object["metadata"]["name"] != "web");
    place.set("objects", &objects)?;
    tab.until("document.getElementById('said').innerText.includes('gone')")?;
    Ok(())
}

/// The first sync had every Service: of its objects, the page shows those of this one.
fn own_changes() -> Result<()> {
    let place = Place::start(&shop())?;
    let page: serde_json::Value =
        serde_json::from_str(&place.get("/debug/rules/shop/heavy?format=json")?.body)?;
    testkit::schema::conforms("service", &page)?;
    let first = &page["changes"][0];
    ensure!(first["because"] == "start" && first["others"] == 5, "{first:#}");
    let rules = page["rules"]["text"].as_str().unwrap_or_default();
    for line in first["lines"].as_array().into_iter().flatten().filter_map(|line| line.as_str()) {
        let object = line.trim_start_matches("+ ").split(" {").next().unwrap_or_default();
        ensure!(rules.contains(object), "{line} is not of this Service");
    }
    place.set("one", &[object("extra", "10.96.0.77", &json!({})), slice("extra", &[])])?;
    wait::until("the Service", PATIENCE, || {
        let page: serde_json::Value =
            serde_json::from_str(&place.get("/debug/rules/shop/extra?format=json")?.body).unwrap_or_default();
        Ok(page["changes"][0]["lines"].to_string().contains("10.96.0.77").then_some(()))
    })
}
