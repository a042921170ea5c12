//! Words of others in pages: they stay words.

use anyhow::{Result, ensure};

use crate::Test;
use crate::browser::complaint;
use crate::cluster::{SCRIPT, WEB, shop};
use crate::place::Place;
use crate::tab::Tab;

pub(crate) const TESTS: &[Test] =
    &[("words_of_others_do_not_run", words), ("a_script_that_gets_in_does_not_run", policy)];

/// `%`-encodes everything.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// In annotations (so in Problems), searches, names in the path.
fn words() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::blank(&place)?;
    let evil = encoded(SCRIPT);
    for path in [
        "/debug/rules".to_owned(),
        "/debug/rules/shop/evil".to_owned(),
        format!("/debug/rules?q={evil}&sort={evil}&page={evil}"),
        format!("/debug/rules/{evil}/{evil}"),
        format!("/debug/rules/shop/web?endpoints={evil}&diff={evil}"),
        format!("/debug/explain?from={evil}&to={evil}"),
    ] {
        tab.go(&path)?;
        ensure!(tab.value("window.owned === undefined")? == true, "{path}: it ran");
        ensure!(tab.value("document.querySelector('img') === null")? == true, "{path}: it is markup");
        ensure!(tab.value("document.scripts.length <= 1")? == true, "{path}: a script too many");
    }
    tab.go("/debug/rules")?;
    ensure!(
        tab.text("document.getElementById('state').innerText")?.contains("window.owned=2"),
        "the Problem is not shown"
    );
    tab.go(&format!("/debug/rules?q={evil}"))?;
    ensure!(tab.value("document.getElementById('q').value")? == SCRIPT);
    // What the script puts in its place is as harmless.
    tab.value("document.getElementById('sort').dispatchEvent(new Event('input', { bubbles: true }))")?;
    tab.until("document.getElementById('said').innerText.length > 0")?;
    ensure!(tab.value("window.owned === undefined")? == true);
    let ran: Vec<String> = tab
        .events()
        .iter()
        .filter_map(complaint)
        .filter(|text| !text.contains(" 404 ") && !text.contains(" 400 "))
        .collect();
    ensure!(ran.is_empty(), "{ran:?}");
    Ok(())
}

/// If an escape were missing, the policy would stop it still.
fn policy() -> Result<()> {
    let place = Place::start(&shop())?;
    let mut tab = Tab::open(&place, WEB)?;
    tab.is_content()?;
    for way in [
        "const script = document.createElement('script'); script.textContent = 'window.owned = 1'; document.body.append(script)",
        "const holder = document.createElement('div'); document.body.append(holder); holder.innerHTML = '<button onclick=\"window.owned = 2\">x</button>'; holder.firstChild.click()",
        "const frame = document.createElement('iframe'); frame.srcdoc = '<script>parent.owned = 3<' + '/script>'; document.body.append(frame)",
        "const style = document.createElement('style'); style.textContent = 'body { opacity: 0 }'; document.head.append(style)",
    ] {
        tab.value(&format!("{{ {way} }}"))?;
    }
    tab.until("document.readyState === 'complete'")?;
    ensure!(tab.value("window.owned === undefined")? == true, "a script ran");
    ensure!(tab.value("getComputedStyle(document.body).opacity")? == "1", "a style came in force");
    let refused = tab
        .events()
        .iter()
        .filter_map(complaint)
        .filter(|text| text.contains("Content Security Policy"))
        .count();
    ensure!(refused >= 3, "the browser refused {refused} of them only");
    Ok(())
}
