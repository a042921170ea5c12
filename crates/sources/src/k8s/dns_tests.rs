//! What only DNS reads: each object decodes to the expected value, and again from what [`encode`] writes of it.

use model::{Change, DnsPolicy, ImportSlice, Pod, Service, ServiceImport, Slice};
use serde_json::{Value, json};

use super::*;

/// The change, and the fields of the warnings.
fn read(kind: Kind, object: &Value) -> (Change, Vec<String>) {
    let decoded = decode(kind, &object.to_string(), &mut Decoder::new(Kept::ALL)).unwrap();
    let change = decoded.change.unwrap();
    let encoded = encode(&change).unwrap().to_string();
    let again = decode(kind, &encoded, &mut Decoder::new(Kept::ALL)).unwrap();
    assert_eq!((again.change.as_ref(), again.warnings), (Some(&change), vec![]), "{encoded}");
    assert_eq!(again.change.map(|again| fingerprint(&again)), Some(fingerprint(&change)));
    (change, decoded.warnings.into_iter().map(|warning| warning.field).collect())
}

fn service(metadata: &Value, spec: Value, status: Value) -> (Service, Vec<String>) {
    let mut object = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec, "status": status});
    let own = object["metadata"].as_object_mut().unwrap();
    own.extend(metadata.as_object().cloned().unwrap_or_default());
    let (Change::Service(service), warnings) = read(Kind::Service, &object) else { panic!() };
    ((*service).clone(), warnings)
}

#[test]
fn services() {
    let of = |spec: Value| service(&json!({}), spec, json!(null));
    for (spec, headless, name) in [
        (json!({"clusterIP": "None"}), true, None),
        (json!({"clusterIPs": ["None"]}), true, None),
        (json!({"clusterIP": "None", "clusterIPs": ["None"]}), true, None),
        (json!({"clusterIP": ""}), false, None),
        (json!({}), false, None),
        (json!({"clusterIP": "10.0.0.1"}), false, None),
        (
            json!({"type": "ExternalName", "externalName": "Web.Example.com."}),
            false,
            Some("Web.Example.com."),
        ),
        (json!({"type": "ExternalName", "externalName": ""}), false, None),
        (json!({"type": "ExternalName", "externalName": "a_b..c"}), false, Some("a_b..c")),
        (
            json!({"type": "ExternalName", "clusterIP": "None", "externalName": "192.0.2.1"}),
            true,
            Some("192.0.2.1"),
        ),
    ] {
        let (found, warnings) = of(spec.clone());
        assert_eq!((found.headless, found.external_name.as_deref()), (headless, name), "{spec}");
        assert!(warnings.is_empty() && (!found.is_proxied() || found.cluster_ips.len() == 1), "{spec}");
    }
    let (found, warnings) = of(json!({"type": "ExternalName", "externalName": "a".repeat(255)}));
    assert_eq!((found.external_name, warnings), (None, vec!["spec.externalName".to_owned()]));
    let ingress =
        json!([{"hostname": "lb.example.com"}, {"ip": "192.0.2.9"}, {"hostname": ""}, {"hostname": "b"}]);
    let (found, _) =
        service(&json!({}), json!({"clusterIP": "10.0.0.1"}), json!({"loadBalancer": {"ingress": ingress}}));
    let hosts: Vec<&str> = found.load_balancer_hosts.iter().map(|host| &**host).collect();
    assert_eq!((hosts, found.load_balancer_ips.len()), (vec!["lb.example.com", "b"], 1));
}

