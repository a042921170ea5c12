//! What changes in a watched directory lead to; with real inotify.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{Running, Scratch, assert_starts, documents, service};
use towpath_sources::Manifests;

#[test]
fn only_what_differs_is_sent() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", documents(&[service("a", 1), service("b", 1)]));
    let (mut running, _) = Running::start(&scratch.0);
    scratch.write("a.yaml", documents(&[service("a", 1), service("b", 2), service("c", 3)]));
    assert_eq!(running.settle(&scratch), ["service default/b 2", "service default/c 3"]);
    scratch.replace("a.yaml", &format!("# the same\n{}", documents(&[service("b", 2), service("a", 1)])));
    assert_eq!(running.settle(&scratch), ["service gone default/c"]);
    scratch.replace("new.json", r#"{"kind":"Service","metadata":{"name":"j"}}"#);
    assert_eq!(running.settle(&scratch), ["service default/j "]);
    fs::rename(scratch.path("new.json"), scratch.path("new.txt")).unwrap();
    assert_eq!(running.settle(&scratch), ["service gone default/j"]);
    scratch.remove("a.yaml");
    let mut gone = running.settle(&scratch);
    gone.sort();
    assert_eq!(gone, ["service gone default/a", "service gone default/b"]);
}

#[test]
fn a_slice_that_loses_its_service_label_is_gone() {
    let scratch = Scratch::new();
    let slice = |label: &str| {
        format!(
            "kind: EndpointSlice\nmetadata: {{name: s, labels: {{kubernetes.io/{label}: web}}}}\naddressType: IPv4\n"
        )
    };
    scratch.write("a.yaml", slice("service-name"));
    let (mut running, first) = Running::start(&scratch.0);
    assert_eq!(first[0], "slice default/s of default/web x0");
    scratch.write("a.yaml", slice("other"));
    assert_eq!(running.settle(&scratch), ["slice gone default/s"]);
}

#[test]
fn a_syntax_error_keeps_what_was_there_until_it_is_mended() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", documents(&[service("a", 1), service("b", 1), service("c", 1)]));
    let (mut running, _) = Running::start(&scratch.0);
    scratch.write("a.yaml", documents(&[service("a", 2), "kind: [\n".to_owned()]));
    assert_starts(
        &running.settle(&scratch),
        &["service default/a 2", "problem a.yaml | document 2 |  | bad YAML: "],
    );
    scratch.replace("a.yaml", &documents(&[service("a", 2), "kind: [\n".to_owned()]));
    assert_eq!(running.settle(&scratch), [""; 0]);
    scratch.write("a.yaml", documents(&[service("a", 2), service("b", 1)]));
    assert_eq!(running.settle(&scratch), ["service gone default/c", "solved a.yaml | document 2"]);
}

#[test]
fn a_malformed_object_keeps_its_previous_version() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", documents(&[service("a", 1), service("b", 1)]));
    let (mut running, _) = Running::start(&scratch.0);
    scratch.write("a.yaml", service("a", 0));
    let found = running.settle(&scratch);
    let problem = "problem a.yaml | Service default/a | spec.ports[0].port";
    assert_starts(&found, &["service gone default/b", problem]);
    assert!(found[1].ends_with("the version read before stays in force"), "{}", found[1]);
    scratch.write("a.yaml", service("a", 2));
    assert_eq!(running.settle(&scratch), ["service default/a 2", "solved a.yaml | Service default/a"]);
}

#[test]
fn an_unreadable_file_keeps_what_it_defined() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", service("a", 1));
    let (mut running, _) = Running::start(&scratch.0);
    scratch.write("a.yaml", [0xff]);
    assert_starts(&running.settle(&scratch), &["problem a.yaml | file |  | not UTF-8"]);
    scratch.write("a.yaml", service("a", 1));
    assert_eq!(running.settle(&scratch), ["solved a.yaml | file"]);
}

