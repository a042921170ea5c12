//! What other pages say as text, in the frame of these: with a form to ask anew, and links where a Service is named.

use maud::{Markup, PreEscaped, html};

use super::{Frame, follow, said};
use crate::Link;

/// Bytes of a text that are shown.
pub const TEXT: usize = 512 * 1024;
/// Names that are looked up, and may become links, in one text.
const NAMES: usize = 5_000;
/// Characters of the longest `namespace/name` that Kubernetes takes: two labels of 63.
const LONGEST: usize = 127;

/// A page of text.
#[derive(Clone, Copy, Debug)]
pub struct Framed<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What it is for, in a sentence.
    pub about: &'a str,
    /// Its path, to which its form leads.
    pub path: &'a str,
    /// What can be asked.
    pub fields: &'a [Field],
    /// What was asked, in the order of the fields.
    pub values: &'a [String],
    /// The text.
    pub text: &'a str,
    /// The text says why there is no answer.
    pub failed: bool,
    /// The text has columns: its lines are not broken.
    pub columns: bool,
    /// The text is cheap to make: it is asked for again and again while the page is open.
    pub live: bool,
}

/// A field of a form.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the query.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// An example.
    pub example: &'static str,
}

/// The page. `is_service` says whether there is a Service of that namespace and name.
pub fn framed(
    page: &Framed<'_>,
    node: &str,
    links: &[Link],
    version: &str,
    is_service: impl FnMut(&str, &str) -> bool,
) -> String {
    let title = format!("{} - towpath", page.title);
    let frame = Frame { title, node, links, version, here: page.path };
    frame.around(&html! {
        h1 { (page.title) }
        @if !page.about.is_empty() { p.soft { (page.about) } }
        @if !page.fields.is_empty() { (form(page)) } @else if page.live { form.bar { (follow()) } }
        (said())
        @if page.live { div id="text" data-live { (text(page, is_service)) } }
        @else { div id="text" { (text(page, is_service)) } }
    })
}

fn form(page: &Framed<'_>) -> Markup {
    html! {
        form.bar method="get" action=(page.path) {
            @for (at, field) in page.fields.iter().enumerate() {
                div.wide {
                    label for=(field.name) { (field.label) }
                    input type="text" id=(field.name) name=(field.name) placeholder=(field.example) autocomplete="off" spellcheck="false"
                        value=[page.values.get(at)];
                }
            }
            button type="submit" { "Show" }
            @if page.live { (follow()) }
        }
    }
}

fn text(page: &Framed<'_>, is_service: impl FnMut(&str, &str) -> bool) -> Markup {
    let (shown, cut) = beginning(page.text);
    html! {
        @if page.failed { ul.notes { li.bad { (linked(shown.trim_end(), is_service)) } } }
        @else if !shown.is_empty() {
            pre.tall.wrapped[!page.columns] tabindex="0" role="region" aria-label=(page.title) { (linked(shown, is_service)) }
        }
        @if cut { p.soft { "The text is cut; " code { "format=text" } " has all." } }
    }
}

/// As many whole lines as are shown, and whether there are more.
fn beginning(text: &str) -> (&str, bool) {
    if text.len() <= TEXT {
        return (text, false);
    }
    let end = text.as_bytes()[..TEXT].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    (&text[..end], true)
}

/// The text, escaped; each `namespace/name` that is a Service leads to its page.
pub(super) fn linked(text: &str, mut is_service: impl FnMut(&str, &str) -> bool) -> Markup {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut left = NAMES;
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-./".contains(c);
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let length = rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        escape(&rest[..start], &mut out);
        match name(word).filter(|_| left > 0) {
            Some((namespace, name)) => {
                left -= 1;
                link(word, is_service(namespace, name), &mut out);
            }
            None => escape(word, &mut out),
        }
        rest = &rest[start + length..];
    }
    escape(rest, &mut out);
    PreEscaped(out)
}

/// A word's namespace and name, if it can be those of a Service.
fn name(word: &str) -> Option<(&str, &str)> {
    let (namespace, name) = word.split_once('/').filter(|_| word.len() <= LONGEST)?;
    let is_label = |text: &str| !text.is_empty() && !text.contains(['/', '.']);
    (is_label(namespace) && is_label(name)).then_some((namespace, name))
}

/// `word` consists of characters that need no escape.
fn link(word: &str, is_service: bool, out: &mut String) {
    let link = html! { a href={ "/debug/rules/" (word) } { (word) } };
    *out += if is_service { link.0.as_str() } else { word };
}

fn escape(text: &str, out: &mut String) {
    out.push_str(&html! { (text) }.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> String {
        linked(text, |namespace, name| (namespace, name) == ("shop", "web")).0
    }

    #[test]
    fn services_are_links_and_nothing_else_is() {
        const WEB: &str = "<a href=\"/debug/rules/shop/web\">shop/web</a>";
        for (text, expected) in [
            ("shop/web:http", format!("{WEB}:http")),
            ("Service shop/web, and (shop/web)\n", format!("Service {WEB}, and ({WEB})\n")),
            ("shop/web-1 at shop/web/x 10.0.0.0/8", "shop/web-1 at shop/web/x 10.0.0.0/8".into()),
            ("ashop/web shop/we", "ashop/web shop/we".into()),
            ("<b>shop/web</b> & é", format!("&lt;b&gt;{WEB}&lt;/b&gt; &amp; é")),
            ("", String::new()),
        ] {
            assert_eq!(links(text), expected, "{text:?}");
        }
        let many = linked(&"a/b ".repeat(NAMES + 9), |_, _| true).0;
        assert_eq!(many.matches("<a ").count(), NAMES);
    }

    #[test]
    fn a_long_text_is_cut_between_lines() {
        let long = "é\n".repeat(TEXT);
        let (shown, cut) = beginning(&long);
        assert!(cut && shown.len() <= TEXT && shown.ends_with('\n'));
        assert_eq!(beginning("short"), ("short", false));
        assert_eq!(beginning(&"x".repeat(TEXT + 1)), ("", true));
    }
}
