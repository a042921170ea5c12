//! The pages as HTML: one file each, with nothing from elsewhere.

mod drawing;
mod framed;
mod front;
mod index;
mod service;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ring::digest::{SHA256, digest};

pub use framed::{Field, Framed, TEXT, framed};
pub use front::front;
pub use index::{Listed, index};
pub use service::service;

use crate::Link;

const STYLE: &str = include_str!("style.css");
/// The mark, so that no browser asks for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 2a6 6 0 1 1-4.2 1.8' fill='none' stroke='%230c7f86' stroke-width='3'/%3E%3C/svg%3E";
const SCRIPT: &str = include_str!("script.js");

/// The header `Content-Security-Policy` of these pages: nothing is loaded from anywhere, and no script or style runs but
/// those of this crate, known by their SHA-256; so whatever gets into a page by mistake does nothing.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
             img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            sha256(SCRIPT),
            sha256(STYLE)
        )
    });
    &POLICY
}

fn sha256(text: &str) -> String {
    BASE64.encode(digest(&SHA256, text.as_bytes()))
}

/// The frame of every page.
struct Frame<'a> {
    title: String,
    node: &'a str,
    links: &'a [Link],
    version: &'a str,
    /// The path of this page, as in its link.
    here: &'a str,
}

impl Frame<'_> {
    fn around(&self, body: &Markup) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    title { (self.title) }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "To the content" }
                    (self.head())
                    main id="main" tabindex="-1" { (body) }
                    footer { "towpath " (self.version) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn head(&self) -> Markup {
        html! {
            header {
                div {
                    a.mark href="/debug/rules" { "towpath" }
                    @if !self.node.is_empty() { span { "on " span.mono { (self.node) } } }
                    nav aria-label="Pages" {
                        @for link in self.links {
                            a href=(link.path) aria-current=[(link.path == self.here).then_some("page")] { (link.title) }
                        }
                    }
                }
            }
        }
    }
}

/// The switch that stops live changes, and where the script says what it does. Hidden where there is no script.
fn follow() -> Markup {
    html! {
        span.check hidden {
            input type="checkbox" id="follow" checked;
            label for="follow" { "Follow changes" }
        }
    }
}

fn said() -> Markup {
    html! { p id="said" role="status" class="soft" {} }
}

/// 1 thing, 2 things.
fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n as u64), if n == 1 { "" } else { "s" })
}

/// A number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
