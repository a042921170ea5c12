//! Tables of objects and what becomes of them. Objects are written as the parts that matter.

use model::{Change, IpFamily, Protocol, Service, ServiceType, Slice, TrafficPolicy};
use serde_json::{Value, json};

use super::*;

fn read_value(kind: Kind, object: &Value) -> Result<Decoded, FieldError> {
    decode(kind, &object.to_string(), &mut Decoder::default())
}

fn service_of(spec: Value, status: Value) -> Result<(Service, Vec<String>), FieldError> {
    let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec, "status": status});
    let decoded = read_value(Kind::Service, &object)?;
    let Some(Change::Service(service)) = decoded.change else { panic!("no Service") };
    Ok(((*service).clone(), decoded.warnings.into_iter().map(|w| w.field).collect()))
}

fn service(spec: Value) -> Service {
    let (service, warnings) = service_of(spec, Value::Null).unwrap();
    assert_eq!(warnings, [""; 0]);
    service
}

fn slice_of(object: Value) -> Result<(Option<Slice>, Vec<String>), FieldError> {
    let mut object = object;
    object["metadata"]["name"] = json!("web-abcde");
    object["metadata"]["namespace"] = json!("shop");
    let decoded = read_value(Kind::EndpointSlice, &object)?;
    let slice = match decoded.change {
        Some(Change::Slice(slice)) => Some((*slice).clone()),
        None => None,
        other => panic!("{other:?}"),
    };
    Ok((slice, decoded.warnings.into_iter().map(|w| w.field).collect()))
}

fn labelled(rest: Value) -> Value {
    let mut object = rest;
    object["metadata"] = json!({"labels": {"kubernetes.io/service-name": "web"}});
    object
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// Items of a recorded list, decoded.
fn recorded(kind: Kind, text: &str) -> Vec<Decoded> {
    let list: Value = serde_json::from_str(text).unwrap();
    list["items"].as_array().unwrap().iter().map(|item| read_value(kind, item).unwrap()).collect()
}

#[test]
fn recorded_services() {
    let all = recorded(Kind::Service, include_str!("../../tests/data/services.json"));
    assert!(all.iter().all(|one| one.warnings.is_empty()));
    let find = |name: &str| {
        let found = all.iter().find(|one| one.key.to_string() == format!("Service {name}")).unwrap();
        let Some(Change::Service(service)) = &found.change else { panic!("{found:?}") };
        Service::clone(service)
    };
    assert_eq!(find("default/kubernetes").created, Some(1_795_266_367));
    assert_eq!(texts(&find("shop/web").cluster_ips), ["10.96.10.1", "fd00:10:96::a1"]);
    assert!(find("shop/db").cluster_ips.is_empty());
    assert_eq!(find("shop/ext").kind, ServiceType::ExternalName);
    assert_eq!(find("shop/web-nodeport").affinity_seconds, Some(600));
    let lb = find("shop/web-lb");
    assert_eq!((lb.kind, lb.external_policy), (ServiceType::LoadBalancer, TrafficPolicy::Local));
    assert_eq!((lb.health_check_node_port, lb.ports[1].node_port), (32080, 30053));
    assert_eq!((lb.ports[1].protocol, lb.ports[1].port), (Protocol::Udp, 53));
    assert_eq!(texts(&lb.load_balancer_ips), ["192.0.2.80"]);
    assert_eq!(texts(&lb.source_ranges), ["203.0.113.0/24"]);
}

#[test]
fn recorded_slices_nodes_and_cidrs() {
    let slices = recorded(Kind::EndpointSlice, include_str!("../../tests/data/slices.json"));
    let Some(Change::Slice(web)) = &slices[1].change else { panic!("{slices:?}") };
    assert_eq!((web.service.to_string().as_str(), web.family), ("shop/web", IpFamily::V4));
    assert_eq!(web.endpoints.len(), 2);
    assert_eq!(web.endpoints[1].node.as_deref(), Some("node-b"));
    assert_eq!(web.endpoints[1].hints.as_ref().map(|h| texts(&h.zones)), Some(vec!["zone-b".to_owned()]));
    let nodes = recorded(Kind::Node, include_str!("../../tests/data/nodes.json"));
    let Some(Change::Node(node)) = &nodes[0].change else { panic!("{nodes:?}") };
    assert_eq!(texts(&node.addresses), ["192.0.2.10", "2001:db8::10"]);
    assert_eq!(texts(&node.pod_cidrs), ["10.244.1.0/24", "fd00:10:244:1::/64"]);
    assert_eq!((node.zone.as_deref(), &*node.taints[0]), (Some("zone-a"), "node.kubernetes.io/not-ready"));
    let cidrs = recorded(Kind::ServiceCidr, include_str!("../../tests/data/servicecidrs.json"));
    let Some(Change::ServiceCidr { name, cidrs }) = &cidrs[0].change else { panic!("{cidrs:?}") };
    assert_eq!((&**name, texts(cidrs).join(" ").as_str()), ("kubernetes", "10.96.0.0/12 fd00:10:96::/112"));
}

#[test]
fn cluster_ips() {
    for (spec, expected) in [
        (json!({"clusterIP": "10.0.0.1"}), "10.0.0.1"),
        (json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}), "10.0.0.1 fd00::1"),
        (json!({"clusterIPs": ["fd00::1", "10.0.0.1"]}), "fd00::1 10.0.0.1"),
        (json!({"clusterIP": "172.30.0.041"}), "172.30.0.41"),
        (json!({"clusterIP": "None"}), ""),
        (json!({"clusterIPs": ["None"]}), ""),
        (json!({"clusterIP": ""}), ""),
        (json!({"clusterIP": null, "clusterIPs": null, "ports": null}), ""),
        (Value::Null, ""),
    ] {
        assert_eq!(texts(&service(spec.clone()).cluster_ips).join(" "), expected, "{spec}");
    }
}

