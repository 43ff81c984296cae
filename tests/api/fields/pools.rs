//! The fields of pools, but for their members.

use serde_json::{Value, Value::Null, json};

use super::{
    case::{Case, change, listening, with},
    effect::{any_text, both, file, no, text},
};

/// A listener whose pool has one more field.
fn pooled(field: &str, value: Value) -> Value {
    with(listening("HTTP"), &format!("/pools/0/{field}"), value)
}

pub(super) fn cases() -> Vec<Case> {
    [pool(), monitor(), monitor_http(), persistence(), tls()].into_iter().flatten().collect()
}

fn pool() -> Vec<Case> {
    let timed = || pooled("timeouts", json!({}));
    let named = |name: &str| json!([{ "name": name, "members": [{ "address": "192.0.2.10", "port": 8080 }] }]);
    vec![
        change(
            &["spec.pools"],
            listening("HTTP"),
            "/pools/1",
            [Null, json!({ "name": "spare" })],
            Box::new(|snapshot| snapshot.pools.len() == 2),
        )
        .refused(json!({ "name": "app" }), "Duplicate value"),
        change(
            &["spec.pools[].name"],
            with(listening("HTTP"), "/pools/1", json!({ "name": "spare" })),
            "/pools/1/name",
            [json!("spare"), json!("other")],
            Box::new(|snapshot| snapshot.pools[1]["name"] == "other"),
        )
        .refused(json!("Not a name"), "spec.pools[1].name"),
        change(
            &["spec.pools[].algorithm"],
            listening("HTTP"),
            "/pools/0/algorithm",
            [json!("RoundRobin"), json!("LeastConnections")],
            text("balance leastconn"),
        )
        .refused(json!("Random"), "supported values: \"RoundRobin\""),
        change(
            &["spec.pools[].proxyProtocol"],
            listening("HTTP"),
            "/pools/0/proxyProtocol",
            [json!("V1"), json!("V2")],
            text("send-proxy-v2"),
        )
        .refused(json!("V3"), "supported values: \"V1\", \"V2\""),
        change(
            &["spec.pools[].slowStartSeconds"],
            listening("HTTP"),
            "/pools/0/slowStartSeconds",
            [Null, json!(30)],
            text("slowstart 30s"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.pools[].timeouts"],
            listening("HTTP"),
            "/pools/0/timeouts",
            [Null, json!({ "connectSeconds": 2 })],
            text("timeout connect 2s"),
        )
        .refused(json!({ "connectSeconds": "2s" }), "connectSeconds"),
        change(
            &["spec.pools[].timeouts.connectSeconds"],
            timed(),
            "/pools/0/timeouts/connectSeconds",
            [Null, json!(3)],
            text("timeout connect 3s"),
        )
        .refused(json!(3601), "should be less than or equal to 3600"),
        change(
            &["spec.pools[].timeouts.serverSeconds"],
            timed(),
            "/pools/0/timeouts/serverSeconds",
            [Null, json!(77)],
            text("timeout server 77s"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.pools[].members", "spec.pools[].members[].address"],
            listening("HTTP"),
            "/pools",
            [named("app"), json!([{ "name": "app" }])],
            no(text("server 192.0.2.10")),
        )
        .refused(named("nope"), "a listener names a pool that is not in spec.pools"),
    ]
}

fn monitor() -> Vec<Case> {
    let checked = || pooled("monitor", json!({ "type": "TCP" }));
    let number = |fields: &'static [&'static str], at: &'static str, values: [Value; 2], words: &'static str| {
        change(fields, checked(), at, values, text(words))
    };
    vec![
        change(
            &["spec.pools[].monitor"],
            listening("HTTP"),
            "/pools/0/monitor",
            [Null, json!({ "type": "HTTP" })],
            text("option httpchk"),
        )
        .refused(json!({}), "spec.pools[0].monitor.type: Required value"),
        change(
            &["spec.pools[].monitor.type"],
            checked(),
            "/pools/0/monitor/type",
            [json!("TCP"), json!("HTTP")],
            text("option httpchk"),
        )
        .refused(json!("PING"), "supported values: \"HTTP\""),
        number(
            &["spec.pools[].monitor.intervalSeconds"],
            "/pools/0/monitor/intervalSeconds",
            [json!(5), json!(9)],
            "inter 9s",
        )
        .refused(json!(1), "timeoutSeconds must not be longer than intervalSeconds"),
        number(
            &["spec.pools[].monitor.timeoutSeconds"],
            "/pools/0/monitor/timeoutSeconds",
            [json!(3), json!(4)],
            "timeout check 4s",
        )
        .refused(json!(6), "timeoutSeconds must not be longer than intervalSeconds"),
        number(&["spec.pools[].monitor.rises"], "/pools/0/monitor/rises", [json!(2), json!(7)], "rise 7")
            .refused(json!(11), "should be less than or equal to 10"),
        number(&["spec.pools[].monitor.falls"], "/pools/0/monitor/falls", [json!(3), json!(8)], "fall 8")
            .refused(json!(0), "should be greater than or equal to 1"),
        number(&["spec.pools[].monitor.port"], "/pools/0/monitor/port", [Null, json!(9999)], "port 9999")
            .refused(json!(65536), "should be less than or equal to 65535"),
    ]
}

fn monitor_http() -> Vec<Case> {
    let checked = || pooled("monitor", json!({ "type": "HTTP" }));
    vec![
        change(
            &["spec.pools[].monitor.method"],
            checked(),
            "/pools/0/monitor/method",
            [json!("GET"), json!("HEAD")],
            text("meth HEAD"),
        )
        .refused(json!("DELETE"), "supported values: \"GET\""),
        change(
            &["spec.pools[].monitor.path"],
            checked(),
            "/pools/0/monitor/path",
            [Null, json!("/healthz")],
            text("uri /healthz"),
        )
        .refused(json!("/\nlisten evil"), "spec.pools[0].monitor.path"),
        change(
            &["spec.pools[].monitor.host"],
            checked(),
            "/pools/0/monitor/host",
            [Null, json!("shop.example")],
            text("hdr Host shop.example"),
        )
        .refused(json!("a b"), "spec.pools[0].monitor.host"),
        change(
            &["spec.pools[].monitor.expectedStatus"],
            checked(),
            "/pools/0/monitor/expectedStatus",
            [Null, json!("200,204")],
            text("expect status 200,204"),
        )
        .refused(json!("2xx"), "spec.pools[0].monitor.expectedStatus"),
    ]
}

fn persistence() -> Vec<Case> {
    let inserted = || pooled("persistence", json!({ "type": "InsertedCookie" }));
    vec![
        change(
            &["spec.pools[].persistence"],
            listening("HTTP"),
            "/pools/0/persistence",
            [Null, json!({ "type": "InsertedCookie" })],
            text("cookie SRV insert"),
        )
        .refused(json!({ "type": "ApplicationCookie" }), "persistence of type ApplicationCookie needs cookieName"),
        change(
            &["spec.pools[].persistence.type"],
            inserted(),
            "/pools/0/persistence/type",
            [json!("InsertedCookie"), json!("SourceAddress")],
            text("stick on src"),
        )
        .refused(json!("Cookie"), "supported values: \"SourceAddress\""),
        change(
            &["spec.pools[].persistence.cookieName"],
            inserted(),
            "/pools/0/persistence/cookieName",
            [Null, json!("SHOP")],
            text("cookie SHOP insert"),
        )
        .refused(json!("a;b"), "spec.pools[0].persistence.cookieName"),
        change(
            &["spec.pools[].persistence.expirySeconds"],
            inserted(),
            "/pools/0/persistence/expirySeconds",
            [Null, json!(61)],
            text("maxidle 61s"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
    ]
}

fn tls() -> Vec<Case> {
    let encrypted = || pooled("tls", json!({ "caConfigMapName": "partners" }));
    vec![
        change(
            &["spec.pools[].tls"],
            listening("HTTP"),
            "/pools/0/tls",
            [Null, json!({ "caConfigMapName": "partners" })],
            both(file("authorities-partners.pem"), text("verify required")),
        )
        .refused(json!({}), "tls of a pool needs caConfigMapName, or verification: None"),
        change(
            &["spec.pools[].tls.verification"],
            encrypted(),
            "/pools/0/tls/verification",
            [json!("Required"), json!("None")],
            text("verify none"),
        )
        .refused(json!("Some"), "supported values: \"Required\", \"None\""),
        change(
            &["spec.pools[].tls.caConfigMapName"],
            encrypted(),
            "/pools/0/tls/caConfigMapName",
            [json!("partners"), json!("others")],
            both(file("authorities-others.pem"), no(file("authorities-partners.pem"))),
        )
        .told(json!("nope"), "ResolvedRefs", "False/ConfigMapNotFound"),
        change(
            &["spec.pools[].tls.serverName"],
            encrypted(),
            "/pools/0/tls/serverName",
            [Null, json!("shop.internal")],
            any_text(&["sni str(shop.internal)"]),
        )
        .refused(json!("a b"), "spec.pools[0].tls.serverName"),
    ]
}