#[test]
fn labels() {
    for (labels, want, warned) in [
        (json!(null), "{}", 0),
        (json!({}), "{}", 0),
        (json!({"b": "2", "a": ""}), r#"{"a": "", "b": "2"}"#, 0),
        (json!({"a": null, "b": 7, "c": ["x"], "d": true, "e": "5"}), r#"{"e": "5"}"#, 0),
        (json!({"a": "x".repeat(70_000)}), "{}", 1),
    ] {
        let (found, warnings) = service(&json!({"labels": labels}), json!({}), json!(null));
        assert_eq!((format!("{:?}", found.labels), warnings.len()), (want.to_owned(), warned));
        let object = json!({"metadata": {"name": "n", "labels": labels}});
        let (Change::Namespace(found), _) = read(Kind::Namespace, &object) else { panic!() };
        assert_eq!(format!("{:?}", found.labels), want);
    }
    for (value, there) in [(json!("x"), true), (json!(""), true), (json!(null), true)] {
        let labels = json!({"labels": {"service.kubernetes.io/service-proxy-name": value}});
        assert_eq!(service(&labels, json!({}), json!(null)).0.other_proxy, there, "{labels}");
    }
}

fn slice_object(labels: Value, endpoints: Value) -> Value {
    json!({"metadata": {"name": "s-1", "namespace": "n", "labels": labels}, "addressType": "IPv4",
        "ports": [{"port": 80}], "endpoints": endpoints})
}

#[test]
fn endpoints() {
    for (endpoint, want, warned) in [
        (json!({}), [None, None, None], None),
        (
            json!({"hostname": "web-0", "zone": "z", "targetRef": {"kind": "Pod", "name": "web-0"}}),
            [Some("web-0"), Some("web-0"), Some("z")],
            None,
        ),
        (
            json!({"targetRef": {"kind": "Pod", "name": "web-x", "namespace": "n"}}),
            [None, Some("web-x"), None],
            None,
        ),
        (json!({"targetRef": {"kind": "Node", "name": "node-a"}}), [None, None, None], None),
        (json!({"targetRef": {"name": "x"}, "hostname": "", "zone": ""}), [None, None, None], None),
        (json!({"hostname": "a b", "zone": "z"}), [None, None, Some("z")], Some("endpoints[0].hostname")),
        (
            json!({"hostname": "a", "targetRef": {"kind": "Pod", "name": "x/y"}}),
            [Some("a"), None, None],
            Some("endpoints[0].targetRef.name"),
        ),
    ] {
        let mut one = endpoint.clone();
        one["addresses"] = json!(["10.0.0.1"]);
        let object = slice_object(json!({"kubernetes.io/service-name": "web"}), json!([one]));
        let (Change::Slice(slice), warnings) = read(Kind::EndpointSlice, &object) else { panic!() };
        let found = &slice.endpoints[0];
        let names = [found.hostname(), found.pod(), found.zone()];
        assert_eq!((names, warnings.first().map(String::as_str)), (want, warned), "{endpoint}");
        assert_eq!(found.dns.is_some(), names != [None; 3]);
        let dns = found.dns.clone().unwrap_or_default();
        if let (Some(pod), Some(hostname)) = (&dns.pod, &dns.hostname) {
            assert!(pod != hostname || Arc::ptr_eq(pod, hostname), "a StatefulSet's names are kept once");
        }
    }
}

#[test]
fn only_what_is_asked_for_is_kept() {
    let endpoint = json!({"addresses": ["10.0.0.1"], "hostname": "h-0", "zone": "z",
        "targetRef": {"kind": "Pod", "name": "p-0"}});
    let metadata = json!({"name": "a", "labels": {"b": "c"}});
    let slice = slice_object(json!({"kubernetes.io/service-name": "web", "b": "c"}), json!([endpoint]));
    let ingress = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}});
    let all = [
        (Kind::EndpointSlice, slice),
        (
            Kind::Service,
            json!({"metadata": metadata, "spec": {"externalName": "e.example"}, "status": ingress}),
        ),
        (Kind::ServiceImport, json!({"metadata": metadata})),
        (Kind::Namespace, json!({"metadata": metadata})),
    ];
    let no = Kept::NOTHING;
    let dns = Kept { dns: true, ..no };
    // What is found of: hostname, pod, zone, ExternalName, load balancer; labels of each of the four.
    for (kept, want) in [
        (no, ["", "", "", ""]),
        (Kept { dns: false, ..Kept::ALL }, ["", "", "", ""]),
        (dns, ["h-0", "e.example lb.example", "", "b"]),
        (Kept { pod_names: true, ..dns }, ["h-0 p-0", "e.example lb.example", "", "b"]),
        (Kept { zones: true, ..dns }, ["h-0 z", "e.example lb.example", "", "b"]),
        (Kept { labels: true, ..dns }, ["h-0 b", "e.example lb.example b", "b", "b"]),
        (Kept::ALL, ["h-0 p-0 z b", "e.example lb.example b", "b", "b"]),
    ] {
        let mut decoder = Decoder::new(kept);
        let found = all.each_ref().map(|(kind, object)| {
            words(&decode(*kind, &object.to_string(), &mut decoder).unwrap().change.unwrap())
        });
        assert_eq!(found, want, "{kept:?}");
    }
}

