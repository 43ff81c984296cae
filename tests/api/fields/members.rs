//! The fields of members: by address, by Service, by the labels of pods.

use serde_json::{Value, Value::Null, json};

use super::{
    case::{Case, change, listening, with},
    effect::{any_text, both, members, no, text},
};

pub(super) fn cases() -> Vec<Case> {
    [by_address(), by_service(), by_labels(), selectors()].into_iter().flatten().collect()
}

fn by_address() -> Vec<Case> {
    let checked = || with(listening("HTTP"), "/pools/0/monitor", json!({ "type": "TCP" }));
    vec![
        change(
            &["spec.pools[].members[].address"],
            listening("HTTP"),
            "/pools/0/members/0/address",
            [json!("192.0.2.10"), json!("192.0.2.99")],
            text("192.0.2.99:8080"),
        )
        .refused(json!("app.example"), "address must be an IPv4 or IPv6 address"),
        change(
            &["spec.pools[].members[].port"],
            listening("HTTP"),
            "/pools/0/members/0/port",
            [json!(8080), json!(9999)],
            text("192.0.2.10:9999"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.pools[].members[].weight"],
            listening("HTTP"),
            "/pools/0/members/0/weight",
            [json!(100), json!(7)],
            text("weight 7"),
        )
        .refused(json!(257), "should be less than or equal to 256"),
        change(
            &["spec.pools[].members[].enabled"],
            listening("HTTP"),
            "/pools/0/members/0/enabled",
            [json!(true), json!(false)],
            both(no(text("server 192.0.2.10")), members(0)),
        )
        .refused(json!("no"), "members[0].enabled"),
        change(
            &["spec.pools[].members[].backup"],
            listening("HTTP"),
            "/pools/0/members/0/backup",
            [json!(false), json!(true)],
            any_text(&[" backup"]),
        )
        .refused(json!("yes"), "members[0].backup"),
        change(
            &["spec.pools[].members[].monitorAddress"],
            checked(),
            "/pools/0/members/0/monitorAddress",
            [Null, json!("192.0.2.77")],
            text("addr 192.0.2.77"),
        )
        .refused(json!("app"), "monitorAddress must be an IPv4 or IPv6 address"),
        change(
            &["spec.pools[].members[].monitorPort"],
            checked(),
            "/pools/0/members/0/monitorPort",
            [Null, json!(9000)],
            text("port 9000"),
        )
        .refused(json!(65536), "should be less than or equal to 65535"),
    ]
}

fn by_service() -> Vec<Case> {
    let served = || with(listening("HTTP"), "/pools/0/services", json!([{ "name": "app", "port": "http" }]));
    vec![
        change(
            &["spec.pools[].services"],
            listening("HTTP"),
            "/pools/0/services",
            [Null, json!([{ "name": "app", "port": "http" }])],
            both(text("10.0.0.1:8080"), members(2)),
        )
        .told(json!([{ "name": "nope" }]), "ResolvedRefs", "False/ServiceNotFound"),
        change(
            &["spec.pools[].services[].name"],
            served(),
            "/pools/0/services/0/name",
            [json!("app"), json!("api")],
            both(text("10.0.0.2:8080"), no(text("10.0.0.1:8080"))),
        )
        .told(json!("nope"), "ResolvedRefs", "False/ServiceNotFound"),
        change(
            &["spec.pools[].services[].port"],
            served(),
            "/pools/0/services/0/port",
            [json!("http"), json!(81)],
            text("10.0.0.1:9090"),
        )
        .told(json!("nope"), "ResolvedRefs", "False/ServicePortNotFound"),
        change(
            &["spec.pools[].services[].weight"],
            served(),
            "/pools/0/services/0/weight",
            [json!(100), json!(8)],
            text("weight 8"),
        )
        .refused(json!(-1), "should be greater than or equal to 0"),
        change(
            &["spec.pools[].services[].backup"],
            served(),
            "/pools/0/services/0/backup",
            [json!(false), json!(true)],
            any_text(&[" backup"]),
        )
        .refused(json!("yes"), "services[0].backup"),
    ]
}

/// A pool of the pods that a selector matches.
fn selecting(selector: &Value) -> Value {
    let pods = json!([{ "name": "web", "selector": selector, "port": "http" }]);
    with(listening("HTTP"), "/pools/0/pods", pods)
}

fn by_labels() -> Vec<Case> {
    let web = || selecting(&json!({ "matchLabels": { "app": "web" } }));
    vec![
        change(
            &["spec.pools[].pods", "spec.pools[].pods[].selector"],
            listening("HTTP"),
            "/pools/0/pods",
            [Null, json!([{ "name": "web", "selector": { "matchLabels": { "app": "web" } }, "port": "http" }])],
            both(text("10.0.1.1:8080"), members(3)),
        )
        .refused(json!([{ "name": "web", "selector": {}, "port": "http" }]), "an empty one would take every pod"),
        change(
            &["spec.pools[].pods[].name"],
            web(),
            "/pools/0/pods/0/name",
            [json!("web"), json!("www")],
            text("pods.www:10.0.1.1:8080"),
        )
        .refused(json!("a:b"), "pods[0].name"),
        change(
            &["spec.pools[].pods[].port"],
            web(),
            "/pools/0/pods/0/port",
            [json!("http"), json!(7777)],
            text("10.0.1.1:7777"),
        )
        .told(json!("nope"), "ResolvedRefs", "False/PodPortNotFound"),
        change(
            &["spec.pools[].pods[].weight"],
            web(),
            "/pools/0/pods/0/weight",
            [json!(100), json!(9)],
            text("weight 9"),
        )
        .refused(json!(257), "should be less than or equal to 256"),
        change(
            &["spec.pools[].pods[].backup"],
            web(),
            "/pools/0/pods/0/backup",
            [json!(false), json!(true)],
            any_text(&[" backup"]),
        )
        .refused(json!("yes"), "pods[0].backup"),
    ]
}

fn selectors() -> Vec<Case> {
    let web = || json!({ "matchLabels": { "app": "web" } });
    let requiring = |operator: &str, value: &str| {
        selecting(&json!({
            "matchLabels": { "app": "web" },
            "matchExpressions": [{ "key": "tier", "operator": operator, "values": [value] }],
        }))
    };
    vec![
        change(
            &["spec.pools[].pods[].selector.matchLabels"],
            selecting(&web()),
            "/pools/0/pods/0/selector/matchLabels",
            [json!({ "app": "web" }), json!({ "app": "web", "tier": "back" })],
            no(text("10.0.1.1:8080")),
        )
        .refused(json!({ "a b": "c" }), "the keys of matchLabels must be names of labels"),
        change(
            &["spec.pools[].pods[].selector.matchExpressions"],
            selecting(&web()),
            "/pools/0/pods/0/selector/matchExpressions",
            [Null, json!([{ "key": "tier", "operator": "NotIn", "values": ["front"] }])],
            no(text("10.0.1.1:8080")),
        )
        .refused(json!([{ "key": "tier", "operator": "In" }]), "with the operator In or NotIn needs values"),
        change(
            &["spec.pools[].pods[].selector.matchExpressions[].operator"],
            requiring("In", "front"),
            "/pools/0/pods/0/selector/matchExpressions/0/operator",
            [json!("In"), json!("NotIn")],
            both(text("10.0.1.2:8080"), no(text("10.0.1.1:8080"))),
        )
        .refused(json!("Equals"), "supported values: \"In\", \"NotIn\""),
        change(
            &["spec.pools[].pods[].selector.matchExpressions[].values"],
            requiring("In", "front"),
            "/pools/0/pods/0/selector/matchExpressions/0/values",
            [json!(["front"]), json!(["front", "back"])],
            text("10.0.1.2:8080"),
        )
        .refused(json!(["b)"]), "matchExpressions[0].values[0]"),
        change(
            &["spec.pools[].pods[].selector.matchExpressions[].key"],
            requiring("NotIn", "front"),
            "/pools/0/pods/0/selector/matchExpressions/0/key",
            [json!("tier"), json!("track")],
            text("10.0.1.1:8080"),
        )
        .refused(json!("a b"), "matchExpressions[0].key"),
    ]
}
