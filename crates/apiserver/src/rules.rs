//! What a request suffers, and which requests do.

use serde::{Deserialize, Serialize};

use crate::body::StreamFaults;
use crate::query::Query;
use crate::status::ApiError;

/// What a request suffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Fault {
    /// It is answered with this status, perhaps with `Retry-After`.
    Status {
        /// The HTTP status.
        code: u16,
        /// Seconds to wait.
        #[serde(default)]
        retry_after: Option<u64>,
        /// What to say.
        #[serde(default)]
        message: Option<String>,
    },
    /// A watch begins with an ERROR event that says 410.
    Gone,
    /// `sendInitialEvents` is forbidden, as on a server whose gate WatchList is off.
    RefuseWatchList {
        /// 422 in newer servers, 400 in some older ones.
        #[serde(default = "unprocessable")]
        code: u16,
    },
    /// `sendInitialEvents` is not understood: a plain watch, as on a server from before 1.27.
    IgnoreWatchList,
    /// It is never answered.
    Hang,
    /// The body stops after so many bytes; the connection stays.
    Stall {
        /// How many bytes are sent.
        after: usize,
    },
    /// The connection breaks after so many bytes of the body.
    Cut {
        /// How many bytes are sent.
        after: usize,
    },
    /// The body comes slowly.
    Slow {
        /// How many bytes in a second.
        bytes_per_second: usize,
    },
    /// The connection is closed without an answer.
    Close,
}

fn unprocessable() -> u16 {
    422
}

/// A fault and the requests that suffer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What they suffer.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only requests for this resource, by its plural name.
    #[serde(default)]
    pub resource: Option<String>,
    /// Only requests with this verb: `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`.
    #[serde(default)]
    pub verb: Option<String>,
    /// Only so many requests.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Rule {
    /// A fault for all requests.
    pub fn new(fault: Fault) -> Self {
        Self { fault, resource: None, verb: None, times: None }
    }

    /// Only for this resource.
    pub fn resource(self, plural: &str) -> Self {
        Self { resource: Some(plural.to_owned()), ..self }
    }

    /// Only for this verb.
    pub fn verb(self, verb: &str) -> Self {
        Self { verb: Some(verb.to_owned()), ..self }
    }

    /// Only so many times.
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Whether a request is meant.
    pub(crate) fn fits(&self, resource: &str, verb: &str, watch_list: bool) -> bool {
        self.resource.as_deref().is_none_or(|it| it == resource)
            && self.verb.as_deref().is_none_or(|it| it == verb)
            && self.times != Some(0)
            && match self.fault {
                Fault::Gone => verb == "watch",
                Fault::RefuseWatchList { .. } | Fault::IgnoreWatchList => watch_list,
                _ => true,
            }
    }
}

impl Fault {
    /// How a body suffers it.
    pub(crate) fn of_stream(&self) -> StreamFaults {
        let none = StreamFaults::default();
        match self {
            Self::Stall { after } => StreamFaults { stall_after: Some(*after), ..none },
            Self::Cut { after } => StreamFaults { cut_after: Some(*after), ..none },
            Self::Slow { bytes_per_second } => StreamFaults { rate: Some(*bytes_per_second), ..none },
            _ => none,
        }
    }

    /// The answer, if the request is not served at all.
    pub(crate) fn refusal(&self) -> Option<ApiError> {
        match self {
            Self::Status { code, retry_after, message } => {
                Some(ApiError::of_code(*code, *retry_after, message.clone()))
            }
            Self::RefuseWatchList { code } => {
                let why =
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
                let mut error = ApiError::forbidden_option("sendInitialEvents", why);
                error.code = *code;
                if *code == 400 {
                    error.reason = "BadRequest";
                }
                Some(error)
            }
            _ => None,
        }
    }

    /// The query as an older server reads it.
    pub(crate) fn reread(&self, query: Query) -> Query {
        match self {
            Self::IgnoreWatchList => query.without(&["sendInitialEvents", "resourceVersionMatch"]),
            _ => query,
        }
    }
}