/// What of an object only DNS reads.
fn words(change: &Change) -> String {
    let (parts, labels): (Vec<&str>, _) = match change {
        Change::Slice(slice) => {
            let one = &slice.endpoints[0];
            assert_eq!(one.dns.is_some(), one.hostname().is_some(), "nothing is not boxed");
            ([one.hostname(), one.pod(), one.zone()].into_iter().flatten().collect(), &slice.labels)
        }
        Change::Service(service) => {
            let hosts = service.load_balancer_hosts.iter();
            (service.external_name.iter().chain(hosts).map(|name| &**name).collect(), &service.labels)
        }
        Change::ServiceImport(import) => (vec![], &import.labels),
        Change::Namespace(namespace) => (vec![], &namespace.labels),
        other => panic!("{other:?}"),
    };
    parts.into_iter().chain(labels.iter().map(|(key, _)| key)).collect::<Vec<_>>().join(" ")
}

#[test]
fn slices_belong_to_services_and_to_imports() {
    const SERVICE: &str = "kubernetes.io/service-name";
    const IMPORT: &str = "multicluster.kubernetes.io/service-name";
    const CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";
    let decode = |labels: Value| {
        let object = slice_object(labels, json!([{"addresses": ["10.0.0.1"]}]));
        decode(Kind::EndpointSlice, &object.to_string(), &mut Decoder::new(Kept::ALL))
    };
    assert_eq!(decode(json!({"other": "x"})).unwrap().change, None);
    assert_eq!(decode(json!({IMPORT: "", CLUSTER: "a"})).unwrap().change, None);
    assert!(decode(json!({IMPORT: "a b"})).is_err() && decode(json!({IMPORT: "a", CLUSTER: "b c"})).is_err());
    let read = |labels: Value| read(Kind::EndpointSlice, &slice_object(labels, json!(null))).0;
    let managed = "endpointslice.kubernetes.io/managed-by";
    let Change::Slice(slice) = read(json!({SERVICE: "web", managed: "x", "tier": "a"})) else { panic!() };
    let Slice { service, labels, .. } = &*slice;
    assert_eq!((service.to_string(), format!("{labels:?}")), ("n/web".into(), r#"{"tier": "a"}"#.into()));
    for (labels, want) in [
        (json!({IMPORT: "db"}), ("n/db", "n/db", "", false)),
        (json!({IMPORT: "db", CLUSTER: "east"}), ("n/db", "n/db", "east", false)),
        (json!({IMPORT: "db", CLUSTER: "east", SERVICE: "derived-1"}), ("n/db", "n/derived-1", "east", true)),
    ] {
        let Change::ImportSlice(found) = read(labels.clone()) else { panic!("{labels}") };
        let ImportSlice { slice, import, cluster, for_service } = &*found;
        let found = (&*import.to_string(), &*slice.service.to_string(), &**cluster, *for_service);
        assert_eq!(found, want, "{labels}");
    }
}

#[test]
fn imports() {
    let fields = json!({"type": "ClusterSetIP", "ips": ["10.98.0.1", "fd00::1", "x"],
        "ports": [{"name": "http", "port": 80}]});
    let mut beside = fields.clone();
    beside["metadata"] = json!({"name": "db", "namespace": "n", "labels": {"a": "b"}});
    let within = json!({"metadata": beside["metadata"], "spec": fields});
    for (object, warned) in [(within, "spec.ips[2]"), (beside, "ips[2]")] {
        let (Change::ServiceImport(import), warnings) = read(Kind::ServiceImport, &object) else { panic!() };
        let ServiceImport { name, headless, ips, ports, labels } = &*import;
        assert_eq!((name.to_string(), *headless, ips.len(), ports[0].port), ("n/db".into(), false, 2, 80));
        assert_eq!((labels.get("a"), warnings), (Some("b"), vec![warned.to_owned()]));
    }
    let headless = json!({"metadata": {"name": "db"}, "spec": {"type": "Headless"}});
    let (Change::ServiceImport(import), _) = read(Kind::ServiceImport, &headless) else { panic!() };
    assert!(import.headless && import.ips.is_empty() && import.ports.is_empty());
    for (spec, field) in [
        (json!({"type": "Other"}), "spec.type"),
        (json!({"ports": [{"port": 0}]}), "spec.ports[0].port"),
        (json!({"ports": [{"port": 1}, {"port": 2}]}), "spec.ports[1].name"),
        (json!({"ips": "10.0.0.1"}), "spec.ips"),
    ] {
        let object = json!({"metadata": {"name": "db"}, "spec": spec}).to_string();
        let error = decode(Kind::ServiceImport, &object, &mut Decoder::new(Kept::ALL)).unwrap_err();
        assert_eq!(error.field, field);
    }
}

fn pod(metadata: Value, spec: Value, status: Value) -> (Pod, Vec<String>) {
    let mut object = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec, "status": status});
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().cloned().unwrap());
    let (Change::Pod(pod), warnings) = read(Kind::Pod, &object) else { panic!() };
    ((*pod).clone(), warnings)
}

