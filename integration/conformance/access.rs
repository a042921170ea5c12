//! Who the source is, and what it may do.

use anyhow::{Context, Result, ensure};
use http::Method;
use kube::config::Kubeconfig;
use libtest_mimic::Completion;
use serde_json::{Value, json};
use sources::kubernetes::WATCHED;

use crate::Test;
use crate::api::JSON;
use crate::case::{Case, done, ignored, port};
use crate::place;

pub(crate) const TESTS: &[Test] = &[
    ("a_token_in_a_file", a_token_in_a_file),
    ("everything_that_is_asked_for_is_allowed", everything_that_is_asked_for_is_allowed),
];

/// The same kubeconfig with its token in a file.
fn a_token_in_a_file(case: &Case) -> Result<Completion> {
    let mut config = serde_json::to_value(Kubeconfig::read_from(&case.cluster.kubeconfig)?)?;
    let context = named(&mut config, "contexts", "current-context")?["context"]["user"].take();
    config["user-to-use"] = context;
    let user = named(&mut config, "users", "user-to-use")?;
    let file = case.cluster.directory.join("token");
    match user["user"]["token"].take() {
        Value::String(token) => std::fs::write(&file, token).context("writing the token")?,
        _ if user["user"]["tokenFile"].is_string() => {
            return ignored("its token is in a file: all tests use it");
        }
        _ => return ignored("the kubeconfig's user has no token"),
    }
    let name = user["name"].clone();
    user["user"] = json!({"tokenFile": file});
    // What was taken out to find the user.
    named(&mut config, "contexts", "current-context")?["context"]["user"] = name;
    if let Some(fields) = config.as_object_mut() {
        fields.remove("user-to-use");
    }
    let path = case.cluster.directory.join("kubeconfig-with-token-file");
    std::fs::write(&path, config.to_string()).context("writing the kubeconfig")?;
    let mut options = case.options();
    options.kubeconfig = Some(path);
    let mut reader = case.reader_with(options)?;
    reader.sync()?;
    case.service("web", port(80))?;
    reader.service(&case.name("web"), "new", |_| true)?;
    reader.stop()?;
    done()
}

/// The item of a list whose name is in another field.
fn named<'a>(config: &'a mut Value, list: &str, by: &str) -> Result<&'a mut Value> {
    let name = config[by].clone();
    let items = config[list].as_array_mut().into_iter().flatten();
    items
        .into_iter()
        .find(|item| item["name"] == name)
        .with_context(|| format!("no {list} with the name {name}"))
}

fn everything_that_is_asked_for_is_allowed(case: &Case) -> Result<Completion> {
    let (mut missing, mut done_without) = (Vec::new(), Vec::new());
    for watched in WATCHED {
        for verb in watched.verbs {
            let attributes = json!({"group": watched.group, "resource": watched.resource, "verb": verb});
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes}});
            let answer = case.cluster.api.ask(Method::POST, place::REVIEWS, JSON, &review)?;
            if answer.code == 404 {
                return ignored("the server has no SelfSubjectAccessReview");
            }
            if answer.success("POST", place::REVIEWS)?["status"]["allowed"] != true {
                let rule = format!("{verb} {} in API group {:?}", watched.resource, watched.group);
                if watched.required { missing.push(rule) } else { done_without.push(rule) }
            }
        }
    }
    for rule in &done_without {
        eprintln!("conformance: the kubeconfig's user may not {rule}; the program does without");
    }
    ensure!(missing.is_empty(), "the kubeconfig's user may not: {}", missing.join("; "));
    done()
}
