//! What went wrong, in one word for metrics.

/// Why something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Reason {
    /// 401: the credentials are not known (any more).
    Unauthorized,
    /// 403: an RBAC rule is missing.
    Forbidden,
    /// 404: the API, or the object, is absent.
    NotFound,
    /// A certificate is not trusted, or the server wants none of ours.
    Tls,
    /// The server's name has no address.
    Dns,
    /// No TCP connection.
    Connect,
    /// No answer, or silence, for too long.
    Timeout,
    /// 410: the version that was asked for is too old.
    Expired,
    /// A stream ended in the middle.
    Cut,
    /// What came is not what the API sends.
    Malformed,
    /// An object is too large to be held.
    TooLarge,
    /// An object or event of a kind that was not asked for.
    UnknownKind,
    /// 429: the server wants to be asked less.
    Throttled,
    /// Any other refusal.
    Server,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 14] = [
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::Tls,
        Reason::Dns,
        Reason::Connect,
        Reason::Timeout,
        Reason::Expired,
        Reason::Cut,
        Reason::Malformed,
        Reason::TooLarge,
        Reason::UnknownKind,
        Reason::Throttled,
        Reason::Server,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unauthorized => "unauthorized",
            Reason::Forbidden => "forbidden",
            Reason::NotFound => "not_found",
            Reason::Tls => "tls",
            Reason::Dns => "dns",
            Reason::Connect => "connect",
            Reason::Timeout => "timeout",
            Reason::Expired => "expired",
            Reason::Cut => "cut",
            Reason::Malformed => "malformed",
            Reason::TooLarge => "too_large",
            Reason::UnknownKind => "unknown_kind",
            Reason::Throttled => "throttled",
            Reason::Server => "server",
        }
    }
}
