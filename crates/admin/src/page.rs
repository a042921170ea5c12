//! Questions and answers.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use crate::places::Unsent;
use crate::words::printable;

/// What people read on terminals.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// HTTP status code, 100 to 999.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub body: String,
    /// Headers beside `Content-Type`, `Content-Length`, `Date` and `X-Content-Type-Options: nosniff`, which every
    /// answer has. One that is named here replaces that of every answer.
    pub headers: Vec<(&'static str, String)>,
    /// Dropped when the answer has been sent, or nobody waits for it any more: so whoever makes large pages knows how many
    /// are in memory.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

/// A body, and what lives as long as it.
struct Body {
    text: String,
    _held: Option<Arc<dyn Any + Send + Sync>>,
    _unsent: Option<Unsent>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Page {
    /// Plain text. What would act on a terminal is sent as an escape ([`printable`](crate::printable)).
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into(), headers: Vec::new(), held: None }
    }

    /// JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self { content_type: "application/json", ..Self::text(status, body) }
    }

    /// There is no such page.
    pub fn not_found() -> Self {
        Self::text(404, "there is no such page\n")
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        self.counted(None)
    }

    /// `unsent` lives as long as the body.
    pub(crate) fn counted(mut self, unsent: Option<Unsent>) -> Response<Full<Bytes>> {
        if self.content_type == TEXT
            && let Cow::Owned(text) = printable(&self.body)
        {
            self.body = text;
        }
        self.build(unsent).unwrap_or_else(|error| {
            tracing::error!(%error, "a page has a status or header that HTTP does not allow");
            let mut response = Response::new(Full::default());
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    fn build(self, unsent: Option<Unsent>) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
        let response = Response::builder().status(self.status).header(CONTENT_TYPE, self.content_type);
        let body = Body { text: self.body, _held: self.held, _unsent: unsent };
        let mut response = response.body(Full::new(Bytes::from_owner(body)))?;
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in self.headers {
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::try_from(value)?);
        }
        Ok(response)
    }
}

/// What somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The path, not decoded.
    pub path: String,
    /// What follows `?`, not decoded; empty without.
    pub query: String,
    /// The media types that the asker takes (header `Accept`; several such headers are joined), for
    /// [`wants_openmetrics`](crate::wants_openmetrics).
    pub accept: Option<String>,
}

impl PageRequest {
    /// The first value of a name in the query, decoded as a form is (`+` and `%20` are spaces); `None`: it is not there.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// What can be asked.
pub trait Pages: Send + Sync + 'static {
    /// Answers a GET. `query` is what follows `?`, not decoded. May block.
    fn get(&self, path: &str, query: &str) -> Page;

    /// The same for pages whose form depends on who asks. This is what is called.
    fn get_with(&self, request: &PageRequest) -> Page {
        self.get(&request.path, &request.query)
    }

    /// Whether the answer takes no time to speak of, so that it is given at once, whatever else is being made.
    fn is_quick(&self, path: &str) -> bool;

    /// Whether somebody is answered who came to a loopback address by this host name, which has a dot and is not under
    /// `localhost`. A browser may have been led here by such a name, and would show the answer to whoever owns the name. Pages that
    /// tell nothing may be for everybody, as they are unless this says otherwise.
    fn answers_to(&self, name: &str) -> bool {
        let _ = name;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query() {
        for (query, name, expected) in [
            ("a=1&b=2", "b", Some("2")),
            ("to=%5Bfd00::1%5D:53%2Fudp", "to", Some("[fd00::1]:53/udp")),
            ("q=two+words&q=no", "q", Some("two words")),
            ("a", "a", Some("")),
            ("a=%FF", "a", Some("\u{fffd}")),
            ("ab=1", "a", None),
            ("", "a", None),
        ] {
            let request = PageRequest { query: query.into(), ..PageRequest::default() };
            assert_eq!(request.value(name).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn headers_of_pages() {
        let nosniff = ("x-content-type-options", "nosniff");
        let json = ("content-type", "application/json");
        for (page, status, expected) in [
            (Page::json(200, "{}"), 200, vec![json, nosniff]),
            (Page::json(503, "{}").with("X-Weight", "3"), 503, vec![json, nosniff, ("x-weight", "3")]),
            (
                Page::json(200, "").with("X-Content-Type-Options", "other"),
                200,
                vec![json, ("x-content-type-options", "other")],
            ),
            (Page::json(200, "{}").with("X-Two\nLines", "3"), 500, vec![]),
            (Page::json(200, "{}").with("X-Weight", "3\n4"), 500, vec![]),
            (Page::json(42, "{}"), 500, vec![]),
        ] {
            let response = page.into_response();
            let headers: Vec<(&str, &str)> = response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            assert_eq!((response.status().as_u16(), headers), (status, expected));
        }
    }
}