#[test]
fn affinity_and_policies() {
    let with = |more: Value| {
        let mut spec = json!({"sessionAffinity": "ClientIP"});
        spec["sessionAffinityConfig"] = more;
        service(spec).affinity_seconds
    };
    assert_eq!(with(Value::Null), Some(10_800));
    assert_eq!(with(json!({"clientIP": {"timeoutSeconds": 86400}})), Some(86_400));
    assert_eq!(service(json!({"sessionAffinity": "None"})).affinity_seconds, None);
    let local = service(json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}));
    assert_eq!((local.internal_policy, local.external_policy), (TrafficPolicy::Local, TrafficPolicy::Local));
}

#[test]
fn load_balancer_ingress() {
    let status = json!({"loadBalancer": {"ingress": [
        {"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "VIP"}, {"ip": "192.0.2.3", "ipMode": "Proxy"},
        {"hostname": "lb.example.com"}, {"ip": "192.0.2.999"},
    ]}});
    let (service, warnings) = service_of(json!({"type": "LoadBalancer"}), status).unwrap();
    assert_eq!(texts(&service.load_balancer_ips), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(warnings, ["status.loadBalancer.ingress[4].ip"]);
}

/// A range that cannot be read never opens a VIP, and closes no more than it must.
#[test]
fn source_ranges_fail_closed() {
    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]}});
    for (ranges, kept, served) in [
        (json!([" 203.0.113.000/024 "]), "203.0.113.0/24", "192.0.2.1 2001:db8::1"),
        (json!(["203.0.113.0/24", "10.0.0.0/33"]), "203.0.113.0/24", "192.0.2.1 2001:db8::1"),
        (json!(["10.0.0.0/33"]), "", "2001:db8::1"),
        (json!(["10.0.0.0/33", "fd00::/8"]), "fd00::/8", "2001:db8::1"),
        (json!(["office"]), "", ""),
        (json!(["office", "10.0.0.0/8"]), "10.0.0.0/8", "192.0.2.1"),
        (json!([""]), "", ""),
        (json!([]), "", "192.0.2.1 2001:db8::1"),
    ] {
        let spec = json!({"loadBalancerSourceRanges": ranges});
        let (service, warnings) = service_of(spec, status.clone()).unwrap();
        assert_eq!(texts(&service.source_ranges).join(" "), kept, "{ranges}");
        assert_eq!(texts(&service.load_balancer_ips).join(" "), served, "{ranges}");
        let closed = service.load_balancer_ips.len() < 2;
        assert_eq!(warnings.contains(&"spec.loadBalancerSourceRanges".to_owned()), closed, "{ranges}");
    }
}

