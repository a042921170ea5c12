//! `OpenAPI`: documents that say nothing, so that kubectl has nothing to object to.

use crate::answers::{self, Answer};
use crate::body::Body;
use crate::options::Options;

/// The answer for a path, if it is one of these.
pub(crate) fn answer(_options: &Options, path: &str, accept: &str) -> Option<Answer> {
    match path {
        "/openapi/v2" if accept.contains("protobuf") => {
            let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
            Some(answers::respond(200, kind, Body::full("")))
        }
        "/openapi/v2" => Some(answers::json(200, &serde_json::json!({"swagger": "2.0", "paths": {}}))),
        _ => None,
    }
}
