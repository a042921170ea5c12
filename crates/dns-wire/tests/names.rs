//! Names: text, wire form, comparing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use support::name;
use towpath_dns_wire::{MAX_NAME, Name, NameBuf, NameError, NameRef};

#[test]
fn text_is_read_and_printed() {
    let long = "a".repeat(63);
    let longest = [long.as_str(), &long, &long, &"b".repeat(61)].join(".");
    for (text, printed, labels) in [
        (".", ".", 0),
        ("a", "a.", 1),
        ("a.", "a.", 1),
        ("Kubernetes.default.svc.cluster.local", "Kubernetes.default.svc.cluster.local.", 5),
        ("_http._tcp.x.", "_http._tcp.x.", 3),
        ("*.x.", "*.x.", 2),
        ("a\\.b.c.", "a\\.b.c.", 2),
        ("a\\\\b.", "a\\\\b.", 1),
        ("\\000\\046\\255.", "\\000\\.\\255.", 1),
        ("\\a.", "a.", 1),
        (&longest, &format!("{longest}."), 4),
    ] {
        let name: Name = text.parse().unwrap();
        assert_eq!(name.to_string(), printed);
        assert_eq!(name.as_ref().label_count(), labels, "{text}");
        assert_eq!(printed.parse(), Ok(name));
    }
}

#[test]
fn what_is_no_name_says_why() {
    let long = "a".repeat(63);
    let too_long = [long.as_str(), &long, &long, &"b".repeat(62)].join(".");
    for (text, error) in [
        ("", NameError::EmptyLabel),
        ("..", NameError::EmptyLabel),
        ("a..b", NameError::EmptyLabel),
        (".a", NameError::EmptyLabel),
        ("a.\\", NameError::Escape),
        ("a\\25", NameError::Escape),
        ("a\\2 5", NameError::Escape),
        ("a\\256", NameError::Escape),
        ("a\\+12", NameError::EmptyLabel),
        (&"a".repeat(64), NameError::LongLabel),
        (&too_long, NameError::LongName),
        (&"a.".repeat(128), NameError::LongName),
    ] {
        if text == "a\\+12" {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), "a+12.");
            continue;
        }
        assert_eq!(text.parse::<Name>(), Err(error), "{text}");
    }
}

#[test]
fn zones_are_compared_by_whole_labels_without_case() {
    for (text, zone, left) in [
        ("a.cluster.local.", "cluster.local.", Some(2)),
        ("a.B.Cluster.LOCAL.", "cluster.local.", Some(4)),
        ("cluster.local.", "cluster.local.", Some(0)),
        ("a.cluster.local.", ".", Some(16)),
        (".", ".", Some(0)),
        ("xcluster.local.", "cluster.local.", None),
        ("local.", "cluster.local.", None),
        ("cluster.local.example.", "cluster.local.", None),
        // The last octets are the zone's, but inside one label.
        ("a\\007cluster.x.", "cluster.x.", None),
    ] {
        let (text, zone) = (name(text), name(zone));
        assert_eq!(text.as_ref().strip(zone.as_ref()), left, "{text} {zone}");
        assert_eq!(text.as_ref().ends_with(zone.as_ref()), left.is_some());
        let labels = text.as_ref().labels_below(zone.as_ref()).map(Iterator::count);
        assert_eq!(labels, left.map(|_| text.as_ref().label_count() - zone.as_ref().label_count()));
    }
}

#[test]
fn a_name_is_put_together() {
    let zone = name("svc.cluster.local.");
    let mut buf = NameBuf::new();
    buf.push(b"web").unwrap().push(b"shop").unwrap();
    assert_eq!(buf.under(zone.as_ref()).unwrap().to_string(), "web.shop.svc.cluster.local.");
    assert_eq!(buf.under(NameRef::ROOT).unwrap().to_string(), "web.shop.");
    assert!(buf.push(b"").is_none());
    assert!(buf.push(&[b'a'; 64]).is_none());
    assert!(buf.push_wire(b"\x01a\x02b").is_none(), "cut off");
    assert!(buf.push_wire(b"\x01a\0").is_none(), "a root label inside");
    buf.push_wire(b"\x01a").unwrap();
    assert_eq!(buf.under(zone.as_ref()).unwrap().to_string(), "web.shop.a.svc.cluster.local.");
    buf.clear();
    for _ in 0..3 {
        buf.push(&[b'a'; 63]).unwrap();
    }
    assert!(buf.push(&[b'a'; 62]).is_none());
    buf.push(&[b'a'; 61]).unwrap();
    assert_eq!(buf.under(NameRef::ROOT).unwrap().wire().len(), MAX_NAME);
    assert!(buf.under(zone.as_ref()).is_none());
}

#[test]
fn case_is_kept_and_can_be_ignored() {
    let (mixed, lower) = (name("KuberneTes.X."), name("kubernetes.x."));
    assert_ne!(mixed, lower);
    assert!(mixed.as_ref().eq_ignore_case(lower.as_ref()));
    assert_eq!(mixed.lower(), lower);
    assert_eq!(mixed.as_ref().lower_into(&mut [0; MAX_NAME]), lower.wire());
    assert_eq!(mixed.as_ref().parent().unwrap().to_string(), "X.");
    assert_eq!(mixed.as_ref().first_label(), Some(&b"KuberneTes"[..]));
    assert!(name(".").as_ref().parent().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_name_survives_text(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=63), 0..8)) {
        let mut buf = NameBuf::new();
        let fits = labels.iter().all(|label| buf.push(label).is_some());
        prop_assume!(fits);
        let name = buf.name_under(NameRef::ROOT).unwrap();
        prop_assert_eq!(&name.to_string().parse::<Name>().unwrap(), &name);
        let read: Vec<Vec<u8>> = name.as_ref().labels().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(read, labels);
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in "\\PC{0,300}") {
        if let Ok(name) = text.parse::<Name>() {
            prop_assert!(name.wire().len() <= MAX_NAME);
            prop_assert_eq!(NameRef::read(name.wire()).unwrap().wire(), name.wire());
        }
    }
}
