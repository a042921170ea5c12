//! How it looks: pictures to look at, and what can be measured.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Test;
use crate::cluster::{WEB, endpoint, service, shop, slice};
use crate::place::Place;
use crate::tab::Tab;

pub(crate) const TESTS: &[Test] =
    &[("pictures", pictures), ("contrast_and_labels", contrast), ("on_paper", paper)];

/// Pages, with a word for the file's name.
const PAGES: &[(&str, &str)] = &[
    ("front", "/debug/rules"),
    ("service", WEB),
    ("many", "/debug/rules/shop/many"),
    ("empty", "/debug/rules/shop/lonely"),
    ("long", LONG),
    ("index", "/debug/"),
    ("status", "/debug/status"),
    ("explain", "/debug/explain?from=10.244.1.5&to=10.96.0.10:80/tcp"),
];
/// The page of the Service with long names.
const LONG: &str = concat!(
    "/debug/rules/namespace-nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
);

/// The shop, and a Service with the longest names that there can be, on a node with a long name.
fn scene() -> Vec<Value> {
    let mut objects = shop();
    let names: Vec<&str> = LONG.rsplit('/').take(2).collect();
    let node = "worker-with-a-rather-long-name.eu-central-1.compute.internal.example.org";
    let long =
        [service(names[0], "10.96.0.99", &json!({})), slice(names[0], &[endpoint("10.244.8.8", node, true)])];
    objects.extend(long.into_iter().map(|mut object| {
        object["metadata"]["namespace"] = json!(names[1]);
        // A slice's name has its own end, and is as long as may be.
        if object["kind"] == "EndpointSlice" {
            object["metadata"]["name"] = json!("long-1");
        }
        object
    }));
    objects
}
/// Widths of windows: a telephone's, a desk's.
const WIDTHS: [u32; 2] = [360, 1400];

/// At each width nothing is wider than the window but what scrolls by itself.
fn pictures() -> Result<()> {
    let place = Place::start(&scene())?;
    let directory = directory()?;
    let mut tab = Tab::blank(&place)?;
    for scheme in ["light", "dark"] {
        tab.scheme(scheme)?;
        for (name, path) in PAGES {
            for width in WIDTHS {
                tab.size(width, 900)?;
                tab.go(path)?;
                let file = directory.join(format!("{name}-{width}-{scheme}.png"));
                fs::write(&file, tab.picture()?).with_context(|| format!("writing {}", file.display()))?;
                let wide = tab.value("document.documentElement.scrollWidth")?.as_u64().unwrap_or(0);
                ensure!(wide <= u64::from(width), "{path} at {width}: {wide} wide");
            }
        }
    }
    tab.is_content()
}

/// Dark or not, it is printed dark on white, without what can only be clicked, and no wider than A4 at 96 pixels an inch.
fn paper() -> Result<()> {
    let place = Place::start(&scene())?;
    let mut tab = Tab::blank(&place)?;
    tab.size(794, 1123)?;
    let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
    tab.call("Emulation.setEmulatedMedia", &json!({ "media": "print", "features": dark }))?;
    for (name, path) in PAGES {
        tab.go(path)?;
        fs::write(directory()?.join(format!("{name}-paper.png")), tab.picture()?)?;
        let wide = tab.value("document.documentElement.scrollWidth")?.as_u64().unwrap_or(0);
        ensure!(wide <= 794, "{path}: {wide} wide");
        let clicked =
            "[...document.querySelectorAll('form, nav, button')].filter(one => one.checkVisibility()).length";
        ensure!(tab.value(clicked)? == 0, "{path}: something to click");
        let ink = tab.text("getComputedStyle(document.querySelector('h1')).color")?;
        ensure!(ink == "rgb(28, 36, 38)", "{path}: printed in {ink}");
    }
    tab.is_content()
}

fn directory() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let directory = target.join("page");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Every text against what is behind it (WCAG 2.2: 4.5 to 1); every field has a label, every head of a table its scope, every
/// drawing its words, ids are unique.
fn contrast() -> Result<()> {
    let place = Place::start(&scene())?;
    let mut tab = Tab::blank(&place)?;
    for scheme in ["light", "dark"] {
        tab.scheme(scheme)?;
        for (_, path) in PAGES {
            tab.go(path)?;
            let faint = tab.value(FAINT)?;
            ensure!(faint.as_array().is_some_and(Vec::is_empty), "{path}, {scheme}: too faint: {faint}");
            let nameless = tab.value(NAMELESS)?;
            ensure!(nameless.as_array().is_some_and(Vec::is_empty), "{path}: {nameless}");
        }
    }
    tab.is_content()
}

const FAINT: &str = r#"(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (parts(color).length === 3 || parts(color)[3] === 1) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const one of document.querySelectorAll('body *:not(script):not(svg):not(svg *)')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${one.tagName} ${one.className} ${one.innerText.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return faint;
})()"#;

const NAMELESS: &str = r#"(() => {
  const bad = [];
  for (const one of document.querySelectorAll('input, select')) if (!one.labels.length) bad.push(`no label: ${one.id}`);
  for (const one of document.querySelectorAll('th')) if (!one.scope) bad.push(`no scope: ${one.innerText}`);
  for (const one of document.querySelectorAll('svg')) if (!one.querySelector('title, desc')) bad.push('a drawing without words');
  for (const one of document.querySelectorAll('button, a')) if (!one.innerText.trim()) bad.push(`no text: ${one.outerHTML}`);
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) bad.push(`twice: ${id}`);
  if (!document.documentElement.lang) bad.push('no language');
  if (document.querySelectorAll('h1').length !== 1) bad.push('one h1');
  return bad;
})()"#;
