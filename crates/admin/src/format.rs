//! Which form of a page somebody wants: for people, for scripts, for a terminal.

use crate::{Page, PageRequest};

/// A form of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/html`: browsers name it.
    Html,
    /// `application/json`.
    Json,
    /// `text/plain`: who names nothing that we have gets this, as curl does with `*/*`.
    Text,
}

impl PageRequest {
    /// The form that is asked for: `format=html|json|text` of the query, else the best of the header `Accept`.
    ///
    /// # Errors
    /// The page that says so, where `format=` is something else.
    pub fn format(&self) -> Result<Format, Page> {
        match self.value("format").as_deref() {
            None | Some("") => Ok(accepted(self.accept.as_deref())),
            Some("html") => Ok(Format::Html),
            Some("json") => Ok(Format::Json),
            Some("text") => Ok(Format::Text),
            Some(_) => Err(Page::text(400, "format: give html, json or text\n")),
        }
    }
}

/// The form with the highest `q`; of equals the first (RFC 9110, section 12.5.1, without its rule that the more exact range
/// goes first: nobody sends one that needs it).
fn accepted(accept: Option<&str>) -> Format {
    let mut best = (0.0, Format::Text);
    for (q, format) in accept.unwrap_or_default().split(',').filter_map(range) {
        if q > best.0 {
            best = (q, format);
        }
    }
    best.1
}

fn range(text: &str) -> Option<(f32, Format)> {
    let mut parts = text.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "text/html" | "application/xhtml+xml" => Format::Html,
        "application/json" | "application/*" => Format::Json,
        "text/plain" | "text/*" | "*/*" => Format::Text,
        _ => return None,
    };
    let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
    Some((q.map_or(1.0, |q| q.trim().parse().unwrap_or(1.0)), format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (query, accept, expected) in [
            ("", None, Some(Format::Text)),
            ("", Some("*/*"), Some(Format::Text)),
            ("", Some(""), Some(Format::Text)),
            ("", Some("image/png"), Some(Format::Text)),
            ("", Some(chrome), Some(Format::Html)),
            ("", Some("application/json"), Some(Format::Json)),
            ("", Some("text/html;q=0.5, application/json"), Some(Format::Json)),
            ("", Some("Text/HTML ; Q=0.9 , text/plain;q=0.3"), Some(Format::Html)),
            ("", Some("text/html;q=0"), Some(Format::Text)),
            ("", Some(",;=,text/html"), Some(Format::Html)),
            ("format=json", Some(chrome), Some(Format::Json)),
            ("diff=1&format=text", Some(chrome), Some(Format::Text)),
            ("format=html", None, Some(Format::Html)),
            ("format=", Some(chrome), Some(Format::Html)),
            ("format=xml", Some(chrome), None),
        ] {
            let request = PageRequest {
                query: query.into(),
                accept: accept.map(str::to_owned),
                ..PageRequest::default()
            };
            assert_eq!(request.format().ok(), expected, "{query} {accept:?}");
        }
    }
}
