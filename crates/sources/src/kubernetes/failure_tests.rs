//! Errors and answers, and what is said about them.

use super::*;

#[test]
fn answers() {
    let status = |code: u16, reason: &str, message: &str| {
        serde_json::json!({"kind": "Status", "code": code, "reason": reason, "message": message}).to_string()
    };
    let forbidden = "services is forbidden: User \"x\" cannot list resource \"services\" in API group \"\"";
    for (code, body, reason, text) in [
        (
            401,
            status(401, "Unauthorized", "Unauthorized"),
            Reason::Unauthorized,
            "401 Unauthorized: Unauthorized".to_owned(),
        ),
        (403, status(403, "Forbidden", forbidden), Reason::Forbidden, format!("403 Forbidden: {forbidden}")),
        (404, "404 page not found\n".into(), Reason::NotFound, "404 Not Found: 404 page not found".into()),
        (410, status(410, "Expired", "too old"), Reason::Expired, "410 Gone: too old".into()),
        (429, String::new(), Reason::Throttled, "429 Too Many Requests".into()),
        (500, "<html>\n".into(), Reason::Server, "500 Internal Server Error: <html>".into()),
        (599, String::new(), Reason::Server, "599".into()),
    ] {
        let failure = Failure::of_answer(code, None, body.as_bytes());
        assert_eq!((failure.reason, failure.text, failure.status), (reason, text, code));
    }
}

#[test]
fn what_a_recorded_504_means() {
    let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: Too large resource version: 99999999, current: 250","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#;
    let failure = Failure::of_answer(504, None, body);
    assert!(failure.too_new);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
    let failure = Failure::of_answer(504, Some(7), body);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn errors_on_the_way() {
    use rustls::{AlertDescription, CertificateError as Bad, Error as Tls};
    let io = |kind, text: &'static str| io::Error::new(kind, text);
    let tls = |error: Tls| io::Error::new(io::ErrorKind::InvalidData, error);
    let bad = |bad: Bad| tls(Tls::InvalidCertificate(bad));
    for (error, reason, text) in [
        (bad(Bad::UnknownIssuer), Reason::Tls, "the server's certificate is not signed by the CA in /ca.crt"),
        (
            bad(Bad::Expired),
            Reason::Tls,
            "the server's certificate has expired (or this node's clock is wrong)",
        ),
        (
            bad(Bad::NotValidForName),
            Reason::Tls,
            "the server's certificate is not for the name or address in the URL",
        ),
        (
            tls(Tls::AlertReceived(AlertDescription::CertificateRequired)),
            Reason::Tls,
            "the server refuses our certificate or TLS itself (CertificateRequired)",
        ),
        (io(io::ErrorKind::TimedOut, "x"), Reason::Timeout, "the server does not answer: x"),
        (io(io::ErrorKind::ConnectionReset, "reset"), Reason::Cut, "the connection broke: reset"),
    ] {
        // As a client hands it out: boxed, behind another error.
        let error = kube::Error::Service(Box::new(error));
        let failure = Failure::of_error(&error, &about());
        assert_eq!((failure.reason, &*failure.text), (reason, text));
    }
}

fn about() -> About {
    About { url: "u".into(), ca: "the CA in /ca.crt".into(), who: "the answer of aws".into() }
}

#[test]
fn what_a_credential_plugin_knows_stays_secret() {
    use std::os::unix::process::ExitStatusExt;
    let out = std::process::Output {
        status: std::process::ExitStatus::from_raw(7 << 8),
        stdout: b"secret".to_vec(),
        stderr: b"secret".to_vec(),
    };
    let error =
        AuthError::AuthExecRun { cmd: "KEY=\"secret\" \"aws\" \"secret\"".into(), out: Box::new(out) };
    let failure = Failure::of_error(&kube::Error::Service(Box::new(error)), &about());
    let expected = "the answer of aws: the credential plugin ended with exit status: 7";
    assert_eq!((failure.reason, &*failure.text), (Reason::Unauthorized, expected));
}

#[test]
fn namespaces_that_go_and_servers_that_are_away() {
    let body = br#"{"message":"events \"web.\" is forbidden: unable to create new content in namespace x because it is being terminated","code":403}"#;
    assert!(Failure::of_answer(403, None, body).terminating);
    assert!(!Failure::of_answer(403, None, b"no").terminating);
    for (code, expected) in [(400, false), (429, true), (500, false), (502, true), (503, true), (504, true)] {
        assert_eq!(Failure::of_answer(code, None, b"").is_outage(), expected, "{code}");
    }
}
