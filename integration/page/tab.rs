//! One tab of the browser at the pages of one program.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::wait;

use crate::browser::{Browser, no_complaints};
use crate::place::{PAGES, PATIENCE, Place};

/// A tab.
pub(crate) struct Tab {
    browser: Browser,
    session: String,
}

impl Tab {
    /// Opens a page in a new browser.
    pub(crate) fn open(place: &Place, path: &str) -> Result<Self> {
        let mut tab = Self::blank(place)?;
        tab.go(path)?;
        Ok(tab)
    }

    /// A tab with nothing in it.
    pub(crate) fn blank(place: &Place) -> Result<Self> {
        let mut browser = Browser::start(&place.ns)?;
        let target = browser.call(None, "Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call(None, "Target.attachToTarget", &attach)?;
        let session = attached["sessionId"].as_str().context("a session")?.to_owned();
        let mut tab = Self { browser, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.call(domain, &json!({}))?;
        }
        tab.size(1400, 1000)?;
        Ok(tab)
    }

    /// Asks the tab for something of the protocol.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.browser.call(Some(&self.session), method, params)
    }

    /// Goes to a page, and waits until it is loaded.
    pub(crate) fn go(&mut self, path: &str) -> Result<()> {
        let url = format!("http://{PAGES}{path}");
        let answer = self.call("Page.navigate", &json!({ "url": url }))?;
        ensure!(answer["errorText"].is_null(), "{url}: {answer}");
        self.loaded()
    }

    /// Waits until a page is loaded.
    pub(crate) fn loaded(&mut self) -> Result<()> {
        self.browser.await_event("Page.loadEventFired")
    }

    /// The window's size, in pixels of the page.
    pub(crate) fn size(&mut self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics).map(drop)
    }

    /// Lets scripts of pages run, or not. Takes effect with the next page.
    pub(crate) fn scripts(&mut self, run: bool) -> Result<()> {
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !run })).map(drop)
    }

    /// `light` or `dark`.
    pub(crate) fn scheme(&mut self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &features).map(drop)
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Result<Value> {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &ask)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// The same as text.
    pub(crate) fn text(&mut self, expression: &str) -> Result<String> {
        let value = self.value(expression)?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) -> Result<()> {
        let reached =
            wait::until(expression, PATIENCE, || Ok((self.value(expression)? == true).then_some(())));
        reached.or_else(|error| Err(error.context(self.text("document.body.innerText")?)))
    }

    /// The text of every element that a selector finds.
    pub(crate) fn texts(&mut self, selector: &str) -> Result<Vec<String>> {
        let list = format!(
            "[...document.querySelectorAll({selector:?})].map(one => (one.innerText ?? one.textContent).trim())"
        );
        Ok(serde_json::from_value(self.value(&list)?)?)
    }

    /// Types into what has the focus.
    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", &json!({ "text": text })).map(drop)
    }

    /// Presses a key, by its name and the number that Windows gives it.
    pub(crate) fn key(&mut self, name: &str, code: u32) -> Result<()> {
        for kind in ["rawKeyDown", "char", "keyUp"] {
            let text = if name == "Enter" { "\r" } else { "" };
            if kind == "char" && text.is_empty() {
                continue;
            }
            let key = json!({ "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", &key)?;
        }
        Ok(())
    }

    /// The whole page as PNG.
    pub(crate) fn picture(&mut self) -> Result<Vec<u8>> {
        let answer =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }))?;
        STANDARD.decode(answer["data"].as_str().context("no picture")?).context("a picture")
    }

    /// Fails if the browser has complained of anything since this was last asked.
    pub(crate) fn is_content(&mut self) -> Result<()> {
        no_complaints(&self.browser.events())
    }

    /// What it has told since.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        self.browser.events()
    }
}