#[test]
fn of_two_files_the_first_in_path_order_wins_and_the_other_takes_over() {
    let scratch = Scratch::new();
    scratch.write("b.yaml", service("a", 2));
    let (mut running, _) = Running::start(&scratch.0);
    scratch.write("c.yaml", service("a", 3));
    let problem = "problem c.yaml | Service default/a |  | ignored here, because ";
    assert_starts(&running.settle(&scratch), &[problem]);
    scratch.write("a.yaml", service("a", 1));
    let found = running.settle(&scratch);
    assert_starts(&found, &["service default/a 1", "problem b.yaml | Service default/a", problem]);
    assert!(found[1].contains("/a.yaml") && found[2].contains("/a.yaml"), "{found:?}");
    scratch.remove("a.yaml");
    let found = running.settle(&scratch);
    assert_starts(&found, &["service default/a 2", "solved b.yaml | Service default/a", problem]);
    assert!(found[2].contains("/b.yaml"), "{found:?}");
    scratch.remove("c.yaml");
    assert_eq!(running.settle(&scratch), ["solved c.yaml | Service default/a"]);
    scratch.remove("b.yaml");
    assert_eq!(running.settle(&scratch), ["service gone default/a"]);
}

/// As a ConfigMap volume is updated: a new directory, and one rename of the link that all files lead through.
#[test]
fn a_swapped_link_changes_all_files_behind_it() {
    let scratch = Scratch::new();
    let version = |name: &str, port: u16| {
        fs::create_dir(scratch.path(name)).unwrap();
        scratch.write(&format!("{name}/a.yaml"), service("a", port));
        scratch.write(&format!("{name}/b.yaml"), service("b", 1));
        symlink(name, scratch.path("..data_tmp")).unwrap();
        fs::rename(scratch.path("..data_tmp"), scratch.path("..data")).unwrap();
    };
    version("..v1", 1);
    symlink("..data/a.yaml", scratch.path("a.yaml")).unwrap();
    symlink("..data/b.yaml", scratch.path("b.yaml")).unwrap();
    let (mut running, first) = Running::start(&scratch.0);
    assert_eq!(first.len(), 3);
    version("..v2", 2);
    fs::remove_dir_all(scratch.path("..v1")).unwrap();
    assert_eq!(running.settle(&scratch), ["service default/a 2"]);
    scratch.write("..v2/c.yaml", service("c", 1));
    symlink("..data/c.yaml", scratch.path("c.yaml")).unwrap();
    assert_eq!(running.settle(&scratch), ["service default/c 1"]);
    scratch.remove("b.yaml");
    assert_eq!(running.settle(&scratch), ["service gone default/b"]);
}

#[test]
fn a_file_that_is_being_written_is_not_read() {
    use std::io::Write;
    let scratch = Scratch::new();
    scratch.write("a.yaml", service("a", 1));
    let (mut running, _) = Running::start(&scratch.0);
    let text = service("a", 5);
    let mut open = fs::File::create(scratch.path("a.yaml")).unwrap();
    let mut new = fs::File::create(scratch.path("b.yaml")).unwrap();
    open.write_all(&text.as_bytes()[..40]).unwrap();
    new.write_all(&text.as_bytes()[..40]).unwrap();
    assert_eq!(running.settle(&scratch), [""; 0]);
    open.write_all(&text.as_bytes()[40..]).unwrap();
    new.write_all(&text.replace("name: a", "name: b").as_bytes()[40..]).unwrap();
    drop(open);
    drop(new);
    assert_eq!(running.settle(&scratch), ["service default/a 5", "service default/b 5"]);
}

#[test]
fn a_directory_that_vanishes_keeps_everything() {
    let scratch = Scratch::new();
    let (dir, away) = (scratch.path("dir"), scratch.path("away"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), service("a", 1)).unwrap();
    fs::write(dir.join("b.yaml"), service("b", 1)).unwrap();
    let (running, _) = Running::start(&dir);
    fs::rename(&dir, &away).unwrap();
    assert_starts(&running.take(1), &["problem dir | path |  | is not there any more"]);
    fs::create_dir(&dir).unwrap();
    assert_starts(&running.take(1), &["problem dir | path |  | was replaced by an empty directory"]);
    fs::write(dir.join("a.yaml"), service("a", 2)).unwrap();
    assert_eq!(running.take(3), ["service default/a 2", "service gone default/b", "solved dir | path"]);
    fs::write(dir.join("a.yaml"), service("a", 3)).unwrap();
    assert_eq!(running.next(), "service default/a 3");
}

