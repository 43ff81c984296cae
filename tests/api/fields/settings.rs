//! What a load balancer may say for itself and a class for many, and the rest of both.

use serde_json::{Value, Value::Null, json};

use super::{
    case::{Case, Change, change, listening, with},
    effect::{Effect, both, no, object, text},
    surroundings::CLASS,
};

/// Where the Deployment tells of HAProxy's container.
const RESOURCES: &str = "/spec/template/spec/containers/0/resources";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = of_load_balancers();
    cases.extend(shared(|change| change));
    cases.extend(shared(Change::of_class));
    cases.push(
        change(
            &["spec.nodeSelector"],
            listening("HTTP"),
            "/nodeSelector",
            [Null, json!({ "pool": "edge" })],
            object("Deployment", "/spec/template/spec/nodeSelector/pool", json!("edge")),
        )
        .of_class()
        .refused(json!({ "pool": 1 }), "spec.nodeSelector.pool"),
    );
    cases
}

fn of_load_balancers() -> Vec<Case> {
    vec![
        change(
            &["spec.className"],
            listening("HTTP"),
            "/className",
            [Null, json!(CLASS)],
            object("Deployment", "/spec/replicas", json!(5)),
        )
        .told(json!("nope"), "ResolvedRefs", "False/ClassNotFound"),
        change(&["spec.enabled"], listening("HTTP"), "/enabled", [json!(true), json!(false)], no(text("frontend web")))
            .refused(json!("no"), "spec.enabled"),
    ]
}

/// What is in both.
fn shared(on: impl Fn(Change) -> Change) -> Vec<Case> {
    let row = |fields, at, values, effect: Effect| on(change(fields, listening("HTTP"), at, values, effect));
    let mut cases = vec![
        row(&["spec.replicas"], "/replicas", [json!(2), json!(3)], object("Deployment", "/spec/replicas", json!(3)))
            .refused(json!(101), "should be less than or equal to 100"),
        row(
            &["spec.image"],
            "/image",
            [Null, json!("registry.example/haproxy:3")],
            Box::new(|snapshot| snapshot.objects["Deployment"].to_string().contains("registry.example/haproxy:3")),
        )
        .refused(json!("two words"), "spec.image"),
    ];
    cases.extend(resources(&row));
    cases.extend(exposure(&row));
    cases
}

/// Makes a change of these fields, there, to that, with this effect.
type Row<'a> = &'a dyn Fn(&'static [&'static str], &'static str, [Value; 2], Effect) -> Change;

fn resources(row: Row<'_>) -> Vec<Case> {
    let limits = |cpu: &str, memory: &str| json!({ "limits": { "cpu": cpu, "memory": memory } });
    let requests =
        |cpu: &str, memory: &str| with(limits("2", "512Mi"), "/requests", json!({ "cpu": cpu, "memory": memory }));
    let holds = |part: &str, value: &'static str| -> Effect {
        let at = format!("{RESOURCES}/{part}");
        Box::new(move |snapshot| snapshot.objects["Deployment"].pointer(&at) == Some(&json!(value)))
    };
    vec![
        row(
            &["spec.resources", "spec.resources.limits"],
            "/resources",
            [Null, limits("3", "512Mi")],
            holds("limits/cpu", "3"),
        )
        .refused(limits("much", "512Mi"), "cpu must be a quantity above 0"),
        row(
            &["spec.resources.limits.cpu"],
            "/resources",
            [limits("2", "512Mi"), limits("4", "512Mi")],
            holds("limits/cpu", "4"),
        )
        .refused(limits("0", "512Mi"), "cpu must be a quantity above 0, such as 500m or 2"),
        row(
            &["spec.resources.limits.memory"],
            "/resources",
            [limits("2", "512Mi"), limits("2", "1Gi")],
            holds("limits/memory", "1Gi"),
        )
        .refused(limits("2", "1Mi"), "memory must be a quantity of at least 32Mi"),
        row(
            &["spec.resources.requests"],
            "/resources",
            [limits("2", "512Mi"), requests("150m", "48Mi")],
            holds("requests/cpu", "150m"),
        )
        .refused(requests("3", "48Mi"), "requests.cpu must not be more than limits.cpu"),
        row(
            &["spec.resources.requests.cpu"],
            "/resources",
            [requests("150m", "48Mi"), requests("250m", "48Mi")],
            holds("requests/cpu", "250m"),
        )
        .refused(requests("-1", "48Mi"), "cpu must be a quantity above 0"),
        row(
            &["spec.resources.requests.memory"],
            "/resources",
            [requests("150m", "48Mi"), requests("150m", "96Mi")],
            holds("requests/memory", "96Mi"),
        )
        .refused(requests("150m", "1Gi"), "requests.memory must not be more than limits.memory"),
    ]
}

fn exposure(row: Row<'_>) -> Vec<Case> {
    let service = |service: Value| json!({ "service": service });
    vec![
        row(
            &["spec.exposure", "spec.exposure.service"],
            "/exposure",
            [Null, service(json!({ "type": "NodePort" }))],
            object("Service", "/spec/type", json!("NodePort")),
        )
        .refused(json!({ "type": "Ingress" }), "supported values: \"Service\", \"HostNetwork\""),
        row(
            &["spec.exposure.type"],
            "/exposure",
            [json!({ "type": "Service" }), json!({ "type": "HostNetwork" })],
            both(
                object("Deployment", "/spec/template/spec/hostNetwork", json!(true)),
                Box::new(|snapshot| snapshot.objects["Service"].is_null()),
            ),
        )
        .refused(
            json!({ "type": "HostNetwork", "service": { "type": "NodePort" } }),
            "service is for exposure of type Service only",
        ),
        row(
            &["spec.exposure.service.type"],
            "/exposure",
            [service(json!({ "type": "NodePort" })), service(json!({ "type": "LoadBalancer" }))],
            object("Service", "/spec/type", json!("LoadBalancer")),
        )
        .refused(service(json!({ "type": "ExternalName" })), "supported values: \"ClusterIP\""),
        row(
            &["spec.exposure.service.annotations"],
            "/exposure",
            [service(json!({})), service(json!({ "annotations": { "cloud.example/zone": "a" } }))],
            object("Service", "/metadata/annotations/cloud.example~1zone", json!("a")),
        )
        .refused(service(json!({ "annotations": { "a": 1 } })), "annotations.a"),
        row(
            &["spec.exposure.service.externalTrafficPolicy"],
            "/exposure",
            [
                service(json!({ "type": "NodePort", "externalTrafficPolicy": "Cluster" })),
                service(json!({ "type": "NodePort", "externalTrafficPolicy": "Local" })),
            ],
            object("Service", "/spec/externalTrafficPolicy", json!("Local")),
        )
        .refused(
            service(json!({ "externalTrafficPolicy": "Local" })),
            "externalTrafficPolicy is for Services of type NodePort or LoadBalancer only",
        ),
    ]
}