#[test]
fn bad_values_in_lists_are_left_out() {
    let (service, warnings) =
        service_of(json!({"externalIPs": ["192.0.2.7", "nonsense", "192.0.2.8"]}), Value::Null).unwrap();
    assert_eq!(texts(&service.external_ips), ["192.0.2.7", "192.0.2.8"]);
    assert_eq!(warnings, ["spec.externalIPs[1]"]);
}

#[test]
fn another_proxys_service() {
    for value in [json!("kube-router"), json!(""), Value::Null] {
        let labels = json!({"service.kubernetes.io/service-proxy-name": value});
        let object = json!({"metadata": {"name": "x", "labels": labels}});
        let decoded = read_value(Kind::Service, &object).unwrap();
        assert!(matches!(decoded.change, Some(Change::Service(s)) if s.other_proxy), "{object}");
    }
}

#[test]
fn malformed_services() {
    let port = |port: Value| json!({"ports": [{"port": port}]});
    for (spec, field) in [
        (port(json!(0)), "spec.ports[0].port"),
        (port(json!(70000)), "spec.ports[0].port"),
        (port(json!(-1)), "spec.ports[0].port"),
        (port(json!("80")), "spec.ports[0].port"),
        (port(Value::Null), "spec.ports[0].port"),
        (json!({"ports": [{"port": 1, "protocol": "ICMP"}]}), "spec.ports[0].protocol"),
        (json!({"ports": [{"port": 1, "nodePort": 65536}]}), "spec.ports[0].nodePort"),
        (json!({"ports": [{"port": 1, "name": "a\n-j ACCEPT"}]}), "spec.ports[0].name"),
        (json!({"ports": [{"port": 1}, {"port": 2}]}), "spec.ports[1].name"),
        (json!({"ports": [{"port": 1}, {"port": 1, "name": "b"}]}), "spec.ports[1].port"),
        (json!({"ports": {"port": 1}}), "spec.ports"),
        (json!({"clusterIP": "10.0.0.0.1"}), "spec.clusterIP"),
        (json!({"clusterIPs": ["10.0.0.1", "x"]}), "spec.clusterIPs[1]"),
        (json!({"type": "Cluster"}), "spec.type"),
        (json!({"sessionAffinity": "Cookie"}), "spec.sessionAffinity"),
        (json!({"externalTrafficPolicy": "local"}), "spec.externalTrafficPolicy"),
        (json!({"internalTrafficPolicy": 1}), "spec.internalTrafficPolicy"),
        (json!({"healthCheckNodePort": 99999}), "spec.healthCheckNodePort"),
        (json!("text"), "spec"),
    ] {
        let error = service_of(spec.clone(), Value::Null).unwrap_err();
        assert_eq!(error.field, field, "{spec}");
        assert!(!error.message.is_empty() && !error.message.contains(" at line "), "{error}");
    }
    let seconds = |s: i64| {
        let config = json!({"clientIP": {"timeoutSeconds": s}});
        service_of(json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": config}), Value::Null)
    };
    assert!(seconds(1).is_ok() && seconds(0).is_err() && seconds(86_401).is_err());
}

#[test]
fn names_and_namespaces() {
    for (kind, metadata, expected) in [
        (Kind::Service, json!({"name": "x"}), Ok("Service default/x")),
        (Kind::Service, json!({"name": "x", "namespace": "n"}), Ok("Service n/x")),
        (Kind::Node, json!({"name": "x", "namespace": "n"}), Ok("Node x")),
        (Kind::Namespace, json!({"name": "x"}), Ok("Namespace x")),
        (Kind::Pod, json!({"name": "x", "namespace": null}), Ok("Pod default/x")),
        (Kind::Service, json!({}), Err("metadata.name")),
        (Kind::Service, Value::Null, Err("metadata.name")),
        (Kind::Service, json!({"name": ""}), Err("metadata.name")),
        (Kind::Service, json!({"name": 7}), Err("metadata.name")),
        (Kind::Service, json!({"name": "a b"}), Err("metadata.name")),
        (Kind::Service, json!({"name": "x", "namespace": "a/b"}), Err("metadata.namespace")),
    ] {
        let found = read_value(kind, &json!({"metadata": metadata}));
        let found = found.map(|d| d.key.to_string()).map_err(|e| e.field);
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{metadata}");
    }
}

#[test]
fn an_identity_survives_a_bad_spec() {
    let text = json!({"metadata": {"name": "x"}, "spec": 3}).to_string();
    let key = identity(Kind::Service, &text, &mut Decoder::default());
    assert_eq!(key.map(|k| k.to_string()).as_deref(), Some("Service default/x"));
    assert_eq!(identity(Kind::Service, "{}", &mut Decoder::default()), None);
}

#[test]
fn slice_ports_and_conditions() {
    let (slice, warnings) = slice_of(labelled(json!({
        "addressType": "IPv4",
        "ports": [{"port": 80}, {"name": "a", "port": 0}, {"name": "b"}, {"name": "", "port": 81, "protocol": "SCTP"}],
        "endpoints": [
            {"addresses": ["10.1.0.01", "10.1.0.2"]},
            {"addresses": ["10.1.0.3"], "conditions": {"ready": false, "terminating": true}, "hints": {}},
            {"addresses": ["10.1.0.4"], "conditions": {"ready": null, "serving": false}, "nodeName": ""},
        ],
    })))
    .unwrap();
    assert_eq!(warnings, [""; 0]);
    let slice = slice.unwrap();
    let ports: Vec<_> = slice.ports.iter().map(|p| (&*p.name, p.protocol, p.port)).collect();
    assert_eq!(ports, [("", Protocol::Tcp, 80), ("", Protocol::Sctp, 81)]);
    let states: Vec<_> = slice
        .endpoints
        .iter()
        .map(|e| (e.ip.to_string(), e.conditions.ready, e.conditions.serving, e.conditions.terminating))
        .collect();
    let expected =
        [("10.1.0.1", true, true, false), ("10.1.0.3", false, true, true), ("10.1.0.4", true, false, false)];
    assert_eq!(states, expected.map(|(ip, r, s, t)| (ip.to_owned(), r, s, t)));
    assert!(slice.endpoints.iter().all(|e| e.hints.is_none() && e.node.is_none()));
}

#[test]
fn slices_of_no_interest() {
    assert_eq!(slice_of(json!({"addressType": "IPv4"})).unwrap(), (None, vec![]));
    assert_eq!(slice_of(labelled(json!({"addressType": "FQDN"}))).unwrap(), (None, vec![]));
}

#[test]
fn malformed_slices() {
    for (object, field) in [
        (json!({}), "addressType"),
        (json!({"addressType": "IPX"}), "addressType"),
        (json!({"addressType": "IPv4", "ports": [{"port": 65536}]}), "ports[0].port"),
        (json!({"addressType": "IPv4", "ports": [{"port": 1, "protocol": "x"}]}), "ports[0].protocol"),
        (json!({"addressType": "IPv4", "endpoints": [{"addresses": "10.0.0.1"}]}), "endpoints[0].addresses"),
    ] {
        assert_eq!(slice_of(labelled(object.clone())).unwrap_err().field, field, "{object}");
    }
    let object = json!({"addressType": "IPv6", "endpoints": [
        {"addresses": ["fd00::1"]}, {"addresses": []}, {"addresses": ["10.0.0.1"]}, {"addresses": ["x"]},
    ]});
    let (slice, warnings) = slice_of(labelled(object)).unwrap();
    assert_eq!(slice.map(|s| s.endpoints.len()), Some(1));
    assert_eq!(warnings, [1, 2, 3].map(|i| format!("endpoints[{i}].addresses[0]")));
}

#[test]
fn nodes_and_pods() {
    let node = read_value(
        Kind::Node,
        &json!({
            "metadata": {"name": "n", "deletionTimestamp": "2026-11-21T13:06:09Z"},
            "spec": {"podCIDR": "10.244.1.0/24"},
            "status": {"addresses": [
                {"type": "ExternalIP", "address": "198.51.100.1"}, {"type": "Hostname", "address": "n"},
                {"type": "InternalIP", "address": "x"}, {"type": "InternalIP", "address": "192.0.2.10"},
            ]},
        }),
    )
    .unwrap();
    assert_eq!(node.warnings[0].field, "status.addresses[2].address");
    let Some(Change::Node(node)) = node.change else { panic!() };
    assert_eq!(texts(&node.addresses), ["192.0.2.10", "198.51.100.1"]);
    assert_eq!((texts(&node.pod_cidrs), node.deleting), (vec!["10.244.1.0/24".to_owned()], true));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "hostNetwork": true},
        "status": {"podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00::5"}]}});
    let Some(Change::Pod(pod)) = read_value(Kind::Pod, &pod).unwrap().change else { panic!() };
    assert_eq!((texts(&pod.ips).len(), pod.node.as_deref(), pod.host_network), (2, Some("n"), true));
    let pod = json!({"metadata": {"name": "p"}, "status": {"podIP": "10.244.1.5"}});
    let Some(Change::Pod(pod)) = read_value(Kind::Pod, &pod).unwrap().change else { panic!() };
    assert_eq!((texts(&pod.ips), pod.node.as_deref()), (vec!["10.244.1.5".to_owned()], None));
}