#[test]
fn a_directory_behind_a_swapped_link() {
    let scratch = Scratch::new();
    for (name, port) in [("v1", 1), ("v2", 2)] {
        fs::create_dir(scratch.path(name)).unwrap();
        scratch.write(&format!("{name}/a.yaml"), service("a", port));
    }
    scratch.write("v1/b.yaml", service("b", 1));
    symlink("v1", scratch.path("current")).unwrap();
    let (running, _) = Running::start(&scratch.path("current"));
    symlink("v2", scratch.path("next")).unwrap();
    fs::rename(scratch.path("next"), scratch.path("current")).unwrap();
    assert_eq!(running.take(2), ["service default/a 2", "service gone default/b"]);
    scratch.write("v2/a.yaml", service("a", 3));
    assert_eq!(running.next(), "service default/a 3");
}

/// More events than the kernel queues: those that were lost are found by comparing everything.
#[test]
fn an_overflowing_queue_loses_nothing() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", service("a", 1));
    scratch.write("gone.yaml", service("gone", 1));
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let (mut running, _) = Running::start_after(&scratch.0, || {
        for i in 0..limit / 2 + 10 {
            scratch.write(["x.txt", "y.txt"][i % 2], "");
            scratch.write(["z.txt", "w.txt"][i % 2], "");
        }
        scratch.write("a.yaml", service("a", 2));
        scratch.remove("gone.yaml");
        scratch.write("b.yaml", service("b", 1));
    });
    let expected = ["service default/a 2", "service default/b 1", "service gone default/gone"];
    assert_eq!(running.take(3), expected);
    assert_eq!(running.settle(&scratch), [""; 0]);
}

/// Within one batch, an object that moves from one file to another is never gone.
#[test]
fn an_object_moves_between_files() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", service("a", 1));
    let (mut running, _) = Running::start_after(&scratch.0, || {
        scratch.remove("a.yaml");
        scratch.write("b.yaml", service("a", 1));
    });
    assert_eq!(running.settle(&scratch), [""; 0]);
}

#[test]
fn an_annotation_alone_is_a_change() {
    let scratch = Scratch::new();
    let annotated = |scheduler: &str| {
        format!(
            "kind: Service\nmetadata:\n  name: web\n  annotations: {{towpath.dev/scheduler: {scheduler}}}\n\
             spec: {{clusterIP: None, ports: [{{port: 80}}]}}\n"
        )
    };
    scratch.write("a.yaml", annotated("lc"));
    let (mut running, first) = Running::start(&scratch.0);
    assert_eq!(first[0], "service default/web 80");
    scratch.write("a.yaml", annotated("sh"));
    assert_eq!(running.settle(&scratch), ["service default/web 80"]);
    scratch.write("a.yaml", annotated("7"));
    let mut seen = running.settle(&scratch);
    seen.sort();
    let problem =
        "problem a.yaml | Service default/web | metadata.annotations[towpath.dev/scheduler] | \"7\": ";
    assert_starts(&seen, &[problem, "service default/web 80"]);
}

#[test]
fn causes_name_each_object_after_the_first_list() {
    let scratch = Scratch::new();
    let versioned = |port: u16, version: &str| {
        let metadata = format!("metadata: {{name: a, resourceVersion: {version}}}");
        service("a", port).replace("metadata: {name: a}", &metadata)
    };
    scratch.write("a.yaml", versioned(1, "7"));
    let source = Manifests::open(&scratch.0).unwrap().with_causes(true);
    let (mut running, first) = Running::begin(source, || {});
    assert_eq!(first, ["service default/a 1", "synced manifests"]);
    scratch.write("a.yaml", documents(&[versioned(2, "8"), service("b", 1)]));
    let found = running.settle(&scratch);
    let second = ["cause Service default/b -", "service default/b 1"];
    assert_eq!(found, [&["cause Service default/a 8", "service default/a 2"], &second[..]].concat());
    scratch.remove("a.yaml");
    let found = running.settle(&scratch);
    let cause = found.iter().position(|text| text == "cause Service default/a - gone").unwrap();
    assert_eq!((found.len(), &*found[cause + 1]), (4, "service gone default/a"));
}
