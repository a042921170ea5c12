//! Saying that something fails: once when it begins, now and then while it lasts, once when it ends.

use std::time::{Duration, Instant};

use model::{Change, Problem};
use rustc_hash::FxHashMap;

use super::failure::Failure;
use super::link::About;
use super::problems::about;
use super::reason::Reason;
use super::watched::Target;

/// What is failing, of one kind.
#[derive(Debug)]
pub(super) struct Trouble {
    object: String,
    since: Option<Instant>,
    said: FxHashMap<Reason, Instant>,
    again: Duration,
}

impl Trouble {
    /// None yet; `object` names what is watched over.
    pub(super) fn new(object: String, again: Duration) -> Self {
        Self { object, since: None, said: FxHashMap::default(), again }
    }

    /// Whether something fails.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// It fails, for this reason. The Problem to tell, unless the same was told a short while ago.
    pub(super) fn begin(&mut self, reason: Reason, line: impl FnOnce() -> String) -> Option<Change> {
        let now = Instant::now();
        self.since.get_or_insert(now);
        let known = self.said.get(&reason).is_some_and(|said| now.duration_since(*said) < self.again);
        if known {
            return None;
        }
        self.said.insert(reason, now);
        let subject = about(&self.object);
        Some(Change::Problem(Problem { subject, field: String::new(), message: line() }))
    }

    /// It works. What to tell, if it did not before.
    pub(super) fn end(&mut self) -> Option<Change> {
        let since = self.since.take()?;
        self.said.clear();
        tracing::info!("api: {}: works again after {} s", self.object, since.elapsed().as_secs());
        Some(Change::ProblemSolved(about(&self.object)))
    }
}

/// The line that says that a request failed, and what to do about it.
pub(super) fn line(
    target: &Target,
    verb: &str,
    link: &About,
    is_cluster_ip: bool,
    failure: &Failure,
) -> String {
    let (plural, path, text) = (target.plural, target.watched.path(), &failure.text);
    let what = if failure.of_link {
        format!("{}: {text}", link.url)
    } else {
        format!("cannot {verb} {plural}: GET {}{path}: {text}", link.url)
    };
    match remedy(target, link, is_cluster_ip, failure) {
        Some(remedy) => format!("{what}; {remedy}; what is known stays in force"),
        None => format!("{what}; what is known stays in force"),
    }
}

fn remedy(target: &Target, link: &About, is_cluster_ip: bool, failure: &Failure) -> Option<String> {
    match failure.reason {
        // The credentials cannot even be read: the text says which and why.
        Reason::Unauthorized if !failure.is_answer() => None,
        Reason::Unauthorized => Some(format!("the server does not accept {}: renew it", link.who)),
        Reason::Forbidden => Some(rule(target.watched.group, target.watched.resource, target.watched.verbs)),
        Reason::NotFound => Some("check that the URL is an API server's, 1.21 or newer".into()),
        Reason::Tls => Some(format!("check the certificate, and {}", link.ca)),
        Reason::Connect | Reason::Timeout | Reason::Dns if is_cluster_ip => Some(
            "this address is a ClusterIP, which works only once somebody proxies Services on this node: give the \
             server's own address by --master, in a kubeconfig, or in KUBERNETES_SERVICE_HOST"
                .into(),
        ),
        Reason::Connect | Reason::Timeout | Reason::Dns => {
            Some("check the server, and the address in the kubeconfig or --master".into())
        }
        Reason::Cut => Some("check the network, and the proxies, between this node and the server".into()),
        _ => None,
    }
}

/// The RBAC rule that is missing.
pub(super) fn rule(group: &str, resource: &str, verbs: &[&str]) -> String {
    format!("allow {verbs:?} on {resource:?} in API group {group:?} by a ClusterRole")
}

#[cfg(test)]
mod tests {
    use super::super::watched::TARGETS;
    use super::*;

    #[test]
    fn lines() {
        let link = About {
            url: "https://10.96.0.1:443".into(),
            ca: "the CA in /ca.crt".into(),
            who: "the token in /token".into(),
        };
        let tail = "; what is known stays in force";
        for (index, verb, cluster_ip, failure, expected) in [
            (
                0,
                "watch",
                false,
                Failure::of_answer(401, None, b"{\"message\":\"Unauthorized\"}"),
                "https://10.96.0.1:443: 401 Unauthorized: Unauthorized; \
                 the server does not accept the token in /token: renew it",
            ),
            (
                1,
                "list",
                false,
                Failure::of_answer(
                    403,
                    None,
                    b"{\"message\":\"endpointslices.discovery.k8s.io is forbidden\"}",
                ),
                "cannot list EndpointSlices: GET https://10.96.0.1:443/apis/discovery.k8s.io/v1/endpointslices: \
                 403 Forbidden: endpointslices.discovery.k8s.io is forbidden; allow [\"list\", \"watch\"] on \
                 \"endpointslices\" in API group \"discovery.k8s.io\" by a ClusterRole",
            ),
            (
                2,
                "watch",
                true,
                Failure::new(Reason::Connect, "no connection: Connection refused (os error 111)"),
                "https://10.96.0.1:443: no connection: Connection refused \
                 (os error 111); this address is a ClusterIP, which works only once somebody proxies Services on \
                 this node: give the server's own address by --master, in a kubeconfig, or in \
                 KUBERNETES_SERVICE_HOST",
            ),
            (
                0,
                "list",
                false,
                Failure::new(Reason::Timeout, "no answer within 30s"),
                "cannot list Services: GET https://10.96.0.1:443/api/v1/services: no answer within 30s; check the \
                 server, and the address in the kubeconfig or --master",
            ),
            (
                0,
                "list",
                false,
                Failure::new(Reason::Tls, "the server's certificate is not signed by the CA in /ca.crt"),
                "https://10.96.0.1:443: the server's certificate is not \
                 signed by the CA in /ca.crt; check the certificate, and the CA in /ca.crt",
            ),
            (
                0,
                "list",
                false,
                Failure::new(Reason::Unauthorized, "kubeconfig /k: it is empty"),
                "https://10.96.0.1:443: kubeconfig /k: it is empty",
            ),
            (
                3,
                "list",
                false,
                Failure::of_answer(500, None, b"boom"),
                "cannot list ServiceCIDRs: GET https://10.96.0.1:443/apis/networking.k8s.io/v1/servicecidrs: \
                 500 Internal Server Error: boom",
            ),
        ] {
            let found = line(&TARGETS[index], verb, &link, cluster_ip, &failure);
            assert_eq!(found, format!("{expected}{tail}"));
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let mut trouble = Trouble::new("watch of Services".into(), Duration::from_secs(300));
        assert!(trouble.end().is_none());
        assert!(matches!(trouble.begin(Reason::Connect, || "a".into()), Some(Change::Problem(p)) if
            p.to_string() == "api: watch of Services: a"));
        assert!(trouble.begin(Reason::Connect, || "b".into()).is_none());
        assert!(trouble.begin(Reason::Timeout, || "c".into()).is_some());
        assert!(trouble.begin(Reason::Connect, || "d".into()).is_none());
        assert!(matches!(trouble.end(), Some(Change::ProblemSolved(_))));
        assert!(trouble.begin(Reason::Connect, || "e".into()).is_some());
        trouble.again = Duration::ZERO;
        assert!(trouble.begin(Reason::Connect, || "f".into()).is_some(), "a fault that lasts is said again");
    }
}
