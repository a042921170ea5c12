//! What the server says when it cannot do what was asked: `Status` objects in the words of the real server.

use serde_json::{Map, Value, json};

use crate::resources::Resource;

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The reason, for programs.
    pub reason: &'static str,
    /// The reason, for people.
    pub message: String,
    /// More, for programs.
    pub details: Option<Value>,
    /// The metadata of the answer: a token to go on with.
    pub metadata: Value,
}

impl ApiError {
    /// An answer without details.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, metadata: json!({}) }
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The `Status` object.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_default()
    }

    /// The `Status` object as text, in the order of the real server.
    pub(crate) fn text(&self) -> String {
        let head =
            format!(r#"{{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure""#, self.metadata);
        let field =
            |name: &str, value: Option<Value>| value.map_or(String::new(), |it| format!(",\"{name}\":{it}"));
        let reason = Some(self.reason).filter(|reason| !reason.is_empty()).map(Value::from);
        let message = field("message", Some(self.message.as_str().into()));
        let rest = message + &field("reason", reason) + &field("details", self.details.clone());
        format!("{head}{rest},\"code\":{}}}", self.code)
    }

    /// How long the client should wait.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(404, "NotFound", message).with(details(resource, name))
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).with(details(resource, name))
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message).with(details(resource, name))
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with(json!({}))
    }

    pub(crate) fn unsupported_media_type(given: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, and for patches application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json, application/apply-patch+yaml: not {given}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A field of an object, or of the options, that is not as it must be.
    pub(crate) fn invalid(resource: &Resource, name: &str, field: &str, problem: &str) -> Self {
        let message = format!("{} {name:?} is invalid: {field}: {problem}", qualified_kind(resource));
        let mut details = details(resource, name);
        details["kind"] = resource.kind.into();
        details["causes"] = json!([{"reason": "FieldValueInvalid", "message": problem, "field": field}]);
        Self::new(422, "Invalid", message).with(details)
    }

    /// An option of a list or a watch that may not be there.
    pub(crate) fn forbidden_option(field: &str, why: &str) -> Self {
        let problem = format!("Forbidden: {why}");
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {problem}");
        let causes = json!([{"reason": "FieldValueForbidden", "message": problem, "field": field}]);
        Self::new(422, "Invalid", message)
            .with(json!({"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes}))
    }

    /// A `resourceVersionMatch` that nobody knows.
    pub(crate) fn unsupported_match(given: &str) -> Self {
        let problem =
            format!("Unsupported value: {given:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
        let field = "resourceVersionMatch";
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {problem}");
        let causes = json!([{"reason": "FieldValueNotSupported", "message": problem, "field": field}]);
        Self::new(422, "Invalid", message)
            .with(json!({"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes}))
    }

    pub(crate) fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        Self::new(504, "Timeout", message).with(json!({"causes": [cause], "retryAfterSeconds": 1}))
    }

    pub(crate) fn too_old(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// A token for the next page that is too old; `token` goes on without consistency.
    pub(crate) fn continue_expired(token: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can \
             start a new list without the continue parameter, or use the continue token in this response to \
             retrieve the remainder of the results. Continuing with the provided token results in an \
             inconsistent list - objects that were created, modified, or deleted between the time the first \
             chunk was returned and now may show up in the list.";
        let mut error = Self::new(410, "Expired", message);
        error.metadata = json!({"continue": token});
        error
    }

    pub(crate) fn forbidden(
        user: &str,
        verb: &str,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Self {
        let scope = match namespace {
            "" => "at the cluster scope".to_owned(),
            _ => format!("in the namespace {namespace:?}"),
        };
        let object = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let message = format!(
            "{}{object} is forbidden: User {user:?} cannot {verb} resource {:?} in API group {:?} {scope}",
            resource.qualified(),
            resource.plural,
            resource.group
        );
        Self::new(403, "Forbidden", message).with(details(resource, name))
    }

    /// What a fault rule asked for.
    pub(crate) fn of_code(code: u16, retry_after: Option<u64>, message: Option<String>) -> Self {
        let (reason, text) = match code {
            400 => ("BadRequest", "the request is bad"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            410 => ("Expired", "The resourceVersion for the provided watch is too old."),
            429 => ("TooManyRequests", "too many requests, please try again later"),
            500 => ("InternalError", "an error on the server has prevented the request from succeeding"),
            503 => ("ServiceUnavailable", "apiserver is shutting down"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "the server was told to say so"),
        };
        let error = Self::new(code, reason, message.unwrap_or_else(|| text.to_owned()));
        match retry_after {
            Some(seconds) => error.with(json!({"retryAfterSeconds": seconds})),
            None => error,
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for ApiError {}

/// `Service`, `EndpointSlice.discovery.k8s.io`.
fn qualified_kind(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.kind.into()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    }
}

/// What an answer says of the object it is about.
pub(crate) fn details(resource: &Resource, name: &str) -> Value {
    let mut details = Map::new();
    if !name.is_empty() {
        details.insert("name".into(), name.into());
    }
    if !resource.group.is_empty() {
        details.insert("group".into(), resource.group.into());
    }
    details.insert("kind".into(), resource.plural.into());
    Value::Object(details)
}