#[test]
fn pods() {
    let searches = |count: usize| (0..count).map(|n| format!("d{n}.example")).collect::<Vec<_>>();
    for (spec, want, warned) in [
        (json!({}), None, None),
        (json!({"dnsPolicy": "ClusterFirst", "dnsConfig": {}}), None, None),
        (json!({"dnsPolicy": "Default"}), Some((DnsPolicy::Default, 0, None)), None),
        (
            json!({"dnsPolicy": "ClusterFirstWithHostNet"}),
            Some((DnsPolicy::ClusterFirstWithHostNet, 0, None)),
            None,
        ),
        (
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b", "."],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
            Some((DnsPolicy::None, 2, Some(2))),
            None,
        ),
        (
            json!({"dnsConfig": {"options": [{"name": "ndots", "value": "99999999999"}]}}),
            Some((DnsPolicy::ClusterFirst, 0, Some(15))),
            None,
        ),
        (
            json!({"dnsConfig": {"options": [{"name": "ndots", "value": "-1"}]}}),
            None,
            Some("spec.dnsConfig.options[0].value"),
        ),
        (
            json!({"dnsConfig": {"searches": searches(40)}}),
            Some((DnsPolicy::ClusterFirst, 32, None)),
            Some("spec.dnsConfig.searches[32]"),
        ),
        (json!({"dnsPolicy": "Else"}), None, Some("spec.dnsPolicy")),
    ] {
        let (found, warnings) = pod(json!({}), spec.clone(), json!({}));
        let found = found.dns.map(|dns| (dns.policy, dns.searches.len(), dns.ndots));
        assert_eq!((found, warnings.first().map(String::as_str)), (want, warned), "{spec}");
    }
    for (phase, finished) in [("Running", false), ("Succeeded", true), ("Failed", true), ("Pending", false)] {
        assert_eq!(pod(json!({}), json!({}), json!({"phase": phase})).0.finished, finished);
    }
    let deleted = json!({"deletionTimestamp": "2026-11-21T13:06:09Z"});
    assert!(pod(deleted, json!({}), json!({})).0.terminating);
    for (value, out, warned) in [
        (json!("false"), true, 0),
        (json!(false), true, 0),
        (json!("true"), false, 0),
        (json!(null), false, 0),
        (json!("no"), false, 1),
    ] {
        let metadata = json!({"annotations": {"towpath.dev/dns-intercept": value}});
        let (found, warnings) = pod(metadata, json!({}), json!({}));
        assert_eq!((found.dns_opt_out, warnings.len()), (out, warned), "{value}");
    }
}

#[test]
fn every_field_counts_in_fingerprints() {
    let service = |spec: Value| fingerprint(&service(&json!({}), spec, json!(null)).0.into_change());
    let plain = service(json!({}));
    assert_ne!(plain, service(json!({"clusterIP": "None"})));
    assert_ne!(plain, service(json!({"externalName": "a"})));
    let slice = |endpoint: Value| {
        let mut one = endpoint;
        one["addresses"] = json!(["10.0.0.1"]);
        let object = slice_object(json!({"kubernetes.io/service-name": "web"}), json!([one]));
        fingerprint(&read(Kind::EndpointSlice, &object).0)
    };
    let prints = [
        json!({}),
        json!({"hostname": "a"}),
        json!({"zone": "a"}),
        json!({"targetRef": {"kind": "Pod", "name": "a"}}),
    ];
    let prints: std::collections::BTreeSet<u64> = prints.into_iter().map(slice).collect();
    assert_eq!(prints.len(), 4);
}

trait IntoChange {
    fn into_change(self) -> Change;
}

impl IntoChange for Service {
    fn into_change(self) -> Change {
        Change::Service(Arc::new(self))
    }
}
