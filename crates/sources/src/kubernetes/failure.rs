//! Why a request failed: in one word for metrics, in one line for people, and what that means for the next try.

use std::error::Error;
use std::io;
use std::time::Duration;

use kube::client::AuthError;

use super::event::Status;
use super::link::About;
use super::reason::Reason;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// What happened, in one line.
    pub(super) text: String,
    /// The status of the answer; 0 when there was none.
    pub(super) status: u16,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The version that was asked for is larger than the server's.
    pub(super) too_new: bool,
    /// The namespace is about to go: nothing may be made in it.
    pub(super) terminating: bool,
    /// Any other request would fail in the same way: it is told once, not for each kind.
    pub(super) of_link: bool,
}

impl Failure {
    /// One without an answer.
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            status: 0,
            retry_after: None,
            too_new: false,
            terminating: false,
            of_link: concerns_link(reason),
        }
    }

    /// What an answer says that is no success. `body` is its text, or the beginning of it.
    pub(super) fn of_answer(code: u16, retry_after: Option<u64>, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let plain = || String::from_utf8_lossy(body).lines().next().unwrap_or_default().trim().to_owned();
        let message = status.message.clone().unwrap_or_else(plain);
        let mut failure = Self::of_status(&Status { code: Some(code), message: Some(message), ..status });
        failure.retry_after = retry_after.map(Duration::from_secs).or(failure.retry_after);
        failure
    }

    /// What a Status says.
    pub(super) fn of_status(status: &Status) -> Self {
        let word = status.reason.as_deref().unwrap_or_default();
        let code = status.code.unwrap_or_default();
        let details = status.details.as_ref();
        let causes = details.and_then(|d| d.causes.as_deref()).unwrap_or_default();
        let message = status.message.as_deref().unwrap_or_default();
        let named = |cause: &str| causes.iter().any(|one| one.reason.as_deref() == Some(cause));
        let message: String = super::access::one_line(message).chars().take(500).collect();
        Self {
            reason: reason_of(code, word),
            of_link: concerns_link(reason_of(code, word)),
            text: format!("{}{}{message}", status_line(code), if message.is_empty() { "" } else { ": " }),
            status: code,
            retry_after: details.and_then(|d| d.retry_after_seconds).map(Duration::from_secs),
            too_new: named("ResourceVersionTooLarge") || message.contains("Too large resource version"),
            terminating: named("NamespaceTerminating") || message.contains("it is being terminated"),
        }
    }

    /// What went wrong on the way.
    pub(super) fn of_error(error: &(dyn Error + 'static), about: &About) -> Self {
        let chain = chain(error);
        // First of all: what others would find behind it may hold secrets.
        if let Some(auth) = chain.iter().find_map(|one| one.downcast_ref::<AuthError>()) {
            return Self::new(Reason::Unauthorized, format!("{}: {}", about.who, auth_text(auth)));
        }
        if let Some(tls) = chain.iter().find_map(|one| one.downcast_ref::<rustls::Error>()) {
            return Self::new(Reason::Tls, tls_text(tls, &about.ca));
        }
        let texts: Vec<String> = chain.iter().map(ToString::to_string).collect();
        let says = |words: &str| texts.iter().any(|text| text.contains(words));
        let cause = texts.last().cloned().unwrap_or_default();
        if says("dns error") {
            return Self::new(Reason::Dns, format!("the server's name has no address: {cause}"));
        }
        let hyper = chain.iter().find_map(|one| one.downcast_ref::<hyper::Error>());
        let io = chain.iter().rev().find_map(|one| one.downcast_ref::<io::Error>());
        let slow = io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) || says("keep-alive timed out");
        if slow || hyper.is_some_and(hyper::Error::is_timeout) {
            let late = Self::new(Reason::Timeout, format!("the server does not answer: {cause}"));
            return Self { of_link: true, ..late };
        }
        let legacy = chain.iter().find_map(|one| one.downcast_ref::<hyper_util::client::legacy::Error>());
        if legacy.is_some_and(hyper_util::client::legacy::Error::is_connect) || says("tcp connect error") {
            return Self::new(Reason::Connect, format!("no connection: {cause}"));
        }
        Self::new(Reason::Cut, format!("the connection broke: {cause}"))
    }

    /// Whether the server has answered.
    pub(super) fn is_answer(&self) -> bool {
        self.status != 0
    }

    /// Whether the server has too much to do, or a proxy before it finds none: that says nothing about the request.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self.status, 429 | 502..=504)
    }

    /// Whether new credentials, or a new connection, may help.
    pub(super) fn wants_new_client(&self) -> bool {
        matches!(self.reason, Reason::Unauthorized | Reason::Tls | Reason::Timeout)
    }
}

