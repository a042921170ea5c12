//! A snapshot is read back as it was written, or refused with the reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::*;

fn path(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("towpath-snapshot-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory.join("state")
}

fn some() -> Vec<Change> {
    let services = include_str!("../../tests/data/services.json");
    let list: serde_json::Value = serde_json::from_str(services).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let decode = |item: &serde_json::Value| {
        k8s::decode(Kind::Service, &item.to_string(), &mut Decoder::new(Kept::ALL)).unwrap().change.unwrap()
    };
    items.map(decode).chain([Change::Namespace(Arc::new(model::Namespace::new("shop")))]).collect()
}

#[test]
fn what_was_written_is_read() {
    let path = path("round");
    for objects in [vec![], some()] {
        let not_saved = [Change::BatchBegins, Change::Synced("x")];
        write(&path, "node-a", objects.iter().cloned().chain(not_saved)).unwrap();
        let saved = read(&path, "node-a", Kept::ALL).unwrap();
        assert_eq!(saved.changes, objects);
        assert!(saved.time.elapsed().unwrap() < Duration::from_secs(60));
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn what_is_not_whole_is_refused() {
    let path = path("refused");
    write(&path, "node-a", some().into_iter()).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for end in 0..good.len() {
        assert!(parse(&good.as_bytes()[..end], "node-a", Kept::ALL).is_err(), "cut off at {end}");
    }
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone().into_bytes();
        bad[at] ^= 1;
        assert!(parse(&*bad, "node-a", Kept::ALL).is_err(), "damaged at {at}");
    }
    let newer = good.replace(r#""version":1"#, r#""version":9"#);
    for (text, node, why) in [
        (good.as_str(), "node-b", r#"it is of the node "node-a", and this is "node-b""#),
        (&newer, "node-a", "its format 9 is newer than this program, which reads 1"),
        (&good[..good.len() - 9], "node-a", "it is cut off"),
        (&format!("{good}\n"), "node-a", "it goes on after its end"),
        ("hello\nworld\n", "node-a", "it does not begin as a snapshot does"),
        (&good.replace("web", "wob"), "node-a", "it is damaged: the checksum does not fit"),
    ] {
        match parse(text.as_bytes(), node, Kept::ALL).unwrap_err() {
            Bad::Content(found) => assert_eq!(found, why),
            Bad::Read(error) => panic!("{error}"),
        }
    }
    let missing = read(Path::new("/nonexistent/state"), "a", Kept::ALL).unwrap_err().to_string();
    assert!(missing.starts_with("snapshot /nonexistent/state: cannot read it: "), "{missing}");
    let nowhere = write(Path::new("/proc/nowhere/state"), "a", [].into_iter()).unwrap_err().to_string();
    assert!(nowhere.starts_with("snapshot /proc/nowhere/state: cannot create it: "), "{nowhere}");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// The file was written by a version of this program that knew nothing of DNS.
#[test]
fn what_a_version_before_dns_wrote_is_read() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/snapshot-before-dns.jsonl"));
    for kept in [Kept::NOTHING, Kept::ALL] {
        let saved = read(path, "node-a", kept).unwrap();
        let (mut store, mut touched) = (model::Store::new("node-a"), model::Touched::default());
        assert_eq!(saved.changes.len(), 7);
        saved.changes.into_iter().for_each(|change| store.apply(change, &mut touched));
        let service = |name: &str| {
            let entry = store.entry(&model::NamespacedName::new("shop", name)).unwrap();
            (entry.service.clone().unwrap(), entry.slices.values().next().cloned())
        };
        let (web, slice) = service("web");
        let endpoints = &slice.unwrap().endpoints;
        assert_eq!((web.cluster_ips.len(), web.health_check_node_port, endpoints.len()), (2, 30999, 2));
        assert!(endpoints.iter().all(|one| one.dns.is_none()) && web.labels.is_empty());
        let names = ["web", "db", "out"].map(|name| service(name).0);
        assert_eq!(names.each_ref().map(|one| one.headless), [false, true, false]);
        assert_eq!(names.each_ref().map(|one| one.external_name.is_some()), [false; 3]);
        assert_eq!(store.facts().zone(), Some("eu-1a"));
        assert_eq!(store.namespaces().count(), 1);
    }
}
