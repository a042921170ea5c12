//! `/debug/`: every page.

use maud::html;

use super::Frame;
use crate::Link;

/// A page that is listed.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Where it is; a part in capitals stands for a value.
    pub path: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
}

impl Listed {
    /// Whether it can be opened as it stands.
    fn is_complete(&self) -> bool {
        !self.path.contains(|c: char| c.is_ascii_uppercase())
    }
}

/// The page. The node may be empty, where it is not known yet.
pub fn index(pages: &[Listed], node: &str, links: &[Link], version: &str) -> String {
    let frame = Frame { title: "All pages - towpath".into(), node, links, version, here: "/debug/" };
    frame.around(&html! {
        h1 { "All pages" }
        p.soft { "Each can be had as text by curl; those that say so have JSON with " code { "format=json" } ". They only read." }
        dl.pages-of {
            @for page in pages {
                dt.mono { @if page.is_complete() { a href=(page.path) { (page.path) } } @else { (page.path) } }
                dd { (page.about) }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_a_value_is_no_link() {
        let pages = [
            Listed { path: "/metrics", about: "numbers" },
            Listed { path: "/debug/rules/NAMESPACE/NAME", about: "one <Service>" },
        ];
        let page = index(&pages, "", &[], "0");
        assert!(page.contains("<a href=\"/metrics\">") && !page.contains("href=\"/debug/rules/N"), "{page}");
        assert!(page.contains("one &lt;Service&gt;") && !page.contains("<span>on "), "{page}");
    }
}