#[test]
fn fingerprints_tell_objects_apart() {
    let print = |spec: Value| fingerprint(&Change::Service(Arc::new(service(spec))));
    let plain = print(json!({"ports": [{"port": 80}]}));
    assert_eq!(plain, print(json!({"ports": [{"port": 80, "targetPort": 8080}], "selector": {"a": "b"}})));
    for other in [
        json!({"ports": [{"port": 81}]}),
        json!({"ports": [{"port": 80, "protocol": "UDP"}]}),
        json!({"ports": [{"port": 80}], "clusterIP": "10.0.0.1"}),
        json!({"ports": [{"port": 80}], "externalIPs": ["10.0.0.1"]}),
        json!({"ports": [{"port": 80}], "internalTrafficPolicy": "Local"}),
        json!({"ports": [{"port": 80}], "externalTrafficPolicy": "Local"}),
    ] {
        assert_ne!(plain, print(other.clone()), "{other}");
    }
}

#[test]
fn annotations_that_are_no_text_do_not_cost_the_service() {
    for (annotations, want, warnings) in [
        (Value::Null, None, 0),
        (json!({}), None, 0),
        (json!({"towpath.dev/scheduler": null, "towpath.dev/weights": null}), None, 0),
        (json!({"towpath.dev/scheduler": "sh"}), Some(model::Scheduler::Sh), 0),
        (json!({"towpath.dev/scheduler": 3, "towpath.dev/weights": {"10.0.0.1": 3}}), None, 2),
        (json!({"towpath.dev/scheduler": ["lc"], "towpath.dev/weights": 3}), None, 2),
        (json!({"towpath.dev/scheduler": true, "towpath.dev/weights": "10.0.0.1"}), None, 2),
    ] {
        let object = json!({"metadata": {"name": "web", "annotations": annotations}, "spec": {"clusterIP": "10.96.0.1"}});
        let decoded = read_value(Kind::Service, &object).unwrap();
        let Some(Change::Service(service)) = &decoded.change else { panic!("{object}: no Service") };
        assert_eq!(service.balance.scheduler, want, "{object}");
        assert_eq!(
            (service.cluster_ips.len(), decoded.warnings.len()),
            (1, warnings),
            "{object}: {decoded:?}"
        );
    }
}
