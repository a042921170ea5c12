//! Answers, with the headers of the real server.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use serde_json::Value;

use crate::body::Body;
use crate::status::ApiError;

/// An answer.
pub(crate) type Answer = Response<Body>;

/// The content type of almost everything.
pub(crate) const JSON: &str = "application/json";

/// An answer with the headers of all answers.
pub(crate) fn respond(code: u16, content_type: &str, body: Body) -> Answer {
    let answer = Response::builder()
        .status(code)
        .header(CACHE_CONTROL, "no-cache, private")
        .header(CONTENT_TYPE, content_type)
        .body(body);
    answer.unwrap_or_else(|_| Response::new(Body::full("")))
}

/// A JSON answer.
pub(crate) fn json(code: u16, value: &Value) -> Answer {
    respond(code, JSON, Body::full(format!("{value}\n")))
}

/// A `Status`.
pub(crate) fn refuse(error: &ApiError) -> Answer {
    let mut answer = respond(error.code, JSON, Body::full(error.text() + "\n"));
    if let Some(seconds) = error.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if error.code == 403 {
        no_sniff(&mut answer);
    }
    answer
}

/// What is not served at all.
pub(crate) fn not_found() -> Answer {
    let mut answer = respond(404, "text/plain; charset=utf-8", Body::full("404 page not found\n"));
    no_sniff(&mut answer);
    answer
}

fn no_sniff(answer: &mut Answer) {
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
