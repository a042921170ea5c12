//! The request of a step.

use std::time::Duration;

use super::backoff::between;
use super::course::{From, Step};
use super::watched::{Query, Selectors, Target};

/// Objects a page, where a list must be read from etcd.
const PAGE: &str = "500";

/// The request of a step for objects of one kind, in one of its versions.
pub(super) fn request(
    target: &Target,
    version: &str,
    selectors: &Selectors,
    step: &Step,
    length: Duration,
) -> http::Request<Vec<u8>> {
    let mut query = Query::default();
    selectors.query(&mut query);
    ask_for(step, length, &mut query);
    let accept = match (target.metadata_only, step) {
        (false, _) => "application/json",
        (true, Step::List { .. }) => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        (true, _) => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    };
    let mut request = http::Request::new(Vec::new());
    let path = format!("{}{}", target.watched.path_of(version), query.as_str());
    // Both are made of ASCII that was escaped: they always parse.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static(accept));
    request
}

/// The parameters of a step. Watches end after different times, so that they are not all begun anew at once.
fn ask_for(step: &Step, length: Duration, query: &mut Query) {
    let watch = |query: &mut Query, version: &str| {
        query.add("watch", "true");
        query.add("allowWatchBookmarks", "true");
        if !version.is_empty() {
            query.add("resourceVersion", version);
        }
        let seconds = between(length, length * 2).as_secs().max(1);
        query.add("timeoutSeconds", &seconds.to_string());
    };
    match step {
        Step::Watch { version } => watch(query, version),
        Step::Stream { version } => {
            watch(query, version);
            query.add("sendInitialEvents", "true");
            query.add("resourceVersionMatch", "NotOlderThan");
        }
        // The token says which version: naming one beside it is refused.
        Step::List { page: Some(token), .. } => {
            query.add("limit", PAGE);
            query.add("continue", token);
        }
        Step::List { from: From::Cache, .. } => query.add("resourceVersion", "0"),
        Step::List { from: From::NotOlder(version), .. } => {
            query.add("resourceVersion", version);
            query.add("resourceVersionMatch", "NotOlderThan");
        }
        Step::List { from: From::Newest, .. } => query.add("limit", PAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let version = || "7".to_owned();
        let list = |from, page: Option<&str>| Step::List { from, page: page.map(str::to_owned) };
        for (step, expected) in [
            (
                Step::Watch { version: version() },
                "?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=1",
            ),
            (
                Step::Stream { version: String::new() },
                "?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan",
            ),
            (
                Step::Stream { version: version() },
                "?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=1&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan",
            ),
            (list(From::Cache, None), "?resourceVersion=0"),
            (list(From::NotOlder(version()), None), "?resourceVersion=7&resourceVersionMatch=NotOlderThan"),
            (list(From::Newest, None), "?limit=500"),
            (list(From::Newest, Some("a/b=")), "?limit=500&continue=a%2Fb%3D"),
        ] {
            let mut query = Query::default();
            ask_for(&step, Duration::from_millis(600), &mut query);
            assert_eq!(query.as_str(), expected);
        }
    }
}