/// An error and what it comes from. An I/O error hides what it was made of from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut all: Vec<&'a (dyn Error + 'static)> = Vec::new();
    let mut next = Some(error);
    while let Some(one) = next {
        all.push(one);
        let hidden = one.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        next = hidden.map(|inner| inner as &(dyn Error + 'static)).or_else(|| one.source());
    }
    all
}

fn concerns_link(reason: Reason) -> bool {
    matches!(reason, Reason::Unauthorized | Reason::Tls | Reason::Dns | Reason::Connect)
}

fn reason_of(code: u16, word: &str) -> Reason {
    match (code, word) {
        (401, _) => Reason::Unauthorized,
        (403, _) => Reason::Forbidden,
        (404, _) => Reason::NotFound,
        (410, _) | (_, "Expired" | "Gone") => Reason::Expired,
        (429, _) => Reason::Throttled,
        _ => Reason::Server,
    }
}

fn status_line(code: u16) -> String {
    let known = http::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    match (code, known) {
        (0, _) => "the server gives an error without a code".into(),
        (code, Some(words)) => format!("{code} {words}"),
        (code, None) => code.to_string(),
    }
}

/// Why there are no credentials, in words of our own: kube's hold the environment, the arguments and the output of a
/// credential plugin, and with them its secrets.
pub(super) fn auth_text(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(why) => format!("the credential plugin cannot be run: {why}"),
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin ended with {}", out.status),
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            "what the credential plugin gave is no ExecCredential".into()
        }
        AuthError::ExecPluginFailed => "the credential plugin gave no status".into(),
        AuthError::MalformedTokenExpirationDate(_) => "the end of the token's life is no date".into(),
        AuthError::MissingCommand => "the kubeconfig names no command of the credential plugin".into(),
        AuthError::ExecMissingClusterInfo => {
            "the credential plugin wants to know the cluster, and the kubeconfig does not say it".into()
        }
        AuthError::InvalidBasicAuth(_) | AuthError::InvalidBearerToken(_) => {
            "the token or password is more than one line, or no text".into()
        }
        AuthError::ReadTokenFile(why, file) => format!("cannot read the token in {}: {why}", file.display()),
        AuthError::UnrefreshableTokenResponse => "the credential plugin gave no second token".into(),
        AuthError::NoValidNativeRootCA(why) => format!("no CAs of the system: {why}"),
        AuthError::AuthExec(why) => super::access::one_line(why),
        _ => "the credential plugin or the auth-provider of the kubeconfig cannot be used".into(),
    }
}

fn tls_text(error: &rustls::Error, ca: &str) -> String {
    use rustls::{CertificateError as Bad, Error as Tls};
    match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            format!("the server's certificate is not signed by {ca}")
        }
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired (or this node's clock is wrong)".into()
        }
        Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet (or this node's clock is wrong)".into()
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is not for the name or address in the URL".into()
        }
        Tls::AlertReceived(alert) => format!("the server refuses our certificate or TLS itself ({alert:?})"),
        other => format!("TLS: {other}"),
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
