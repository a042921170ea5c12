//! A single file in the place of a directory; with real inotify.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{Running, Scratch, assert_starts, service};

#[test]
fn written_renamed_over_and_gone() {
    let scratch = Scratch::new();
    scratch.write("services", service("a", 1));
    let (running, first) = Running::start(&scratch.path("services"));
    assert_eq!(first, ["service default/a 1", "synced manifests"]);
    scratch.write("services", service("a", 2));
    assert_eq!(running.next(), "service default/a 2");
    scratch.replace("services", &service("b", 3));
    assert_eq!(running.take(2), ["service default/b 3", "service gone default/a"]);
    scratch.remove("services");
    assert_starts(&running.take(1), &["problem services | path |  | is not there any more"]);
    scratch.write("services", service("b", 4));
    let mut found = running.take(2);
    found.sort();
    assert_eq!(found, ["service default/b 4", "solved services | path"]);
}

#[test]
fn links_are_followed_step_by_step() {
    let scratch = Scratch::new();
    for (version, port) in [("v1", 1), ("v2", 2)] {
        fs::create_dir(scratch.path(version)).unwrap();
        scratch.write(&format!("{version}/x.yaml"), service("a", port));
    }
    symlink("v1", scratch.path("..data")).unwrap();
    symlink("..data/x.yaml", scratch.path("x.yaml")).unwrap();
    let (running, _) = Running::start(&scratch.path("x.yaml"));
    symlink("v2", scratch.path("..tmp")).unwrap();
    fs::rename(scratch.path("..tmp"), scratch.path("..data")).unwrap();
    assert_eq!(running.next(), "service default/a 2");
    scratch.write("v2/x.yaml", service("a", 3));
    assert_eq!(running.next(), "service default/a 3");
    symlink("v1/x.yaml", scratch.path("..tmp")).unwrap();
    fs::rename(scratch.path("..tmp"), scratch.path("x.yaml")).unwrap();
    assert_eq!(running.next(), "service default/a 1");
}
